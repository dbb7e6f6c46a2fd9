import StemwireWorker

/// Where on the specimen each detector pixel was brightest: the origin of reflections, at a glance.
///
/// Channels: `brightness` (sig), the largest value of each pixel, in counts; `coordinates` (sig + nav axes), the scan
/// position (y, x) where it was seen, −1 where nothing was counted. Among equals the lowest position counts, so that the
/// order in which frames and partitions are worked on makes no difference.
struct BrightestAt: FrameUDF {
    static let name = "brightest-at"

    struct Parameters: UDFParameters {
        /// Counts that are not more than this are not looked at.
        var above: Float = 0
    }
    static let parameterHelp = ["above": "counts; pixels that are never above it have no brightest position"]
    private let above: Float

    init(parameters: Parameters, meta: UDFMeta) throws {
        guard parameters.above >= 0 else { throw UDFFailure("above is \(parameters.above); counts are not negative") }
        above = parameters.above
    }

    var input: InputType { .float32 }
    // Partitions and their parts may be merged in any order.
    var order: MergeOrder { .any }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [
            .sig("brightness", .float32, merge: .custom),
            .sig("position", .int64, use: .private, merge: .custom),
            .sig("coordinates", .int32, extraShape: [meta.navShape.count], use: .resultOnly),
        ]
    }

    func preprocess(_ context: Context) throws {
        try context.buffer("position", as: Int64.self).update(repeating: -1)
    }

    func process(_ frame: Frame, _ context: Context) throws {
        let pixels = try frame.pixels(as: Float.self)
        let brightness = try context.buffer("brightness", as: Float.self)
        let position = try context.buffer("position", as: Int64.self)
        for pixel in pixels.indices where pixels[pixel] > above {
            take(pixels[pixel], Int64(frame.position), &brightness[pixel], &position[pixel])
        }
    }

    func merge(into destination: UDFBuffers, from source: UDFBuffers) throws {
        let brightness = try destination.elements("brightness", as: Float.self)
        let position = try destination.elements("position", as: Int64.self)
        let otherBrightness = try source.values("brightness", as: Float.self)
        let otherPosition = try source.values("position", as: Int64.self)
        for pixel in position.indices where otherPosition[pixel] >= 0 {
            take(otherBrightness[pixel], otherPosition[pixel], &brightness[pixel], &position[pixel])
        }
    }

    func computeResults(_ context: ResultsContext) throws {
        let position = try context.merged.values("position", as: Int64.self)
        let coordinates = try context.results.elements("coordinates", as: Int32.self)
        let axes = context.meta.navShape.count
        for pixel in position.indices {
            let place =
                position[pixel] < 0
                ? Array(repeating: -1, count: axes)
                : context.meta.coordinates(ofPosition: Int(position[pixel]))
            for axis in 0..<axes { coordinates[pixel * axes + axis] = Int32(place[axis]) }
        }
    }

    private func take(_ value: Float, _ at: Int64, _ brightness: inout Float, _ position: inout Int64) {
        guard position < 0 || value > brightness || value == brightness && at < position else { return }
        (brightness, position) = (value, at)
    }
}
