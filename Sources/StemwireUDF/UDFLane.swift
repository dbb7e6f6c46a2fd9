import StemwireKernels

/// What one thread needs to run a plan: its UDFs' task data and scratch memory.
///
/// Belongs to one thread at a time, together with the partition tasks it began; makes results that may go to any thread.
/// The whole of a driver is:
///
/// ```swift
/// let lane = try UDFLane(plan, decoder: FrameDecoder(format))
/// let task = try lane.begin(partition: 7)
/// try task.process(frames, stride: messageBytes, pixelOffset: 15 + dataOffset, count: 12, firstPosition: 448)
/// if let early = try task.flush() { try merger.merge(early) }     // now and then, when a scan is slow
/// try merger.merge(task.finish())                                 // when isComplete, or no more frames will come
/// ```
public final class UDFLane {
    public let plan: RunPlan
    let decoder: any StackDecoder
    let udfs: [LaneUDF]
    let scratch = BlockScratch()
    /// Whether the frames need not be decoded for the UDFs that can do without.
    let prefersUndecoded: Bool
    /// The frames that are worked on at once.
    let blockDepth: Int
    /// What is to be done in one pass over a block; kept for its memory.
    var works: [PixelWork] = []
    private var windowPool: [Int: [AlignedStorage]] = [:]

    /// - Parameter decoder: Decodes the frames of the acquisition: a `FrameDecoder`, or a `NativeStackDecoder`.
    /// - Throws: `UDFError` when the decoder's frames are not those of the plan, or a UDF cannot make its task data.
    public init(_ plan: RunPlan, decoder: some StackDecoder) throws(UDFError) {
        let expected = plan.meta.sigShape.pixelCount * plan.sourceDType.byteCount
        guard decoder.dtype == plan.sourceDType, decoder.imageBytes == expected else {
            throw UDFError(
                .badRequest,
                "the decoder gives frames of \(decoder.dtype) with \(decoder.imageBytes) bytes; the run is planned for "
                    + "\(plan.sourceDType) with \(expected) bytes")
        }
        var udfs: [LaneUDF] = []
        for (index, planned) in plan.udfs.enumerated() { udfs.append(try LaneUDF.make(planned, index: index)) }
        self.plan = plan
        self.decoder = plan.frames.corrector.map { CorrectedDecoder(decoder, $0) } ?? decoder
        self.udfs = udfs
        prefersUndecoded = plan.udfs.allSatisfy { $0.udf.input == .stack && !$0.needsWindow }
        // What is not decoded need not fit into a cache.
        let isUndecoded =
            prefersUndecoded && self.decoder.undecodedStack(frames: scratch.native(1), stride: 0, count: 0) != nil
        blockDepth = isUndecoded ? max(plan.blockDepth, PixelKernels.framesAtOnce) : plan.blockDepth
    }

    /// Begins the work on a partition. Several may be in progress on a lane.
    ///
    /// - Throws: `UDFError` when there is no such partition, or a UDF fails to prepare its buffers.
    public func begin(partition: Int) throws(UDFError) -> PartitionTask {
        guard partition >= 0, partition < plan.meta.partitionCount else {
            throw UDFError(
                .badRequest, "partition \(partition) of a run with \(plan.meta.partitionCount) partitions")
        }
        return try PartitionTask(self, partition: partition)
    }

    /// Memory for a window, to be given back.
    func takeWindow(_ byteCount: Int) -> AlignedStorage {
        windowPool[byteCount]?.popLast() ?? AlignedStorage(uninitialized: byteCount)
    }

    func giveBack(_ window: AlignedStorage) { windowPool[window.byteCount, default: []].append(window) }
}
