import StemwireKernels

/// `sumsig`: the sum over all pixels, for each frame.
///
/// Channel `intensity` (nav, `uint64`): exact.
public struct SumSigUDF: TileUDF {
    public static let name = "sumsig"
    private let kernels = PixelKernels()

    public init(parameters: NoParameters, meta: UDFMeta) {}

    public var input: InputType { .stack }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("intensity", .uint64)] }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        kernels.frameSums(try tile.stack(), into: try context.buffer("intensity", as: UInt64.self))
    }
}
