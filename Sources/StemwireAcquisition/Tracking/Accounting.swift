/// What became of an acquisition's frames. All but `garbageBytes` are counts of frames or scan positions.
public struct Accounting: Sendable, Hashable, Codable {
    /// Scan positions.
    public var expected = 0
    /// Positions that have a good frame.
    public var placed = 0
    /// Positions without any frame.
    public var missing = 0
    /// Positions whose only frames were cut short or of another format than the acquisition's.
    public var rejected = 0

    /// Frames that came again for a position (or fly-back frame …) that has its frame; the first copy is kept.
    public var duplicates = 0
    /// Frames whose number lies outside the acquisition.
    public var strays = 0
    public var leadInFrames = 0
    public var flybackFrames = 0
    public var tailFrames = 0
    /// Frames and acquisition headers that cannot be read, so that no position can be told.
    public var malformed = 0
    /// Bytes between messages that belong to none.
    public var garbageBytes = 0
    /// Messages that are neither frames nor acquisition headers.
    public var otherMessages = 0
    /// Acquisition headers that came again in mid-stream and meant nothing.
    public var spuriousHeaders = 0
    /// Frames received but not kept since no memory was free; their positions are missing.
    public var droppedByRingFull = 0
    /// Frames that were skipped between the previous acquisition of an endless stream and this one.
    public var lostBeforeStart = 0

    /// The missing positions, in order, as ranges that do not touch.
    public var missingRanges: [Range<Int>] = []
    /// The rejected positions, in order, as ranges that do not touch.
    public var rejectedRanges: [Range<Int>] = []
    /// The positions whose frame came more than once, in order, as ranges that do not touch.
    public var duplicateRanges: [Range<Int>] = []

    public init() {}

    /// The identity that holds for every acquisition: expected = placed + missing + rejected.
    public var isBalanced: Bool { expected == placed + missing + rejected }
    /// Whether every scan position has its frame.
    public var isComplete: Bool { placed == expected }
}

/// Why an acquisition ended.
public enum EndReason: String, Sendable, Hashable, Codable, CaseIterable {
    /// All frames came, or the last one came and no other followed.
    case complete
    /// The next acquisition began.
    case newHeader
    /// STOPACQUISITION was asked for.
    case stopped
    /// ABORT was asked for.
    case aborted
    /// The data connection ended.
    case connectionClosed
    /// No frame came for the idle limit.
    case idle
}
