import StemwireKernels

extension UDFMeta {
    /// Whether the pixels are counts, whose sums are exact.
    var hasCounts: Bool { PixelEncoding(dtype: inputDType) != nil }

    /// The type of real results: `float32` where it holds every pixel.
    var realDType: DType { inputDType.real }
}

extension DType {
    /// As NumPy's `result_type(self, float32)`, of complex numbers the type of their parts.
    var real: DType {
        switch self {
        case .bool, .uint8, .uint16, .float32, .complex64: .float32
        case .uint32, .uint64, .int32, .int64, .float64, .complex128: .float64
        }
    }
}

extension Double {
    /// As `Double(_:)` to within a unit in the last place, and many times as fast.
    init(wide value: UInt128) {
        self = Double(UInt64(truncatingIfNeeded: value >> 64)) * 0x1p64 + Double(UInt64(truncatingIfNeeded: value))
    }
}

/// A buffer of `float32` or `float64`, filled with numbers that are rounded to its type.
enum RealBuffer {
    case float32(UnsafeMutableBufferPointer<Float>)
    case float64(UnsafeMutableBufferPointer<Double>)

    /// - Throws: `UDFFailure` when there is no such buffer, or it is not real.
    init(_ name: String, _ dtype: DType, _ buffers: UDFBuffers) throws {
        if dtype == .float32 {
            self = .float32(try buffers.elements(name, as: Float.self))
        } else {
            self = .float64(try buffers.elements(name, as: Double.self))
        }
    }

    func set(_ index: Int, _ value: Double) {
        switch self {
        case .float32(let elements): elements[index] = Float(value)
        case .float64(let elements): elements[index] = value
        }
    }
}

/// A buffer of `complex64` or `complex128`, filled with numbers that are rounded to its type.
enum ComplexBuffer {
    case complex64(UnsafeMutableBufferPointer<Complex64>)
    case complex128(UnsafeMutableBufferPointer<Complex128>)

    /// - Throws: `UDFFailure` when there is no such buffer, or it is not complex.
    init(_ name: String, _ dtype: DType, _ buffers: UDFBuffers) throws {
        if dtype == .complex64 {
            self = .complex64(try buffers.elements(name, as: Complex64.self))
        } else {
            self = .complex128(try buffers.elements(name, as: Complex128.self))
        }
    }

    func set(_ index: Int, _ value: Complex128) {
        switch self {
        case .complex64(let elements): elements[index] = Complex64(Float(value.real), Float(value.imaginary))
        case .complex128(let elements): elements[index] = value
        }
    }
}

extension Frame {
    /// Copies pixels as `Double`, rounded where they are larger than 2⁵³.
    ///
    /// - Throws: `UDFFailure` when the pixels are no real numbers.
    func copyPixels(_ range: Range<Int>, to target: UnsafeMutablePointer<Double>) throws {
        precondition(range.lowerBound >= 0 && range.upperBound <= pixelCount)
        func integers<Pixel: ResultElement & FixedWidthInteger>(_ type: Pixel.Type) {
            let source = base.assumingMemoryBound(to: type) + range.lowerBound
            for index in 0..<range.count { target[index] = Double(source[index]) }
        }
        switch dtype {
        case .uint8: integers(UInt8.self)
        case .uint16: integers(UInt16.self)
        case .uint32: integers(UInt32.self)
        case .uint64: integers(UInt64.self)
        case .int32: integers(Int32.self)
        case .int64: integers(Int64.self)
        case .float32:
            let source = base.assumingMemoryBound(to: Float.self) + range.lowerBound
            for index in 0..<range.count { target[index] = Double(source[index]) }
        case .float64:
            target.update(from: base.assumingMemoryBound(to: Double.self) + range.lowerBound, count: range.count)
        case .bool, .complex64, .complex128: throw UDFFailure("the pixels are \(dtype), no real numbers")
        }
    }
}

/// Refuses pixels that are neither counts nor other real numbers.
func checkRealPixels(_ meta: UDFMeta) throws {
    if meta.inputDType == .bool || meta.inputDType.isComplex {
        throw UDFFailure("the pixels are \(meta.inputDType), but must be real numbers")
    }
}
