import Logging
import StemwireAcquisition
import StemwireKernels
import StemwireProtocol
import StemwireSystem
import StemwireUDF
import ZeroMQ

/// The acquisition server: owns the detector's two sockets, and serves control, live and work.
///
/// `start()`, then `stop()`, each once, from any task.
public final class AcquisitionServer: Sendable {
    /// Where the server is listening.
    public struct Endpoints: Sendable {
        public let controlPort: Int
        public let livePort: Int
        public let workPort: Int
    }

    /// What the program calls itself to its peers.
    public static let version = "stemwire 0.1"
    /// The name of the run that is made from the configuration's UDFs.
    public static let defaultRun = "default"

    public let configuration: ServerConfiguration
    private let logger: Logger
    private let parts = Locked<Parts?>(nil)

    /// What runs between start and stop, as far as it has been started.
    private struct Parts: Sendable {
        let context: Context
        var reactors: [Reactor] = []
        var link: DetectorLink?
        var watch: DetectorWatch?
        var detector: DetectorControl?
        var history: HistoryStore?
        var mover: FrameMover?
        var results: ResultDesk?
        var live: LivePublisher?
        var work: WorkService?
        var control: ControlService?
        var gatekeeper: Gatekeeper?
        var operation: (status: StatusReport, table: RunTable, turns: TurnWatch)?
    }

    /// - Throws: `ServerError` for settings that cannot be.
    public init(_ configuration: ServerConfiguration, logger: Logger = Logger(label: "stemwire")) throws(ServerError) {
        try configuration.check()
        self.configuration = configuration
        self.logger = logger
    }

    /// What tells how the server does; nil when it is not running.
    var operation: (status: StatusReport, table: RunTable, turns: TurnWatch)? { parts.withLock { $0?.operation } }

    /// What feeds the ring; nil when the server is not running.
    var receiver: MerlinReceiver? { parts.withLock { $0?.link?.receiver } }

    /// Opens the sockets and begins to connect to the detector. Returns as soon as clients can connect.
    ///
    /// - Throws: `ServerError`; nothing is left open then.
    public func start() async throws(ServerError) -> Endpoints {
        do {
            return try await open()
        } catch let error as ServerError {
            throw error
        } catch {
            throw .cannotStart("\(error)")
        }
    }

    private func open() async throws -> Endpoints {
        try ZMQLibrary.requireSupported()
        var parts = Parts(context: try Context())
        do {
            let endpoints = try await open(&parts)
            self.parts.withLock { $0 = parts }
            return endpoints
        } catch {
            await Self.close(parts)
            throw error
        }
    }

    private func open(_ parts: inout Parts) async throws -> Endpoints {
        let ring = try FrameRing(.init(totalBytes: configuration.ringBytes, isShared: true))
        let frames = try frameStore(of: ring)
        let session = AcquisitionID.random().bytes
        let liveWake = try WakeUp()
        let liveQueue = TileQueue(for: ring) { liveWake.signal() }
        let workWake = try WakeUp()
        // The desk is who reports that all frames have been worked on, and who begins with other parameters.
        let history = try configuration.historyFile.map { try HistoryStore(path: $0, logger: logger) }
        parts.history = history
        let table = RunTable(
            registry: configuration.registry, lanes: 1, keptAcquisitions: configuration.keptAcquisitions,
            onChange: {
                liveWake.signal()
                workWake.signal()
            },
            onEnd: { summary, record in
                let endedAt = WallClock.nanoseconds()
                history?.note {
                    WireHistoryEntry(
                        summary, record, session: session, endedAt: endedAt,
                        status: StatusReport.acquisition(summary, record))
                }
            })
        try startDefaultRun(in: table)
        let workQueue = TileQueue(for: ring) { workWake.signal() }
        let scan = ScanOfArming()
        let receiver = MerlinReceiver(
            ring: ring, consumers: [liveQueue, workQueue], configuration: receiverConfiguration(scan))
        let share = Int(Double(configuration.ringBytes) * configuration.liveShare)
        let pins = TilePins(of: ring, limit: share)
        let detector = try DetectorControl(configuration)
        parts.detector = detector

        for name in ["control", "live", "work", "trust"] { parts.reactors.append(try Reactor(name)) }
        try IPCDirectory.prepare(configuration.trust.ipcDirectory)
        let gatekeeper = try Gatekeeper(
            configuration.trust, on: parts.reactors[3], in: parts.context, logger: logger)
        parts.gatekeeper = gatekeeper
        try await gatekeeper?.start()
        let guards = ["control", "live", "work"].map {
            SocketGuard($0, gatekeeper: gatekeeper, configuration: configuration.trust)
        }
        let status = StatusReport(
            configuration: configuration, ring: ring, receiver: receiver, table: table, frames: frames,
            pins: pins)
        parts.operation = (status, table, TurnWatch(parts.reactors))
        let results = try ResultDesk()
        parts.results = results
        let live = try LivePublisher(
            on: parts.reactors[1], in: parts.context, access: guards[1], ring: ring, queue: liveQueue, wakeUp: liveWake,
            pins: pins,
            table: table, results: results, session: session, configuration: configuration, status: { status.wire() })
        parts.live = live
        let work = try WorkService(
            on: parts.reactors[2], in: parts.context, access: guards[2], pins: TilePins(of: ring, limit: share),
            lent: TilePins(of: ring, limit: configuration.ringBytes / 2), sendsChecksums: configuration.sendsChecksums,
            parts: WorkService.Parts(
                ring: ring, frames: frames, queue: workQueue, wakeUp: workWake, table: table, results: results,
                session: session),
            settings: DispatchDesk.Settings(
                threads: configuration.threads, beatInterval: configuration.workerBeatInterval,
                silenceLimit: configuration.workerSilenceLimit,
                whenMemoryIsShort: configuration.whenProcessingIsBehind, deathLimit: configuration.quarantineDeaths),
            announce: { live.submit($0) })
        parts.work = work
        parts.mover = try FrameMover(frames)
        let livePort = try port(of: await live.start(at: endpoint(configuration.livePort)))
        let workPort = try port(of: await work.start(at: endpoint(configuration.workPort)))

        let operations = ControlOperations(
            configuration: configuration,
            parts: ControlOperations.Parts(
                session: session, table: table, results: results, receiver: receiver, frames: frames,
                detector: detector, scan: scan, status: status, history: history, announce: { live.submit($0) },
                livePort: livePort, workPort: workPort,
                guards: guards))
        let control = try ControlService(
            on: parts.reactors[0], in: parts.context, access: guards[0], session: { session }, handler: operations)
        parts.control = control
        let controlPort = try port(of: await control.start(at: endpoint(configuration.controlPort)))
        operations.controlPort.store(controlPort, ordering: .releasing)
        let link = try DetectorLink(
            receiver: receiver, host: configuration.detectorHost, port: configuration.detectorDataPort, logger: logger
        ) { change in
            // What the detector said of itself may be another detector's now.
            detector.mayHaveChanged()
            live.submit(Self.event(change.isConnected && change.code != "detector.foreign", change.code, change.text))
        }
        parts.link = link
        let watch = DetectorWatch(
            detector, logger: logger,
            onChange: { isConnected, text in
                let code = isConnected ? "detector.controlConnected" : "detector.controlLost"
                live.submit(Self.event(isConnected, code, text))
            },
            onLook: { facts in
                link.look()
                await operations.looked(facts)
            })
        parts.watch = watch
        status.attach(
            link: link, watch: watch, live: live.counters, work: work.counters, dispatch: work.report,
            control: control.counters, guards: guards, gatekeeper: gatekeeper)
        giveMemoryBack(on: parts.reactors[3], status, table)
        logger.info(
            "serving", metadata: ["control": "\(controlPort)", "live": "\(livePort)", "work": "\(workPort)"])
        return Endpoints(controlPort: controlPort, livePort: livePort, workPort: workPort)
    }

    /// Memory that a busy time needed is given back in the next quiet one, when nobody minds some milliseconds.
    private func giveMemoryBack(on reactor: Reactor, _ status: StatusReport, _ table: RunTable) {
        reactor.submit { [interval = Self.memoryInterval] in
            var seen = 0
            reactor.schedule(every: interval) {
                let count = table.acquisitionCount
                guard count != seen, status.state != "acquiring", table.acquisitions.allSatisfy(\.isDrained) else {
                    return
                }
                seen = count
                ProcessMemory.giveBack()
            }
        }
    }

    private static let memoryInterval = Duration.seconds(10)

    private static func event(_ isGood: Bool, _ code: String, _ text: String) -> WireEvent {
        var event = WireEvent()
        (event.severity, event.code, event.text) = (isGood ? "info" : "warning", code, text)
        return event
    }

    private func frameStore(of ring: FrameRing) throws -> FrameStore {
        var settings = FrameStore.Configuration()
        settings.whenFull = configuration.whenProcessingIsBehind
        let spool =
            configuration.spoolBytes > 0
            ? try TileSpool(bytes: configuration.spoolBytes, directory: configuration.spoolDirectory) : nil
        return FrameStore(ring: ring, spool: spool, configuration: settings)
    }

    private func startDefaultRun(in table: RunTable) throws(ServerError) {
        guard !configuration.udfs.isEmpty else { return }
        do throws(RunTableError) {
            try table.start(
                name: Self.defaultRun, requests: configuration.udfs, corrections: configuration.corrections,
                acquisitions: nil, joinsCurrent: false)
        } catch {
            throw .badSetting("udf", error.description)
        }
    }

    /// Ends the connection to the detector, works on what was received, publishes it, and closes the sockets.
    public func stop() async {
        guard let taken = parts.withLock({ $0.take() }) else { return }
        await Self.close(taken)
        logger.info("stopped")
    }

    private static func close(_ parts: Parts) async {
        parts.watch?.stop()
        await blocking {
            parts.link?.stop()
            parts.detector?.stop()
        }
        let threads = await parts.work?.drain() ?? []
        await blocking {
            for thread in threads { thread.stop() }
            parts.mover?.stop()
        }
        await parts.work?.settle()
        await blocking { parts.results?.settle() }
        await parts.control?.stop()
        await parts.work?.stop()
        await parts.live?.stop()
        await parts.gatekeeper?.stop()
        await blocking {
            parts.results?.stop()
            for reactor in parts.reactors { reactor.stop() }
            parts.context.shutdown()
            parts.history?.stop()
            // What it reports on holds it, too.
            parts.operation?.status.detach()
        }
    }

    /// Runs what waits for threads to end, away from the cooperative pool.
    private static func blocking(_ work: @escaping @Sendable () -> Void) async {
        await withCheckedContinuation { continuation in
            do {
                _ = try NamedThread("stop") {
                    work()
                    continuation.resume()
                }
            } catch {
                // No thread to be had: better to wait here than not to stop.
                work()
                continuation.resume()
            }
        }
    }

    private func receiverConfiguration(_ scan: ScanOfArming) -> MerlinReceiver.Configuration {
        var receiver = MerlinReceiver.Configuration()
        receiver.source.framesPerPartition = configuration.framesPerPartition
        receiver.source.partitionBytes = PartitionRetention.usualBytes(ringBytes: configuration.ringBytes)
        receiver.source.whenRingIsFull = configuration.whenRingIsFull
        receiver.source.tracker.idleLimit = configuration.idleLimit
        receiver.source.tracker.resolver = NavShapeResolver(
            shape: configuration.navShape, margins: configuration.margins)
        receiver.source.tracker.resolver.requested = { scan.take() }
        return receiver
    }

    private func endpoint(_ port: Int) -> String {
        let host = configuration.bindHost.contains(":") ? "[\(configuration.bindHost)]" : configuration.bindHost
        return "tcp://\(host):\(port == 0 ? "*" : String(port))"
    }

    private func port(of bound: String) throws(ServerError) -> Int {
        guard let port = bound.split(separator: ":").last.flatMap({ Int($0) }) else {
            throw .cannotStart("libzmq bound \(bound), which names no port")
        }
        return port
    }
}

/// Why a server cannot be set up or started.
public enum ServerError: Error, Sendable, CustomStringConvertible {
    case badSetting(String, String)
    case cannotStart(String)

    public var description: String {
        switch self {
        case .badSetting(let name, let reason): "\(name): \(reason)"
        case .cannotStart(let reason): "the server cannot start: \(reason)"
        }
    }
}

/// What the last arming asked of the scan: for the acquisition that it announced, and no other.
final class ScanOfArming: Sendable {
    private let scans = Locked<(asked: RequestedScan?, before: RequestedScan?)>((nil, nil))

    func request(_ new: RequestedScan) { scans.withLock { $0 = (new, $0.asked) } }

    /// The last request came to nothing; what was asked for before it may still be awaited.
    func withdraw() { scans.withLock { $0 = ($0.before, nil) } }

    func take() -> RequestedScan? {
        scans.withLock { scans in
            defer { scans = (nil, nil) }
            return scans.asked
        }
    }
}
