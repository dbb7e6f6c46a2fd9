import StemwireKernels

/// `sumsig`: the sum over all pixels, for each frame.
///
/// Channel `intensity` (nav): of counts `uint64`, exact; of floating-point pixels `float64`.
public struct SumSigUDF: PixelWorkUDF {
    public static let name = "sumsig"
    private let isExact: Bool

    public init(parameters: NoParameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        isExact = meta.hasCounts
    }

    public var input: InputType { isExact ? .stack : .native }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [.nav("intensity", isExact ? .uint64 : .float64)]
    }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        if try isWorkDone(on: tile, context) { return }
        try RealSums.sum(tile, [0..<tile.pixelCount], into: try context.buffer("intensity", as: Double.self))
    }

    func work(on frames: Range<Int>, _ context: Context) throws -> PixelWork? {
        guard isExact else { return nil }
        return .frameSums(into: try context.buffer("intensity", as: UInt64.self))
    }
}
