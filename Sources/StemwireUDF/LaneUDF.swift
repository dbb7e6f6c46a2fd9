import StemwireKernels

/// A UDF on one lane, whatever its type: hands it frames and the buffers of the partition they belong to.
class LaneUDF {
    let planned: PlannedUDF
    /// The UDF's index in the plan.
    let index: Int
    // Copies of what is asked for each block; going through `planned` copies all of it.
    let needsWindow: Bool
    let input: InputType

    fileprivate init(_ planned: PlannedUDF, index: Int) {
        self.planned = planned
        self.index = index
        needsWindow = planned.needsWindow
        input = planned.udf.input
    }

    func preprocess(_ state: PartitionState) throws { preconditionFailure("overridden") }
    func postprocess(_ state: PartitionState) throws { preconditionFailure("overridden") }
    func process(_ tile: FrameTile, _ state: PartitionState) throws { preconditionFailure("overridden") }
    func process(_ frames: FramePartition, _ state: PartitionState) throws { preconditionFailure("overridden") }

    /// What can be done with these frames together with the work of other UDFs, and must be done next; nil when the
    /// UDF processes them itself.
    func work(on frames: Range<Int>, _ state: PartitionState) throws -> PixelWork? { nil }

    static func make(_ planned: PlannedUDF, index: Int) throws(UDFError) -> LaneUDF {
        do {
            // The order is the precedence of tile, frame and partition.
            if let udf = planned.udf as? any PixelWorkUDF { return try makeWorkLane(udf, planned, index) }
            if let udf = planned.udf as? any TileUDF { return try makeTileLane(udf, planned, index) }
            if let udf = planned.udf as? any FrameUDF { return try makeFrameLane(udf, planned, index) }
            if let udf = planned.udf as? any PartitionUDF { return try makePartitionLane(udf, planned, index) }
        } catch {
            throw UDFError(.processing, udf: planned.id, "its task data cannot be made: \(error)", cause: error)
        }
        preconditionFailure("a plan has no UDF without a process method")
    }

    private static func makeWorkLane(
        _ udf: some PixelWorkUDF, _ planned: PlannedUDF, _ index: Int
    ) throws -> LaneUDF {
        try WorkLane(udf, planned, index)
    }

    private static func makeTileLane(_ udf: some TileUDF, _ planned: PlannedUDF, _ index: Int) throws -> LaneUDF {
        try TileLane(udf, planned, index)
    }

    private static func makeFrameLane(_ udf: some FrameUDF, _ planned: PlannedUDF, _ index: Int) throws -> LaneUDF {
        try FrameLane(udf, planned, index)
    }

    private static func makePartitionLane(
        _ udf: some PartitionUDF, _ planned: PlannedUDF, _ index: Int
    ) throws -> LaneUDF {
        try PartitionLane(udf, planned, index)
    }
}

private class TypedLane<Function: UDF>: LaneUDF {
    let udf: Function
    let context: Function.Context

    init(_ udf: Function, _ planned: PlannedUDF, _ index: Int) throws {
        self.udf = udf
        let none = UDFBuffers(slots: [], owners: [], positions: 0..<0, isWritable: true)
        context = UDFContext(meta: planned.meta, data: try udf.makeTaskData(planned.meta), buffers: none)
        super.init(planned, index: index)
    }

    func use(_ state: PartitionState, _ positions: Range<Int>) {
        context.partition = state.partition
        context.buffers = state.buffers
        state.buffers.window = positions
    }

    override func preprocess(_ state: PartitionState) throws {
        use(state, state.positions)
        try udf.preprocess(context)
    }

    override func postprocess(_ state: PartitionState) throws {
        use(state, state.positions)
        try udf.postprocess(context)
    }
}

private class TileLane<Function: TileUDF>: TypedLane<Function> {
    override func process(_ tile: FrameTile, _ state: PartitionState) throws {
        use(state, tile.positions)
        try udf.process(tile, context)
    }
}

private final class WorkLane<Function: PixelWorkUDF>: TileLane<Function> {
    override func work(on frames: Range<Int>, _ state: PartitionState) throws -> PixelWork? {
        use(state, frames)
        return try udf.work(on: frames, context)
    }
}

private final class FrameLane<Function: FrameUDF>: TypedLane<Function> {
    override func process(_ tile: FrameTile, _ state: PartitionState) throws {
        for index in 0..<tile.count {
            let position = tile.positions.lowerBound + index
            use(state, position..<position + 1)
            try udf.process(tile[index], context)
        }
    }
}

private final class PartitionLane<Function: PartitionUDF>: TypedLane<Function> {
    override func process(_ frames: FramePartition, _ state: PartitionState) throws {
        use(state, state.positions)
        try udf.process(frames, context)
    }
}

/// One UDF's buffers for one partition.
final class PartitionState {
    let partition: Int
    /// The scan positions of the partition, for which nav buffers have rows.
    let positions: Range<Int>
    let buffers: UDFBuffers
    private let declarations: [BufferDeclaration]
    private let storages: [AlignedStorage]
    private let meta: UDFMeta

    init(_ planned: PlannedUDF, partition: Int) {
        meta = planned.meta
        self.partition = partition
        positions = meta.positions(ofPartition: partition)
        declarations = planned.declarations.filter(\.isProcessed)
        var storages: [AlignedStorage] = []
        var slots: [UDFBuffers.Slot] = []
        for declaration in declarations {
            let perRow = declaration.elementsPerRow(meta)
            let count = declaration.kind == .nav ? perRow * positions.count : perRow
            let storage = AlignedStorage(zeroed: count * declaration.dtype.byteCount)
            declaration.fillNeutral(storage)
            storages.append(storage)
            slots.append(UDFBuffers.Slot(declaration, perRow: perRow, pointer: storage.pointer))
        }
        self.storages = storages
        buffers = UDFBuffers(slots: slots, owners: storages, positions: positions, isWritable: true)
    }

    /// The buffers that are merged, nav rows cut to `rows`. The state must not be written to any more.
    func results(rows: Range<Int>) -> [ResultArray] {
        zip(declarations, storages).filter { $0.0.isMerged }.map { declaration, storage in
            guard declaration.kind == .nav else {
                return ResultArray(dtype: declaration.dtype, shape: declaration.shape(meta), storage: storage)
            }
            let shape = [rows.count] + declaration.extraShape
            if rows == positions { return ResultArray(dtype: declaration.dtype, shape: shape, storage: storage) }
            let rowBytes = declaration.elementsPerRow(meta) * declaration.dtype.byteCount
            let cut = AlignedStorage(uninitialized: rows.count * rowBytes)
            let start = storage.pointer + (rows.lowerBound - positions.lowerBound) * rowBytes
            cut.pointer.copyMemory(from: start, byteCount: cut.byteCount)
            return ResultArray(dtype: declaration.dtype, shape: shape, storage: cut)
        }
    }
}

extension UDFBuffers.Slot {
    init(_ declaration: BufferDeclaration, perRow: Int, pointer: UnsafeMutableRawPointer) {
        self.init(
            name: declaration.name, kind: declaration.kind, dtype: declaration.dtype, elementsPerRow: perRow,
            pointer: pointer)
    }
}
