import StemwireKernels

/// `masks`: sums weighted with any masks, for each frame.
///
/// Channel `intensity` (nav, + masks). What its numbers are depends on the masks and the pixels:
///
/// | masks | pixels | numbers |
/// |---|---|---|
/// | of 0 and 1 alone (bool or integers) | counts | `uint64`, exact |
/// | float32, or of 0 and 1 alone | float32, or counts of at most 16 bits | `float32` |
/// | other integers; float64 | all; and all masks with wider pixels | `float64` |
/// | complex64, complex128 | by the same rules | `complex64`, `complex128` |
///
/// Masks are images (`file`), or lists of their pixels (`coordinates` and `values`: the arrays `coords` and `data` of a
/// `sparse.COO` of shape (masks, y, x), which LiberTEM's masks are, too). However they are given, they are kept as what
/// takes less time, unless `sparse` says it: as images or, when few of their pixels are not 0, as lists. The last bits of
/// the sums depend on it; the choice depends on the masks alone. `float32` products are added up in pieces, of 2048
/// pixels or 128 list entries, the sums of these as `float64`. Whole numbers in `float64` are exact up to 2⁵³.
///
/// **Shifts.** `shift_y` and `shift_x`, or auxiliary data `shift` of shape nav + 2 with a shift (y, x) for each scan position,
/// move the masks by whole pixels, down and to the right when positive, as `shifts` of LiberTEM's `ApplyMasksUDF`; parts
/// that leave the frame do not count. Shifts that are no whole numbers lose their fraction. It is done frame by frame.
public struct MasksUDF: TileUDF {
    public static let name = "masks"
    public static let parameterHelp = [
        "file": "path of a .npy file with the masks (masks, y, x), where the UDF runs",
        "coordinates": "in place of file: path of a .npy file (3, pixels) with mask, y, x of each pixel",
        "values": "path of a .npy file (pixels) with the weights of the pixels in coordinates",
        "count": "number of masks in coordinates; default: as many as have pixels",
        "sparse": "true: keep lists of pixels, false: keep images, auto: what is faster",
        "shift_y": "rows by which the masks are moved down",
        "shift_x": "columns by which the masks are moved to the right",
    ]
    /// The largest file that is read.
    static let largestFile = 1 << 30
    /// By measurement, a run costs as much as so many pixels of a product.
    private static let pixelsPerRun = 64

    /// How masks are kept.
    public enum Sparse: String, Sendable, Hashable, Codable {
        case auto
        /// As lists of their pixels.
        case yes = "true"
        /// As images.
        case no = "false"
    }

    public struct Parameters: UDFParameters {
        /// The path of a `.npy` file with the masks as images; or such a file itself, as `init(masks:)` makes it.
        public var file: String?
        /// The same for mask, y and x of each pixel.
        public var coordinates: String?
        /// The same for the weights of these pixels.
        public var values: String?
        /// The number of masks in `coordinates`; nil for as many as have pixels.
        public var count: Int?
        /// How masks are kept.
        public var sparse = Sparse.auto
        /// Pixels by which the masks are moved, down and to the right.
        public var shiftY = 0
        public var shiftX = 0

        private enum CodingKeys: String, CodingKey {
            case file, coordinates, values, count, sparse
            case shiftY = "shift_y"
            case shiftX = "shift_x"
        }

        public init() {}

        /// - Parameters:
        ///   - file: The path of a `.npy` file with the masks (masks, y, x) on the machine where the UDF runs.
        ///   - shift: Pixels by which the masks are moved, (y, x).
        public init(file: String?, sparse: Sparse = .auto, shift: (y: Int, x: Int) = (0, 0)) {
            self.file = file
            self.sparse = sparse
            (shiftY, shiftX) = shift
        }

        /// Masks that travel with the request, to wherever it is run.
        ///
        /// - Parameters:
        ///   - masks: Shape (masks, y, x).
        ///   - shift: Pixels by which the masks are moved, (y, x).
        public init(masks: ResultArray, sparse: Sparse = .auto, shift: (y: Int, x: Int) = (0, 0)) {
            self.init(file: Self.inline(masks), sparse: sparse, shift: shift)
        }

        /// Masks that travel with the request as lists of pixels.
        ///
        /// - Parameters:
        ///   - coordinates: Whole numbers of shape (3, pixels): mask, y and x of each pixel.
        ///   - values: The weights of these pixels; of a pixel that is named twice they are added up.
        ///   - count: The number of masks; nil for as many as have pixels.
        ///   - shift: Pixels by which the masks are moved, (y, x).
        public init(
            coordinates: ResultArray, values: ResultArray, count: Int? = nil, sparse: Sparse = .auto,
            shift: (y: Int, x: Int) = (0, 0)
        ) {
            self.init(file: nil, sparse: sparse, shift: shift)
            self.coordinates = Self.inline(coordinates)
            self.values = Self.inline(values)
            self.count = count
        }

        private static let inlinePrefix = "data:;base64,"

        private static func inline(_ array: ResultArray) -> String {
            inlinePrefix + Base64.encode(NumpyFile.encode(array))
        }

        fileprivate static func read(_ key: String, _ place: String) throws -> ResultArray {
            do {
                guard place.hasPrefix(inlinePrefix) else {
                    return try NumpyFile.read(place, largest: MasksUDF.largestFile)
                }
                guard let bytes = Base64.decode(place.utf8.dropFirst(inlinePrefix.utf8.count)) else {
                    throw UDFFailure("what is given in place of a path is not base64")
                }
                return try bytes.withUnsafeBytes { try NumpyFile.decode($0) }
            } catch {
                throw UDFFailure("\(key): \(error)")
            }
        }
    }

    /// How the sums are made.
    private enum Work {
        case binary(RunLengthMaskSet)
        /// Of 0 and 1, too, but speckled: each pixel costs less than each run.
        case speckled(Product)
        /// Of complex masks, two masks for each, real and imaginary part.
        case weighted(Product)
        case shifted(ShiftedMasks)
    }

    private enum Product {
        case images(MaskProduct)
        case lists(SparseProduct)
    }

    private let work: Work
    private let maskCount: Int
    private let dtype: DType
    private let kernels = PixelKernels()
    public let contents: [String: UInt64]

    public init(parameters: Parameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        let (masks, contents) = try Self.masks(parameters, meta)
        self.contents = contents
        maskCount = masks.count
        let isBinary = masks.isBinary
        let isExact = isBinary && meta.hasCounts
        let isDouble =
            switch masks.dtype {
            case .float32, .complex64: meta.realDType == .float64
            case .float64, .complex128: true
            default: !isBinary || meta.realDType == .float64
            }
        if isExact {
            dtype = .uint64
        } else if masks.dtype.isComplex {
            dtype = isDouble ? .complex128 : .complex64
        } else {
            dtype = isDouble ? .float64 : .float32
        }
        if let shifts = try MaskShifts(y: parameters.shiftY, x: parameters.shiftX, meta) {
            guard parameters.sparse != .yes else {
                throw UDFFailure("sparse: masks that are shifted are kept as images; leave out sparse or shifts")
            }
            work = .shifted(try ShiftedMasks(masks, shifts, isExact: isExact, isDouble: isDouble))
            return
        }
        guard isExact else {
            work = .weighted(try Self.product(masks, parameters.sparse, isDouble: isDouble, meta))
            return
        }
        let binary = masks.runs()
        let runs = binary.reduce(0) { $0 + $1.pixelRanges.count }
        let sig = meta.sigShape
        if parameters.sparse != .yes, runs <= maskCount * max(2 * sig.height, sig.pixelCount / Self.pixelsPerRun) {
            work = .binary(RunLengthMaskSet(binary))
        } else {
            work = .speckled(try Self.product(masks, parameters.sparse, isDouble: isDouble, meta))
        }
    }

    /// The masks, and hashes of the files they are in.
    private static func masks(_ parameters: Parameters, _ meta: UDFMeta) throws -> (MaskStack, [String: UInt64]) {
        switch (parameters.file, parameters.coordinates, parameters.values) {
        case (let file?, nil, nil) where !file.isEmpty:
            guard parameters.count == nil else {
                throw UDFFailure("count: it belongs to coordinates; a file of masks has as many as it has")
            }
            let images = try Parameters.read("file", file)
            return (try MaskStack(images: images, meta), ["file": images.dataHash])
        case (nil, let coordinates?, let values?):
            let (places, weights) = (
                try Parameters.read("coordinates", coordinates), try Parameters.read("values", values)
            )
            return (
                try MaskStack(coordinates: places, values: weights, count: parameters.count, meta),
                ["coordinates": places.dataHash, "values": weights.dataHash]
            )
        case (_, nil, nil):
            throw UDFFailure("file: no masks are given; give the path of a .npy file, such as file=masks.npy")
        default:
            throw UDFFailure(
                "file, coordinates, values: give either file (masks, y, x), or coordinates (3, pixels) and values")
        }
    }

    private static func product(
        _ masks: MaskStack, _ sparse: Sparse, isDouble: Bool, _ meta: UDFMeta
    ) throws -> Product {
        if sparse == .yes || sparse == .auto && SparseProduct.canBeWorthwhile(masks) {
            let lists = masks.lists()
            if sparse == .yes || SparseProduct.isWorthwhile(lists, pixelCount: meta.sigShape.pixelCount) {
                return .lists(SparseProduct(isDouble ? lists : lists.rounded(), meta: meta))
            }
        }
        return .images(
            MaskProduct(try masks.images(), maskCount: masks.rowCount, isDouble: isDouble, meta: meta))
    }

    public var input: InputType {
        switch work {
        case .binary: .stack
        case .speckled(.images(let product)), .weighted(.images(let product)): product.input
        case .speckled(.lists(let product)), .weighted(.lists(let product)): product.input
        case .shifted(let masks): masks.input
        }
    }

    public var preferredTileDepth: Int {
        switch work {
        case .binary, .shifted: 1
        case .speckled(.images(let product)), .weighted(.images(let product)): product.preferredTileDepth
        case .speckled(.lists), .weighted(.lists): SparseProduct.batch
        }
    }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [.nav("intensity", dtype, extraShape: [maskCount])]
    }

    public func makeTaskData(_ meta: UDFMeta) throws -> Scratch {
        switch work {
        case .speckled(.lists(let product)), .weighted(.lists(let product)): Scratch(product.scratchBytes)
        case .speckled, .weighted, .binary, .shifted: Scratch(0)
        }
    }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        switch work {
        case .binary(let masks):
            kernels.maskedSums(try tile.stack(), masks, into: try context.buffer("intensity", as: UInt64.self))
        case .speckled(let product):
            let results = try context.buffer("intensity", as: UInt64.self)
            try withUnsafeTemporaryAllocation(of: Double.self, capacity: tile.count * maskCount) { sums in
                try multiply(tile, product, context.data, into: sums)
                // Whole numbers, exact: as many counts of 16 bits as are added up as float32 stay below 2²⁴.
                for index in sums.indices { results[index] = sums[index] < 0x1p64 ? UInt64(sums[index]) : .max }
            }
        case .weighted(let product):
            try round(into: try context.bytes("intensity")) { try multiply(tile, product, context.data, into: $0) }
        case .shifted(let masks) where dtype == .uint64:
            try masks.addUp(tile, into: try context.buffer("intensity", as: UInt64.self))
        case .shifted(let masks):
            try round(into: try context.bytes("intensity")) { try masks.multiply(tile, into: $0) }
        }
    }

    private func multiply(
        _ tile: FrameTile, _ product: Product, _ scratch: Scratch, into sums: UnsafeMutableBufferPointer<Double>
    ) throws {
        switch product {
        case .images(let product): try product.multiply(tile, into: sums)
        case .lists(let product): try product.multiply(tile, scratch: scratch.memory.pointer, into: sums)
        }
    }

    /// Gives `body` numbers to fill, and keeps them in the type of the channel.
    private func round(
        into bytes: UnsafeMutableRawBufferPointer, _ body: (UnsafeMutableBufferPointer<Double>) throws -> Void
    ) throws {
        guard !dtype.isDouble else { return try body(bytes.assumingMemoryBound(to: Double.self)) }
        let rounded = bytes.assumingMemoryBound(to: Float.self)
        try withUnsafeTemporaryAllocation(of: Double.self, capacity: rounded.count) { sums in
            try body(sums)
            for index in sums.indices { rounded[index] = Float(sums[index]) }
        }
    }
}

extension MasksUDF {
    /// What a thread needs for its work.
    public final class Scratch {
        fileprivate let memory: AlignedStorage

        fileprivate init(_ byteCount: Int) { memory = AlignedStorage(uninitialized: byteCount) }
    }
}

extension MaskProduct {
    /// The sums as `float64`, or rounded to `float32`; those of the two parts of complex masks lie as complex numbers
    /// do.
    func multiply(_ tile: FrameTile, into bytes: UnsafeMutableRawBufferPointer, isDouble: Bool) throws {
        guard !isDouble else {
            return try multiply(tile, into: bytes.assumingMemoryBound(to: Double.self))
        }
        let rounded = bytes.assumingMemoryBound(to: Float.self)
        try withUnsafeTemporaryAllocation(of: Double.self, capacity: tile.count * maskCount) { sums in
            try multiply(tile, into: sums)
            for index in sums.indices { rounded[index] = Float(sums[index]) }
        }
    }
}

extension DType {
    /// Whether numbers, or their parts, are `float64`.
    var isDouble: Bool { self == .float64 || self == .complex128 }
}
