import MerlinProtocol
import StemwireKernels
import StemwireProtocol
import ZeroMQ

/// Names one channel of one UDF in a run.
public struct ChannelName: Sendable, Hashable, CustomStringConvertible {
    public let run: String
    public let udf: String
    public let channel: String

    public init(run: String, udf: String, channel: String) {
        self.run = run
        self.udf = udf
        self.channel = channel
    }

    public var description: String { "\(run)/\(udf)/\(channel)" }
}

/// The state of one result channel at one moment: a view on the received message, no copy.
///
/// May be handed to other threads and read there.
public struct ChannelUpdate: Sendable {
    /// What the axes of a result are.
    public enum Kind: Sendable, Hashable {
        /// One value, or a vector of them, for each scan position: [nav…, …].
        case nav
        /// One detector image: [y, x, …].
        case sig
        /// Anything else.
        case single

        init?(_ word: String) {
            switch word {
            case "nav": self = .nav
            case "sig": self = .sig
            case "single": self = .single
            default: return nil
            }
        }
    }

    public let acquisition: AcquisitionUUID
    /// 1, 2, 3 … in one server session.
    public let generation: UInt64
    public let name: ChannelName
    /// Grows with each change of the channel in its run and acquisition.
    public let version: UInt64
    public let kind: Kind
    public let dtype: DType
    /// Shape of the array, slow axis first, C order.
    public let shape: [Int]
    /// Shape of the scan, slow axis first.
    public let navShape: [Int]
    /// Shape of a detector image, (y, x); nil when the server did not tell.
    public let sigShape: SigShape?
    public let positionsProcessed: Int
    public let positionsExpected: Int
    /// Whether no more updates will come for this acquisition.
    public let isFinal: Bool
    /// The generation of the run's parameters; rises with every change during the run.
    public let parameterGeneration: Int
    /// Where positions were made with earlier parameters: stretches of one generation, rising. Empty when all are of one.
    public let generations: [(positions: Range<Int>, generation: Int)]
    /// With the final update, from servers that tell it.
    public let manifest: ResultManifest?

    private let array: ReceivedPart
    private let mask: ReceivedPart

    /// - Parameter verifiesChecksums: whether array and mask are compared with the checksums of the header.
    init(
        _ wire: WireUpdate, array: ReceivedPart, mask: ReceivedPart, verifiesChecksums: Bool
    ) throws(MalformedMessage) {
        acquisition = try WireReading.uuid(wire.acquisition)
        generation = wire.generation
        for segment in [wire.run, wire.udf, wire.channel] where !Topic.isValidSegment(segment) {
            throw MalformedMessage("a run, UDF or channel with an impossible name")
        }
        name = ChannelName(run: wire.run, udf: wire.udf, channel: wire.channel)
        version = wire.version
        guard let kind = Kind(wire.kind), let dtype = DType(rawValue: wire.dtype) else {
            throw MalformedMessage("a result of unknown kind “\(wire.kind)” or dtype “\(wire.dtype)”")
        }
        self.kind = kind
        self.dtype = dtype
        let elements = try WireReading.product(wire.shape, "result shape")
        guard array.count <= WireLimits.payloadBytes, elements * dtype.byteCount == array.count else {
            throw MalformedMessage("\(array.count) bytes for \(wire.shape) elements of \(wire.dtype)")
        }
        shape = wire.shape.map(Int.init)
        navShape = try WireReading.navShape(wire.navShape)
        sigShape = try WireReading.sigShape(wire.sigShape)
        positionsProcessed = WireReading.count(wire.positionsProcessed)
        positionsExpected = try WireReading.positions(first: 0, count: wire.positionsExpected).count
        let positions = navShape.isEmpty ? positionsExpected : navShape.reduce(1, *)
        guard mask.count == (positions + 7) / 8 else {
            throw MalformedMessage("a valid mask of \(mask.count) bytes for \(positions) positions")
        }
        isFinal = wire.final
        parameterGeneration = Int(wire.parameterGeneration)
        var generations: [(positions: Range<Int>, generation: Int)] = []
        for stretch in wire.generations {
            let range = try WireReading.positions(first: stretch.range.first, count: stretch.range.count)
            generations.append((range, Int(stretch.parameterGeneration)))
        }
        self.generations = generations
        manifest = wire.hasManifest ? try ResultManifest(wire.manifest) : nil
        self.array = array
        self.mask = mask
        guard verifiesChecksums else { return }
        for (part, checksum) in [(array, wire.checksum), (mask, wire.maskChecksum)]
        where checksum != 0 && part.withUnsafeBytes(Checksum.xxh3) != checksum {
            throw MalformedMessage("a result of \(name) whose bytes changed on the way")
        }
    }

    /// Number of elements of the array.
    public var elementCount: Int { array.count / dtype.byteCount }

    /// Reads the array in place: little-endian, C order, at no particular alignment. The pointer is valid in `body` only.
    public func withData<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try array.withUnsafeBytes(body)
    }

    /// Reads the valid mask in place: position *p* in bit *p* mod 8 (lowest first) of byte *p* div 8.
    public func withValidMask<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try mask.withUnsafeBytes(body)
    }

    /// Whether the run has processed the frame of `position` (flat, slow axis first); false for positions outside.
    public func isValid(position: Int) -> Bool {
        guard position >= 0, position / 8 < mask.count else { return false }
        return mask.withUnsafeBytes { $0[position / 8] >> (position % 8) & 1 == 1 }
    }

    /// The elements in C order. A complex array gives real and imaginary part in turn.
    ///
    /// - Throws: ``ResultTypeError`` unless the array is of this type.
    public func values<Scalar: ResultScalar>(as type: Scalar.Type = Scalar.self) throws(ResultTypeError) -> [Scalar] {
        guard Scalar.dtypes.contains(dtype) else { throw ResultTypeError(name: name, dtype: dtype) }
        let count = array.count / MemoryLayout<Scalar>.size
        return [Scalar](unsafeUninitializedCapacity: count) { buffer, initialized in
            withData { UnsafeMutableRawBufferPointer(buffer).copyMemory(from: $0) }
            initialized = count
        }
    }

    /// The elements in C order, whatever their real type, as doubles (exact up to 2⁵³). A complex array gives real and
    /// imaginary part in turn.
    public func doubles() -> [Double] {
        func read<Scalar>(_ type: Scalar.Type, _ convert: (Scalar) -> Double) -> [Double] {
            withData { bytes in
                stride(from: 0, to: bytes.count, by: MemoryLayout<Scalar>.size).map {
                    convert(bytes.loadUnaligned(fromByteOffset: $0, as: type))
                }
            }
        }
        return switch dtype {
        case .bool, .uint8: read(UInt8.self) { Double($0) }
        case .uint16: read(UInt16.self) { Double($0) }
        case .uint32: read(UInt32.self) { Double($0) }
        case .uint64: read(UInt64.self) { Double($0) }
        case .int32: read(Int32.self) { Double($0) }
        case .int64: read(Int64.self) { Double($0) }
        case .float32, .complex64: read(Float.self) { Double($0) }
        case .float64, .complex128: read(Double.self) { $0 }
        }
    }
}

/// An element type of result arrays.
public protocol ResultScalar: BitwiseCopyable, Sendable {
    /// The dtypes whose elements, or their real and imaginary parts, are of this type.
    static var dtypes: [DType] { get }
}

extension UInt8: ResultScalar { public static var dtypes: [DType] { [.uint8, .bool] } }
extension UInt16: ResultScalar { public static var dtypes: [DType] { [.uint16] } }
extension UInt32: ResultScalar { public static var dtypes: [DType] { [.uint32] } }
extension UInt64: ResultScalar { public static var dtypes: [DType] { [.uint64] } }
extension Int32: ResultScalar { public static var dtypes: [DType] { [.int32] } }
extension Int64: ResultScalar { public static var dtypes: [DType] { [.int64] } }
extension Float: ResultScalar { public static var dtypes: [DType] { [.float32, .complex64] } }
extension Double: ResultScalar { public static var dtypes: [DType] { [.float64, .complex128] } }

/// A result was asked for as another type than it has.
public struct ResultTypeError: Error, Sendable, CustomStringConvertible {
    public let name: ChannelName
    public let dtype: DType

    public var description: String {
        "the channel \(name) is an array of \(dtype.rawValue), ask for that type or for doubles"
    }
}
