import MerlinProtocol

/// Identity of an acquisition: 128 random bits, written as a UUID.
public struct AcquisitionID: Sendable, Hashable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A new random identity (UUID version 4).
    public static func random() -> AcquisitionID {
        var generator = SystemRandomNumberGenerator()
        return AcquisitionID(
            high: generator.next() & ~0xF000 | 0x4000, low: generator.next() & ~(3 << 62) | (2 << 62))
    }

    /// The 16 bytes, most significant first.
    public var bytes: [UInt8] {
        withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { [UInt8]($0) }
    }

    /// Reads 16 bytes; nil for another number of them.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        let word = { (part: any Collection<UInt8>) in part.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
        self.init(high: word([UInt8](bytes.prefix(8))), low: word([UInt8](bytes.suffix(8))))
    }

    /// The usual form, such as `3f2504e0-4f89-41d3-9a0c-0305e82c3301`.
    public var description: String {
        let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        return [digits[0..<4], digits[4..<6], digits[6..<8], digits[8..<10], digits[10..<16]]
            .map { $0.joined() }.joined(separator: "-")
    }
}

/// What is known of an acquisition when its first good frame has come.
public struct AcquisitionDescription: Sendable {
    public let id: AcquisitionID
    /// Counts the acquisitions of a source, upwards; names the acquisition in tiles.
    public let generation: UInt64
    public let scan: ResolvedScan
    public let format: FrameFormat
    /// Positions in a partition; the last one may have fewer. Depends on nothing but the start of the acquisition.
    public let framesPerPartition: Int
    /// The acquisition header; nil where frames came without one.
    public let header: AcquisitionHeader?
    /// The detector's number of the acquisition's first frame (lead-in included).
    public let firstSequenceNumber: Int
    /// When the first good frame came, seconds since 1970 UTC.
    public let startedAt: Double
    /// What did not fit, in words; such as why the nav shape asked for could not be used.
    public let warnings: [String]
    /// Set when no nav shape could be found, and frames are given as one line instead.
    public let navShapeError: NavShapeError?
    /// Set when tiles come without pixels: `TileReader` reads them. Nil for all sources but those asked for such tiles.
    public let unread: UnreadFrames?

    public init(
        id: AcquisitionID, generation: UInt64, scan: ResolvedScan, format: FrameFormat, framesPerPartition: Int,
        header: AcquisitionHeader?, firstSequenceNumber: Int, startedAt: Double, warnings: [String] = [],
        navShapeError: NavShapeError? = nil, unread: UnreadFrames? = nil
    ) {
        self.id = id
        self.generation = generation
        self.scan = scan
        self.format = format
        self.framesPerPartition = framesPerPartition
        self.header = header
        self.firstSequenceNumber = firstSequenceNumber
        self.startedAt = startedAt
        self.warnings = warnings
        self.navShapeError = navShapeError
        self.unread = unread
    }

    public var geometry: ScanGeometry { scan.geometry }
    public var navShape: NavShape { scan.geometry.navShape }
    /// The decoded image, (y, x).
    public var sigShape: SigShape { format.sigShape }
    /// Scan positions.
    public var framesExpected: Int { navShape.size }
    public var partitionCount: Int { (framesExpected + framesPerPartition - 1) / framesPerPartition }
    /// The positions of partition `index`.
    public func positions(ofPartition index: Int) -> Range<Int> {
        index * framesPerPartition..<min((index + 1) * framesPerPartition, framesExpected)
    }
    /// The acquisition header as received, `HDR,` included; empty where there was none.
    public var headerText: [UInt8] { header?.text ?? [] }
}

/// How an acquisition ended.
public struct AcquisitionSummary: Sendable {
    public let id: AcquisitionID
    public let generation: UInt64
    public let reason: EndReason
    public let accounting: Accounting
    /// False for an acquisition that ended before a good frame came: no `started` event was given for it.
    public let hasStarted: Bool
    /// From the first frame to the last.
    public let duration: Duration
    /// Why the first frame that could not be understood was rejected; nil if there was none.
    public let firstFormatError: FrameFormatError?
    /// Shape of the scan, slow axis first; nil when no good frame came.
    public let navShape: NavShape?

    public init(
        id: AcquisitionID, generation: UInt64, reason: EndReason, accounting: Accounting, hasStarted: Bool,
        duration: Duration, firstFormatError: FrameFormatError? = nil, navShape: NavShape? = nil
    ) {
        self.id = id
        self.generation = generation
        self.reason = reason
        self.accounting = accounting
        self.hasStarted = hasStarted
        self.duration = duration
        self.firstFormatError = firstFormatError
        self.navShape = navShape
    }
}

/// What a source tells its consumers, in order.
///
/// A `started` is followed by tiles of its generation and one `ended`. An acquisition without any good frame has an
/// `ended` alone.
public enum AcquisitionEvent: Sendable {
    indirect case started(AcquisitionDescription)
    /// The receiver of this event holds the tile's slot, and must release it once: `FrameRing.release(_:)`.
    case tile(Tile)
    indirect case ended(AcquisitionSummary)
}
