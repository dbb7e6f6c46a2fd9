/// The parameters of a UDF: a plain `struct` whose properties all have defaults.
///
/// ```swift
/// struct Parameters: UDFParameters {
///     /// Radius in pixels.
///     var r = 10.0
///     /// Row of the centre in pixels; nil for the middle of the frame.
///     var cy: Double?
/// }
/// ```
///
/// The compiler's own `Codable` makes them readable from `key=value` on a command line and from JSON. A parameter without
/// which the UDF makes no sense is optional, and the UDF's `init(parameters:meta:)` throws when it is nil.
public protocol UDFParameters: Codable, Sendable, Hashable {
    /// The defaults.
    init()
}

/// The parameters of a UDF that has none.
public struct NoParameters: UDFParameters {
    public init() {}
}

extension UDFParameters {
    /// The parameters as a value that can be sent and hashed.
    public func parameterValue() throws(UDFError) -> ParameterValue {
        do {
            let value = try ParameterEncoder.encode(self)
            // A type without properties encodes as nothing.
            return value == .null ? .object([:]) : value
        } catch {
            throw UDFError(.badParameter, "the parameters cannot be encoded: \(parameterReason(error))", cause: error)
        }
    }
}

/// One parameter of a UDF, for help and error messages.
public struct ParameterListing: Sendable, Hashable, CustomStringConvertible {
    public let name: String
    /// The default as on the command line; nil when the UDF finds one itself, or has none.
    public let defaultValue: String?
    /// The UDF's own words about it.
    public let help: String?

    public var description: String {
        let value = defaultValue.map { " [\($0)]" } ?? ""
        return name + value + (help.map { " (\($0))" } ?? "")
    }
}

extension UDF {
    /// The UDF's parameters with their defaults, in the order in which they are declared.
    public static var parameters: [ParameterListing] {
        guard let defaults = try? Parameters().parameterValue(), case .object(let values) = defaults else { return [] }
        let keys = ParameterDecoder.Keys()
        _ = try? Parameters(from: ParameterDecoder(defaults, keys: keys))
        return keys.names.map { name in
            let value = values[name].flatMap { $0 == .null ? nil : $0.plain }
            return ParameterListing(name: name, defaultValue: value, help: parameterHelp[name])
        }
    }

    /// Reads parameters over the defaults.
    ///
    /// - Throws: `UDFError` that names the parameter and lists the valid ones with their defaults.
    static func decodeParameters(_ given: [String: ParameterValue], id: String) throws(UDFError) -> Parameters {
        let listings = parameters
        if let unknown = given.keys.sorted().first(where: { key in !listings.contains { $0.name == key } }) {
            throw badParameter(id, "has no parameter \"\(unknown)\"")
        }
        guard case .object(let defaults) = try Parameters().parameterValue() else {
            throw UDFError(.badDeclaration, udf: id, "the parameters are not a struct with named properties")
        }
        let values = defaults.merging(given.filter { $0.value != .null }) { _, new in new }
        do {
            return try Parameters(from: ParameterDecoder(.object(values)))
        } catch {
            throw badParameter(id, parameterReason(error), cause: error)
        }
    }

    /// Makes the UDF.
    ///
    /// - Throws: `UDFError` that lists the valid parameters when the UDF refuses the ones it got.
    static func make(_ parameters: Parameters, _ meta: UDFMeta, id: String) throws(UDFError) -> Self {
        do {
            return try Self(parameters: parameters, meta: meta)
        } catch {
            throw badParameter(id, "\(error)", cause: error)
        }
    }

    private static func badParameter(_ id: String, _ reason: String, cause: (any Error)? = nil) -> UDFError {
        let listings = parameters.map(\.description)
        let valid = listings.isEmpty ? "\(name) takes none" : "\(name) takes " + listings.joined(separator: ", ")
        return UDFError(.badParameter, udf: id, "\(reason); \(valid)", cause: cause)
    }
}

private func parameterReason(_ error: any Error) -> String {
    switch error {
    case let fault as ParameterFault: fault.path.isEmpty ? fault.reason : "\(fault.path): \(fault.reason)"
    case DecodingError.dataCorrupted(let context), DecodingError.typeMismatch(_, let context),
        DecodingError.valueNotFound(_, let context), DecodingError.keyNotFound(_, let context):
        ParameterFault(context.codingPath, context.debugDescription).path + ": " + context.debugDescription
    default: "\(error)"
    }
}
