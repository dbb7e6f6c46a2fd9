import Glibc
import StemwireKernels

/// `radial-fourier`: how the intensity in rings around the centre varies with the angle, as a Fourier series for each
/// frame: the symmetry of diffraction patterns, also of weak ones.
///
/// c(b, o) = Σ over pixels of pixel · w_b(ρ) · e^(i o φ) for ring b and order o, ρ being the distance from (cy, cx) and
/// φ the angle from the x axis towards the y axis (atan2 of y and x). The `n_bins` rings between `ri` and `ro` are
/// equally wide; w_b = clamp(width / 2 + ½ − abs(ρ − middle of the ring), 0 … 1), so that neighbours overlap and add up to
/// 1; with `ri` below ½, the pixel nearest to the centre has 1 − `ri` in the innermost ring. That is LiberTEM's radial
/// Fourier analysis. Channels (`float32`, `complex64`; for pixels wider than 16 bits `float64`, `complex128`):
///
/// | channel | shape | |
/// |---|---|---|
/// | `dominant` | nav + bins, `int32` | the order from 1 on with the largest abs(c); 0 where all are weak |
/// | `absolute` | nav + bins × orders | abs(c) |
/// | `phase` | nav + bins × orders | the angle of c in radians, −π … π |
/// | `complex` | nav + bins × orders | c for order 0, c / max(1, abs(c(b, 0))) for the others |
///
/// Weak is below a fifth of the largest abs(c) of an order from 1 on in the same ring of the whole scan.
public struct RadialFourierUDF: TileUDF {
    public static let name = "radial-fourier"
    public static let parameterHelp = [
        "cy": "row of the centre in pixels; default: height / 2",
        "cx": "column of the centre in pixels; default: width / 2",
        "ri": "inner radius of the innermost ring in pixels",
        "ro": "outer radius of the outermost ring in pixels; default: so that it covers the whole frame",
        "n_bins": "number of rings", "max_order": "highest order of the series",
    ]
    /// More would be a mistake: the masks of all rings and orders are kept in memory.
    private static let largestMasks = 1 << 30

    public struct Parameters: UDFParameters {
        /// Row of the centre in pixels; nil for half the height.
        public var cy: Double?
        /// Column of the centre in pixels; nil for half the width.
        public var cx: Double?
        /// Inner radius of the innermost ring in pixels.
        public var ri = 0.0
        /// Outer radius of the outermost ring in pixels; nil for one that covers the frame.
        public var ro: Double?
        /// Number of rings.
        public var binCount = 1
        /// Highest order of the series.
        public var maxOrder = 24

        private enum CodingKeys: String, CodingKey {
            case cy, cx, ri, ro
            case binCount = "n_bins"
            case maxOrder = "max_order"
        }

        public init() {}

        public init(
            cy: Double? = nil, cx: Double? = nil, ri: Double = 0, ro: Double? = nil, binCount: Int = 1,
            maxOrder: Int = 24
        ) {
            self.cy = cy
            self.cx = cx
            self.ri = ri
            self.ro = ro
            self.binCount = binCount
            self.maxOrder = maxOrder
        }
    }

    private let binCount: Int
    private let orderCount: Int
    private let isDouble: Bool
    private let product: MaskProduct

    public init(parameters: Parameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        let sig = meta.sigShape
        let (cy, cx) = try checkedCentre(
            parameters.cy ?? Double(sig.height) / 2, parameters.cx ?? Double(sig.width) / 2, meta)
        let inner = parameters.ri
        let outer = parameters.ro ?? Self.boundingRadius(cy, cx, meta)
        guard inner >= 0, outer > inner, outer.isFinite else {
            throw UDFFailure("ri: \(inner) and ro: \(outer) enclose no ring; ri is at least 0, and ro larger than ri")
        }
        guard parameters.binCount >= 1, parameters.maxOrder >= 0 else {
            throw UDFFailure(
                "n_bins: \(parameters.binCount), max_order: \(parameters.maxOrder): there must be at least 1 ring, and "
                    + "orders from 0")
        }
        let masks = parameters.binCount.multipliedReportingOverflow(by: parameters.maxOrder &+ 1)
        let largest = Self.largestMasks / (2 * DType.float64.byteCount * sig.pixelCount)
        guard !masks.overflow, masks.partialValue > 0, masks.partialValue <= largest else {
            throw UDFFailure(
                "n_bins: \(parameters.binCount), max_order: \(parameters.maxOrder): for these frames n_bins times "
                    + "(max_order + 1) can be at most \(largest)")
        }
        binCount = parameters.binCount
        orderCount = parameters.maxOrder + 1
        isDouble = meta.realDType == .float64
        let rings = Rings(cy: cy, cx: cx, inner: inner, outer: outer, count: binCount)
        product = MaskProduct(
            rings.weights(orderCount: orderCount, meta), maskCount: 2 * masks.partialValue, isDouble: isDouble,
            meta: meta
        )
    }

    /// LiberTEM's radius that covers the whole frame.
    private static func boundingRadius(_ cy: Double, _ cx: Double, _ meta: UDFMeta) -> Double {
        let dy = max(cy, Double(meta.sigShape.height) - cy)
        let dx = max(cx, Double(meta.sigShape.width) - cx)
        return (dy * dy + dx * dx).squareRoot().rounded(.up) + 1
    }

    public var input: InputType { product.input }
    public var preferredTileDepth: Int { product.preferredTileDepth }

    private var coefficientType: DType { isDouble ? .complex128 : .complex64 }
    private var realType: DType { isDouble ? .float64 : .float32 }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        let series = [binCount, orderCount]
        return [
            .nav("dominant", .int32, extraShape: [binCount], use: .resultOnly),
            .nav("absolute", realType, extraShape: series, use: .resultOnly),
            .nav("phase", realType, extraShape: series, use: .resultOnly),
            .nav("complex", coefficientType, extraShape: series, use: .resultOnly),
            .nav("coefficients", coefficientType, extraShape: series, use: .private),
        ]
    }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        try product.multiply(tile, into: try context.bytes("coefficients"), isDouble: isDouble)
    }

    public func computeResults(_ context: ResultsContext) throws {
        let coefficient = try self.coefficients(context)
        let absolute = try RealBuffer("absolute", realType, context.results)
        let phase = try RealBuffer("phase", realType, context.results)
        let normalised = try ComplexBuffer("complex", coefficientType, context.results)
        var largest = Array(repeating: 0.0, count: binCount)
        let positions = context.processed.ranges
        forEachSeries(positions) { bin, first in
            let zeroth = coefficient(first)
            let divisor = max(1, hypot(zeroth.real, zeroth.imaginary))
            for order in 0..<orderCount {
                let c = coefficient(first + order)
                let magnitude = hypot(c.real, c.imaginary)
                absolute.set(first + order, magnitude)
                phase.set(first + order, atan2(c.imaginary, c.real))
                let scale = order == 0 ? 1 : divisor
                normalised.set(first + order, Complex128(c.real / scale, c.imaginary / scale))
                if order > 0 { largest[bin] = max(largest[bin], magnitude) }
            }
        }
        let dominant = try context.results.elements("dominant", as: Int32.self)
        forEachSeries(positions) { bin, first in
            var best = (order: 0, magnitude: -1.0)
            for order in 1..<max(orderCount, 1) {
                let c = coefficient(first + order)
                let magnitude = hypot(c.real, c.imaginary)
                if magnitude > best.magnitude { best = (order, magnitude) }
            }
            dominant[first / orderCount] = best.magnitude < 0.2 * largest[bin] ? 0 : Int32(best.order)
        }
    }

    /// Goes through rings and scan positions; `first` is the index of the coefficient of order 0.
    private func forEachSeries(_ positions: [Range<Int>], _ body: (_ bin: Int, _ first: Int) -> Void) {
        for range in positions {
            for position in range {
                for bin in 0..<binCount { body(bin, (position * binCount + bin) * orderCount) }
            }
        }
    }

    private func coefficients(_ context: ResultsContext) throws -> (_ index: Int) -> Complex128 {
        if isDouble {
            let values = try context.merged.values("coefficients", as: Complex128.self)
            return { values[$0] }
        }
        let values = try context.merged.values("coefficients", as: Complex64.self)
        return { Complex128(Double(values[$0].real), Double(values[$0].imaginary)) }
    }
}

/// Rings of equal width around a centre, as weights of pixels.
private struct Rings {
    let cy: Double
    let cx: Double
    let inner: Double
    let outer: Double
    let count: Int

    /// [ring, order, real and imaginary part, pixel]: ring · e^(i order φ).
    func weights(orderCount: Int, _ meta: UDFMeta) -> [Double] {
        let (height, width) = (meta.sigShape.height, meta.sigShape.width)
        let pixels = height * width
        let ringWidth = (outer - inner) / Double(count)
        // To the nearest, ties to even, as numpy.round; compared as numbers, for the centre may be anywhere.
        let (nearestY, nearestX) = (cy.rounded(.toNearestOrEven), cx.rounded(.toNearestOrEven))
        var weights = Array(repeating: 0.0, count: count * orderCount * 2 * pixels)
        for pixel in 0..<pixels {
            let (dy, dx) = (Double(pixel / width) - cy, Double(pixel % width) - cx)
            let radius = (dy * dy + dx * dx).squareRoot()
            let angle = atan2(dy, dx)
            let isCentre = Double(pixel / width) == nearestY && Double(pixel % width) == nearestX
            for ring in 0..<count {
                let middle = inner + (Double(ring) + 0.5) * ringWidth
                var weight = min(max(ringWidth / 2 + 0.5 - abs(radius - middle), 0), 1)
                if ring == 0 && inner < 0.5 && isCentre { weight = 1 - inner }
                guard weight > 0 else { continue }
                for order in 0..<orderCount {
                    let row = 2 * (ring * orderCount + order)
                    weights[row * pixels + pixel] = weight * cos(Double(order) * angle)
                    weights[(row + 1) * pixels + pixel] = weight * sin(Double(order) * angle)
                }
            }
        }
        return weights
    }
}
