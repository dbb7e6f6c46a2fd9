import StemwireKernels

/// `com`: the centre of mass of each frame, and the field of its shifts over the scan: first moment, DPC.
///
/// Within the pixels of a disk, or a ring, around (cy, cx); a pixel counts when its centre, at whole-numbered
/// coordinates, is not farther than `r` from (cy, cx), but farther than `ri` (with `ri` 0 the centre counts, too). Sums
/// are exact for counts; everything behind them is computed in `float64`. Channels, `float32` where that holds every
/// pixel, else `float64`; positions that are not processed are NaN:
///
/// | channel | shape | |
/// |---|---|---|
/// | `raw_com` | nav + 2 | (y, x) in pixels; of frames whose sum is 0: (cy, cx) |
/// | `raw_shifts` | nav + 2 | `raw_com` − (cy, cx) |
/// | `field` | nav + 2 | R · F · `raw_shifts` − background, (y, x) in pixels |
/// | `field_y`, `field_x` | nav | its components |
/// | `magnitude` | nav | √(field_y² + field_x²) |
/// | `divergence` | nav | ∂field_y/∂y + ∂field_x/∂x, per scan step |
/// | `curl` | nav | ∂field_y/∂x − ∂field_x/∂y, per scan step |
/// | `regression` | 3 × 2, `float64` | background: constant, slope per scan row, per scan column; columns (y, x) |
///
/// On vectors (y, x), F = diag(−1, 1) for `flip_y`, and R = ((cos, sin), (−sin, cos)) of `scan_rotation`. Derivatives
/// are central differences, one-sided at the edges of the scan, as `numpy.gradient`; they are NaN where a neighbour
/// that they need is not processed, or the scan has no second row or column. The definitions are those of LiberTEM's
/// `CoMUDF`.
public struct CentreOfMassUDF: PixelWorkUDF {
    public static let name = "com"
    public static let parameterHelp = [
        "cy": "row of the centre in pixels; default: height div 2",
        "cx": "column of the centre in pixels; default: width div 2",
        "r": "outer radius in pixels; inf for the whole frame",
        "ri": "inner radius in pixels, less than r; 0 for a disk",
        "scan_rotation": "degrees; positive turns the shifts clockwise",
        "flip_y": "true where row 0 of the frame is its lowest, as of the Merlin",
        "regression":
            "background that is subtracted: -1 none, 0 mean, 1 plane, or six numbers: constant y,x, per scan row y,x, "
            + "per scan column y,x",
    ]

    public struct Parameters: UDFParameters {
        /// Row of the centre in pixels; nil for height div 2.
        public var cy: Double?
        /// Column of the centre in pixels; nil for width div 2.
        public var cx: Double?
        /// Outer radius in pixels; infinity for the whole frame.
        public var r = Double.infinity
        /// Inner radius in pixels; 0 for a disk.
        public var ri = 0.0
        /// Degrees by which shifts are turned clockwise.
        public var scanRotation = 0.0
        /// Whether row 0 of a frame is its lowest.
        public var flipY = false
        /// The background that is subtracted from the field.
        public var regression = Regression.none

        private enum CodingKeys: String, CodingKey {
            case cy, cx, r, ri
            case scanRotation = "scan_rotation"
            case flipY = "flip_y"
            case regression
        }

        public init() {}

        public init(
            cy: Double? = nil, cx: Double? = nil, r: Double = .infinity, ri: Double = 0, scanRotation: Double = 0,
            flipY: Bool = false, regression: Regression = .none
        ) {
            self.cy = cy
            self.cx = cx
            self.r = r
            self.ri = ri
            self.scanRotation = scanRotation
            self.flipY = flipY
            self.regression = regression
        }
    }

    let parameters: Parameters
    let centre: (y: Double, x: Double)
    private let mask: RunLengthMask
    private let isExact: Bool
    private let dtype: DType

    public init(parameters: Parameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        guard meta.navShape.count == 2 else {
            throw UDFFailure(
                "the scan of shape \(meta.navShape) is not one of rows and columns: set its nav shape to two sizes, Y X"
            )
        }
        centre = try checkedCentre(parameters.cy, parameters.cx, meta)
        guard parameters.ri >= 0, parameters.ri.isFinite, parameters.r > parameters.ri else {
            throw UDFFailure(
                "ri: \(parameters.ri) and r: \(parameters.r) enclose nothing; ri is at least 0, and r larger than ri")
        }
        guard parameters.scanRotation.isFinite else {
            throw UDFFailure("scan_rotation: \(parameters.scanRotation) is no angle; give degrees")
        }
        self.parameters = parameters
        let (cy, cx) = centre
        mask =
            parameters.ri > 0
            ? .ring(meta.sigShape, cy: cy, cx: cx, innerRadius: parameters.ri, outerRadius: parameters.r)
            : .disk(meta.sigShape, cy: cy, cx: cx, radius: parameters.r)
        isExact = meta.hasCounts
        dtype = meta.realDType
    }

    public var input: InputType { isExact ? .stack : .native }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        // Σ p, Σ y · p, Σ x · p.
        [.nav("moments", isExact ? .uint64 : .float64, extraShape: [3], use: .private)]
            + ["raw_com", "raw_shifts", "field"].map { .nav($0, dtype, extraShape: [2], use: .resultOnly) }
            + ["field_y", "field_x", "magnitude", "divergence", "curl"].map { .nav($0, dtype, use: .resultOnly) }
            + [.single("regression", .float64, extraShape: [3, 2], use: .resultOnly)]
    }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        if try isWorkDone(on: tile, context) { return }
        let moments = try context.buffer("moments", as: Double.self)
        let ranges = mask.pixelRanges
        for index in 0..<tile.count {
            let sums = try RealSums.moments(tile[index], ranges, width: context.meta.sigShape.width)
            moments[3 * index] = sums.all
            moments[3 * index + 1] = sums.y
            moments[3 * index + 2] = sums.x
        }
    }

    func work(on frames: Range<Int>, _ context: Context) throws -> PixelWork? {
        guard isExact else { return nil }
        let moments = try context.bytes("moments").assumingMemoryBound(to: PixelMoments.self)
        return .moments(over: mask, into: moments)
    }

    public func computeResults(_ context: ResultsContext) throws {
        let meta = context.meta
        let moments = try self.moments(context)
        let rawCentres = try RealBuffer("raw_com", dtype, context.results)
        let rawShifts = try RealBuffer("raw_shifts", dtype, context.results)
        var field = VectorField(rows: meta.navShape[0], columns: meta.navShape[1])
        for range in context.processed.ranges {
            for position in range {
                let (sum, y, x) = moments(position)
                let shift = sum == 0 ? (y: 0, x: 0) : (y: y / sum - centre.y, x: x / sum - centre.x)
                rawCentres.set(2 * position, sum == 0 ? centre.y : y / sum)
                rawCentres.set(2 * position + 1, sum == 0 ? centre.x : x / sum)
                rawShifts.set(2 * position, shift.y)
                rawShifts.set(2 * position + 1, shift.x)
                field.y[position] = shift.y
                field.x[position] = shift.x
            }
        }
        field.turn(degrees: parameters.scanRotation, flipY: parameters.flipY)
        let background = parameters.regression.background(of: field, at: context.processed)
        field.subtract(background, at: context.processed)
        let regression = try context.results.elements("regression", as: Double.self)
        for (index, value) in background.values.enumerated() { regression[index] = value }
        try fill(context, field)
    }

    /// Writes the channels that are made of the corrected field.
    private func fill(_ context: ResultsContext, _ field: VectorField) throws {
        func buffer(_ name: String) throws -> RealBuffer { try RealBuffer(name, dtype, context.results) }
        let (vectors, y, x) = (try buffer("field"), try buffer("field_y"), try buffer("field_x"))
        let (magnitude, divergence, curl) = (
            try buffer("magnitude"), try buffer("divergence"), try buffer("curl")
        )
        var differentiable = PositionSet(size: context.meta.positionCount)
        for range in context.processed.ranges {
            for position in range {
                vectors.set(2 * position, field.y[position])
                vectors.set(2 * position + 1, field.x[position])
                y.set(position, field.y[position])
                x.set(position, field.x[position])
                magnitude.set(position, field.magnitude(at: position))
                let slopes = field.slopes(at: position)
                divergence.set(position, slopes.divergence)
                curl.set(position, slopes.curl)
                if !slopes.divergence.isNaN { differentiable.insert(position..<position + 1) }
            }
        }
        try context.setValid(differentiable, for: "divergence")
        try context.setValid(differentiable, for: "curl")
    }

    /// Σ p, Σ y · p and Σ x · p of a frame.
    private func moments(
        _ context: ResultsContext
    ) throws -> (_ position: Int) -> (sum: Double, y: Double, x: Double) {
        if isExact {
            let values = try context.merged.values("moments", as: UInt64.self)
            return { (Double(values[3 * $0]), Double(values[3 * $0 + 1]), Double(values[3 * $0 + 2])) }
        }
        let values = try context.merged.values("moments", as: Double.self)
        return { (values[3 * $0], values[3 * $0 + 1], values[3 * $0 + 2]) }
    }
}
