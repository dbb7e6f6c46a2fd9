import StemwireKernels

/// `sum`: the sum over all frames, for each detector pixel.
///
/// Channel `intensity` (sig): of counts `uint64`, exact, for any order and number of threads; of floating-point pixels
/// `float64`.
public struct SumUDF: PixelWorkUDF {
    public static let name = "sum"
    private let sums: FrameSums
    private let isExact: Bool

    public init(parameters: NoParameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        sums = FrameSums(meta)
        isExact = meta.hasCounts
    }

    public var input: InputType { isExact ? .stack : .native }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        isExact ? [.sig("intensity", .uint64)] + sums.scratch : [.sig("intensity", .float64)]
    }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        if try isWorkDone(on: tile, context) { return }
        try RealSums.add(tile, to: try context.buffer("intensity", as: Double.self))
    }

    func work(on frames: Range<Int>, _ context: Context) throws -> PixelWork? {
        guard isExact else { return nil }
        return try sums.work(frameCount: frames.count, context)
    }

    public func postprocess(_ context: Context) throws {
        if isExact { try sums.finish(context) }
    }
}

/// How frames of counts are added up.
struct FrameSums: Sendable {
    /// Sums of 32 bits pass through the cache in half the time; they are used when they hold at least so many frames.
    private static let worthwhileFrames = 1024
    private let kernels = PixelKernels()
    /// How many frames a sum of 32 bits holds for certain.
    private let capacity: Int

    init(_ meta: UDFMeta) { capacity = PixelEncoding(dtype: meta.inputDType)?.framesPerUInt32Sum ?? 0 }

    private var usesNarrowSums: Bool { capacity >= Self.worthwhileFrames }

    /// The buffers needed beside `intensity`.
    var scratch: [BufferDeclaration] {
        usesNarrowSums
            ? [.sig("narrow", .uint32, use: .scratch), .single("frames", .uint64, use: .scratch)] : []
    }

    func add<TaskData>(_ stack: PixelStack, _ context: UDFContext<TaskData>) throws {
        var rest = 0..<stack.frameCount
        while !rest.isEmpty {
            let part = usesNarrowSums ? rest.prefix(capacity) : rest
            rest = part.upperBound..<rest.upperBound
            kernels.perform(try work(frameCount: part.count, context), on: stack.frames(part))
        }
    }

    /// The adding up of so many frames, which must be done next; at most as many as a sum of 32 bits holds.
    func work<TaskData>(frameCount: Int, _ context: UDFContext<TaskData>) throws -> PixelWork {
        let sums = try context.buffer("intensity", as: UInt64.self)
        guard usesNarrowSums else { return .addFrames(to: sums) }
        let narrow = try context.buffer("narrow", as: UInt32.self)
        let frames = try context.buffer("frames", as: UInt64.self)
        if frames[0] + UInt64(frameCount) > UInt64(capacity) {
            kernels.drain(narrow, into: sums)
            frames[0] = 0
        }
        frames[0] += UInt64(frameCount)
        return .addFrames(to: narrow)
    }

    func finish<TaskData>(_ context: UDFContext<TaskData>) throws {
        guard usesNarrowSums else { return }
        kernels.drain(
            try context.buffer("narrow", as: UInt32.self), into: try context.buffer("intensity", as: UInt64.self))
    }
}
