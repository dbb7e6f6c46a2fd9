import MerlinProtocol

/// How one pixel lies in memory: unsigned, and in the machine's byte order or the detector's (big-endian).
public enum PixelEncoding: Int, Sendable, Hashable, CaseIterable {
    // In the order of the kernel table (`swk_encoding`).
    case uint8
    case uint16
    case uint32
    case uint64
    case uint16BigEndian
    case uint32BigEndian
    case uint64BigEndian

    /// The encoding of decoded pixels.
    public init(_ pixel: DecodedPixel) {
        switch pixel {
        case .uint8: self = .uint8
        case .uint16: self = .uint16
        case .uint32: self = .uint32
        case .uint64: self = .uint64
        }
    }

    public var bytesPerPixel: Int {
        switch self {
        case .uint8: 1
        case .uint16, .uint16BigEndian: 2
        case .uint32, .uint32BigEndian: 4
        case .uint64, .uint64BigEndian: 8
        }
    }

    /// The encoding of the same pixels once they are in the machine's byte order.
    public var native: PixelEncoding {
        switch self {
        case .uint16BigEndian: .uint16
        case .uint32BigEndian: .uint32
        case .uint64BigEndian: .uint64
        default: self
        }
    }

    /// The element type of the pixels in the machine's byte order.
    public var dtype: DType {
        switch native {
        case .uint8: .uint8
        case .uint16: .uint16
        case .uint32: .uint32
        default: .uint64
        }
    }

    /// The largest value that a pixel can hold.
    public var largestPixel: UInt64 { .max >> UInt64(64 - 8 * bytesPerPixel) }

    /// Frames that can be added up per pixel in 32 bits, whatever their pixels are, before a sum may wrap: 16,843,009
    /// for 8-bit pixels, 65,537 for 16-bit, 1 for 32-bit, 0 for 64-bit pixels.
    public var framesPerUInt32Sum: Int { Int(UInt64(UInt32.max) / largestPixel) }
}

extension FrameFormat {
    /// The encoding of the payload's pixels when they lie in it row by row as they do in the image, so that kernels can
    /// work on the payload itself; nil when it must be decoded first (raw frames and packed `U01`).
    public var payloadEncoding: PixelEncoding? {
        switch pixelType {
        case .u01: storedBitsPerPixel == 8 ? .uint8 : nil
        case .u08: .uint8
        case .u16: .uint16BigEndian
        case .u32: .uint32BigEndian
        case .u64: .uint64BigEndian
        case .r64: nil
        }
    }
}
