import StemwireAcquisition
import StemwireKernels
import StemwireSystem
import StemwireUDF

/// A thread that runs UDFs on its share of the partitions, right behind the source.
///
/// Each lane has a queue of its own from the source and takes the partitions whose index modulo the number of lanes is
/// its own. Results do not depend on the number of lanes.
package final class WorkerLane: Sendable {
    /// How old what has been worked on may become before it shows in the results.
    static let flushInterval = Duration.milliseconds(25)
    /// Partitions that are kept open for late frames.
    static let openPartitions = 8

    let queue: TileQueue
    private let thread: NamedThread

    /// Starts the thread. It ends when the queue is closed and empty; then `join()`.
    package init(
        index: Int, of laneCount: Int, queue: TileQueue, ring: FrameRing, table: RunTable
    ) throws(SystemError) {
        self.queue = queue
        thread = try NamedThread("udf-\(index)") {
            var work = LaneWork(index: index, laneCount: laneCount, ring: ring, table: table)
            while true {
                if let event = queue.next(timeout: Self.flushInterval) {
                    work.take(event)
                } else if queue.isClosed, queue.count == 0 {
                    return
                }
                work.flushIfDue(at: .now)
            }
        }
    }

    package func join() { thread.join() }
}

/// What a lane is working on.
private struct LaneWork {
    let index: Int
    let laneCount: Int
    let ring: FrameRing
    let table: RunTable

    private var record: AcquisitionRecord?
    private var runs: [RunOnLane] = []
    private var lastFlush = ContinuousClock.now

    init(index: Int, laneCount: Int, ring: FrameRing, table: RunTable) {
        self.index = index
        self.laneCount = laneCount
        self.ring = ring
        self.table = table
    }

    mutating func take(_ event: AcquisitionEvent) {
        switch event {
        case .started(let description):
            runs = []
            record = table.admits(description) ? table.begin(description) : nil
            // What comes first is shown at once.
            lastFlush = .now - WorkerLane.flushInterval
        case .tile(let tile):
            defer { ring.release(tile) }
            guard let record, tile.partition % laneCount == index else { return }
            for run in record.runs(beyond: runs.count) { runs.append(RunOnLane(run, record.description)) }
            for run in runs { run.process(tile) }
        case .ended(let summary):
            table.ended(summary)
            guard let record, record.description.generation == summary.generation else { return }
            for run in runs { run.finish() }
            runs = []
            table.laneFinished(record)
            self.record = nil
        }
    }

    mutating func flushIfDue(at now: ContinuousClock.Instant) {
        guard now - lastFlush >= WorkerLane.flushInterval else { return }
        lastFlush = now
        for run in runs { run.flush() }
    }
}

/// One run's partitions on one lane.
private final class RunOnLane {
    private let run: ActiveRun
    private var lane: UDFLane?
    /// Partitions in progress, oldest first.
    private var open: [PartitionTask] = []
    /// Partitions that are over or have failed, so that what still comes for them is not worked on.
    private var closed: [Int: UDFError?] = [:]

    init(_ run: ActiveRun, _ description: AcquisitionDescription) {
        self.run = run
        guard let plan = run.plan else { return }
        do {
            lane = try UDFLane(plan, decoder: FrameDecoder(description.format))
        } catch {
            let failure = error as? UDFError ?? UDFError(.badRequest, "\(error)")
            run.fail([], because: failure)
        }
    }

    func process(_ tile: Tile) {
        guard let lane, !run.isStopped else { return }
        if let over = closed[tile.partition] {
            let error =
                over ?? UDFError(.badRequest, partition: tile.partition, "frames came after the partition was closed")
            run.fail([tile.positions], because: error)
            return
        }
        do throws(UDFError) {
            let task = try task(for: tile.partition, on: lane)
            try task.process(
                tile.firstPixel, stride: tile.stride, count: tile.count, firstPosition: tile.firstPosition)
            if task.isComplete { try close(task) }
        } catch {
            fail(tile, because: error)
        }
    }

    private func task(for partition: Int, on lane: UDFLane) throws(UDFError) -> PartitionTask {
        if let task = open.last(where: { $0.partition == partition }) { return task }
        let task = try lane.begin(partition: partition)
        open.append(task)
        if open.count > WorkerLane.openPartitions {
            let oldest = open[0]
            do throws(UDFError) { try close(oldest) } catch { lose(oldest, because: error) }
        }
        return task
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
        closed[task.partition] = error
        run.fail(task.takenPositions, because: error)
    }

    func flush() {
        for task in open where task.pendingCount > 0 {
            do throws(UDFError) {
                if let result = try task.flush() { run.merge(result) }
            } catch {
                open.removeAll { $0 === task }
                lose(task, because: error)
            }
        }
    }

    /// The acquisition is over.
    func finish() {
        for task in open {
            do throws(UDFError) { run.merge(try task.finish()) } catch { lose(task, because: error) }
        }
        open = []
    }
}
