import StemwireUDF

// UDFs that only workers have.

/// Counts of each frame, and of each pixel: merged by place and by sum.
struct CountsUDF: FrameUDF {
    static let name = "counts"

    init(parameters: NoParameters, meta: UDFMeta) {}

    var input: InputType { .float32 }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [.nav("frame", .float64), .sig("pixel", .uint64)]
    }

    func process(_ frame: Frame, _ context: Context) throws {
        let pixels = try frame.pixels(as: Float.self)
        try context.buffer("frame", as: Double.self)[0] = pixels.reduce(0) { $0 + Double($1) }
        let sums = try context.buffer("pixel", as: UInt64.self)
        for pixel in pixels.indices { sums[pixel] += UInt64(pixels[pixel]) }
    }
}

/// A sum whose last bits depend on the order, a merge of its own, and results that are computed.
struct BlendUDF: FrameUDF {
    static let name = "blend"

    struct Parameters: UDFParameters {
        var divisor = 3.0
    }
    private let divisor: Float

    init(parameters: Parameters, meta: UDFMeta) throws {
        WorkerProcess.passing(.plan)
        guard parameters.divisor > 0 else { throw UDFFailure("the divisor must be above 0") }
        divisor = Float(parameters.divisor)
    }

    var input: InputType { .float32 }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [
            .sig("sum", .float32),
            .sig("blend", .float32, use: .private, merge: .custom),
            .single("frames", .float64, use: .private),
            .nav("brightest", .float32, use: .private),
            .sig("mean", .float32, use: .resultOnly),
            .nav("above", .bool, use: .resultOnly),
        ]
    }

    func process(_ frame: Frame, _ context: Context) throws {
        WorkerProcess.passing(.process)
        let pixels = try frame.pixels(as: Float.self)
        let sum = try context.buffer("sum", as: Float.self)
        let blend = try context.buffer("blend", as: Float.self)
        for pixel in pixels.indices {
            sum[pixel] += pixels[pixel] / divisor
            blend[pixel] = blend[pixel] * 0.7 + pixels[pixel] / divisor
        }
        try context.buffer("frames", as: Double.self)[0] += 1
        try context.buffer("brightest", as: Float.self)[0] = pixels.max() ?? 0
    }

    func merge(into destination: UDFBuffers, from source: UDFBuffers) throws {
        WorkerProcess.passing(.merge)
        let blend = try destination.elements("blend", as: Float.self)
        let other = try source.values("blend", as: Float.self)
        let share = Float(try destination.values("frames", as: Double.self)[0]).squareRoot()
        for pixel in blend.indices { blend[pixel] = blend[pixel] / share + other[pixel] }
    }

    func computeResults(_ context: ResultsContext) throws {
        WorkerProcess.passing(.results)
        let frames = Float(try context.merged.values("frames", as: Double.self)[0])
        let sum = try context.merged.values("sum", as: Float.self)
        let blend = try context.merged.values("blend", as: Float.self)
        let mean = try context.results.elements("mean", as: Float.self)
        for pixel in mean.indices where frames > 0 { mean[pixel] = sum[pixel] / frames + blend[pixel] }
        let brightest = try context.merged.values("brightest", as: Float.self)
        let above = try context.results.elements("above", as: Bool.self)
        var valid = PositionSet(size: context.meta.positionCount)
        for position in above.indices where position % 3 != 0 && context.processed.contains(position) {
            above[position] = brightest[position] > 1000
            valid.insert(position..<position + 1)
        }
        try context.setValid(valid, for: "above")
    }
}

/// A merge of its own that never succeeds.
struct QuarrelUDF: FrameUDF {
    static let name = "quarrel"

    init(parameters: NoParameters, meta: UDFMeta) {}

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [.single("frames", .uint64, merge: .custom), .nav("seen", .uint8)]
    }

    func process(_ frame: Frame, _ context: Context) throws {
        try context.buffer("frames", as: UInt64.self)[0] += 1
        try context.buffer("seen", as: UInt8.self)[0] = 1
    }

    func merge(into destination: UDFBuffers, from source: UDFBuffers) throws {
        throw UDFFailure("the halves disagree")
    }
}

let foreignRegistry: UDFRegistry = {
    var registry = UDFRegistry.builtIn
    // Their names are not taken.
    try! registry.add(CountsUDF.self)
    try! registry.add(BlendUDF.self)
    try! registry.add(QuarrelUDF.self)
    return registry
}()
