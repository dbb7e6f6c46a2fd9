import MerlinProtocol

/// What a frame is to its acquisition.
public enum FramePlacement: Sendable, Hashable {
    /// A good frame, the first for this scan position.
    case placed(Int)
    /// Cut short, or of another format than the acquisition's; the position it would have had.
    case rejected(Int)
    /// A frame for a place that has its frame.
    case duplicate
    case leadIn, flyback, tail
    /// Its number lies outside the acquisition, or there is no acquisition.
    case stray
    /// Its header cannot be read.
    case malformed
    /// It would have been placed, but could not be kept; the position stays missing.
    case dropped(Int)
}

/// The answer to a frame.
public struct FrameDecision: Sendable, Hashable {
    public let placement: FramePlacement
    /// How many of the events waiting in `FrameTracker.takeEvent()` happened before this frame was placed; the others
    /// follow from it.
    public let eventsBefore: Int
}

/// Start and end of acquisitions, as the tracker tells them.
public enum TrackerEvent: Sendable {
    case started(TrackedStart)
    case ended(TrackedEnd)
}

/// The start of an acquisition: its first good frame has come.
public struct TrackedStart: Sendable {
    public let generation: UInt64
    public let scan: ResolvedScan
    public let format: FrameFormat
    public let header: AcquisitionHeader?
    public let firstSequenceNumber: Int
    public let warnings: [String]
    public let navShapeError: NavShapeError?
}

/// The end of an acquisition.
public struct TrackedEnd: Sendable {
    public let generation: UInt64
    public let reason: EndReason
    public let accounting: Accounting
    /// Whether a `started` was given before.
    public let hasStarted: Bool
    /// From the first frame to the last.
    public let duration: Duration
    /// Why the first frame that could not be understood was rejected.
    public let firstFormatError: FrameFormatError?
}

/// What came while there was no acquisition it could belong to.
public struct UnattributedCounts: Sendable, Hashable {
    public var strays = 0
    public var malformed = 0
    public var garbageBytes = 0
    public var otherMessages = 0
    public var spuriousHeaders = 0
}
