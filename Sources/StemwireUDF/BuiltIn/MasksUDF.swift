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
/// `float32` products are added up in pieces of 2048 pixels, the sums of these as `float64`. Whole numbers in `float64`
/// are exact up to 2⁵³.
public struct MasksUDF: TileUDF {
    public static let name = "masks"
    public static let parameterHelp = [
        "file": "path of a .npy file with the masks (masks, y, x), where the UDF runs"
    ]
    /// By measurement, a run costs as much as so many pixels of a product.
    private static let pixelsPerRun = 64
    /// The largest file that is read, and the most weights, which all are kept in memory.
    static let largestFile = 1 << 30
    private static let mostWeights = 1 << 27

    public struct Parameters: UDFParameters {
        /// The path of a `.npy` file; or such a file itself, as `init(masks:)` makes it.
        public var file: String?

        public init() {}

        /// - Parameter file: The path of a `.npy` file with the masks (masks, y, x) on the machine where the UDF runs.
        public init(file: String?) { self.file = file }

        /// Masks that travel with the request, to wherever it is run.
        ///
        /// - Parameter masks: Shape (masks, y, x).
        public init(masks: ResultArray) { file = Self.inline + Base64.encode(NumpyFile.encode(masks)) }

        fileprivate static let inline = "data:;base64,"

        fileprivate func read() throws -> ResultArray {
            guard let file, !file.isEmpty else {
                throw UDFFailure("file: no masks are given; give the path of a .npy file, such as file=masks.npy")
            }
            do {
                guard file.hasPrefix(Self.inline) else {
                    return try NumpyFile.read(file, largest: MasksUDF.largestFile)
                }
                guard let bytes = Base64.decode(file.utf8.dropFirst(Self.inline.utf8.count)) else {
                    throw UDFFailure("what is given in place of a path is not base64")
                }
                return try bytes.withUnsafeBytes { try NumpyFile.decode($0) }
            } catch {
                throw UDFFailure("file: \(error)")
            }
        }
    }

    /// How the sums are made.
    private enum Work {
        case binary(RunLengthMaskSet)
        /// Of 0 and 1, too, but speckled: each pixel costs less than each run.
        case speckled(MaskProduct)
        case real(MaskProduct)
        /// With two masks for each, real and imaginary part.
        case complex(MaskProduct)
    }

    private let work: Work
    private let maskCount: Int
    private let dtype: DType
    private let kernels = PixelKernels()

    public init(parameters: Parameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        let masks = try parameters.read()
        let sig = meta.sigShape
        guard masks.shape.count == 3, masks.shape[0] > 0, masks.shape[1] == sig.height, masks.shape[2] == sig.width
        else {
            throw UDFFailure(
                "file: an array of shape \(masks.shape) is no stack of masks; for these frames it must have the shape "
                    + "[masks, \(sig.height), \(sig.width)]")
        }
        guard masks.count <= Self.mostWeights else {
            throw UDFFailure(
                "file: \(masks.shape[0]) masks are too many; for these frames there can be at most "
                    + "\(Self.mostWeights / sig.pixelCount)")
        }
        maskCount = masks.shape[0]
        let weights = masks.dtype.isComplex ? masks.parts() : masks.doubles()
        if let bad = weights.firstIndex(where: { !$0.isFinite }) {
            throw UDFFailure(
                "file: mask \(bad * maskCount / weights.count) contains \(weights[bad]); masks must be finite")
        }
        let isBinary = !masks.dtype.isFloatingPoint && weights.allSatisfy { $0 == 0 || $0 == 1 }
        if isBinary && meta.hasCounts {
            let binary = Self.binaryMasks(weights, maskCount, meta)
            let runs = binary.reduce(0) { $0 + $1.pixelRanges.count }
            if runs <= maskCount * max(2 * sig.height, sig.pixelCount / Self.pixelsPerRun) {
                work = .binary(RunLengthMaskSet(binary))
            } else {
                work = .speckled(
                    MaskProduct(weights, maskCount: maskCount, isDouble: meta.realDType == .float64, meta: meta))
            }
            dtype = .uint64
            return
        }
        let isDouble =
            switch masks.dtype {
            case .float32, .complex64: meta.realDType == .float64
            case .float64, .complex128: true
            default: !isBinary || meta.realDType == .float64
            }
        if masks.dtype.isComplex {
            work = .complex(MaskProduct(weights, maskCount: 2 * maskCount, isDouble: isDouble, meta: meta))
            dtype = isDouble ? .complex128 : .complex64
        } else {
            work = .real(MaskProduct(weights, maskCount: maskCount, isDouble: isDouble, meta: meta))
            dtype = isDouble ? .float64 : .float32
        }
    }

    private static func binaryMasks(_ weights: [Double], _ count: Int, _ meta: UDFMeta) -> [RunLengthMask] {
        (0..<count).map { mask in
            let first = mask * meta.sigShape.pixelCount
            return RunLengthMask(sigShape: meta.sigShape) { y, x in weights[first + y * meta.sigShape.width + x] != 0 }
        }
    }

    public var input: InputType {
        switch work {
        case .binary: .stack
        case .speckled(let product), .real(let product), .complex(let product): product.input
        }
    }

    public var preferredTileDepth: Int {
        switch work {
        case .binary: 1
        case .speckled(let product), .real(let product), .complex(let product): product.preferredTileDepth
        }
    }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [.nav("intensity", dtype, extraShape: [maskCount])]
    }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        switch work {
        case .binary(let masks):
            kernels.maskedSums(try tile.stack(), masks, into: try context.buffer("intensity", as: UInt64.self))
        case .speckled(let product):
            let results = try context.buffer("intensity", as: UInt64.self)
            try withUnsafeTemporaryAllocation(of: Double.self, capacity: tile.count * maskCount) { sums in
                try product.multiply(tile, into: sums)
                // Whole numbers, exact: the 128 counts of 16 bits that `MaskProduct` adds up as float32 stay below 2²⁴.
                for index in sums.indices { results[index] = sums[index] < 0x1p64 ? UInt64(sums[index]) : .max }
            }
        case .real(let product), .complex(let product):
            try product.multiply(tile, into: try context.bytes("intensity"), isDouble: dtype.isDouble)
        }
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

extension ResultArray {
    /// The parts of complex masks: for each mask (the first axis) all real parts, then all imaginary parts.
    fileprivate func parts() -> [Double] {
        var parts: [(Double, Double)] = []
        if dtype == .complex64 {
            parts = withElements(as: Complex64.self) { $0.map { (Double($0.real), Double($0.imaginary)) } }
        } else {
            parts = withElements(as: Complex128.self) { $0.map { ($0.real, $0.imaginary) } }
        }
        let perMask = count / shape[0]
        return (0..<shape[0]).flatMap { mask in
            let own = parts[mask * perMask..<(mask + 1) * perMask]
            return own.map(\.0) + own.map(\.1)
        }
    }
}
