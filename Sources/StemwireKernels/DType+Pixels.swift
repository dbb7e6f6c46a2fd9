import MerlinProtocol

extension DType {
    /// The type of decoded pixels.
    public init(_ pixel: DecodedPixel) {
        switch pixel {
        case .uint8: self = .uint8
        case .uint16: self = .uint16
        case .uint32: self = .uint32
        case .uint64: self = .uint64
        }
    }
}
