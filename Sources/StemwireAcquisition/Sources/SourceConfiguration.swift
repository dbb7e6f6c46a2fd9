/// What happens to frames when consumers hold all memory.
public enum RingFullPolicy: Sendable, Hashable {
    /// Nothing is read until a slot is free; TCP makes the detector wait.
    case wait
    /// Reading goes on, and frames are counted as dropped; their positions are missing.
    case dropCounted
}

/// Settings of a source.
public struct SourceConfiguration: Sendable {
    public var tracker = FrameTracker.Configuration()
    /// Positions in a partition; nil: whole scan lines, about 256 positions.
    public var framesPerPartition: Int?
    public var whenRingIsFull = RingFullPolicy.wait
    /// How old a frame may get before its tile is handed on.
    public var tileAgeLimit = Duration.milliseconds(20)

    public init() {}

    /// Positions in a partition of a scan: depends on nothing else.
    public func partitionLength(_ shape: NavShape) -> Int {
        if let framesPerPartition { return max(1, framesPerPartition) }
        let usual = 256
        return shape.lineLength > 4 * usual ? usual : shape.lineLength * max(1, usual / shape.lineLength)
    }
}
