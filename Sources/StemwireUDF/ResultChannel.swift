/// One exported result of a run, as far as it has come.
public struct ResultChannel: Sendable, Equatable {
    /// The UDF's id in the run.
    public let udf: String
    /// The channel's name, such as `intensity`.
    public let name: String
    public let kind: BufferDeclaration.Kind
    /// All of it: nav shape + extra, sig shape (y, x) + extra, or extra. Positions of nav channels that are not processed
    /// are NaN, or 0 in types that have none.
    public let array: ResultArray
    /// Of nav channels the positions that are worth showing; nil for the other kinds.
    public let valid: PositionSet?
    /// Rises when the channel has changed; 0 before anything is in it.
    public let version: UInt64
    /// The generation since which the UDF has its present parameters. Channels of kind sig and single are made with
    /// these alone.
    public let generation: UInt32
    /// Of nav channels the positions whose rows were made with earlier parameters; nil when there are none, and for the
    /// other kinds.
    public let outdated: PositionSet?

    /// `udf.name`, as in file names.
    public var key: String { "\(udf).\(name)" }
}
