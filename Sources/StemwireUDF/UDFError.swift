/// What went wrong with a UDF: which, in which partition, and why.
public struct UDFError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable, Hashable, CaseIterable {
        /// The request cannot be understood, or does not fit the acquisition.
        case badRequest
        /// No UDF of this name.
        case unknownUDF
        /// A parameter does not exist, has the wrong type or an impossible value.
        case badParameter
        /// The UDF's own declarations contradict each other.
        case badDeclaration
        /// The UDF failed on its frames.
        case processing
        /// A partition's result could not be merged.
        case merging
        /// The UDF failed to compute its results from the merged buffers.
        case results
        /// A partition's result from outside is not what the run's plan says.
        case badResult
    }

    public let code: Code
    /// The id of the UDF in its run, or its name when there is no run yet.
    public let udf: String?
    public let partition: Int?
    /// What went wrong, and what to do.
    public let reason: String
    /// The error that the UDF threw.
    public let cause: (any Error)?

    public init(
        _ code: Code, udf: String? = nil, partition: Int? = nil, _ reason: String, cause: (any Error)? = nil
    ) {
        self.code = code
        self.udf = udf
        self.partition = partition
        self.reason = reason
        self.cause = cause
    }

    public var description: String {
        var place: [String] = []
        if let udf { place.append("UDF \(udf)") }
        if let partition { place.append("partition \(partition)") }
        return place.isEmpty ? reason : place.joined(separator: ", ") + ": " + reason
    }
}

/// An error with nothing but a message, for use in UDFs: `throw UDFFailure("the frame is empty")`.
public struct UDFFailure: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
