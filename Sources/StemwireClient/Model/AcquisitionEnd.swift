import StemwireProtocol

/// An acquisition that is over, with the account of its frames.
public struct AcquisitionEnd: Sendable, Hashable {
    /// Why it ended.
    public enum Reason: Sendable, Hashable, CustomStringConvertible {
        case complete, newHeader, stopped, aborted, connectionClosed, idle
        /// A word that this version of the client does not know; and the client's own `serverRestarted` and `notTold`
        /// for acquisitions whose end cannot be learned any more: their accounting has nothing but `expected`.
        case other(String)

        public init(_ word: String) {
            self =
                switch word {
                case "complete": .complete
                case "newHeader": .newHeader
                case "stopped": .stopped
                case "aborted": .aborted
                case "connectionClosed": .connectionClosed
                case "idle": .idle
                default: .other(word)
                }
        }

        /// The word on the wire.
        public var description: String {
            switch self {
            case .complete: "complete"
            case .newHeader: "newHeader"
            case .stopped: "stopped"
            case .aborted: "aborted"
            case .connectionClosed: "connectionClosed"
            case .idle: "idle"
            case .other(let word): word
            }
        }
    }

    public let acquisition: AcquisitionUUID
    public let generation: UInt64
    public let reason: Reason
    public let accounting: FrameAccounting
    /// Duration, first frame to end.
    public let seconds: Double
    /// Shape of the scan, slow axis first; that of the frames that came when the end was open.
    public let navShape: [Int]
    /// Tiles that the live stream carried, and those it left out because subscribers were slow. Both are 0 when the end
    /// message was lost and the end was learned from the server's status.
    public let tilesPublished: Int
    public let tilesDropped: Int
    /// Frames that the runs processed, and those that failed in a UDF.
    public let framesProcessed: Int
    public let framesFailed: Int
    /// The results that become final; empty also when they are not known.
    let results: [ChannelName]

    init(_ wire: WireEnd) throws(MalformedMessage) {
        acquisition = try WireReading.uuid(wire.acquisition)
        generation = wire.generation
        reason = Reason(wire.reason)
        accounting = try FrameAccounting(wire.accounting)
        seconds = wire.seconds
        navShape = try WireReading.navShape(wire.navShape)
        tilesPublished = WireReading.count(wire.tilesPublished)
        tilesDropped = WireReading.count(wire.tilesDropped)
        framesProcessed = WireReading.count(wire.framesProcessed)
        framesFailed = WireReading.count(wire.framesFailed)
        results = wire.results.map { ChannelName(run: $0.run, udf: $0.udf, channel: $0.channel) }
    }

    /// The end as a status tells it; nil while the acquisition runs or when there is none.
    package init?(_ wire: WireAcquisitionStatus) throws(MalformedMessage) {
        guard !wire.endReason.isEmpty else { return nil }
        acquisition = try WireReading.uuid(wire.acquisition)
        generation = wire.generation
        reason = Reason(wire.endReason)
        accounting = try FrameAccounting(wire.accounting)
        seconds = wire.seconds
        navShape = try WireReading.navShape(wire.navShape)
        tilesPublished = 0
        tilesDropped = 0
        framesProcessed = WireReading.count(wire.framesProcessed)
        framesFailed = 0
        results = []
    }

    /// The end of an acquisition of which nothing more can be learned: nothing but `expected` is known.
    init(
        acquisition: AcquisitionUUID, generation: UInt64, reason: Reason, framesExpected: Int, navShape: [Int]
    ) {
        self.acquisition = acquisition
        self.generation = generation
        self.reason = reason
        accounting = FrameAccounting(expected: framesExpected)
        seconds = 0
        self.navShape = navShape
        tilesPublished = 0
        tilesDropped = 0
        framesProcessed = 0
        framesFailed = 0
        results = []
    }
}

/// The account of an acquisition's frames: `expected = placed + missing + rejected`; the other counts stand beside it.
public struct FrameAccounting: Sendable, Hashable {
    public let expected: Int
    public let placed: Int
    public let missing: Int
    public let rejected: Int
    public let duplicates: Int
    public let strays: Int
    public let leadInFrames: Int
    public let flybackFrames: Int
    public let tailFrames: Int
    public let malformed: Int
    public let garbageBytes: Int
    public let otherMessages: Int
    public let droppedByRingFull: Int
    /// Positions whose frame never came, as far as they are listed.
    public let missingRanges: [Range<Int>]
    /// Whether there are more missing ranges than are listed.
    public let missingRangesTruncated: Bool
    /// Positions whose only frames were damaged, as far as they are listed.
    public let rejectedRanges: [Range<Int>]
    /// Positions whose frame came more than once, as far as they are listed.
    public let duplicateRanges: [Range<Int>]

    /// An account that nobody gave.
    init(expected: Int) {
        self.expected = expected
        placed = 0
        missing = 0
        rejected = 0
        duplicates = 0
        strays = 0
        leadInFrames = 0
        flybackFrames = 0
        tailFrames = 0
        malformed = 0
        garbageBytes = 0
        otherMessages = 0
        droppedByRingFull = 0
        missingRanges = []
        missingRangesTruncated = false
        rejectedRanges = []
        duplicateRanges = []
    }

    init(_ wire: WireAccounting) throws(MalformedMessage) {
        expected = try WireReading.positions(first: 0, count: wire.expected).count
        placed = WireReading.count(wire.placed)
        missing = WireReading.count(wire.missing)
        rejected = WireReading.count(wire.rejected)
        duplicates = WireReading.count(wire.duplicates)
        strays = WireReading.count(wire.strays)
        leadInFrames = WireReading.count(wire.leadInFrames)
        flybackFrames = WireReading.count(wire.flybackFrames)
        tailFrames = WireReading.count(wire.tailFrames)
        malformed = WireReading.count(wire.malformed)
        garbageBytes = WireReading.count(wire.garbageBytes)
        otherMessages = WireReading.count(wire.otherMessages)
        droppedByRingFull = WireReading.count(wire.droppedByRingFull)
        missingRanges = try Self.ranges(wire.missingRanges, "missing")
        missingRangesTruncated = wire.missingRangesTruncated
        rejectedRanges = try Self.ranges(wire.rejectedRanges, "rejected")
        duplicateRanges = try Self.ranges(wire.duplicateRanges, "duplicate")
    }

    private static func ranges(
        _ wire: [WirePositionRange], _ word: String
    ) throws(MalformedMessage) -> [Range<Int>] {
        guard wire.count <= WireLimits.missingRanges else { throw MalformedMessage("\(wire.count) \(word) ranges") }
        var ranges: [Range<Int>] = []
        for range in wire { ranges.append(try WireReading.positions(first: range.first, count: range.count)) }
        return ranges
    }

    /// Whether every expected frame is accounted for.
    public var isBalanced: Bool {
        let (sum, overflow) = placed.addingReportingOverflow(missing)
        let (total, overflowAgain) = sum.addingReportingOverflow(rejected)
        return !overflow && !overflowAgain && total == expected
    }
}
