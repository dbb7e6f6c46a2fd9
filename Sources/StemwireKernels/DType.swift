/// The type of an array's elements, in NumPy's names.
public enum DType: String, Sendable, Hashable, Codable, CaseIterable {
    case bool
    case uint8
    case uint16
    case uint32
    case uint64
    case int32
    case int64
    case float32
    case float64
    case complex64
    case complex128

    /// Bytes per element.
    public var byteCount: Int {
        switch self {
        case .bool, .uint8: 1
        case .uint16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64, .complex64: 8
        case .complex128: 16
        }
    }

    /// NumPy's description of the little-endian type, as `.npy` files have it: `<u2` for ``uint16``, `|u1` for
    /// ``uint8``.
    public var numpyDescription: String {
        switch self {
        case .bool: "|b1"
        case .uint8: "|u1"
        case .uint16: "<u2"
        case .uint32: "<u4"
        case .uint64: "<u8"
        case .int32: "<i4"
        case .int64: "<i8"
        case .float32: "<f4"
        case .float64: "<f8"
        case .complex64: "<c8"
        case .complex128: "<c16"
        }
    }

    /// The type of a NumPy description; nil when it is not one of these types in little-endian order.
    ///
    /// One byte has no order, so `<u1`, `>u1` and `|u1` are the same.
    public init?(numpyDescription description: some StringProtocol) {
        let known = DType.allCases.first { dtype in
            let own = dtype.numpyDescription
            if own == description { return true }
            return dtype.byteCount == 1 && own.dropFirst() == description.dropFirst()
                && (description.hasPrefix("<") || description.hasPrefix(">") || description.hasPrefix("="))
        }
        guard let known else { return nil }
        self = known
    }
}
