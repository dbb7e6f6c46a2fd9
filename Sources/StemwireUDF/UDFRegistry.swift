/// The UDFs that may be asked for by name.
public struct UDFRegistry: Sendable {
    /// A UDF by name, whatever its type.
    public struct Entry: Sendable {
        public let name: String
        public let version: Int
        /// The parameters with their defaults.
        public let parameters: [ParameterListing]
        let make: @Sendable (UDFRequest, UDFMeta) throws(UDFError) -> (udf: any UDF, parameters: ParameterValue)

        /// A UDF without parameters that is made from more than its type.
        init(name: String, make: @escaping @Sendable (UDFMeta) throws(UDFError) -> any UDF) {
            self.name = name
            version = 1
            parameters = []
            self.make = { request, meta throws(UDFError) in
                _ = try FunctionUDF.decodeParameters(request.parameters, id: request.id)
                return (try make(meta), .object([:]))
            }
        }

        /// A UDF whose parameters only those know who have it.
        init(
            name: String, version: Int,
            make:
                @escaping @Sendable (UDFRequest, UDFMeta) throws(UDFError) -> (
                    udf: any UDF, parameters: ParameterValue
                )
        ) {
            self.name = name
            self.version = version
            parameters = []
            self.make = make
        }

        init<Function: UDF>(_ type: Function.Type) {
            name = Function.name
            version = Function.version
            parameters = Function.parameters
            make = { request, meta throws(UDFError) in
                let parameters = try Function.decodeParameters(request.parameters, id: request.id)
                let udf = try Function.make(parameters, meta, id: request.id)
                return (udf, try parameters.parameterValue())
            }
        }
    }

    private var entriesByName: [String: Entry] = [:]

    /// No UDFs.
    public init() {}

    /// The known UDFs, by name.
    public var entries: [Entry] { entriesByName.values.sorted { $0.name < $1.name } }

    /// The UDF of this name.
    public subscript(name: String) -> Entry? { entriesByName[name] }

    /// Adds a UDF.
    ///
    /// - Throws: `UDFError` when its name is taken, or is not made of letters, digits, `_`, `-` and `.`.
    public mutating func add<Function: UDF>(_ type: Function.Type) throws(UDFError) {
        try add(Entry(type))
    }

    mutating func add(_ entry: Entry) throws(UDFError) {
        guard !entry.name.isEmpty, entry.name.utf8.allSatisfy(isNameByte) else {
            throw UDFError(
                .badDeclaration, "the UDF name \"\(entry.name)\" is not made of letters, digits, '_', '-' and '.'")
        }
        guard entriesByName.updateValue(entry, forKey: entry.name) == nil else {
            throw UDFError(.badDeclaration, udf: entry.name, "there are two UDFs of this name")
        }
    }

    /// The registry with one UDF more.
    ///
    /// - Throws: As `add(_:)`.
    public func adding<Function: UDF>(_ type: Function.Type) throws(UDFError) -> UDFRegistry {
        var registry = self
        try registry.add(type)
        return registry
    }
}
