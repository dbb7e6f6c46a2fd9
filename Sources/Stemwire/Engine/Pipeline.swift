import MerlinProtocol
import StemwireAcquisition
import StemwireKernels
import StemwireServer
import StemwireSystem
import StemwireUDF

/// Ring, engine threads and results of the runs on one source in this process. All methods from any thread.
final class Pipeline: Sendable {
    let options: RunOptions
    let ring: FrameRing
    let queues: [TileQueue]
    let gate: AcquisitionGate
    private let lanes: [WorkerLane]
    private let table: RunTable
    private let changed: CountingSemaphore
    private let isStopped = Locked(false)

    /// - Parameters:
    ///   - configuration: of a ring that suits the source, if there is memory for it; nil: a usual one.
    ///   - holds: whether an acquisition that no run awaits is held for the next run, or its frames let go.
    init(options: RunOptions, ring configuration: FrameRing.Configuration? = nil, holds: Bool) throws(RunError) {
        self.options = options
        do throws(SystemError) {
            let ring: FrameRing
            var suiting = configuration
            suiting?.retainedBytes = options.retainedBytes
            if let suiting = suiting.flatMap({ try? FrameRing($0) }) {
                ring = suiting
            } else {
                ring = try FrameRing(
                    .init(totalBytes: options.ringBytes, retainedBytes: options.retainedBytes))
            }
            let threads = max(1, options.threads)
            let changed = CountingSemaphore()
            let gate = AcquisitionGate(holds: holds) { changed.post() }
            let table = RunTable(
                registry: options.registry, lanes: threads, onChange: { changed.post() },
                admits: { gate.admits($0) })
            let queues = (0..<threads).map { _ in TileQueue(for: ring) }
            var lanes: [WorkerLane] = []
            do throws(SystemError) {
                for (index, queue) in queues.enumerated() {
                    lanes.append(
                        try WorkerLane(index: index, of: threads, queue: queue, ring: ring, table: table))
                }
            } catch {
                for queue in queues { queue.close() }
                for lane in lanes { lane.join() }
                throw error
            }
            (self.ring, self.table, self.queues, self.lanes) = (ring, table, queues, lanes)
            (self.gate, self.changed) = (gate, changed)
        } catch {
            throw .failed(error.description)
        }
    }

    /// Ends the engine once all that was received is worked on; the source must have ended. May be called again.
    func stop() {
        let isFirst = isStopped.withLock { isStopped in
            defer { isStopped = true }
            return !isStopped
        }
        guard isFirst else { return }
        gate.shut()
        for queue in queues { queue.close() }
        for lane in lanes { lane.join() }
    }

    /// How frames are received and placed.
    func sourceConfiguration(_ hook: NavShapeResolver.Hook?) -> SourceConfiguration {
        var configuration = SourceConfiguration()
        configuration.framesPerPartition = options.framesPerPartition
        configuration.tracker.idleLimit = options.idleLimit
        configuration.tracker.resolver = NavShapeResolver(
            shape: options.navShape, hook: hook, margins: options.margins)
        return configuration
    }

    // MARK: Runs

    /// Adds a run on the acquisition that is held, or on the next one.
    func start(
        _ run: String, _ requests: [UDFRequest], roi: PositionSet?, corrections: Corrections?
    ) throws(RunError) {
        var selection: (@Sendable (Int) -> PositionSet)?
        if let roi { selection = { _ in roi } }
        do throws(RunTableError) {
            try table.start(
                name: run, requests: requests, roi: selection, corrections: corrections, acquisitions: 1,
                joinsCurrent: false)
        } catch {
            throw .badRequest(error.description)
        }
        gate.awaitNext()
    }

    /// Changes parameters of a run.
    func change(_ run: String, to requests: [UDFRequest], recomputes: Bool) throws(RunError) {
        do throws(RunTableError) {
            try table.change(name: run, to: requests, recomputes: recomputes)
        } catch {
            throw .badRequest(error.description)
        }
    }

    /// Ends a run; where its acquisition has not begun, the next one is not taken.
    func end(_ run: String) {
        if record(of: run) == nil { gate.awaitNoMore() }
        _ = table.stop(name: run)
    }

    /// Waits until something may have changed, at most `timeout`.
    func waitForChange(timeout: Duration) { _ = changed.wait(timeout: timeout) }

    private func record(of run: String) -> AcquisitionRecord? {
        table.acquisitions.last { record in record.runs.contains { $0.name == run } }
    }

    /// Waits for what was received to be worked on.
    func drain(_ run: String, within limit: Duration) {
        let deadline = ContinuousClock.now + limit
        while let record = record(of: run), !record.isDrained, ContinuousClock.now < deadline {
            waitForChange(timeout: .milliseconds(50))
        }
    }

    func progress(_ run: String) -> RunProgress {
        guard let record = record(of: run), let active = record.runs.first(where: { $0.name == run }) else {
            return RunProgress(placed: 0, expected: 0, processed: 0, framesPerSecond: 0)
        }
        let (processed, expected, _, _, _) = active.progress()
        let placed = record.summary?.accounting.placed ?? processed
        let seconds =
            record.summary.map { $0.duration / .seconds(1) } ?? max(0, WallClock.now - record.description.startedAt)
        return RunProgress(
            placed: placed, expected: expected > 0 ? expected : record.description.framesExpected,
            processed: processed, framesPerSecond: seconds > 0 ? Double(placed) / seconds : 0)
    }

    /// What is there now; nil before the acquisition has begun.
    func update(_ run: String) -> RunUpdate? {
        guard let record = record(of: run), let active = record.runs.first(where: { $0.name == run }) else {
            return nil
        }
        active.computeResults()
        let snapshot = active.snapshot()
        return RunUpdate(
            navShape: record.description.navShape.dimensions, sigShape: record.description.sigShape,
            dtype: DType(record.description.format.decodedPixel), channels: Self.channels(snapshot),
            processedPositions: snapshot.processed, expected: snapshot.expected,
            parameterGeneration: snapshot.parameterGeneration, generations: snapshot.generations)
    }

    private static func channels(_ snapshot: ActiveRun.Snapshot) -> [RunOutcome.Channel] {
        snapshot.channels.map { channel in
            RunOutcome.Channel(
                udf: channel.udf, name: channel.name, kind: channel.kind, array: channel.array,
                validBitmap: (channel.valid ?? snapshot.processed).bitmap)
        }
    }

    /// The last acquisition that ended before a good frame had come, and why it did; runs are not told of such ones.
    var emptyEnd: (generation: UInt64, reason: EndReason)? {
        table.summaries.last { !$0.hasStarted }.map { ($0.generation, $0.reason) }
    }

    /// Whether the run's acquisition has begun.
    func hasBegun(_ run: String) -> Bool { record(of: run) != nil }

    /// The size of the frames of the run's acquisition; nil before it has begun.
    func sigShape(_ run: String) -> SigShape? { record(of: run)?.description.sigShape }

    /// Why a run cannot be done on the acquisition that has begun.
    func misfit(_ run: String) -> String? {
        guard let roi = options.roi, let record = record(of: run), roi.size != record.description.framesExpected
        else { return nil }
        return "the region of interest has \(roi.size) scan positions, the scan \(record.description.navShape) has "
            + "\(record.description.framesExpected)"
    }

    /// The outcome of a run, once its results are final.
    func outcome(_ run: String) -> RunOutcome? {
        guard let record = record(of: run), record.isDrained, let summary = record.summary,
            let active = record.runs.first(where: { $0.name == run })
        else { return nil }
        active.computeResults()
        let snapshot = active.snapshot()
        let sigShape = record.description.sigShape
        return RunOutcome(
            navShape: record.description.navShape.dimensions, sigShape: [sigShape.height, sigShape.width],
            dtype: DType(record.description.format.decodedPixel), accounting: summary.accounting,
            endReason: summary.reason, seconds: summary.duration / .seconds(1),
            secondsToResult: WallClock.now - record.description.startedAt,
            acquisitionHeader: record.description.header?.entries.map { ($0.key, $0.value) } ?? [],
            udfs: active.requests, channels: Self.channels(snapshot), processedPositions: snapshot.processed,
            selected: snapshot.expected, warnings: record.description.warnings, udfError: snapshot.error,
            parameterGeneration: snapshot.parameterGeneration, generations: snapshot.generations)
    }

    func timeoutText(_ run: String, after limit: Duration) -> String {
        let progress = progress(run)
        let came =
            progress.expected == 0
            ? "no frame had come; check that the detector is armed and triggered"
            : "\(progress.placed) of \(progress.expected) frames had come"
        return "the time limit of \(limit) passed: \(came)"
    }
}
