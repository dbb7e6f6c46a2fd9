import StemwireKernels

/// `max`: the largest value over all frames, for each detector pixel.
///
/// Channel `intensity` (sig, type of the pixels).
public struct MaxUDF: TileUDF {
    public static let name = "max"
    private let kernels = PixelKernels()
    private let dtype: DType

    public init(parameters: NoParameters, meta: UDFMeta) { dtype = meta.inputDType }

    public var input: InputType { .stack }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.sig("intensity", dtype, merge: .maximum)] }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        kernels.maximum(try tile.stack(), into: try context.bytes("intensity"))
    }
}
