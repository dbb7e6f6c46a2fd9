import StemwireKernels

/// A type that pixels and results are made of: a plain value with a `DType`.
public protocol ResultElement: BitwiseCopyable, Sendable, Equatable {
    static var dtype: DType { get }
}

extension Bool: ResultElement { public static var dtype: DType { .bool } }
extension UInt8: ResultElement { public static var dtype: DType { .uint8 } }
extension UInt16: ResultElement { public static var dtype: DType { .uint16 } }
extension UInt32: ResultElement { public static var dtype: DType { .uint32 } }
extension UInt64: ResultElement { public static var dtype: DType { .uint64 } }
extension Int32: ResultElement { public static var dtype: DType { .int32 } }
extension Int64: ResultElement { public static var dtype: DType { .int64 } }
extension Float: ResultElement { public static var dtype: DType { .float32 } }
extension Double: ResultElement { public static var dtype: DType { .float64 } }

/// A complex number of two `Float`, laid out as NumPy's `complex64`.
public struct Complex64: ResultElement, Hashable {
    public static var dtype: DType { .complex64 }
    public var real: Float
    public var imaginary: Float

    public init(_ real: Float, _ imaginary: Float = 0) {
        self.real = real
        self.imaginary = imaginary
    }
}

/// A complex number of two `Double`, laid out as NumPy's `complex128`.
public struct Complex128: ResultElement, Hashable {
    public static var dtype: DType { .complex128 }
    public var real: Double
    public var imaginary: Double

    public init(_ real: Double, _ imaginary: Double = 0) {
        self.real = real
        self.imaginary = imaginary
    }
}

extension DType {
    /// Whether there is a NaN to say "no value here".
    public var isFloatingPoint: Bool {
        switch self {
        case .float32, .float64, .complex64, .complex128: true
        case .bool, .uint8, .uint16, .uint32, .uint64, .int32, .int64: false
        }
    }

    /// Whether the numbers have a real and an imaginary part.
    public var isComplex: Bool { self == .complex64 || self == .complex128 }
}

/// The size of an array of `shape`, or nil when a dimension is negative or the product leaves `Int`.
func elementCount(_ shape: [Int]) -> Int? {
    var count = 1
    for size in shape {
        guard size >= 0 else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: size)
        guard !overflow else { return nil }
        count = product
    }
    return count
}
