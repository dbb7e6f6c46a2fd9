import StemwireKernels

/// `crystallinity`: how much of a frame is periodic, for each frame: the sum of the magnitudes of its Fourier transform
/// in a ring.
///
/// Σ |F(ky, kx)| over the frequencies whose distance from 0 is above `rad_in` and not above `rad_out`, in periods per
/// frame, of the half plane kx = 0 … width div 2 (the other half of a real frame's transform is the same). F is that of
/// `numpy`'s `rfft2`, without a factor. The frame is set to 0 up to `real_rad` around `real_center` beforehand, when
/// these are given: the zero-order beam would outshine all. LiberTEM's `CrystallinityUDF`; as there, distances along an
/// axis of an odd number of pixels are counted from half a period. Channel `intensity` (nav, `float32`), computed in
/// `float64`.
///
/// Only the frequencies of the ring are computed: rows first, then columns, each as a matrix product with a table of
/// sines and cosines, which for rings of some tens of periods costs about as much as a fast transform of any size.
public struct CrystallinityUDF: FrameUDF {
    public static let name = "crystallinity"
    public static let parameterHelp = [
        "rad_in": "inner radius of the ring in the Fourier transform, in periods per frame",
        "rad_out": "outer radius of the ring in the Fourier transform, in periods per frame",
        "real_center": "centre of the disk of the frame that is left out, in pixels: y,x; default: no disk",
        "real_rad": "radius of the disk of the frame that is left out, in pixels; default: no disk",
    ]

    public struct Parameters: UDFParameters {
        /// Inner radius in Fourier space, in periods per frame.
        public var innerRadius: Double?
        /// Outer radius in Fourier space, in periods per frame.
        public var outerRadius: Double?
        /// Centre of the disk that is left out, in pixels, (y, x); nil for none.
        public var realCenter: [Double]?
        /// Radius of the disk that is left out, in pixels; nil for none.
        public var realRadius: Double?

        private enum CodingKeys: String, CodingKey {
            case innerRadius = "rad_in"
            case outerRadius = "rad_out"
            case realCenter = "real_center"
            case realRadius = "real_rad"
        }

        public init() {}

        /// - Parameter leavingOut: The disk of the frame that is set to 0, in pixels.
        public init(
            innerRadius: Double, outerRadius: Double, leavingOut disk: (y: Double, x: Double, radius: Double)? = nil
        ) {
            self.innerRadius = innerRadius
            self.outerRadius = outerRadius
            realCenter = disk.map { [$0.y, $0.x] }
            realRadius = disk?.radius
        }
    }

    private let transform: RingTransform
    /// The pixels that are set to 0.
    private let blanks: [Range<Int>]

    public init(parameters: Parameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        let (inner, outer) = try checkedRing(parameters.innerRadius, parameters.outerRadius)
        let place = try checkedPlace("real_center", parameters.realCenter, meta)
        guard (place == nil) == (parameters.realRadius == nil) else {
            throw UDFFailure("real_center and real_rad go together: give both, or none to leave nothing out")
        }
        if let place, let radius = parameters.realRadius {
            guard radius >= 0 else { throw UDFFailure("real_rad: \(radius) is no radius; it is at least 0") }
            blanks = RunLengthMask.disk(meta.sigShape, cy: place.y, cx: place.x, radius: radius).pixelRanges
        } else {
            blanks = []
        }
        transform = RingTransform(meta.sigShape, inner: inner, outer: outer)
        guard !transform.isEmpty else {
            throw UDFFailure(
                "rad_in: \(inner) and rad_out: \(outer): no frequency of frames of \(meta.sigShape.height) × "
                    + "\(meta.sigShape.width) pixels lies in the ring; they reach to half the size")
        }
    }

    public func makeTaskData(_ meta: UDFMeta) throws -> RingTransform.Scratch { transform.makeScratch() }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("intensity", .float32)] }

    public func process(_ frame: Frame, _ context: Context) throws {
        try context.data.fill { pixels in
            try frame.copyPixels(0..<frame.pixelCount, to: pixels)
            for range in blanks { (pixels + range.lowerBound).update(repeating: 0, count: range.count) }
        }
        try context.buffer("intensity", as: Float.self)[0] = Float(transform.sumOfMagnitudes(context.data))
    }
}
