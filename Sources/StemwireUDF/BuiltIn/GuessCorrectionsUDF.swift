import StemwireKernels

/// `guess-corrections`: what rotation, handedness and centre `com` needs for this scan, guessed from its centres of mass.
///
/// See `CentreOfMassUDF.guessCorrections` for what is taken for granted: a field of atoms in atomic resolution. Centres
/// of mass are those of `com` with the same `cy`, `cx`, `r` and `ri`; the last row and column of the scan do not count.
/// Channels, each a single number, to be given to `com` as parameters of the same names: `scan_rotation` (degrees, −179 …
/// 180) and `cy`, `cx` (pixels), all `float64`, and `flip_y` (bool). NaN and false while there are too few scan positions
/// to guess from.
public struct GuessCorrectionsUDF: TileUDF {
    public static let name = "guess-corrections"
    public static let parameterHelp = CentreOfMassUDF.parameterHelp.filter { ["cy", "cx", "r", "ri"].contains($0.key) }

    public struct Parameters: UDFParameters {
        /// Row of the centre of the mask in pixels; nil for height div 2.
        public var cy: Double?
        /// Column of the centre of the mask in pixels; nil for width div 2.
        public var cx: Double?
        /// Outer radius of the mask in pixels; infinity for the whole frame.
        public var r = Double.infinity
        /// Inner radius of the mask in pixels; 0 for a disk.
        public var ri = 0.0

        public init() {}

        public init(cy: Double? = nil, cx: Double? = nil, r: Double = .infinity, ri: Double = 0) {
            self.cy = cy
            self.cx = cx
            self.r = r
            self.ri = ri
        }
    }

    private let centres: CentreOfMassUDF
    private let isExact: Bool

    public init(parameters: Parameters, meta: UDFMeta) throws {
        centres = try CentreOfMassUDF(
            parameters: .init(cy: parameters.cy, cx: parameters.cx, r: parameters.r, ri: parameters.ri), meta: meta)
        isExact = meta.hasCounts
    }

    public var input: InputType { centres.input }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [
            .single("scan_rotation", .float64, use: .resultOnly), .single("flip_y", .bool, use: .resultOnly),
            .single("cy", .float64, use: .resultOnly), .single("cx", .float64, use: .resultOnly),
        ] + centres.declareBuffers(meta).filter { $0.use == .private }
    }

    public func process(_ tile: FrameTile, _ context: Context) throws { try centres.process(tile, context) }

    public func computeResults(_ context: ResultsContext) throws {
        let sums = try moments(context.merged)
        var places = [Double](repeating: .nan, count: 2 * context.meta.positionCount)
        for range in context.processed.ranges {
            for position in range {
                let sum = sums(3 * position)
                places[2 * position] = sum == 0 ? centres.centre.y : sums(3 * position + 1) / sum
                places[2 * position + 1] = sum == 0 ? centres.centre.x : sums(3 * position + 2) / sum
            }
        }
        let found = try? CentreOfMassUDF.guessCorrections(ResultArray(places, shape: context.meta.navShape + [2]))
        func set(_ channel: String, _ value: Double?) throws {
            try context.results.elements(channel, as: Double.self)[0] = value ?? .nan
        }
        try set("scan_rotation", found.map { Double($0.scanRotation) })
        try set("cy", found?.cy)
        try set("cx", found?.cx)
        try context.results.elements("flip_y", as: Bool.self)[0] = found?.flipY ?? false
    }

    private func moments(_ buffers: UDFBuffers) throws -> (_ index: Int) -> Double {
        if isExact {
            let values = try buffers.values("moments", as: UInt64.self)
            return { Double(values[$0]) }
        }
        let values = try buffers.values("moments", as: Double.self)
        return { values[$0] }
    }
}
