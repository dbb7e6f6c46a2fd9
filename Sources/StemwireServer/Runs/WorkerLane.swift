import StemwireAcquisition
import StemwireKernels
import StemwireSystem
import StemwireUDF

/// A thread that runs UDFs on its share of the partitions, right behind a source in the same process.
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
    /// Where tiles come without pixels.
    private var reader: TileReader?
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
            reader = record == nil ? nil : description.unread.map { TileReader($0) }
            // What comes first is shown at once.
            lastFlush = .now - WorkerLane.flushInterval
        case .tile(let tile):
            defer { ring.release(tile) }
            guard let record, tile.partition % laneCount == index else { return }
            for run in record.runs(beyond: runs.count) { runs.append(RunOnLane(run, record.description)) }
            guard let reader else { return work(on: tile) }
            reader.forEachPart(of: tile) { part in
                work(on: part)
                flushIfDue(at: .now)
            }
        case .ended(let summary):
            table.ended(summary)
            guard let record, record.description.generation == summary.generation else { return }
            for run in runs { run.finish() }
            while recompute() {}
            runs = []
            table.laneFinished(record)
            self.record = nil
            reader = nil
        }
    }

    private func work(on tile: Tile) {
        for run in runs {
            run.process(tile)
            if run.openCount > WorkerLane.openPartitions, let oldest = run.oldest { run.close(partition: oldest) }
        }
    }

    mutating func flushIfDue(at now: ContinuousClock.Instant) {
        guard now - lastFlush >= WorkerLane.flushInterval else { return }
        lastFlush = now
        for run in runs { run.flush() }
        _ = recompute()
    }

    /// Works again on one partition of each run with parameters that have changed, as far as the ring has its frames.
    ///
    /// - Returns: whether there was one.
    private func recompute() -> Bool {
        guard let record else { return false }
        var hasWorked = false
        for run in runs {
            let hadOne = run.recompute({ $0 % laneCount == index }) { positions, body in
                forEachTile(at: positions, of: record.description.generation, body)
            }
            hasWorked = hadOne || hasWorked
        }
        return hasWorked
    }

    private func forEachTile(at positions: Range<Int>, of generation: UInt64, _ body: (Tile) -> Void) {
        var rest = positions
        while let first = ring.firstPosition(in: rest, generation: generation),
            let tile = ring.lookup(generation: generation, position: first)
        {
            defer { ring.release(tile) }
            let part = tile.part(tile.positions.clamped(to: first..<positions.upperBound))
            if let reader { reader.forEachPart(of: part, body) } else { body(part) }
            rest = part.positions.upperBound..<positions.upperBound
        }
    }
}
