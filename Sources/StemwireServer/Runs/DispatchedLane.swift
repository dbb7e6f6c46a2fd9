import StemwireAcquisition
import StemwireProtocol
import StemwireUDF
import ZeroMQ

/// A plan's number with what is needed to work on it.
final class DispatchedPlan: Sendable {
    /// Unique in this server session.
    let number: UInt32
    let run: ActiveRun
    let plan: RunPlan
    let description: AcquisitionDescription
    let format: WireFrameFormat
    /// Whether it does again, with other parameters, what has been done before: its results are merged by whole partitions.
    let recomputes: Bool
    /// Whether only threads of the server can do it. No worker offers a UDF without a name.
    let needsServer: Bool

    /// - Parameter staysHere: whether workers cannot have it, whatever its UDFs are.
    init(
        number: UInt32, run: ActiveRun, plan: RunPlan, description: AcquisitionDescription, recomputes: Bool = false,
        staysHere: Bool = false
    ) {
        self.recomputes = recomputes
        needsServer = staysHere || plan.udfs.contains { $0.udf.needsOneProcess }
        self.number = number
        self.run = run
        self.plan = plan
        self.description = description
        format = WireFrameFormat(description.format)
    }

    /// What the dispatcher calls it.
    var id: RunID { RunID(generation: description.generation, number: number) }

    func item(_ partition: Int) -> WorkItem {
        WorkItem(generation: description.generation, run: number, partition: partition)
    }
}

/// A thread of the server that runs UDFs on the partitions that the dispatcher gives it.
///
/// What it has computed of a partition goes to the results while frames still come, so a partition that it began is its
/// own to finish. Orders from any thread; they are done in their order.
actor DispatchedLane {
    /// How old what has been worked on may become before it shows in the results.
    private static let flushInterval = Duration.milliseconds(25)

    nonisolated let reactor: Reactor
    private var runs: [UInt32: RunOnLane] = [:]
    /// Plans whose results may be merged by parts.
    private var flushing: Set<UInt32> = []
    private var lastFlush = ContinuousClock.now - flushInterval
    private var isFlushPlanned = false

    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    init(_ name: String) throws(ZMQError) {
        reactor = try Reactor(name)
    }

    /// Works on a tile, whose hold this takes over.
    nonisolated func process(_ tile: Tile, _ plan: DispatchedPlan) {
        reactor.submit { [self] in assumeIsolated { $0.work(tile, plan) } }
    }

    /// Ends a partition, and tells what became of it.
    nonisolated func finish(
        partition: Int, _ plan: DispatchedPlan, whenDone: @escaping @Sendable (RunOnLane.Fate) -> Void
    ) {
        reactor.submit { [self] in assumeIsolated { whenDone($0.close(partition, plan)) } }
    }

    /// Forgets a plan.
    nonisolated func forget(plan number: UInt32) {
        reactor.submit { [self] in assumeIsolated { $0.drop(number) } }
    }

    private func drop(_ number: UInt32) {
        runs[number] = nil
        flushing.remove(number)
    }

    private func run(_ plan: DispatchedPlan) -> RunOnLane {
        if let run = runs[plan.number] { return run }
        let run = RunOnLane(plan.run, plan.description, plan: plan.plan)
        runs[plan.number] = run
        if !plan.recomputes { flushing.insert(plan.number) }
        return run
    }

    private func work(_ tile: Tile, _ plan: DispatchedPlan) {
        run(plan).process(tile)
        tile.release()
        flushIfDue()
    }

    private func close(_ partition: Int, _ plan: DispatchedPlan) -> RunOnLane.Fate {
        let run = run(plan)
        defer { run.forget(partition: partition) }
        return run.close(partition: partition)
    }

    private func flushIfDue() {
        let now = ContinuousClock.now
        if now - lastFlush >= Self.flushInterval { return flush(at: now) }
        guard !isFlushPlanned else { return }
        isFlushPlanned = true
        reactor.schedule(at: lastFlush + Self.flushInterval) { [self] in
            isFlushPlanned = false
            flush(at: .now)
        }
    }

    private func flush(at now: ContinuousClock.Instant) {
        lastFlush = now
        for number in flushing { runs[number]?.flush() }
    }
}
