import MerlinProtocol
import StemwireKernels

/// What is done to every frame before any UDF sees it: dark frame, gain map, excluded pixels.
///
/// Each pixel x becomes (x − dark) · gain; after that every excluded pixel becomes the mean of those of its eight
/// neighbours inside the frame that are not excluded. These are LiberTEM's `CorrectionSet` and its numbers: computed in
/// `float64` and rounded once. Corrected pixels are `float32`, or `float64` where the detector's pixels have 32 bits or
/// more, as NumPy's `result_type(pixels, float32)`.
///
/// ```swift
/// let corrections = Corrections(
///     dark: ResultArray(darkFrame, shape: [256, 256]), excluded: ExcludedPixels([(y: 17, x: 201), (y: 90, x: 4)]))
/// ```
///
/// What is exact for counts, such as `sum`, becomes a sum of floating-point numbers in a fixed order: the same bits for
/// any number of threads and workers at a given partition size.
public struct Corrections: Sendable, Equatable {
    /// Subtracted from each frame; shape (y, x), real numbers, in counts.
    public var dark: ResultArray?
    /// Multiplied with each frame from which the dark frame was subtracted; shape (y, x), real numbers.
    public var gain: ResultArray?
    /// Pixels whose value is made up from their neighbours.
    public var excluded: ExcludedPixels?
    /// Whether an excluded pixel whose neighbours are all excluded, too, keeps its value (LiberTEM's `allow_empty`);
    /// otherwise it is an error.
    public var keepsIsolatedPixels: Bool

    /// Nothing is checked before the size of the frames is known: see `check(_:)`.
    ///
    /// - Parameters:
    ///   - dark: shape (y, x); nil for none.
    ///   - gain: shape (y, x); nil for none.
    ///   - excluded: nil for none.
    ///   - keepsIsolatedPixels: whether excluded pixels without a good neighbour are left as they are.
    public init(
        dark: ResultArray? = nil, gain: ResultArray? = nil, excluded: ExcludedPixels? = nil,
        keepsIsolatedPixels: Bool = false
    ) {
        self.dark = dark
        self.gain = gain
        self.excluded = excluded
        self.keepsIsolatedPixels = keepsIsolatedPixels
    }

    /// Whether nothing is corrected: frames stay the counts that they are.
    public var isEmpty: Bool { dark == nil && gain == nil && excluded == nil }

    /// Checks that the corrections fit frames of this size.
    ///
    /// - Throws: `CorrectionsError` that names what does not fit, and where.
    public func check(_ sigShape: SigShape) throws(CorrectionsError) { _ = try FrameCorrector(self, sigShape, .uint16) }

    /// The type of corrected pixels.
    public static func dtype(of pixels: DType) -> DType { pixels.real }
}

/// A place on the detector.
public struct DetectorPixel: Sendable, Hashable, Comparable {
    /// Row and column, from 0.
    public var y: Int
    public var x: Int

    public init(y: Int, x: Int) {
        self.y = y
        self.x = x
    }

    /// In the order of the pixels of a frame.
    public static func < (left: DetectorPixel, right: DetectorPixel) -> Bool {
        (left.y, left.x) < (right.y, right.x)
    }
}

/// Pixels of the detector that are not to be trusted: dead or hot ones.
public struct ExcludedPixels: Sendable, Hashable {
    /// Rising, each once.
    public let pixels: [DetectorPixel]
    /// The size of the mask that they were given as; nil when they were given by their places.
    public let shape: SigShape?

    /// - Parameter pixels: In any order; (y, x) from 0.
    public init(_ pixels: some Sequence<DetectorPixel>) { self.init(pixels, shape: nil) }

    /// - Parameter places: In any order; (y, x) from 0.
    public init(_ places: some Sequence<(y: Int, x: Int)>) {
        self.init(places.map { DetectorPixel(y: $0.y, x: $0.x) }, shape: nil)
    }

    private init(_ pixels: some Sequence<DetectorPixel>, shape: SigShape?) {
        self.pixels = Set(pixels).sorted()
        self.shape = shape
    }

    /// The pixels that are not zero, or true, in a mask.
    ///
    /// - Parameter mask: Shape (y, x), real numbers or truth values.
    /// - Throws: `CorrectionsError` when it is no such array.
    public init(mask: ResultArray) throws(CorrectionsError) {
        guard mask.shape.count == 2 else { throw .noImage("the mask of excluded pixels", shape: mask.shape) }
        guard !mask.dtype.isComplex else { throw .notReal("the mask of excluded pixels", mask.dtype) }
        let shape = SigShape(height: mask.shape[0], width: mask.shape[1])
        let places = mask.doubles().enumerated().filter { $0.element != 0 }.map {
            DetectorPixel(y: $0.offset / shape.width, x: $0.offset % shape.width)
        }
        self.init(places, shape: shape)
    }

    /// The pixels as in a file: a list of places, which is an array of integers of shape (pixels, 2) with rows y, x; or
    /// else a mask.
    ///
    /// A mask for a detector that is two pixels wide must be one of truth values, to be told from a list.
    ///
    /// - Throws: `CorrectionsError` when it is neither.
    public init(array: ResultArray) throws(CorrectionsError) {
        let isList =
            switch array.dtype {
            case .uint8, .uint16, .uint32, .uint64, .int32, .int64: array.shape.count == 2 && array.shape[1] == 2
            case .bool, .float32, .float64, .complex64, .complex128: false
            }
        guard isList else {
            try self.init(mask: array)
            return
        }
        // Larger numbers than Double holds exactly are outside of any detector.
        let numbers = array.doubles().map { Int(max(-1, min($0, 1e15))) }
        self.init(
            (0..<array.shape[0]).map { DetectorPixel(y: numbers[2 * $0], x: numbers[2 * $0 + 1]) }, shape: nil)
    }

    /// The pixels as `init(array:)` takes them: a mask when they were given as one, otherwise a list of places.
    public var array: ResultArray {
        guard let shape else {
            return ResultArray(pixels.flatMap { [Int64($0.y), Int64($0.x)] }, shape: [pixels.count, 2])
        }
        var mask = [Bool](repeating: false, count: shape.pixelCount)
        for pixel in pixels { mask[pixel.y * shape.width + pixel.x] = true }
        return ResultArray(mask, shape: [shape.height, shape.width])
    }
}
