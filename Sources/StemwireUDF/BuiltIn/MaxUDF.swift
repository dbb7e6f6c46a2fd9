import StemwireKernels

/// `max`: the largest value over all frames, for each detector pixel.
///
/// Channel `intensity` (sig, type of the pixels); NaN where a pixel was NaN.
public struct MaxUDF: PixelWorkUDF {
    public static let name = "max"
    private let dtype: DType
    private let isExact: Bool

    public init(parameters: NoParameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        dtype = meta.inputDType
        isExact = meta.hasCounts
    }

    public var input: InputType { isExact ? .stack : .native }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.sig("intensity", dtype, merge: .maximum)] }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        if try isWorkDone(on: tile, context) { return }
        try RealPixels.maximum(tile, into: try context.bytes("intensity"))
    }

    func work(on frames: Range<Int>, _ context: Context) throws -> PixelWork? {
        guard isExact else { return nil }
        return .maximum(into: try context.bytes("intensity"))
    }
}
