import StemwireKernels
import StemwireUDF

/// Floating-point sums with a factor, rows beside them, and a result that depends on the factor once more.
struct Weighted: FrameUDF {
    static let name = "weighted"

    struct Parameters: UDFParameters {
        var factor = 1.0
        /// The layout of the rows.
        var columns = 1
    }
    let parameters: Parameters

    init(parameters: Parameters, meta: UDFMeta) { self.parameters = parameters }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [
            .nav("value", .float64, extraShape: [parameters.columns]),
            .sig("total", .float64),
            .single("frames", .uint64),
            .nav("scaled", .float64, use: .resultOnly),
        ]
    }

    func process(_ frame: Frame, _ context: Context) throws {
        let pixels = try frame.pixels(as: UInt16.self)
        let total = try context.buffer("total", as: Double.self)
        for index in pixels.indices { total[index] += Double(pixels[index]) * parameters.factor / 3 }
        try context.buffer("frames", as: UInt64.self)[0] += 1
        try context.buffer("value", as: Double.self).update(repeating: Double(pixels[0]) * parameters.factor)
    }

    func computeResults(_ context: ResultsContext) throws {
        let value = try context.merged.values("value", as: Double.self)
        let scaled = try context.results.elements("scaled", as: Double.self)
        for range in context.processed.ranges {
            for position in range { scaled[position] = value[position * parameters.columns] * parameters.factor }
        }
    }
}

/// Exact sums with a factor, which may be merged in any grouping, and rows beside them.
struct Counted: FrameUDF {
    static let name = "counted"

    struct Parameters: UDFParameters { var factor: UInt64 = 1 }
    let parameters: Parameters

    init(parameters: Parameters, meta: UDFMeta) { self.parameters = parameters }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("value", .uint64), .sig("total", .uint64)] }

    func process(_ frame: Frame, _ context: Context) throws {
        let pixels = try frame.pixels(as: UInt16.self)
        let total = try context.buffer("total", as: UInt64.self)
        for index in pixels.indices { total[index] += UInt64(pixels[index]) * parameters.factor }
        try context.buffer("value", as: UInt64.self)[0] = UInt64(pixels[0]) * parameters.factor
    }
}

/// Rows alone, and results that are computed from private ones.
struct Rooted: FrameUDF {
    static let name = "rooted"

    struct Parameters: UDFParameters {
        /// Changes what is made while processing, and what is computed from it.
        var pixel = 0
        var offset = 0.0
    }
    let parameters: Parameters

    init(parameters: Parameters, meta: UDFMeta) { self.parameters = parameters }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [.nav("kept", .uint16, use: .private), .nav("root", .float64, use: .resultOnly)]
    }

    func process(_ frame: Frame, _ context: Context) throws {
        try context.buffer("kept", as: UInt16.self)[0] = try frame.pixels(as: UInt16.self)[parameters.pixel]
    }

    func computeResults(_ context: ResultsContext) throws {
        let kept = try context.merged.values("kept", as: UInt16.self)
        let root = try context.results.elements("root", as: Double.self)
        for range in context.processed.ranges {
            for position in range { root[position] = Double(kept[position]).squareRoot() + parameters.offset }
        }
    }
}

/// Buffers whose merging depends on what they begin with, and on which frame is the newest.
struct Extremes: FrameUDF {
    static let name = "extremes"

    struct Parameters: UDFParameters { var factor: Int64 = 1 }
    let parameters: Parameters

    init(parameters: Parameters, meta: UDFMeta) { self.parameters = parameters }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [
            .sig("lowest", .int64, merge: .minimum), .sig("newest", .int64, merge: .overwrite),
            .single("end", .uint64, use: .scratch),
        ]
    }

    func process(_ frame: Frame, _ context: Context) throws {
        let pixels = try frame.pixels(as: UInt16.self)
        let lowest = try context.buffer("lowest", as: Int64.self)
        let newest = try context.buffer("newest", as: Int64.self)
        let end = try context.buffer("end", as: UInt64.self)
        let isNewer = UInt64(frame.position) >= end[0]
        if isNewer { end[0] = UInt64(frame.position) + 1 }
        for index in pixels.indices {
            // Above zero, which fresh buffers do not begin with.
            let value = Int64(pixels[index]) * parameters.factor + 1
            lowest[index] = min(lowest[index], value)
            if isNewer { newest[index] = value }
        }
    }
}
