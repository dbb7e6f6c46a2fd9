import StemwireKernels

/// `partition-monitor`: the sum over the frames of one partition, for each detector pixel: of the partition with the
/// highest scan position so far.
///
/// A live picture with less noise than that of one frame. Channel `intensity` (sig): of counts `uint64`, exact; of
/// floating-point pixels `float64`. LiberTEM-live's `PartitionMonitorUDF`, but not dependent on the order in which
/// partitions are merged.
public struct PartitionMonitorUDF: TileUDF {
    public static let name = "partition-monitor"
    private let sums: FrameSums
    private let isExact: Bool

    public init(parameters: NoParameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        sums = FrameSums(meta)
        isExact = meta.hasCounts
    }

    public var input: InputType { isExact ? .stack : .native }

    // What is merged must be the whole partition, even where a part of it could be added up exactly.
    public var order: MergeOrder { isExact ? .partition : .fixedTree }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        guard isExact else { return [.sig("intensity", .float64, merge: .overwrite)] }
        return [.sig("intensity", .uint64, merge: .overwrite)] + sums.scratch
    }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        if isExact { return try sums.add(try tile.stack(), context) }
        let sums = try context.buffer("intensity", as: Double.self)
        try withUnsafeTemporaryAllocation(of: Double.self, capacity: tile.pixelCount) { pixels in
            guard let start = pixels.baseAddress else { return }
            for index in 0..<tile.count {
                try tile[index].copyPixels(0..<tile.pixelCount, to: start)
                for pixel in pixels.indices { sums[pixel] += pixels[pixel] }
            }
        }
    }

    public func postprocess(_ context: Context) throws {
        if isExact { try sums.finish(context) }
    }
}
