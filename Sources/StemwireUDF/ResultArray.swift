import StemwireKernels

/// An array of numbers with a shape: what UDFs add up, and what users get.
///
/// Rows are stored one behind the other (C order, last axis fastest) in native byte order, aligned to 64 bytes.
/// It is a value: copies share their memory until one of them is changed. The bytes can be sent without a copy by
/// holding on to `storageOwner`; as long as somebody does, a change is made to fresh memory.
public struct ResultArray: Sendable {
    public let dtype: DType
    /// Sizes of the axes, slowest first; empty for a single number.
    public let shape: [Int]
    private(set) var storage: AlignedStorage

    /// The number of elements.
    public var count: Int { storage.byteCount / dtype.byteCount }
    public var byteCount: Int { storage.byteCount }

    /// The object that keeps the bytes alive at their address.
    public var storageOwner: AnyObject { storage }

    /// Zeros.
    ///
    /// - Precondition: The sizes are not negative and the array fits into the address space; for shapes that come from
    ///   outside use `init(dtype:shape:bytes:)`.
    public init(zeros dtype: DType, shape: [Int]) {
        guard let count = elementCount(shape) else { preconditionFailure("array of impossible shape \(shape)") }
        self.dtype = dtype
        self.shape = shape
        storage = AlignedStorage(zeroed: count * dtype.byteCount)
    }

    /// The values in C order.
    ///
    /// - Precondition: There are as many values as the shape has places.
    public init<Element: ResultElement>(_ values: [Element], shape: [Int]) {
        precondition(elementCount(shape) == values.count, "\(values.count) values do not fill the shape \(shape)")
        self.init(zeros: Element.dtype, shape: shape)
        values.withUnsafeBytes { source in
            UnsafeMutableRawBufferPointer(start: storage.pointer, count: storage.byteCount).copyMemory(from: source)
        }
    }

    /// A copy of bytes from outside: a file or the wire, native (little-endian) byte order.
    ///
    /// - Throws: `ResultArrayError` when the bytes are not exactly what the shape needs, or are no values of the type.
    public init(dtype: DType, shape: [Int], bytes: UnsafeRawBufferPointer) throws(ResultArrayError) {
        guard let count = elementCount(shape), count <= Int.max / dtype.byteCount,
            count * dtype.byteCount == bytes.count
        else { throw ResultArrayError(dtype: dtype, shape: shape, byteCount: bytes.count, badValue: nil) }
        // Any other bit pattern in a Bool is undefined behaviour.
        if dtype == .bool, let bad = bytes.firstIndex(where: { $0 > 1 }) {
            throw ResultArrayError(dtype: dtype, shape: shape, byteCount: bytes.count, badValue: bad)
        }
        self.init(zeros: dtype, shape: shape)
        UnsafeMutableRawBufferPointer(start: storage.pointer, count: storage.byteCount).copyMemory(from: bytes)
    }

    /// Takes over storage that was filled elsewhere in this module.
    init(dtype: DType, shape: [Int], storage: AlignedStorage) {
        self.dtype = dtype
        self.shape = shape
        self.storage = storage
    }

    /// The same numbers under another shape of the same size.
    public func reshaped(_ shape: [Int]) -> ResultArray {
        precondition(elementCount(shape) == count, "\(count) values do not fill the shape \(shape)")
        return ResultArray(dtype: dtype, shape: shape, storage: storage)
    }

    /// Reads the bytes in place.
    public func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        defer { withExtendedLifetime(storage) {} }
        return try body(UnsafeRawBufferPointer(start: storage.pointer, count: storage.byteCount))
    }

    /// Changes the bytes in place, after copying them when they are shared.
    public mutating func withUnsafeMutableBytes<Result, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        makeUnique()
        return try body(UnsafeMutableRawBufferPointer(start: storage.pointer, count: storage.byteCount))
    }

    /// Reads the elements in place.
    ///
    /// - Precondition: `type` is the array's element type.
    public func withElements<Element: ResultElement, Result, Failure: Error>(
        as type: Element.Type, _ body: (UnsafeBufferPointer<Element>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(type.dtype == dtype, "an array of \(dtype) read as \(type.dtype)")
        defer { withExtendedLifetime(storage) {} }
        return try body(
            UnsafeBufferPointer(start: storage.pointer.assumingMemoryBound(to: type), count: count))
    }

    /// Changes the elements in place.
    ///
    /// - Precondition: `type` is the array's element type.
    public mutating func withMutableElements<Element: ResultElement, Result, Failure: Error>(
        as type: Element.Type, _ body: (UnsafeMutableBufferPointer<Element>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(type.dtype == dtype, "an array of \(dtype) changed as \(type.dtype)")
        makeUnique()
        return try body(
            UnsafeMutableBufferPointer(start: storage.pointer.assumingMemoryBound(to: type), count: count))
    }

    /// The elements as a Swift array, in C order.
    ///
    /// - Precondition: `type` is the array's element type.
    public func elements<Element: ResultElement>(as type: Element.Type) -> [Element] {
        withElements(as: type) { Array($0) }
    }

    /// The elements as `Double`, whatever the type; of complex numbers the real parts.
    ///
    /// For pictures and text. Integers above 2⁵³ are rounded.
    public func doubles() -> [Double] {
        func convert<Element: ResultElement & BinaryInteger>(_ type: Element.Type) -> [Double] {
            withElements(as: type) { $0.map { Double($0) } }
        }
        return switch dtype {
        case .bool: withElements(as: Bool.self) { $0.map { $0 ? 1 : 0 } }
        case .uint8: convert(UInt8.self)
        case .uint16: convert(UInt16.self)
        case .uint32: convert(UInt32.self)
        case .uint64: convert(UInt64.self)
        case .int32: convert(Int32.self)
        case .int64: convert(Int64.self)
        case .float32: withElements(as: Float.self) { $0.map { Double($0) } }
        case .float64: elements(as: Double.self)
        case .complex64: withElements(as: Complex64.self) { $0.map { Double($0.real) } }
        case .complex128: withElements(as: Complex128.self) { $0.map { $0.real } }
        }
    }

    mutating func makeUnique() {
        if !isKnownUniquelyReferenced(&storage) { storage = AlignedStorage(copying: storage) }
    }
}

extension ResultArray: Equatable {
    /// The same type, shape and bits; so a NaN equals the same NaN.
    public static func == (left: ResultArray, right: ResultArray) -> Bool {
        guard left.dtype == right.dtype, left.shape == right.shape else { return false }
        if left.storage === right.storage { return true }
        return left.withUnsafeBytes { a in right.withUnsafeBytes { b in a.elementsEqual(b) } }
    }
}

/// Bytes from outside that are not the array they are said to be.
public struct ResultArrayError: Error, Sendable, CustomStringConvertible {
    public let dtype: DType
    public let shape: [Int]
    public let byteCount: Int
    /// The index of the first byte that is no value of the type.
    public let badValue: Int?

    public var description: String {
        if let badValue { return "byte \(badValue) of the array of \(dtype) is no value of this type" }
        return "an array of \(dtype) with shape \(shape) cannot consist of \(byteCount) bytes"
    }
}

/// A piece of memory at a fixed address, aligned for every kernel.
///
/// Only its unique owner writes to it (`ResultArray` copies before it writes to shared memory, a `PartitionTask` owns
/// what it fills), which is why it can be handed from thread to thread.
final class AlignedStorage: @unchecked Sendable {
    static let alignment = 64
    let pointer: UnsafeMutableRawPointer
    let byteCount: Int

    init(zeroed byteCount: Int) {
        self.byteCount = byteCount
        pointer = .allocate(byteCount: max(byteCount, 1), alignment: Self.alignment)
        pointer.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    }

    init(copying other: AlignedStorage) {
        byteCount = other.byteCount
        pointer = .allocate(byteCount: max(byteCount, 1), alignment: Self.alignment)
        pointer.copyMemory(from: other.pointer, byteCount: byteCount)
    }

    /// Memory whose content does not matter yet.
    init(uninitialized byteCount: Int) {
        self.byteCount = byteCount
        pointer = .allocate(byteCount: max(byteCount, 1), alignment: Self.alignment)
    }

    deinit { pointer.deallocate() }
}
