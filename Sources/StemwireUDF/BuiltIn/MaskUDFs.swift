import StemwireKernels

/// A UDF that adds up the pixels of one binary mask, for each frame.
protocol MaskUDF: PixelWorkUDF {
    var mask: RunLengthMask { get }
    /// Whether the pixels are counts.
    var isExact: Bool { get }
}

extension MaskUDF {
    public var input: InputType { isExact ? .stack : .native }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [.nav("intensity", isExact ? .uint64 : .float64)]
    }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        if try isWorkDone(on: tile, context) { return }
        try RealSums.sum(tile, mask.pixelRanges, into: try context.buffer("intensity", as: Double.self))
    }

    func work(on frames: Range<Int>, _ context: Context) throws -> PixelWork? {
        guard isExact else { return nil }
        return .maskedSums(mask, into: try context.buffer("intensity", as: UInt64.self))
    }
}

/// `disk`: the sum over a disk, for each frame: the virtual bright field.
///
/// A pixel counts when its centre, at whole-numbered coordinates, is not farther than `r` from (cy, cx).
/// Channel `intensity` (nav): of counts `uint64`, exact; of floating-point pixels `float64`.
public struct DiskUDF: MaskUDF {
    public static let name = "disk"
    public static let parameterHelp = [
        "cy": "row of the centre in pixels; default: height div 2",
        "cx": "column of the centre in pixels; default: width div 2",
        "r": "radius in pixels; default: 0.15 of the shorter side",
    ]

    public struct Parameters: UDFParameters {
        /// Row of the centre in pixels; nil for height div 2.
        public var cy: Double?
        /// Column of the centre in pixels; nil for width div 2.
        public var cx: Double?
        /// Radius in pixels; nil for 0.3 of half the shorter side.
        public var r: Double?

        public init() {}

        public init(cy: Double? = nil, cx: Double? = nil, r: Double?) {
            self.cy = cy
            self.cx = cx
            self.r = r
        }
    }

    let mask: RunLengthMask
    let isExact: Bool

    public init(parameters: Parameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        isExact = meta.hasCounts
        let (cy, cx) = try checkedCentre(parameters.cy, parameters.cx, meta)
        let radius = parameters.r ?? 0.3 * meta.halfSide
        guard radius >= 0 else { throw UDFFailure("r: \(radius) is no radius") }
        mask = .disk(meta.sigShape, cy: cy, cx: cx, radius: radius)
    }
}

/// `ring`: the sum over a ring, for each frame: the virtual annular dark field.
///
/// A pixel counts when its centre, at whole-numbered coordinates, is not farther than `ro` from (cy, cx), but farther than
/// `ri`. Channel `intensity` (nav): of counts `uint64`, exact; of floating-point pixels `float64`.
public struct RingUDF: MaskUDF {
    public static let name = "ring"
    public static let parameterHelp = [
        "cy": "row of the centre in pixels; default: height div 2",
        "cx": "column of the centre in pixels; default: width div 2",
        "ri": "inner radius in pixels; default: 0.8 of ro",
        "ro": "outer radius in pixels; default: half the shorter side",
    ]

    public struct Parameters: UDFParameters {
        /// Row of the centre in pixels; nil for height div 2.
        public var cy: Double?
        /// Column of the centre in pixels; nil for width div 2.
        public var cx: Double?
        /// Inner radius in pixels; nil for 0.8 of the outer one.
        public var ri: Double?
        /// Outer radius in pixels; nil for half the shorter side.
        public var ro: Double?

        public init() {}

        public init(cy: Double? = nil, cx: Double? = nil, ri: Double?, ro: Double?) {
            self.cy = cy
            self.cx = cx
            self.ri = ri
            self.ro = ro
        }
    }

    let mask: RunLengthMask
    let isExact: Bool

    public init(parameters: Parameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        isExact = meta.hasCounts
        let (cy, cx) = try checkedCentre(parameters.cy, parameters.cx, meta)
        let outer = parameters.ro ?? meta.halfSide
        let inner = parameters.ri ?? 0.8 * outer
        guard inner >= 0, outer > inner else {
            throw UDFFailure("ri: \(inner) and ro: \(outer) enclose no ring; ri is at least 0, and ro larger than ri")
        }
        mask = .ring(meta.sigShape, cy: cy, cx: cx, innerRadius: inner, outerRadius: outer)
    }
}

/// `point`: one detector pixel, for each frame.
///
/// Channel `intensity` (nav): of counts `uint64`, exact; of floating-point pixels `float64`.
public struct PointUDF: MaskUDF {
    public static let name = "point"
    public static let parameterHelp = [
        "cy": "row of the pixel; default: height div 2", "cx": "column of the pixel; default: width div 2",
    ]

    public struct Parameters: UDFParameters {
        /// Row of the pixel; nil for height div 2.
        public var cy: Int?
        /// Column of the pixel; nil for width div 2.
        public var cx: Int?

        public init() {}

        public init(cy: Int?, cx: Int?) {
            self.cy = cy
            self.cx = cx
        }
    }

    let mask: RunLengthMask
    let isExact: Bool

    public init(parameters: Parameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        isExact = meta.hasCounts
        let y = parameters.cy ?? meta.centre.y
        let x = parameters.cx ?? meta.centre.x
        guard (0..<meta.sigShape.height).contains(y), (0..<meta.sigShape.width).contains(x) else {
            throw UDFFailure(
                "cy: \(y), cx: \(x) is not in the frame of \(meta.sigShape.height) × \(meta.sigShape.width) pixels")
        }
        mask = .rectangle(meta.sigShape, y: y..<y + 1, x: x..<x + 1)
    }
}

/// `rectangle`: the sum over a rectangle, for each frame.
///
/// Channel `intensity` (nav): of counts `uint64`, exact; of floating-point pixels `float64`.
public struct RectangleUDF: MaskUDF {
    public static let name = "rectangle"
    public static let parameterHelp = [
        "y": "first row in pixels", "x": "first column in pixels", "height": "rows", "width": "columns",
    ]

    public struct Parameters: UDFParameters {
        /// First row.
        public var y: Int?
        /// First column.
        public var x: Int?
        /// Number of rows.
        public var height: Int?
        /// Number of columns.
        public var width: Int?

        public init() {}

        public init(y: Int, x: Int, height: Int, width: Int) {
            self.y = y
            self.x = x
            self.height = height
            self.width = width
        }
    }

    let mask: RunLengthMask
    let isExact: Bool

    public init(parameters: Parameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        isExact = meta.hasCounts
        guard let y = parameters.y, let x = parameters.x, let height = parameters.height, let width = parameters.width
        else { throw UDFFailure("y, x, height and width are all needed") }
        let shape = meta.sigShape
        guard height > 0, width > 0, y >= 0, x >= 0, y < shape.height, x < shape.width,
            height <= shape.height - y, width <= shape.width - x
        else {
            throw UDFFailure(
                "the rectangle of \(height) × \(width) pixels at y = \(y), x = \(x) is not inside the frame of "
                    + "\(shape.height) × \(shape.width)")
        }
        mask = .rectangle(shape, y: y..<y + height, x: x..<x + width)
    }
}

/// The given centre of a mask, or the default one.
func checkedCentre(_ cy: Double?, _ cx: Double?, _ meta: UDFMeta) throws -> (y: Double, x: Double) {
    let centre = (cy ?? Double(meta.centre.y), cx ?? Double(meta.centre.x))
    guard centre.0.isFinite, centre.1.isFinite else {
        throw UDFFailure("cy: \(centre.0), cx: \(centre.1) is no place on the detector")
    }
    return centre
}

extension UDFMeta {
    /// Half the shorter side of a frame, in pixels.
    fileprivate var halfSide: Double { Double(min(sigShape.height, sigShape.width)) / 2 }
}
