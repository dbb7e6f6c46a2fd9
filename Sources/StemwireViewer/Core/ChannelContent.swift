import MerlinProtocol
import StemwireClient
import StemwireKernels
import StemwireSystem

/// The state of a result channel, wherever it comes from; memory is shared, nothing is copied until it is sent.
protocol ChannelContent: Sendable {
    var name: ChannelName { get }
    /// 1, 2, 3 … in one session of the acquisition server.
    var generation: UInt64 { get }
    var kind: ChannelUpdate.Kind { get }
    var dtype: DType { get }
    /// Slow axis first, C order.
    var shape: [Int] { get }
    var navShape: [Int] { get }
    var positionsProcessed: Int { get }
    var positionsExpected: Int { get }
    var isFinal: Bool { get }
    /// The generation of the run's parameters, and where positions were made with earlier ones; see ``ChannelUpdate``.
    var parameterGeneration: Int { get }
    var generations: [(positions: Range<Int>, generation: Int)] { get }
    /// Little-endian elements in C order, valid in `body` only.
    func withData<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result
    /// Position *p* in bit *p* mod 8 of byte *p* div 8, valid in `body` only.
    func withValidMask<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result
}

extension ChannelUpdate: ChannelContent {}

/// A decoded frame, shown like a channel of kind sig.
struct FrameContent: ChannelContent {
    let name = ChannelName(run: "frames", udf: "frame", channel: "intensity")
    let generation: UInt64
    let kind = ChannelUpdate.Kind.sig
    let dtype: DType
    let shape: [Int]
    let navShape: [Int]
    let position: Int
    let positionsProcessed = 1
    let positionsExpected = 1
    let isFinal = true
    let parameterGeneration = 0
    let generations: [(positions: Range<Int>, generation: Int)] = []
    let pixels: [UInt8]

    func withData<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var result: Swift.Result<Result, Failure>?
        pixels.withUnsafeBytes { bytes in
            result = Swift.Result { () throws(Failure) in try body(bytes) }
        }
        return try result!.get()
    }

    func withValidMask<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: nil, count: 0))
    }
}

/// An array as it goes to a page: of a type that JavaScript has, little-endian, C order.
struct PageArray: Sendable, Equatable {
    /// numpy's word: uint8, uint16, uint32, int32, float32 or float64.
    let dtype: String
    let bytes: [UInt8]
}

/// Keeps the numbers of a channel's state as they go to pages, once the first page has asked. Any thread.
final class PageArrayCache: Sendable {
    private let array = Locked<PageArray?>(nil)

    func array(of content: any ChannelContent) -> PageArray {
        array.withLock { array in
            if let array { return array }
            let made = content.pageArray()
            array = made
            return made
        }
    }
}

extension ChannelContent {
    /// The numbers for a page. 64-bit counts become 32-bit ones where all of them fit, else `float64` (exact to 2⁵³);
    /// a complex array is told as its magnitudes.
    func pageArray() -> PageArray {
        withData { data in
            switch dtype {
            case .bool, .uint8: PageArray(dtype: "uint8", bytes: Array(data))
            case .uint16: PageArray(dtype: "uint16", bytes: Array(data))
            case .uint32: PageArray(dtype: "uint32", bytes: Array(data))
            case .int32: PageArray(dtype: "int32", bytes: Array(data))
            case .float32: PageArray(dtype: "float32", bytes: Array(data))
            case .float64: PageArray(dtype: "float64", bytes: Array(data))
            case .uint64: Self.narrowed(data)
            case .int64: Self.mapped(data, Int64.self) { Double($0) }
            case .complex64: Self.magnitudes(data, Float.self)
            case .complex128: Self.magnitudes(data, Double.self)
            }
        }
    }

    private static func narrowed(_ data: UnsafeRawBufferPointer) -> PageArray {
        let count = data.count / 8
        var bits: UInt64 = 0
        for index in 0..<count { bits |= data.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self) }
        guard bits <= UInt64(UInt32.max) else { return mapped(data, UInt64.self) { Double($0) } }
        let bytes = [UInt8](unsafeUninitializedCapacity: 4 * count) { room, initialized in
            let target = UnsafeMutableRawBufferPointer(room)
            for index in 0..<count {
                let value = data.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)
                target.storeBytes(of: UInt32(truncatingIfNeeded: value), toByteOffset: 4 * index, as: UInt32.self)
            }
            initialized = 4 * count
        }
        return PageArray(dtype: "uint32", bytes: bytes)
    }

    private static func mapped<Element: BitwiseCopyable>(
        _ data: UnsafeRawBufferPointer, _ type: Element.Type, _ convert: (Element) -> Double
    ) -> PageArray {
        let size = MemoryLayout<Element>.size
        let count = data.count / size
        let bytes = [UInt8](unsafeUninitializedCapacity: 8 * count) { room, initialized in
            let target = UnsafeMutableRawBufferPointer(room)
            for index in 0..<count {
                let value = convert(data.loadUnaligned(fromByteOffset: size * index, as: type))
                target.storeBytes(of: value, toByteOffset: 8 * index, as: Double.self)
            }
            initialized = 8 * count
        }
        return PageArray(dtype: "float64", bytes: bytes)
    }

    private static func magnitudes<Part: BinaryFloatingPoint & BitwiseCopyable>(
        _ data: UnsafeRawBufferPointer, _ type: Part.Type
    ) -> PageArray {
        let size = MemoryLayout<Part>.size
        let count = data.count / (2 * size)
        let bytes = [UInt8](unsafeUninitializedCapacity: 8 * count) { room, initialized in
            let target = UnsafeMutableRawBufferPointer(room)
            for index in 0..<count {
                let real = Double(data.loadUnaligned(fromByteOffset: 2 * size * index, as: type))
                let imaginary = Double(data.loadUnaligned(fromByteOffset: 2 * size * index + size, as: type))
                target.storeBytes(
                    of: (real * real + imaginary * imaginary).squareRoot(), toByteOffset: 8 * index, as: Double.self)
            }
            initialized = 8 * count
        }
        return PageArray(dtype: "float64", bytes: bytes)
    }
}
