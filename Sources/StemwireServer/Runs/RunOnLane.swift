import StemwireAcquisition
import StemwireKernels
import StemwireUDF

/// One run's partitions on one thread.
final class RunOnLane {
    /// What became of a partition's frames.
    enum Fate {
        /// They are, or will be, in the results.
        case taken
        /// They are marked as failed.
        case failed(UDFError)
    }

    private let run: ActiveRun
    private var lane: UDFLane?
    private var decoder: FrameDecoder?
    /// Partitions that were worked on again, with the generation of parameters.
    private var redone: [Int: UInt32] = [:]
    private var fault: UDFError?
    /// Partitions in progress, oldest first.
    private var open: [PartitionTask] = []
    /// Partitions that are over or have failed, so that what still comes for them is not worked on.
    private var closed: [Int: UDFError?] = [:]

    /// Whether the plan stays the one it was begun with, whatever becomes of the run's parameters.
    private let isFixed: Bool

    /// - Parameter plan: what to do for all partitions; nil: what the run's parameters are when each one begins.
    init(_ run: ActiveRun, _ description: AcquisitionDescription, plan: RunPlan? = nil) {
        self.run = run
        isFixed = plan != nil
        guard let plan = plan ?? run.makePlan() else { return }
        do {
            let decoder = try FrameDecoder(description.format)
            lane = try UDFLane(plan, decoder: decoder)
            self.decoder = decoder
        } catch {
            let failure = error as? UDFError ?? UDFError(.badRequest, "\(error)")
            fault = failure
            run.fail([], because: failure)
        }
    }

    /// The number of partitions in progress.
    var openCount: Int { open.count }

    /// The partition in progress that was begun first.
    var oldest: Int? { open.first?.partition }

    /// Works on frames. Those of a partition that is over or has failed are marked as failed.
    @discardableResult
    func process(_ tile: Tile) -> Fate {
        guard let lane, !run.isStopped else { return fault.map { .failed($0) } ?? .taken }
        if let over = closed[tile.partition] {
            let error =
                over ?? UDFError(.badRequest, partition: tile.partition, "frames came after the partition was closed")
            run.fail([tile.positions], because: error)
            return .failed(error)
        }
        do throws(UDFError) {
            let task = try task(for: tile.partition, on: lane)
            try task.process(
                tile.firstPixel, stride: tile.stride, count: tile.count, firstPosition: tile.firstPosition)
            if task.isComplete { try close(task) }
            return .taken
        } catch {
            fail(tile, because: error)
            return .failed(error)
        }
    }

    private func task(for partition: Int, on lane: UDFLane) throws(UDFError) -> PartitionTask {
        if let task = open.last(where: { $0.partition == partition }) { return task }
        let task = try renewed(lane).begin(partition: partition)
        open.append(task)
        return task
    }

    /// The lane for partitions that are begun now; those in progress stay on theirs, with their parameters.
    private func renewed(_ lane: UDFLane) throws(UDFError) -> UDFLane {
        guard !isFixed, let decoder, let plan = run.plan(newerThan: lane.plan.generation) else { return lane }
        let next = try UDFLane(plan, decoder: decoder)
        self.lane = next
        return next
    }

    /// Works again on a partition whose results are of earlier parameters.
    ///
    /// - Parameters:
    ///   - isMine: whether a partition is this thread's.
    ///   - forEachTile: calls with the frames at some positions, as far as there still are any.
    /// - Returns: whether there was such a partition.
    func recompute(_ isMine: (Int) -> Bool, _ forEachTile: (Range<Int>, (Tile) -> Void) -> Void) -> Bool {
        let next =
            run.isStopped
            ? nil
            : run.recomputation { partition, generation in
                isMine(partition) && redone[partition] != generation && !open.contains { $0.partition == partition }
            }
        guard let decoder, let (partition, plan) = next else { return false }
        redone[partition] = plan.generation
        do throws(UDFError) {
            let task = try UDFLane(plan, decoder: decoder).begin(partition: partition)
            var failure: UDFError?
            forEachTile(task.positions) { tile in
                guard failure == nil else { return }
                do throws(UDFError) {
                    try task.process(
                        tile.firstPixel, stride: tile.stride, count: tile.count, firstPosition: tile.firstPosition)
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            if task.takenCount > 0 { run.merge(try task.finish()) }
        } catch {
            run.fail([], because: error)
        }
        return true
    }

    private func close(_ task: PartitionTask) throws(UDFError) {
        open.removeAll { $0 === task }
        closed[task.partition] = .some(nil)
        run.merge(try task.finish())
    }

    private func fail(_ tile: Tile, because error: UDFError) {
        let task = open.first { $0.partition == tile.partition }
        open.removeAll { $0.partition == tile.partition }
        closed[tile.partition] = error
        run.fail((task?.takenPositions ?? []) + [tile.positions], because: error)
    }

    private func lose(_ task: PartitionTask, because error: UDFError) {
        open.removeAll { $0 === task }
        closed[task.partition] = error
        run.fail(task.takenPositions, because: error)
    }

    /// Brings what has been worked on since the last time to the results, as far as it may be merged by parts.
    func flush() {
        for task in open where task.pendingCount > 0 {
            do throws(UDFError) {
                if let result = try task.flush() { run.merge(result) }
            } catch {
                lose(task, because: error)
            }
        }
    }

    /// All frames of a partition that will ever come have been processed.
    @discardableResult
    func close(partition: Int) -> Fate {
        if let task = open.first(where: { $0.partition == partition }) {
            do throws(UDFError) { try close(task) } catch { lose(task, because: error) }
        }
        if let failure = closed[partition] ?? fault { return .failed(failure) }
        return .taken
    }

    /// Forgets a partition that is over; nothing more comes of it.
    func forget(partition: Int) { closed[partition] = nil }

    /// The acquisition is over.
    func finish() {
        for task in open { close(partition: task.partition) }
    }
}
