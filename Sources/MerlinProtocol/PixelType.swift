/// The pixel type field of a frame header: how the pixels of the payload are stored.
public enum PixelType: String, Sendable, Hashable, CaseIterable, Codable {
    /// One bit per pixel in the specification, one byte per pixel in some readers; see ``FrameFormat``.
    case u01 = "U01"
    /// One byte per pixel, row-major: processed 1- and 6-bit data.
    case u08 = "U08"
    /// Two bytes per pixel, big-endian, row-major: processed 12-bit data.
    case u16 = "U16"
    /// Four bytes per pixel, big-endian, row-major: processed 24-bit data.
    case u32 = "U32"
    /// Eight bytes per pixel, big-endian, row-major: sums.
    case u64 = "U64"
    /// The chips' own bit stream in 8-byte groups, unassembled ("raw").
    case r64 = "R64"

    /// The type written as the three bytes at `text`, or nil.
    @inline(__always)
    init?(_ first: UInt8, _ second: UInt8, _ third: UInt8) {
        switch (first, second, third) {
        case (0x55, 0x30, 0x31): self = .u01
        case (0x55, 0x30, 0x38): self = .u08
        case (0x55, 0x31, 0x36): self = .u16
        case (0x55, 0x33, 0x32): self = .u32
        case (0x55, 0x36, 0x34): self = .u64
        case (0x52, 0x36, 0x34): self = .r64
        default: return nil
        }
    }
}

/// The counter depth in bits: how far a pixel can count before it saturates.
public enum CounterDepth: Int, Sendable, Hashable, CaseIterable, Codable {
    case one = 1
    case six = 6
    case twelve = 12
    case twentyFour = 24
}

/// The native-endian type a frame's pixels decode to.
public enum DecodedPixel: Sendable, Hashable {
    case uint8, uint16, uint32, uint64

    public var bytesPerPixel: Int {
        switch self {
        case .uint8: 1
        case .uint16: 2
        case .uint32: 4
        case .uint64: 8
        }
    }
}

/// The shape of a detector image, slow axis first: (y, x) in pixels.
public struct SigShape: Sendable, Hashable, Codable, CustomStringConvertible {
    public var height: Int
    public var width: Int

    public init(height: Int, width: Int) {
        self.height = height
        self.width = width
    }

    /// Number of pixels. Shapes that come from a frame header cannot overflow here (each side is at most
    /// ``FrameHeaderFields/maximumSide``).
    public var pixelCount: Int { height * width }

    /// `514 × 512` for 514 rows of 512 pixels.
    public var description: String { "\(height) × \(width)" }
}
