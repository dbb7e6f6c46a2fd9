/// A UDF that somebody wants to run: name and parameters, under an id of its own.
public struct UDFRequest: Sendable, Equatable {
    /// Names the results; unique in a run, so that two disks can run side by side. Letters, digits, `_`, `-`, `.`.
    public var id: String
    /// The UDF's name in the registry.
    public var name: String
    /// The parameters that differ from the defaults.
    public var parameters: [String: ParameterValue]
    /// Values for each scan position that the UDF needs: arrays of shape nav + extra.
    public var auxiliary: [String: ResultArray]
    /// What is computed, in place of a UDF of the registry; nil for that. See `function(_:shape:_:)`.
    public internal(set) var function: FrameFunction?

    /// - Parameter id: The UDF's name when nil.
    public init(
        id: String? = nil, name: String, parameters: [String: ParameterValue] = [:],
        auxiliary: [String: ResultArray] = [:]
    ) {
        self.id = id ?? name
        self.name = name
        self.parameters = parameters
        self.auxiliary = auxiliary
    }

    /// A request for a UDF type, with its own parameter type.
    public init<Function: UDF>(
        id: String? = nil, _ udf: Function.Type, _ parameters: Function.Parameters = .init(),
        auxiliary: [String: ResultArray] = [:]
    ) throws(UDFError) {
        var values: [String: ParameterValue] = [:]
        if case .object(let encoded) = try parameters.parameterValue() { values = encoded }
        self.init(id: id, name: Function.name, parameters: values, auxiliary: auxiliary)
    }

    /// A request as on the command line: `[ID=]NAME[:key=value,…]`.
    ///
    /// A comma without a key behind it continues a list: `pick:frames=1,2,3`.
    ///
    /// - Throws: `UDFError` when the text has another form. Names and values are checked when the run is planned.
    public init(argument: String) throws(UDFError) {
        func fault(_ reason: String) -> UDFError {
            UDFError(.badRequest, "\"\(argument)\": \(reason); the form is [ID=]NAME[:key=value,…]")
        }
        let colon = argument.firstIndex(of: ":")
        let head = argument[..<(colon ?? argument.endIndex)].split(
            separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = head.last, !head.contains("") else { throw fault("the name is missing") }
        self.init(id: String(head[0]), name: String(name))
        guard let colon else { return }
        var last: String?
        for item in argument[argument.index(after: colon)...].split(separator: ",", omittingEmptySubsequences: false) {
            let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = String(pair[0])
            if pair.count == 2 {
                guard !key.isEmpty else { throw fault("a value without its key") }
                guard parameters.updateValue(.text(String(pair[1])), forKey: key) == nil else {
                    throw fault("\(key) appears twice")
                }
                last = key
            } else {
                guard let last, case .text(let value) = parameters[last], !key.isEmpty else {
                    throw fault("\"\(key)\" has no value")
                }
                parameters[last] = .text(value + "," + key)
            }
        }
    }

    /// The parameters as canonical JSON.
    public var parametersJSON: String { ParameterValue.object(parameters).json }

    /// Replaces the parameters by those of a JSON object.
    public mutating func setParameters(json: String) throws(UDFError) {
        guard case .object(let values) = try ParameterValue(json: json) else {
            throw UDFError(.badRequest, udf: id, "the parameters are not a JSON object such as {\"r\": 20}")
        }
        parameters = values
    }
}
