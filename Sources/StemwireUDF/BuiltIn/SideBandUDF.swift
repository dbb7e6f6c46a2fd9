import Glibc
import StemwireKernels

/// `ssb`: the phase and amplitude of a weakly scattering specimen by single side band ptychography, while the scan goes
/// on.
///
/// For each spatial frequency q of the scan, F(q) = Σ over scan positions r of e^(−2πi q · r) · Σ over detector pixels k of
/// frame(r, k) · trotter(q, k); the trotters, where undiffracted and diffracted disk overlap, are made once (see `Trotters`
/// for their definition and sources). Each frame is worked on when it comes, and forgotten: the live scheme of Strauch et
/// al., Microscopy and Microanalysis 27 (2021) 1078, and of Ptychography40's `SSB_UDF`, whose numbers these are. Since
/// F(−q) = −F(q)*, half of the frequencies suffice. Channels:
///
/// | channel | shape | |
/// |---|---|---|
/// | `phase` | nav | the angle of f = F⁻¹(F) in radians, −π … π: the phase of the specimen |
/// | `amplitude` | nav | √abs(f) |
/// | `fourier` | single, the shape of the scan, `complex128` | F; frequency 0 first, negative ones behind the positive ones |
///
/// `phase` and `amplitude` are `float32`, for pixels wider than 16 bits `float64`, and NaN at positions that are not
/// processed. F is summed up as `float64` and merged in a fixed order. The amplitude is not normalised: its square is
/// the mean count of a pixel of the undiffracted disk. A frequency of exactly half a period per step counts as positive.
///
/// **Cost.** Each frame is multiplied with all trotters; that takes time in proportion to their pixels. Their memory is
/// checked beforehand; it grows with the number of scan positions times the area of the disk in pixels, so a binned or
/// smaller disk helps.
public struct SideBandUDF: TileUDF {
    public static let name = "ssb"
    public static let parameterHelp = [
        "energy": "of the electrons in keV; or give wavelength",
        "wavelength": "of the electrons in nm; default: from energy",
        "step": "of the scan in nm: y,x, or one number for both",
        "semiconv": "semiconvergence angle in rad",
        "semiconv_pix": "radius of the undiffracted disk in pixels",
        "cy": "row of the middle of the undiffracted disk in pixels; default: height / 2",
        "cx": "column of the middle of the undiffracted disk in pixels; default: width / 2",
        "scan_rotation": "degrees, as of com: positive turns shifts on the detector clockwise onto the scan",
        "flip_y": "true where row 0 of the frame is its lowest, as of the Merlin",
        "cutoff": "smallest trotter that is used, in pixels",
    ]
    /// The most memory for trotters.
    static let largestTrotters = 2 << 30

    public struct Parameters: UDFParameters {
        /// Of the electrons in keV.
        public var energy: Double?
        /// Of the electrons in nm; nil for that of `energy`.
        public var wavelength: Double?
        /// Of the scan in nm, (y, x), or one for both.
        public var step: [Double]?
        /// Semiconvergence angle in rad.
        public var semiconv: Double?
        /// Radius of the undiffracted disk in pixels.
        public var semiconvPixels: Double?
        /// Row of the middle of the undiffracted disk in pixels; nil for half the height.
        public var cy: Double?
        /// Column of the middle of the undiffracted disk in pixels; nil for half the width.
        public var cx: Double?
        /// Degrees, as of `com`.
        public var scanRotation = 0.0
        /// Whether row 0 of a frame is its lowest.
        public var flipY = false
        /// Smallest trotter that is used, in pixels.
        public var cutoff = 1.0

        private enum CodingKeys: String, CodingKey {
            case energy, wavelength, step, semiconv
            case semiconvPixels = "semiconv_pix"
            case cy, cx
            case scanRotation = "scan_rotation"
            case flipY = "flip_y"
            case cutoff
        }

        public init() {}

        /// - Parameters:
        ///   - energy: Of the electrons in keV.
        ///   - step: Of the scan in nm.
        ///   - semiconv: Semiconvergence angle in rad.
        ///   - semiconvPixels: Radius of the undiffracted disk in pixels.
        public init(
            energy: Double, step: (y: Double, x: Double), semiconv: Double, semiconvPixels: Double, cy: Double? = nil,
            cx: Double? = nil, scanRotation: Double = 0, flipY: Bool = false, cutoff: Double = 1
        ) {
            self.energy = energy
            self.step = [step.y, step.x]
            self.semiconv = semiconv
            self.semiconvPixels = semiconvPixels
            self.cy = cy
            self.cx = cx
            self.scanRotation = scanRotation
            self.flipY = flipY
            self.cutoff = cutoff
        }
    }

    private let trotters: Trotters
    /// Made by the first thread that needs it: a plan that is only checked does not pay for it.
    private let product = SharedValue<SparseProduct?>(nil)
    private let isDouble: Bool
    private let realType: DType
    public let input: InputType

    public init(parameters: Parameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        guard meta.navShape.count == 2 else {
            throw UDFFailure(
                "the scan of shape \(meta.navShape) is not one of rows and columns: set its nav shape to two sizes, Y X"
            )
        }
        let wavelength = try Self.wavelength(parameters)
        let step = try Self.checkedStep(parameters.step)
        guard let angle = parameters.semiconv, angle > 0, angle < .pi / 2 else {
            throw UDFFailure("semiconv: the semiconvergence angle in rad is needed, such as semiconv=0.022")
        }
        guard let radius = parameters.semiconvPixels, radius >= 1, radius.isFinite else {
            throw UDFFailure("semiconv_pix: the radius of the undiffracted disk in pixels is needed, at least 1")
        }
        let centre = try checkedCentre(
            parameters.cy ?? Double(meta.sigShape.height) / 2, parameters.cx ?? Double(meta.sigShape.width) / 2, meta)
        guard parameters.scanRotation.isFinite else {
            throw UDFFailure("scan_rotation: \(parameters.scanRotation) is no angle; give degrees")
        }
        guard parameters.cutoff > 0, parameters.cutoff.isFinite else {
            throw UDFFailure("cutoff: \(parameters.cutoff) is no number of pixels; it must be above 0")
        }
        trotters = Trotters(
            sigShape: meta.sigShape, scan: (meta.navShape[0], meta.navShape[1]), step: step, centre: centre,
            radius: radius, pixelSize: sin(angle) / wavelength / radius,
            rotation: parameters.scanRotation * .pi / 180, flipY: parameters.flipY, cutoff: parameters.cutoff)
        realType = meta.realDType
        isDouble = realType == .float64
        input = meta.hasCounts && !isDouble ? .stack : .native
        let entries = trotters.estimatedEntries
        let bytes = entries * Double(SparseRows.byteCount(entries: 1, isDouble: isDouble))
        guard bytes <= Double(Self.largestTrotters), entries < Double(UInt32.max) else {
            throw UDFFailure(
                "the trotters of \(meta.navShape[0]) × \(meta.navShape[1]) scan positions with a disk of "
                    + "\(radius) pixels take about \((bytes / 0x1p30 * 10).rounded() / 10) GiB, more than "
                    + "\(Self.largestTrotters >> 30) GiB: bin the frames, or scan fewer positions")
        }
    }

    /// In nm: λ = h c / √(T² + 2 T m c²) for electrons of the kinetic energy T.
    static func wavelength(keV energy: Double) -> Double {
        let kinetic = energy * 1e3
        return 1239.841_984_332_002_6 / (kinetic * kinetic + 2 * kinetic * 510_998.950_69).squareRoot()
    }

    private static func wavelength(_ parameters: Parameters) throws -> Double {
        switch (parameters.energy, parameters.wavelength) {
        case (let energy?, nil) where energy > 0 && energy.isFinite: return wavelength(keV: energy)
        case (nil, let wavelength?) where wavelength > 0 && wavelength.isFinite: return wavelength
        case (nil, nil): throw UDFFailure("energy: the energy of the electrons in keV is needed, such as energy=200")
        default: throw UDFFailure("energy, wavelength: give one of the two, above 0")
        }
    }

    private static func checkedStep(_ step: [Double]?) throws -> (y: Double, x: Double) {
        guard let step, (1...2).contains(step.count), step.allSatisfy({ $0 > 0 && $0.isFinite }) else {
            throw UDFFailure("step: the step of the scan in nm is needed: y,x, or one number for both, above 0")
        }
        return (step[0], step[step.count - 1])
    }

    public var preferredTileDepth: Int { SparseProduct.batch }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [
            .nav("phase", realType, use: .resultOnly), .nav("amplitude", realType, use: .resultOnly),
            .single("fourier", .complex128, extraShape: meta.navShape, use: .resultOnly),
            .single(
                "half", .complex128, extraShape: [trotters.frequencyRows, trotters.scan.columns], use: .private),
        ]
    }

    public func makeTaskData(_ meta: UDFMeta) throws -> Scratch {
        let product = product.withLock { product in
            let made = product ?? SparseProduct(trotters.masks(isDouble: isDouble), meta: meta)
            product = made
            return made
        }
        return Scratch(product, trotters)
    }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        let half = try context.buffer("half", as: Complex128.self)
        let scratch = context.data
        let columns = trotters.scan.columns
        try scratch.product.multiply(
            tile, scratch: scratch.pixels.pointer,
            begin: { frames in
                let first = tile.positions.lowerBound
                scratch.rows.set(frames.map { (first + $0) / columns })
                scratch.columns.set(frames.map { (first + $0) % columns })
            },
            take: { mask, sums in
                let (row, column) = (scratch.rows.waves[mask / columns], scratch.columns.waves[mask % columns])
                half[mask].real += (sums * (row.real * column.real - row.imaginary * column.imaginary)).sum()
                half[mask].imaginary += (sums * (row.real * column.imaginary + row.imaginary * column.real)).sum()
            })
    }

    public func computeResults(_ context: ResultsContext) throws {
        let (rows, columns) = trotters.scan
        let half = try context.merged.values("half", as: Complex128.self)
        var spectrum = Array(half)
        for row in trotters.frequencyRows..<rows {
            for column in 0..<columns {
                let opposite = half[(rows - row) * columns + (columns - column) % columns]
                spectrum.append(Complex128(-opposite.real, opposite.imaginary))
            }
        }
        let fourier = try context.results.elements("fourier", as: Complex128.self)
        for index in spectrum.indices { fourier[index] = spectrum[index] }
        FourierTransform.invert(&spectrum, rows: rows, columns: columns)
        let phase = try RealBuffer("phase", realType, context.results)
        let amplitude = try RealBuffer("amplitude", realType, context.results)
        for range in context.processed.ranges {
            for position in range {
                let value = spectrum[position]
                phase.set(position, atan2(value.imaginary, value.real))
                amplitude.set(position, hypot(value.real, value.imaginary).squareRoot())
            }
        }
    }
}

extension SideBandUDF {
    /// What a thread needs for its work.
    public final class Scratch {
        fileprivate let product: SparseProduct
        fileprivate let pixels: AlignedStorage
        fileprivate let rows: Waves
        fileprivate let columns: Waves

        fileprivate init(_ product: SparseProduct, _ trotters: Trotters) {
            self.product = product
            pixels = AlignedStorage(uninitialized: product.scratchBytes)
            rows = Waves(period: trotters.scan.rows, count: trotters.frequencyRows)
            columns = Waves(period: trotters.scan.columns, count: trotters.scan.columns)
        }
    }

    /// e^(−2πi q r / period) for the frequencies q from 0 on, at the places r of the frames that are worked on.
    fileprivate final class Waves {
        private let period: Int
        /// cos and −sin of 2π k / period.
        private let roots: [Complex128]
        private(set) var waves: [(real: SIMD16<Double>, imaginary: SIMD16<Double>)]

        init(period: Int, count: Int) {
            self.period = period
            roots = (0..<period).map { index in
                let angle = 2 * Double.pi * Double(index) / Double(period)
                return Complex128(cos(angle), -sin(angle))
            }
            waves = Array(repeating: (.zero, .zero), count: count)
        }

        func set(_ places: [Int]) {
            // By way of memory: setting the lanes of a vector one by one is many times as slow.
            waves.withUnsafeMutableBytes { bytes in
                let numbers = bytes.assumingMemoryBound(to: Double.self)
                for (lane, place) in places.enumerated() {
                    var index = 0
                    for frequency in 0..<numbers.count / (2 * SparseProduct.batch) {
                        let first = frequency * 2 * SparseProduct.batch + lane
                        numbers[first] = roots[index].real
                        numbers[first + SparseProduct.batch] = roots[index].imaginary
                        index += place
                        if index >= period { index -= period }
                    }
                }
            }
        }
    }
}
