import MerlinProtocol

/// Places frames and tells when acquisitions begin and end, without any I/O or clock: everything it knows it is told.
///
/// - **Place**: sequence number − first of the acquisition, taken apart into lead-in, scan positions, fly-back and tail.
///   Never the order of arrival. The first copy of a frame counts; a good one replaces a rejected one.
/// - **A7** An acquisition header that equals the running acquisition's waits for the next frame: if the numbers go on,
///   it meant nothing; if they begin anew, an acquisition has begun. After `armed()` it always means a new one.
/// - **A15** An endless stream is cut into acquisitions of the nav shape's size (or a window's), each with a generation.
///   Where the stream is joined late, the cuts are where they would have been.
/// - **A17** Numbers that never came are missing.
/// - **A19** The format is the first good frame's.
/// - **A20** Frames without any acquisition header are an endless stream; numbers that begin anew begin an acquisition.
///
/// Times must not run backwards. No allocation for a frame that neither begins nor ends an acquisition.
public struct FrameTracker: Sendable {
    public enum FirstSequence: Sendable, Hashable {
        /// The number that the detector gives to the first frame of every acquisition.
        case number(Int)
        /// Whatever number comes first; a lost first frame then shifts the scan.
        case firstReceived
    }

    /// A16: what the announced number of frames counts is not documented for colour mode and two counters.
    public enum EndRule: Sendable, Hashable {
        /// The acquisition's last frame is the one with the last sequence number.
        case lastSequenceNumber
        /// It is the one that makes the announced number of frame messages, good or bad.
        case messageCount
        /// The acquisition has as many frames as nav shape and margins take, whatever the header announces.
        case navShape
    }

    public struct Configuration: Sendable {
        public var resolver = NavShapeResolver()
        /// The number of frames, where it is known better than from the acquisition header.
        public var frameCount: Int?
        public var firstSequence = FirstSequence.number(1)
        /// A counter of six digits begins anew at this number: 1 000 000 if 999 999 is followed by 0, 999 999 if by 1.
        public var counterModulus = 1_000_000
        public var endRule = EndRule.lastSequenceNumber
        /// A20. If false, frames without an acquisition header are strays.
        public var acceptsFramesWithoutHeader = true
        /// Once the last frame has come and others are missing: how long to wait for them, since the last one came.
        public var lateLimit = Duration.milliseconds(250)
        /// How long no frame may come before the acquisition ends; counts from its first frame.
        public var idleLimit = Duration.seconds(2)
        public var firstGeneration: UInt64 = 1

        public init() {}
    }

    public enum State: UInt8, Sendable {
        /// No acquisition.
        case idle
        /// An acquisition is announced and its first frame awaited, for ever if need be.
        case armed
        case running
    }

    /// A frame this far behind the newest is not late any more.
    static let reorderWindow = 64
    /// How far a counter may jump across its wrap.
    static let wrapWindow = 65_536
    /// Larger sequence numbers are taken as misread.
    static let maximumSequence: UInt64 = 1 << 52

    public let configuration: Configuration
    public internal(set) var state = State.idle
    /// The current acquisition's generation, or the last one's.
    public internal(set) var generation: UInt64
    /// What could not be attributed to any acquisition, since the tracker was made.
    public internal(set) var unattributed = UnattributedCounts()

    var events: [TrackerEvent] = []

    // The acquisition header in force (kept after the end), and one like it that came in mid-stream (A7).
    var header: AcquisitionHeader?
    var pendingHeader: AcquisitionHeader?
    var isArmedTold = false
    /// Until when an acquisition header is that of an acquisition which has been aborted already.
    private var abortsHeaderUntil: ContinuousClock.Instant?
    /// How long after STARTACQUISITION's answer the header may come.
    private static let headerPatience = Duration.seconds(1)
    /// If nothing comes, the armed acquisition ends without an event: it may be no acquisition at all.
    var endsSilently = false

    // The acquisition.
    var scan: ResolvedScan
    var navShapeError: NavShapeError?
    var startWarnings: [String] = []
    var format: FrameFormat?
    /// The format of the frame before, if it was whole but not of the acquisition's, which only one frame has so far.
    var rivalFormat: FrameFormat?
    var formatError: FrameFormatError?
    /// Frames that have come well.
    var received = FrameSet(capacity: 0)
    /// Frames of which a bad copy came first; those that are in `received` too count as placed.
    var rejected = FrameSet(capacity: 0)
    var repeated = FrameSet(capacity: 0)
    var counts = Accounting()
    var messages = 0
    var isLastFrameSeen = false
    var firstFrameAt: ContinuousClock.Instant?
    var lastFrameAt: ContinuousClock.Instant?
    var lastActivity: ContinuousClock.Instant?
    var stopRequestedAt: ContinuousClock.Instant?

    // The run of numbers it belongs to; over several acquisitions if the stream is endless.
    /// The first number of the run; nil until known.
    var runFirst: Int?
    /// The number of the acquisition's frame 0; nil until known.
    var origin: Int?
    /// Smaller numbers belong to acquisitions that have ended.
    var floor = Int.min
    /// The highest number, unwrapped.
    var highest: Int?
    var lastSequence: Int?
    /// The header of the run's first frame, which tells a second copy from a new acquisition's first frame.
    var firstFrameHeader: [UInt8] = []
    /// The format of the last acquisition of the run.
    var runFormat: FrameFormat?
    /// A number too far ahead to be believed without its successor.
    var farJump: Int?
    /// The frame before, if it was a duplicate or came after the end of its acquisition.
    var lastRepeated: Int?
    /// The acquisition before ended in silence, so that nothing can still be on its way.
    var isRunSilent = false

    public init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
        generation = configuration.firstGeneration &- 1
        scan = configuration.resolver.fallback(frameCount: nil)
    }

    /// The next event, in order; nil when all have been taken.
    public mutating func takeEvent() -> TrackerEvent? {
        events.isEmpty ? nil : events.removeFirst()
    }

    /// Whether an event waits.
    public var hasEvents: Bool { !events.isEmpty }

    /// Scan positions placed in the current acquisition.
    public var placedPositions: Int { counts.placed }
    /// Scan positions of the current acquisition.
    public var expectedPositions: Int { scan.geometry.navShape.size }

    // MARK: Inputs

    /// An acquisition header has come.
    ///
    /// - Parameters:
    ///   - body: the message from `HDR` on.
    ///   - intact: false if it was cut short.
    public mutating func acquisitionHeader(
        _ body: UnsafeRawBufferPointer, intact: Bool, at now: ContinuousClock.Instant
    ) {
        let new: AcquisitionHeader
        do throws(AcquisitionHeaderError) { new = try .parse(body) } catch { return malformedMessage() }
        let isSame = new == header && intact && !isArmedTold
        switch state {
        case .running where isSame && !isOver:
            pendingHeader = new
            return
        case .armed where isSame && highest == nil:
            counts.spuriousHeaders += 1
            return
        case .running:
            finish(isOver ? .complete : .newHeader)
        case .armed where !endsSilently:
            finish(.newHeader)
        case .armed:
            unattributed.spuriousHeaders += 1
        case .idle:
            break
        }
        arm(new)
        endsSilently = isSame || !intact
        if let limit = abortsHeaderUntil.take(), now <= limit { finish(.aborted) }
    }

    /// A frame message has come.
    ///
    /// - Parameters:
    ///   - body: the message from `MQ1` on, as far as it came.
    ///   - intact: false if it was cut short.
    ///   - isKept: false if there is no memory to keep it in; it is then counted, and its position stays missing.
    /// - Returns: what the frame is. Events that happened before and after it wait in `takeEvent()`.
    public mutating func frame(
        _ body: UnsafeRawBufferPointer, intact: Bool, isKept: Bool = true, at now: ContinuousClock.Instant
    ) -> FrameDecision {
        let fields: FrameHeaderFields
        do throws(FrameHeaderError) {
            fields = try FrameHeaderFields.parse(body)
        } catch {
            malformedMessage()
            return FrameDecision(placement: .malformed, eventsBefore: events.count)
        }
        guard fields.sequenceNumber <= Self.maximumSequence else {
            malformedMessage()
            return FrameDecision(placement: .malformed, eventsBefore: events.count)
        }
        guard attribute(fields, body, intact: intact) else {
            unattributed.strays += 1
            return FrameDecision(placement: .stray, eventsBefore: events.count)
        }
        return place(fields, body, intact: intact, isKept: isKept, at: now)
    }

    /// Bytes that belong to no message have come.
    public mutating func garbage(bytes: Int) {
        if state == .idle { unattributed.garbageBytes += bytes } else { counts.garbageBytes += bytes }
    }

    /// A message has come that is neither a frame nor an acquisition header.
    public mutating func otherMessage() {
        if state == .idle { unattributed.otherMessages += 1 } else { counts.otherMessages += 1 }
    }

    private mutating func malformedMessage() {
        if state == .idle { unattributed.malformed += 1 } else { counts.malformed += 1 }
    }

    /// More bytes of an unfinished message have come: a slow frame is no silence.
    public mutating func activity(at now: ContinuousClock.Instant) {
        if state == .running { lastActivity = now }
    }

    /// Nobody has listened until now: silence counts from now on.
    public mutating func resumed(at now: ContinuousClock.Instant) {
        if state == .running { lastActivity = now }
        if stopRequestedAt != nil { stopRequestedAt = now }
    }

    /// Time has passed. To be called every few milliseconds, whether or not frames come.
    public mutating func tick(at now: ContinuousClock.Instant) {
        guard state != .idle else { return }
        if let stopRequestedAt {
            let silentSince = max(stopRequestedAt, lastActivity ?? stopRequestedAt)
            if now - silentSince >= configuration.lateLimit || now - stopRequestedAt >= configuration.idleLimit {
                finish(.stopped)
                return
            }
        }
        guard state == .running, let lastActivity else { return }
        let silence = now - lastActivity
        if isOver, silence >= configuration.lateLimit {
            finish(.complete)
        } else if silence >= configuration.idleLimit {
            finish(isOver ? .complete : .idle)
        }
    }

    /// STARTACQUISITION has been sent to the detector: the next acquisition header begins a new acquisition, even if it
    /// equals the present one.
    public mutating func armed() {
        isArmedTold = true
        abortsHeaderUntil = nil
    }

    /// STOPACQUISITION has been sent: the acquisition ends when no more frames come.
    public mutating func stop(at now: ContinuousClock.Instant) {
        guard state != .idle else { return }
        stopRequestedAt = stopRequestedAt ?? now
    }

    /// ABORT has been sent: the acquisition ends now; what still comes of it is stray.
    ///
    /// One that was just armed may have its acquisition header still under way; it ends when that has come.
    public mutating func abort(at now: ContinuousClock.Instant) {
        guard state != .idle else {
            if isArmedTold { abortsHeaderUntil = now + Self.headerPatience }
            return
        }
        finish(.aborted)
    }

    /// The data connection has ended. The next frame or header is of another one.
    public mutating func connectionClosed() {
        if state == .running || (state == .armed && !endsSilently) {
            finish(isOver ? .complete : .connectionClosed)
        }
        dismissArmed()
        header = nil
        pendingHeader = nil
        isArmedTold = false
        forgetRun()
    }
}
