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
    /// Positions in a partition; nil: whole scan lines, about 256 positions, of at most `partitionBytes`.
    public var framesPerPartition: Int?
    /// Bytes of pixels as sent that a partition has at most, unless its positions are given.
    public var partitionBytes = Self.usualPartitionBytes
    public var whenRingIsFull = RingFullPolicy.wait
    /// How old a frame may get before its tile is handed on.
    public var tileAgeLimit = Duration.milliseconds(20)

    public init() {}

    /// The same for all who do not say otherwise: sums of real numbers have the same last bits everywhere.
    public static let usualPartitionBytes = 32 << 20

    /// Positions in a partition of a scan: depends on these settings, and on the sizes of scan and frames, alone.
    ///
    /// - Parameter payloadBytes: of a frame's pixels as sent.
    public func partitionLength(_ shape: NavShape, payloadBytes: Int) -> Int {
        if let framesPerPartition { return max(1, framesPerPartition) }
        let most = max(1, partitionBytes / max(1, payloadBytes))
        let usual = 256
        let length = shape.lineLength > 4 * usual ? usual : shape.lineLength * max(1, usual / shape.lineLength)
        if length <= most { return length }
        if shape.lineLength <= most { return shape.lineLength * (most / shape.lineLength) }
        return 1 << (Int.bitWidth - 1 - most.leadingZeroBitCount)
    }
}
