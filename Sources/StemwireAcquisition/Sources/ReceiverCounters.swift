import Synchronization

/// What a source is doing, readable from any thread at any time, at no cost to the source.
///
/// Each number is right by itself; together they are a glance, a few milliseconds old.
public final class ReceiverCounters: Sendable {
    let bytesCount = Atomic<Int>(0)
    let messagesCount = Atomic<Int>(0)
    let placedTotal = Atomic<Int>(0)
    let droppedTotal = Atomic<Int>(0)
    let garbageTotal = Atomic<Int>(0)
    let strayTotal = Atomic<Int>(0)
    let ringWaits = Atomic<Int>(0)
    let acquisitionsEnded = Atomic<Int>(0)
    let stateNow = Atomic<UInt8>(FrameTracker.State.idle.rawValue)
    let generationNow = Atomic<UInt64>(0)
    let placedNow = Atomic<Int>(0)
    let expectedNow = Atomic<Int>(0)
    let sequenceNow = Atomic<Int>(0)
    public let gaps = GapHistogram()

    public init() {}

    /// Bytes received, and frame messages found in them, since the source was made.
    public var bytes: Int { bytesCount.load(ordering: .relaxed) }
    public var frames: Int { messagesCount.load(ordering: .relaxed) }
    /// Frames placed, and dropped for want of memory, since the source was made.
    public var framesPlaced: Int { placedTotal.load(ordering: .relaxed) }
    public var framesDropped: Int { droppedTotal.load(ordering: .relaxed) }
    /// Bytes that belonged to no message, and frames without a place in any acquisition.
    public var garbageBytes: Int { garbageTotal.load(ordering: .relaxed) }
    public var strayFrames: Int { strayTotal.load(ordering: .relaxed) }
    /// How often the source had to wait for a free slot.
    public var ringFullWaits: Int { ringWaits.load(ordering: .relaxed) }
    public var endedAcquisitions: Int { acquisitionsEnded.load(ordering: .relaxed) }

    /// Whether an acquisition is awaited or running.
    public var state: FrameTracker.State { FrameTracker.State(rawValue: stateNow.load(ordering: .relaxed)) ?? .idle }
    /// The current or last acquisition's generation, positions placed and positions expected.
    public var generation: UInt64 { generationNow.load(ordering: .relaxed) }
    public var positionsPlaced: Int { placedNow.load(ordering: .relaxed) }
    public var positionsExpected: Int { expectedNow.load(ordering: .relaxed) }
    /// The detector's number of the last frame.
    public var lastSequenceNumber: Int { sequenceNow.load(ordering: .relaxed) }
}
