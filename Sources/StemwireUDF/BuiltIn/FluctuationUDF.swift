import StemwireKernels

/// `fem`: the standard deviation over the pixels of a ring, for each frame: fluctuation electron microscopy (Gibson,
/// Treacy 1997).
///
/// Of the pixels that are farther than `rad_in` from `center` and not farther than `rad_out`; that of the population,
/// as `numpy.std` and LiberTEM's `FEMUDF`. Channel `intensity` (nav, `float32`). From counts of at most 16 bits
/// computed in integers and rounded at the end; otherwise in two passes in `float64`.
public struct FluctuationUDF: FrameUDF {
    public static let name = "fem"
    public static let parameterHelp = [
        "center": "centre of the ring in pixels: y,x; default: height div 2, width div 2",
        "rad_in": "inner radius in pixels", "rad_out": "outer radius in pixels",
    ]

    public struct Parameters: UDFParameters {
        /// Centre of the ring in pixels, (y, x); nil for height div 2, width div 2.
        public var center: [Double]?
        /// Inner radius in pixels.
        public var innerRadius: Double?
        /// Outer radius in pixels.
        public var outerRadius: Double?

        private enum CodingKeys: String, CodingKey {
            case center
            case innerRadius = "rad_in"
            case outerRadius = "rad_out"
        }

        public init() {}

        /// - Parameter center: In pixels, (y, x).
        public init(center: (y: Double, x: Double)? = nil, innerRadius: Double, outerRadius: Double) {
            self.center = center.map { [$0.y, $0.x] }
            self.innerRadius = innerRadius
            self.outerRadius = outerRadius
        }
    }

    private let ranges: [Range<Int>]
    private let pixelCount: Int

    public init(parameters: Parameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        let (cy, cx) = try checkedPlace("center", parameters.center, meta) ?? checkedCentre(nil, nil, meta)
        let (inner, outer) = try checkedRing(parameters.innerRadius, parameters.outerRadius)
        let ring = RunLengthMask.ring(meta.sigShape, cy: cy, cx: cx, innerRadius: inner, outerRadius: outer)
        guard ring.pixelCount > 0 else {
            throw UDFFailure("center, rad_in, rad_out: no pixel of the frame lies in the ring")
        }
        ranges = ring.pixelRanges
        pixelCount = ring.pixelCount
    }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("intensity", .float32)] }

    public func process(_ frame: Frame, _ context: Context) throws {
        let deviation =
            switch frame.dtype {
            case .uint8: try exactDeviation(frame, UInt8.self)
            case .uint16: try exactDeviation(frame, UInt16.self)
            default: try deviation(frame)
            }
        try context.buffer("intensity", as: Float.self)[0] = Float(deviation)
    }

    private func exactDeviation<Pixel: ResultElement & FixedWidthInteger>(
        _ frame: Frame, _ type: Pixel.Type
    ) throws -> Double {
        let pixels = try frame.pixels(as: type)
        var sum: UInt64 = 0
        var squares: UInt64 = 0
        for range in ranges {
            for pixel in range {
                let value = UInt64(pixels[pixel])
                sum &+= value
                squares &+= value &* value
            }
        }
        let count = UInt128(pixelCount)
        return Double(wide: count &* UInt128(squares) &- UInt128(sum) &* UInt128(sum)).squareRoot() / Double(pixelCount)
    }

    private func deviation(_ frame: Frame) throws -> Double {
        try withUnsafeTemporaryAllocation(of: Double.self, capacity: pixelCount) { pixels in
            guard let start = pixels.baseAddress else { return 0 }
            var filled = 0
            for range in ranges {
                try frame.copyPixels(range, to: start + filled)
                filled += range.count
            }
            let count = Double(pixelCount)
            let mean = pixels.reduce(0, +) / count
            return (pixels.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count).squareRoot()
        }
    }
}

/// The radii `rad_in` and `rad_out` of a ring.
func checkedRing(_ inner: Double?, _ outer: Double?) throws -> (inner: Double, outer: Double) {
    guard let inner, let outer else { throw UDFFailure("rad_in and rad_out are both needed") }
    guard inner >= 0, outer > inner else {
        throw UDFFailure(
            "rad_in: \(inner) and rad_out: \(outer) enclose no ring; rad_in is at least 0, and rad_out larger")
    }
    return (inner, outer)
}

/// A place (y, x) that is given as a list.
func checkedPlace(_ name: String, _ place: [Double]?, _ meta: UDFMeta) throws -> (y: Double, x: Double)? {
    guard let place else { return nil }
    guard place.count == 2, place.allSatisfy(\.isFinite) else {
        throw UDFFailure("\(name): \(place) is no place on the detector; give y,x in pixels")
    }
    return (place[0], place[1])
}
