import StemwireKernels
import StemwireProtocol

/// Frames of a scan that are no scan positions.
public struct FrameMargins: Sendable, Hashable {
    /// Frames before the first scan position.
    public var leadIn: Int
    /// Frames after each scan line, while the probe flies back.
    public var flybackPerLine: Int
    /// Frames after the last line.
    public var tail: Int

    public init(leadIn: Int = 0, flybackPerLine: Int = 0, tail: Int = 0) {
        self.leadIn = leadIn
        self.flybackPerLine = flybackPerLine
        self.tail = tail
    }
}

/// An array that goes with a run: little-endian, C order.
public struct RunArray: Sendable {
    public enum Purpose: Sendable, Hashable {
        /// The scan positions to work on: uint8 (n,), one bit a position, the first position in the lowest bit of the
        /// first byte.
        case roi
        /// Subtracted from each frame: a number (y, x).
        case dark
        /// What each pixel is multiplied by: a number (y, x).
        case gain
        /// Pixels to be replaced by the mean of their neighbours: bool (y, x), or int64 (n, 2) with y and x of each.
        case excluded
        /// Values for each scan position (nav shape first), for the UDF with this id.
        case auxiliary(udf: String, name: String)
    }

    let header: WireArrayHeader
    let bytes: [UInt8]

    /// - Parameters:
    ///   - shape: slow axis first.
    ///   - bytes: as many as shape and dtype say; the server refuses others.
    public init(_ purpose: Purpose, dtype: DType, shape: [Int], bytes: [UInt8]) {
        var header = WireArrayHeader()
        switch purpose {
        case .roi: header.purpose = "roi"
        case .dark: header.purpose = "dark"
        case .gain: header.purpose = "gain"
        case .excluded: header.purpose = "excluded"
        case .auxiliary(let udf, let name):
            header.purpose = "auxiliary"
            header.udf = udf
            header.name = name
        }
        header.dtype = dtype.rawValue
        header.shape = shape.map { UInt32(clamping: $0) }
        header.checksum = bytes.withUnsafeBytes(Checksum.xxh3)
        self.init(header: header, bytes: bytes)
    }

    package init(header: WireArrayHeader, bytes: [UInt8]) {
        self.header = header
        self.bytes = bytes
    }
}
