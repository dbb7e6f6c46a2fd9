import StemwireKernels

/// `sum`: the sum over all frames, for each detector pixel.
///
/// Channel `intensity` (sig, `uint64`): exact, for any order and number of threads.
public struct SumUDF: TileUDF {
    public static let name = "sum"
    private let sums: FrameSums

    public init(parameters: NoParameters, meta: UDFMeta) { sums = FrameSums(meta) }

    public var input: InputType { .stack }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.sig("intensity", .uint64)] + sums.scratch }

    public func process(_ tile: FrameTile, _ context: Context) throws { try sums.add(try tile.stack(), context) }

    public func postprocess(_ context: Context) throws { try sums.finish(context) }
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
        let sums = try context.buffer("intensity", as: UInt64.self)
        guard usesNarrowSums else { return kernels.addFrames(stack, to: sums) }
        let narrow = try context.buffer("narrow", as: UInt32.self)
        let frames = try context.buffer("frames", as: UInt64.self)
        var done = 0
        while done < stack.frameCount {
            if frames[0] == UInt64(capacity) {
                kernels.drain(narrow, into: sums)
                frames[0] = 0
            }
            let count = min(stack.frameCount - done, capacity - Int(frames[0]))
            kernels.addFrames(stack.frames(done..<done + count), to: narrow)
            frames[0] += UInt64(count)
            done += count
        }
    }

    func finish<TaskData>(_ context: UDFContext<TaskData>) throws {
        guard usesNarrowSums else { return }
        kernels.drain(
            try context.buffer("narrow", as: UInt32.self), into: try context.buffer("intensity", as: UInt64.self))
    }
}
