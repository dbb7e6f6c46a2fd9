import StemwireKernels

/// `monitor`: the newest frame, which is the one at the highest scan position seen so far.
///
/// Channel `intensity` (sig, type of the pixels). Not the frame that was merged last: threads do not finish in the order
/// of the scan.
public struct MonitorUDF: TileUDF {
    public static let name = "monitor"
    private let kernels = PixelKernels()
    private let dtype: DType
    private let isExact: Bool

    public init(parameters: NoParameters, meta: UDFMeta) {
        dtype = meta.inputDType
        isExact = meta.hasCounts
    }

    public var input: InputType { isExact ? .stack : .native }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        // `end` is one behind the position of the frame, so that the zero of fresh buffers means none.
        [.sig("intensity", dtype, merge: .overwrite), .single("end", .uint64, use: .scratch)]
    }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        let end = try context.buffer("end", as: UInt64.self)
        guard tile.positions.upperBound > end[0] else { return }
        end[0] = UInt64(tile.positions.upperBound)
        guard isExact else { return RealPixels.copyLast(tile, into: try context.bytes("intensity")) }
        kernels.convertToNative(
            try tile.stack().frames(tile.count - 1..<tile.count), into: try context.bytes("intensity"))
    }
}
