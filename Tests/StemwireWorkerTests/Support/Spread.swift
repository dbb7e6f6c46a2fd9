import StemwireUDF

/// The standard deviation of each pixel by the joining of parts (Chan, Golub and LeVeque 1983): a merge of its own, and
/// results that are computed from the merged buffers.
struct Spread: FrameUDF {
    static let name = "spread"

    struct Parameters: UDFParameters {
        var scale: Double = 1
    }
    let scale: Double

    init(parameters: Parameters, meta: UDFMeta) throws {
        guard parameters.scale > 0 else { throw UDFFailure("scale must be above 0") }
        scale = parameters.scale
    }

    var input: InputType { .float32 }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [
            .sig("spread", .float64, use: .resultOnly),
            .nav("offset", .float64, use: .resultOnly),
            .nav("first", .float64, use: .private),
            .sig("mean", .float64, use: .private, merge: .custom),
            .sig("squares", .float64, use: .private, merge: .custom),
            .single("count", .float64, use: .private),
        ]
    }

    func process(_ frame: Frame, _ context: Context) throws {
        let pixels = try frame.pixels(as: Float.self)
        let (mean, squares) = (
            try context.buffer("mean", as: Double.self), try context.buffer("squares", as: Double.self)
        )
        let count = try context.buffer("count", as: Double.self)
        count[0] += 1
        for index in pixels.indices {
            let difference = Double(pixels[index]) - mean[index]
            mean[index] += difference / count[0]
            squares[index] += difference * (Double(pixels[index]) - mean[index])
        }
        try context.buffer("first", as: Double.self)[0] = Double(pixels[0])
    }

    func merge(into destination: UDFBuffers, from source: UDFBuffers) throws {
        let counts = (
            try destination.values("count", as: Double.self)[0], try source.values("count", as: Double.self)[0]
        )
        guard counts.1 > 0 else { return }
        let (mean, squares) = (
            try destination.elements("mean", as: Double.self), try destination.elements("squares", as: Double.self)
        )
        let (otherMean, otherSquares) = (
            try source.values("mean", as: Double.self), try source.values("squares", as: Double.self)
        )
        let sum = counts.0 + counts.1
        for index in mean.indices {
            let difference = otherMean[index] - mean[index]
            mean[index] += difference * counts.1 / sum
            squares[index] += otherSquares[index] + difference * difference * counts.0 * counts.1 / sum
        }
    }

    func computeResults(_ context: ResultsContext) throws {
        let count = try context.merged.values("count", as: Double.self)[0]
        let squares = try context.merged.values("squares", as: Double.self)
        let spread = try context.results.elements("spread", as: Double.self)
        for index in spread.indices where count > 0 { spread[index] = (squares[index] / count).squareRoot() * scale }
        let mean = try context.merged.values("mean", as: Double.self)[0]
        let first = try context.merged.values("first", as: Double.self)
        let offset = try context.results.elements("offset", as: Double.self)
        var valid = PositionSet(size: offset.count)
        for position in offset.indices where context.processed.contains(position) {
            offset[position] = first[position] - mean
            if offset[position] >= 0 { valid.insert(position..<position + 1) }
        }
        try context.setValid(valid, for: "offset")
    }
}

/// Fails on one frame.
struct FailsAt: FrameUDF {
    static let name = "fails-at"

    struct Parameters: UDFParameters { var position = 0 }
    let position: Int

    init(parameters: Parameters, meta: UDFMeta) { position = parameters.position }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("intensity", .uint64)] }

    func process(_ frame: Frame, _ context: Context) throws {
        if frame.position == position { throw UDFFailure("it was told to fail") }
    }
}

extension UDFRegistry {
    static var test: UDFRegistry {
        get throws { try .builtIn.adding(Spread.self).adding(FailsAt.self) }
    }
}
