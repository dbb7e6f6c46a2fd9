import StemwireKernels
import StemwireUDF

// UDFs as users write them.

/// One number for each frame, from native counts of any type.
struct Brightest: FrameUDF {
    static let name = "brightest"

    struct Parameters: UDFParameters {
        var above: UInt64 = 0
    }
    let parameters: Parameters

    init(parameters: Parameters, meta: UDFMeta) { self.parameters = parameters }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("intensity", .uint64)] }

    func process(_ frame: Frame, _ context: Context) throws {
        func largest<Pixel: ResultElement & UnsignedInteger>(_ type: Pixel.Type) throws -> UInt64 {
            UInt64(try frame.pixels(as: type).max() ?? 0)
        }
        let brightest =
            switch frame.dtype {
            case .uint8: try largest(UInt8.self)
            case .uint16: try largest(UInt16.self)
            case .uint32: try largest(UInt32.self)
            default: try largest(UInt64.self)
            }
        try context.buffer("intensity", as: UInt64.self)[0] =
            brightest > parameters.above ? brightest - parameters.above : 0
    }
}

/// A floating-point sum over frames, whose last bits depend on the order; with a result that is computed from it.
struct FloatMean: FrameUDF {
    static let name = "float-mean"

    init(parameters: NoParameters, meta: UDFMeta) {}

    var input: InputType { .float32 }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [
            .sig("mean", .float32, use: .resultOnly),
            .sig("sum", .float32, use: .private),
            .single("count", .float32, use: .private),
            .nav("root", .float32),
        ]
    }

    func process(_ frame: Frame, _ context: Context) throws {
        let pixels = try frame.pixels(as: Float.self)
        let sum = try context.buffer("sum", as: Float.self)
        for index in pixels.indices { sum[index] += pixels[index] / 3 }
        try context.buffer("count", as: Float.self)[0] += 1
        try context.buffer("root", as: Float.self)[0] = pixels[0].squareRoot()
    }

    func computeResults(_ context: ResultsContext) throws {
        let count = try context.merged.values("count", as: Float.self)[0]
        let sum = try context.merged.values("sum", as: Float.self)
        let mean = try context.results.elements("mean", as: Float.self)
        for index in sum.indices where count > 0 { mean[index] = 3 * sum[index] / count }
    }
}

/// The variance for each pixel by Chan's joining of parts: tiles, a merge of its own, scratch and task data.
struct Variance: TileUDF {
    static let name = "variance"

    final class Scratch {
        var mean: [Double] = []
    }

    init(parameters: NoParameters, meta: UDFMeta) {}

    var input: InputType { .float32 }
    var preferredTileDepth: Int { 3 }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [
            .sig("variance", .float64, use: .resultOnly),
            .sig("sum", .float64, use: .private),
            .sig("deviations", .float64, use: .private, merge: .custom),
            .single("count", .float64, use: .private),
        ]
    }

    func makeTaskData(_ meta: UDFMeta) throws -> Scratch {
        let scratch = Scratch()
        scratch.mean = Array(repeating: 0, count: meta.sigShape.pixelCount)
        return scratch
    }

    func process(_ tile: FrameTile, _ context: Context) throws {
        let sum = try context.buffer("sum", as: Double.self)
        let deviations = try context.buffer("deviations", as: Double.self)
        let count = try context.buffer("count", as: Double.self)
        let own = Double(tile.count)
        for pixel in 0..<tile.pixelCount {
            let values = try (0..<tile.count).map { Double(try tile.pixels(ofFrame: $0, as: Float.self)[pixel]) }
            let mean = values.reduce(0, +) / own
            let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
            context.data.mean[pixel] = mean
            deviations[pixel] = Self.join(
                count[0], sum[pixel], deviations[pixel], own, mean * own, squares)
            sum[pixel] += mean * own
        }
        count[0] += own
    }

    func merge(into destination: UDFBuffers, from source: UDFBuffers) throws {
        let left = try destination.elements("deviations", as: Double.self)
        let right = try source.values("deviations", as: Double.self)
        let counts = (
            try destination.values("count", as: Double.self)[0], try source.values("count", as: Double.self)[0]
        )
        let sums = (
            try destination.values("sum", as: Double.self), try source.values("sum", as: Double.self)
        )
        for pixel in left.indices {
            left[pixel] = Self.join(
                counts.0, sums.0[pixel], left[pixel], counts.1, sums.1[pixel], right[pixel])
        }
    }

    func computeResults(_ context: ResultsContext) throws {
        let count = try context.merged.values("count", as: Double.self)[0]
        let deviations = try context.merged.values("deviations", as: Double.self)
        let variance = try context.results.elements("variance", as: Double.self)
        for pixel in deviations.indices where count > 0 { variance[pixel] = deviations[pixel] / count }
    }

    private static func join(
        _ n0: Double, _ s0: Double, _ v0: Double, _ n1: Double, _ s1: Double, _ v1: Double
    ) -> Double {
        guard n0 > 0 else { return v1 }
        guard n1 > 0 else { return v0 }
        let delta = s1 / n1 - s0 / n0
        let mean = s0 / n0 + n1 * delta / (n0 + n1)
        return v0 + v1 + n1 * delta * (s1 / n1 - mean)
    }
}

/// Writes down the order in which it sees frames and in which parts are merged, as a number: h(ab) = h(a) · b^|b| + h(b).
struct SeenOrder: FrameUDF {
    static let name = "seen-order"
    static let base: UInt64 = 0x0000_0100_0000_01b3

    init(parameters: NoParameters, meta: UDFMeta) {}

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [.single("hash", .uint64, extraShape: [2], merge: .custom)]
    }

    func preprocess(_ context: Context) throws { try context.buffer("hash", as: UInt64.self)[1] = 1 }

    func process(_ frame: Frame, _ context: Context) throws {
        let hash = try context.buffer("hash", as: UInt64.self)
        hash[0] = hash[0] &* Self.base &+ UInt64(frame.position)
        hash[1] = hash[1] &* Self.base
    }

    func merge(into destination: UDFBuffers, from source: UDFBuffers) throws {
        let left = try destination.elements("hash", as: UInt64.self)
        let right = try source.values("hash", as: UInt64.self)
        left[0] = left[0] &* right[1] &+ right[0]
        left[1] = left[1] &* right[1]
    }

    static func expected(_ positions: some Sequence<Int>) -> UInt64 {
        positions.reduce(0) { $0 &* base &+ UInt64($1) }
    }
}

/// The mean of each frame, from floating-point pixels: may be merged in any grouping.
struct FrameMean: TileUDF {
    static let name = "frame-mean"

    init(parameters: NoParameters, meta: UDFMeta) {}

    var input: InputType { .float32 }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("intensity", .float64)] }

    func process(_ tile: FrameTile, _ context: Context) throws {
        let means = try context.buffer("intensity", as: Double.self)
        for index in 0..<tile.count {
            let pixels = try tile.pixels(ofFrame: index, as: Float.self)
            means[index] = pixels.reduce(0) { $0 + Double($1) } / Double(pixels.count)
        }
    }
}

/// Sees whole partitions: how many frames each has, and the sum of the newest one.
struct PartitionCount: PartitionUDF {
    static let name = "partition-count"

    init(parameters: NoParameters, meta: UDFMeta) {}

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [.nav("frames", .int32, extraShape: [2]), .sig("newest", .uint64, merge: .overwrite)]
    }

    func process(_ partition: FramePartition, _ context: Context) throws {
        let frames = try context.buffer("frames", as: Int32.self)
        for index in 0..<partition.range.count {
            frames[2 * index] = Int32(partition.count)
            frames[2 * index + 1] = Int32(context.partition)
        }
        let newest = try context.buffer("newest", as: UInt64.self)
        for index in 0..<partition.count {
            let pixels = try partition[index].pixels(as: UInt16.self)
            for pixel in pixels.indices { newest[pixel] += UInt64(pixels[pixel]) }
        }
        guard try partition.stack().frameCount == partition.positions.count else { throw UDFFailure("a wrong stack") }
    }
}

/// Fails on one frame, or where it is told to.
struct Failing: FrameUDF {
    static let name = "failing"

    struct Parameters: UDFParameters {
        var at = -1
        var place = "process"
    }
    let parameters: Parameters

    init(parameters: Parameters, meta: UDFMeta) { self.parameters = parameters }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [
            .nav("intensity", .float32), .single("last", .int64, merge: .custom),
            .single("end", .int64, use: .resultOnly),
        ]
    }

    var order: MergeOrder { .any }

    private func fail(_ place: String) throws {
        if parameters.place == place { throw UDFFailure("it was told to fail in \(place)") }
    }

    func process(_ frame: Frame, _ context: Context) throws {
        if frame.position == parameters.at { try fail("process") }
        if parameters.place == "type" { _ = try frame.pixels(as: Double.self) }
        if parameters.place == "name" { _ = try context.buffer("nothing", as: Float.self) }
        if parameters.place == "buffer" { _ = try context.buffer("last", as: Float.self) }
        try context.buffer("intensity", as: Float.self)[0] = 1
        try context.buffer("last", as: Int64.self)[0] = Int64(frame.position)
    }

    func preprocess(_ context: Context) throws { try fail("preprocess") }
    func postprocess(_ context: Context) throws { try fail("postprocess") }

    func merge(into destination: UDFBuffers, from source: UDFBuffers) throws {
        try fail("merge")
        if parameters.place == "write" { _ = try source.elements("last", as: Int64.self) }
        let last = try destination.elements("last", as: Int64.self)
        last[0] = max(last[0], try source.values("last", as: Int64.self)[0])
    }

    func computeResults(_ context: ResultsContext) throws {
        try fail("computeResults")
        try context.results.elements("end", as: Int64.self)[0] =
            try context.merged.values("last", as: Int64.self)[0] + 1
    }
}
