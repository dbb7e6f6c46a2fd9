import MerlinProtocol
import MerlinSimulator
import StemwireAcquisition
import StemwireKernels
import StemwireServer
import StemwireSystem
import StemwireUDF

/// Ring, engine threads and results of one local run. Used by one thread.
final class Pipeline {
    static let runName = "run"
    /// How long an armed detector may take to send its acquisition header.
    static let headerPatience = Duration.seconds(1)

    private let options: RunOptions
    private let ring: FrameRing
    private let queues: [TileQueue]
    private let lanes: [WorkerLane]
    private let table: RunTable
    private let changed = CountingSemaphore()
    private var isStopped = false

    init(options: RunOptions, requests: [UDFRequest]) throws(RunError) {
        self.options = options
        do {
            let ring = try FrameRing(.init(totalBytes: options.ringBytes))
            let threads = max(1, options.threads)
            // All are kept, or a detector that scans on at once would push the first one, which alone counts, out.
            let table = RunTable(registry: options.registry, lanes: threads, keptAcquisitions: .max) {
                [changed] in changed.post()
            }
            try table.start(name: Self.runName, requests: requests, acquisitions: 1, joinsCurrent: false)
            let queues = (0..<threads).map { _ in TileQueue(for: ring) }
            lanes = try queues.enumerated().map { index, queue in
                try WorkerLane(index: index, of: threads, queue: queue, ring: ring, table: table)
            }
            (self.ring, self.table, self.queues) = (ring, table, queues)
        } catch let error as RunTableError {
            throw .badRequest(error.description)
        } catch {
            throw .failed("\(error)")
        }
    }

    /// Ends the engine; the source must have ended.
    func stop() {
        guard !isStopped else { return }
        isStopped = true
        for queue in queues { queue.close() }
        for lane in lanes { lane.join() }
    }

    // MARK: Sources

    private var sourceConfiguration: SourceConfiguration {
        var configuration = SourceConfiguration()
        configuration.framesPerPartition = options.framesPerPartition
        configuration.tracker.idleLimit = options.idleLimit
        configuration.tracker.resolver = NavShapeResolver(shape: options.navShape, margins: options.margins)
        return configuration
    }

    /// Connects to a detector; with a trigger, arms and triggers it.
    func connect(
        host: String, controlPort: Int, dataPort: Int, trigger: DetectorTrigger?, deadline: ContinuousClock.Instant?
    ) throws(RunError) -> any ActiveSource {
        var configuration = MerlinReceiver.Configuration()
        configuration.source = sourceConfiguration
        let receiver = MerlinReceiver(ring: ring, consumers: queues, configuration: configuration)
        let timeLeft = { () -> Duration in
            min(.seconds(5), deadline.map { max(.milliseconds(1), $0 - ContinuousClock.now) } ?? .seconds(5))
        }
        do throws(SystemError) {
            try receiver.start(host: host, port: dataPort, timeout: timeLeft())
        } catch {
            throw .unreachable(
                "\(error): no detector serves data there; check address, port and that its software runs")
        }
        let source = DetectorSource(receiver: receiver)
        guard let trigger else { return source }
        let control = MerlinControl(host: host, port: controlPort)
        do {
            let frames = options.navShape.flatMap { $0.contains(-1) ? nil : $0.reduce(1, *) }
            try control.arm(frames: frames, trigger: trigger, beforeStart: receiver.willArm, timeLeft: timeLeft)
            if !waitForHeader(receiver, timeout: min(Self.headerPatience, timeLeft())) {
                // The header comes at once when a detector is armed. Where none comes, it went to a connection that had
                // just ended, or acquisition headers are switched off; arming anew helps the one and does not hurt the other.
                try control.command("STOPACQUISITION", timeout: timeLeft())
                try control.arm(frames: frames, trigger: trigger, beforeStart: receiver.willArm, timeLeft: timeLeft)
                _ = waitForHeader(receiver, timeout: min(Self.headerPatience, timeLeft()))
            }
            if trigger == .soft { try control.command("SOFTTRIGGER", timeout: timeLeft()) }
            return source
        } catch let error as MerlinControlError {
            source.stop()
            switch error {
            case .unreachable: throw .unreachable(error.description)
            case .timedOut: throw .timedOut(error.description, nil)
            default: throw .refused(error.description)
            }
        } catch {
            source.stop()
            throw .failed("\(error)")
        }
    }

    /// Waits until the acquisition header, or a frame, has come.
    private func waitForHeader(_ receiver: MerlinReceiver, timeout: Duration) -> Bool {
        let deadline = ContinuousClock.now + timeout
        while receiver.counters.state == .idle, receiver.counters.endedAcquisitions == 0 {
            guard ContinuousClock.now < deadline else { return false }
            _ = changed.wait(timeout: .milliseconds(2))
        }
        return true
    }

    /// Plays a recording.
    func play(path: String) throws(RunError) -> any ActiveSource {
        do {
            let set = try MIBFileSet(path: path)
            return try FileSource(
                MIBFileSource(set: set, ring: ring, consumers: queues, configuration: sourceConfiguration))
        } catch {
            throw .badRequest("\(error)")
        }
    }

    /// Starts the embedded simulator and runs one scan of it, through real sockets.
    func simulate() throws(RunError) -> any ActiveSource {
        var configuration = SimulatorConfiguration(source: .synthetic)
        configuration.navShape = options.navShape
        configuration.mode = .triggered
        (configuration.controlPort, configuration.dataPort, configuration.triggerPort) = (0, 0, 0)
        do {
            let simulator = try MerlinSimulator(configuration)
            let ports = try simulator.start()
            let detector = try connect(
                host: "127.0.0.1", controlPort: ports.control, dataPort: ports.data, trigger: .soft, deadline: nil)
            return SimulatedSource(detector: detector, simulator: simulator)
        } catch let error as RunError {
            throw error
        } catch {
            throw .badRequest("\(error)")
        }
    }

    // MARK: Results

    /// Waits until results may have become final, at most `timeout`.
    func waitForChange(timeout: Duration) { _ = changed.wait(timeout: timeout) }

    private var record: AcquisitionRecord? { table.acquisitions.first }
    private var isDrained: Bool { record?.isDrained ?? false }

    /// Waits for what was received to be worked on.
    func drain(within limit: Duration) -> Bool {
        let deadline = ContinuousClock.now + limit
        while !isDrained {
            guard record != nil, ContinuousClock.now < deadline else { return false }
            _ = changed.wait(timeout: .milliseconds(50))
        }
        return true
    }

    var progress: RunProgress {
        guard let record else { return RunProgress(placed: 0, expected: 0, processed: 0, framesPerSecond: 0) }
        let processed = record.runs.first?.progress().processed ?? 0
        let placed = record.summary?.accounting.placed ?? processed
        let seconds =
            record.summary.map { $0.duration / .seconds(1) } ?? max(0, WallClock.now - record.description.startedAt)
        return RunProgress(
            placed: placed, expected: record.description.framesExpected, processed: processed,
            framesPerSecond: seconds > 0 ? Double(placed) / seconds : 0)
    }

    /// The outcome of the first acquisition, once its results are final.
    func outcome(_ requests: [UDFRequest]) -> RunOutcome? {
        guard let record, record.isDrained, let summary = record.summary, let run = record.runs.first else {
            return nil
        }
        let snapshot = run.snapshot()
        let sigShape = record.description.sigShape
        return RunOutcome(
            navShape: record.description.navShape.dimensions, sigShape: [sigShape.height, sigShape.width],
            dtype: DType(record.description.format.decodedPixel), accounting: summary.accounting,
            endReason: summary.reason, seconds: summary.duration / .seconds(1),
            acquisitionHeader: record.description.header?.entries.map { ($0.key, $0.value) } ?? [], udfs: requests,
            channels: snapshot.channels.map { channel in
                RunOutcome.Channel(
                    udf: channel.udf, name: channel.name, kind: channel.kind, array: channel.array,
                    validBitmap: (channel.valid ?? snapshot.processed).bitmap)
            }, processed: snapshot.processed.count, udfError: snapshot.error)
    }

    func timeoutText(after limit: Duration) -> String {
        let progress = progress
        let came =
            progress.expected == 0
            ? "no frame had come; check that the detector is armed and triggered"
            : "\(progress.placed) of \(progress.expected) frames had come"
        return "the time limit of \(limit) passed: \(came)"
    }
}
