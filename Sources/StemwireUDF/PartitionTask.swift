import StemwireKernels

/// The work on one partition: takes frames, gives results. Belongs to the thread of its lane.
///
/// Frames may come in any order and in pieces of any size; of two frames at one scan position the first counts.
/// After an error the task is of no use: its frames are to be reported to `ResultMerger.fail`.
public final class PartitionTask {
    /// The index of the partition.
    public let partition: Int
    /// The scan positions of the partition.
    public let positions: Range<Int>
    private let lane: UDFLane
    private var states: [PartitionState?]
    /// All positions taken, counted from the partition's first.
    private var received: PositionSet
    /// Those since the last flush.
    private var pending: PositionSet
    private var windows: [WindowAssembler] = []
    private var whole: PartitionAssembler?
    private var isFinished = false
    private var failure: UDFError?

    init(_ lane: UDFLane, partition: Int) throws(UDFError) {
        self.lane = lane
        self.partition = partition
        positions = lane.plan.meta.positions(ofPartition: partition)
        received = PositionSet(size: positions.count)
        pending = received
        states = Array(repeating: nil, count: lane.udfs.count)
        let inWindows = lane.udfs.filter { $0.planned.needsWindow && $0.planned.granularity != .partition }
        for depth in Set(inWindows.map(\.planned.tileDepth)).sorted() {
            let users = inWindows.filter { $0.planned.tileDepth == depth }.map(\.index)
            windows.append(WindowAssembler(users: users, depth: depth, positions: positions))
        }
        if lane.udfs.contains(where: { $0.planned.granularity == .partition }) {
            whole = PartitionAssembler(positions: positions)
        }
        for udf in lane.udfs { _ = try state(of: udf) }
    }

    /// The scan positions taken so far, as ranges.
    public var takenPositions: [Range<Int>] { received.ranges.map { global($0) } }

    /// How many frames have been taken so far.
    public var takenCount: Int { received.count }

    /// Whether every frame of the partition (of the region of interest) has been taken.
    public var isComplete: Bool { received.count == lane.plan.selectedCount(in: positions) }

    /// How many frames `flush()` would bring to the results.
    public var pendingCount: Int { pending.count }

    /// Works on frames that were received in one piece.
    ///
    /// - Parameters:
    ///   - base: The start of the first frame's message; it may be anywhere in memory, and is only read.
    ///   - stride: From the start of a message to the start of the next, in bytes.
    ///   - pixelOffset: From the start of a message to its first pixel, in bytes.
    ///   - count: The number of frames, of consecutive scan positions.
    ///   - firstPosition: The scan position of the first.
    /// - Returns: How many frames were taken: not those outside the region of interest, nor those taken before.
    /// - Throws: `UDFError` when a frame does not belong to the partition, the task is over, or a UDF fails.
    @discardableResult
    public func process(
        _ base: UnsafeRawPointer, stride: Int, pixelOffset: Int = 0, count: Int, firstPosition: Int
    ) throws(UDFError) -> Int {
        try checkUsable()
        let (end, overflow) = firstPosition.addingReportingOverflow(count)
        guard !overflow, count >= 0, firstPosition >= positions.lowerBound, end <= positions.upperBound else {
            throw UDFError(
                .badRequest, partition: partition,
                "\(count) frames from scan position \(firstPosition) on are not all in the partition's \(positions)")
        }
        let before = received.count
        var rest = local(firstPosition..<end)
        while let fresh = received.firstRun(in: rest, of: false) {
            rest = fresh.upperBound..<rest.upperBound
            var candidates = global(fresh)
            while let run = selectedRun(in: candidates) {
                candidates = run.upperBound..<candidates.upperBound
                let first = base + (run.lowerBound - firstPosition) * stride + pixelOffset
                do throws(UDFError) {
                    try take(first, stride: stride, run)
                } catch {
                    failure = error
                    throw error
                }
            }
        }
        return received.count - before
    }

    /// What has been done since the last flush, for UDFs whose results may be merged in any grouping; nil when there is
    /// nothing. So that a slow scan shows results while its partition is still filling.
    public func flush() throws(UDFError) -> PartitionResult? {
        try checkUsable()
        guard !pending.isEmpty, lane.udfs.contains(where: \.planned.canFlush) else { return nil }
        return try collect(isFinal: false)
    }

    /// Ends the work: the result of all UDFs, without what was flushed before.
    ///
    /// - Throws: `UDFError` when the task is over already, or a UDF fails.
    public func finish() throws(UDFError) -> PartitionResult {
        try checkUsable()
        isFinished = true
        do throws(UDFError) {
            for index in windows.indices {
                let users = windows[index].users
                try windows[index].finish(received, lane) { views throws(UDFError) in try run(users, &views) }
            }
            try whole?.finish(received, lane) { views, positions throws(UDFError) in try run(&views, positions) }
        } catch {
            failure = error
            throw error
        }
        return try collect(isFinal: true)
    }

    private func checkUsable() throws(UDFError) {
        if let failure { throw failure }
        if isFinished { throw UDFError(.badRequest, partition: partition, "the partition is finished already") }
    }

    private func take(_ base: UnsafeRawPointer, stride: Int, _ run: Range<Int>) throws(UDFError) {
        let depth = lane.blockDepth
        var position = run.lowerBound
        while position < run.upperBound {
            // Blocks end where windows do, so that a window of an undisturbed scan is one block and need not be copied.
            let before = windows.isEmpty ? 0 : (position - positions.lowerBound) % depth
            let block = position..<min(position + depth - before, run.upperBound)
            var views = BlockViews(
                received: base + (position - run.lowerBound) * stride, stride: stride, positions: block, lane)
            lane.works.removeAll(keepingCapacity: true)
            for udf in lane.udfs where !udf.needsWindow {
                if let work = try work(on: block, udf) {
                    lane.works.append(work)
                } else {
                    try process(&views, udf)
                }
            }
            try doWorks(&views)
            received.insert(local(block))
            pending.insert(local(block))
            for index in windows.indices {
                let users = windows[index].users
                try windows[index].add(&views, received, lane) { views throws(UDFError) in
                    try self.run(users, &views)
                }
            }
            whole?.add(views.decoded(), lane)
            position = block.upperBound
        }
    }

    private func work(on frames: Range<Int>, _ udf: LaneUDF) throws(UDFError) -> PixelWork? {
        let state = try state(of: udf)
        do {
            return try udf.work(on: frames, state)
        } catch {
            throw fault(udf, error, frames)
        }
    }

    /// Does what has been asked for in one pass over the frames.
    private func doWorks(_ views: inout BlockViews) throws(UDFError) {
        guard !lane.works.isEmpty else { return }
        let tile = views.tile(.stack, prefersUndecoded: lane.prefersUndecoded)
        guard let stack = try? tile.stack() else { preconditionFailure("work on pixels of \(tile.dtype)") }
        lane.works.withUnsafeBufferPointer { lane.scratch.kernels.perform($0, on: stack) }
    }

    private func run(_ users: [Int], _ views: inout BlockViews) throws(UDFError) {
        for index in users { try process(&views, lane.udfs[index]) }
    }

    private func process(_ views: inout BlockViews, _ udf: LaneUDF) throws(UDFError) {
        let tile = views.tile(udf.input, prefersUndecoded: lane.prefersUndecoded)
        let state = try state(of: udf)
        do {
            try udf.process(tile, state)
        } catch {
            throw fault(udf, error, tile.positions)
        }
    }

    private func run(_ views: inout BlockViews, _ taken: [Int]) throws(UDFError) {
        for udf in lane.udfs where udf.planned.granularity == .partition {
            let tile = views.tile(udf.input, prefersUndecoded: false)
            let frames = FramePartition(
                positions: taken, range: positions, dtype: tile.dtype, pixelCount: tile.pixelCount, base: tile.base)
            let state = try state(of: udf)
            do {
                try udf.process(frames, state)
            } catch {
                throw fault(udf, error, positions)
            }
        }
    }

    /// The UDF's buffers; fresh ones at first and after a flush.
    private func state(of udf: LaneUDF) throws(UDFError) -> PartitionState {
        if let state = states[udf.index] { return state }
        let state = PartitionState(udf.planned, partition: partition)
        do {
            try udf.preprocess(state)
        } catch {
            throw fault(udf, error, positions)
        }
        states[udf.index] = state
        return state
    }

    private func collect(isFinal: Bool) throws(UDFError) -> PartitionResult {
        var parts: [PartitionResult.Part] = []
        for udf in lane.udfs where isFinal || udf.planned.canFlush {
            let done = (udf.planned.canFlush ? pending : received).ranges.map { global($0) }
            guard let state = states[udf.index], !done.isEmpty else { continue }
            do {
                try udf.postprocess(state)
            } catch {
                let failure = fault(udf, error, positions)
                self.failure = failure
                throw failure
            }
            let rows = PartitionResult.Part.rows(of: done)
            parts.append(
                PartitionResult.Part(udf: udf.planned.index, positions: done, buffers: state.results(rows: rows)))
            states[udf.index] = nil
        }
        pending = PositionSet(size: positions.count)
        return PartitionResult(
            partition: partition, generation: lane.plan.generation, isFinal: isFinal, parts: parts)
    }

    private func fault(_ udf: LaneUDF, _ error: any Error, _ positions: Range<Int>) -> UDFError {
        UDFError(
            .processing, udf: udf.planned.id, partition: partition,
            "\(error) (scan positions \(positions.lowerBound) to \(positions.upperBound - 1))", cause: error)
    }

    private func selectedRun(in positions: Range<Int>) -> Range<Int>? {
        guard let roi = lane.plan.meta.roi else { return positions.isEmpty ? nil : positions }
        return roi.firstRun(in: positions, of: true)
    }

    private func local(_ range: Range<Int>) -> Range<Int> {
        range.lowerBound - positions.lowerBound..<range.upperBound - positions.lowerBound
    }

    private func global(_ range: Range<Int>) -> Range<Int> {
        range.lowerBound + positions.lowerBound..<range.upperBound + positions.lowerBound
    }
}
