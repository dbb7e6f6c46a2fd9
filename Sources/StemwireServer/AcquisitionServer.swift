import Logging
import StemwireAcquisition
import StemwireKernels
import StemwireProtocol
import StemwireSystem
import StemwireUDF
import Synchronization
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
    private let parts = Mutex<Parts?>(nil)

    /// What runs between start and stop.
    private struct Parts: Sendable {
        let context: Context
        let reactors: [Reactor]
        let link: DetectorLink
        let detector: DetectorControl
        let lanes: [WorkerLane]
        let queues: [TileQueue]
        let live: LivePublisher
        let work: WorkService
        let control: ControlService
    }

    /// - Throws: `ServerError` for settings that cannot be.
    public init(_ configuration: ServerConfiguration, logger: Logger = Logger(label: "stemwire")) throws(ServerError) {
        try configuration.check()
        self.configuration = configuration
        self.logger = logger
    }

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
        let ring = try FrameRing(
            .init(
                totalBytes: configuration.ringBytes,
                retainedBytes: configuration.ringBytes - configuration.ringBytes / 4))
        let context = try Context()
        let session = AcquisitionID.random().bytes
        let liveWake = try WakeUp()
        let liveQueue = TileQueue(for: ring) { liveWake.signal() }
        let table = RunTable(registry: configuration.registry, lanes: configuration.threads) { liveWake.signal() }
        if !configuration.udfs.isEmpty {
            do {
                try table.start(
                    name: Self.defaultRun, requests: configuration.udfs, acquisitions: nil, joinsCurrent: false)
            } catch {
                throw ServerError.badSetting("udf", error.description)
            }
        }
        let laneQueues = (0..<configuration.threads).map { _ in TileQueue(for: ring) }
        let shape = RequestedShape()
        let receiver = MerlinReceiver(
            ring: ring, consumers: [liveQueue] + laneQueues, configuration: receiverConfiguration(shape))
        let pins = LivePins(limit: Int(Double(configuration.ringBytes) * configuration.liveShare))
        let detector = try DetectorControl(configuration)

        var reactors: [Reactor] = []
        for name in ["control", "live", "work"] { reactors.append(try Reactor(name)) }
        let status = StatusReport(
            configuration: configuration, ring: ring, receiver: receiver, table: table, pins: pins)
        let live = try LivePublisher(
            on: reactors[1], in: context, ring: ring, queue: liveQueue, wakeUp: liveWake, pins: pins, table: table,
            session: session, configuration: configuration, status: { status.wire() })
        let work = try WorkService(
            on: reactors[2], in: context, ring: ring, table: table, session: session,
            sendsChecksums: configuration.sendsChecksums)
        let livePort = try port(of: await live.start(at: endpoint(configuration.livePort)))
        let workPort = try port(of: await work.start(at: endpoint(configuration.workPort)))

        let lanes = try laneQueues.enumerated().map { index, queue in
            try WorkerLane(index: index, of: laneQueues.count, queue: queue, ring: ring, table: table)
        }
        let link = try DetectorLink(
            receiver: receiver, host: configuration.detectorHost, port: configuration.detectorDataPort, logger: logger
        ) { isConnected, text in
            var event = WireEvent()
            event.severity = isConnected ? "info" : "warning"
            event.code = isConnected ? "detector.connected" : "detector.disconnected"
            event.text = text
            Task { await live.publish(event: event) }
        }
        status.attach(link: link, live: live.counters, work: work.counters)
        let operations = ControlOperations(
            configuration: configuration, session: session, table: table, receiver: receiver, detector: detector,
            shape: shape, status: status, livePort: livePort, workPort: workPort)
        let control = try ControlService(on: reactors[0], in: context, session: session, handler: operations)
        let controlPort = try port(of: await control.start(at: endpoint(configuration.controlPort)))
        operations.controlPort.store(controlPort, ordering: .releasing)
        status.attach(control: control.counters)
        parts.withLock {
            $0 = Parts(
                context: context, reactors: reactors, link: link, detector: detector, lanes: lanes,
                queues: laneQueues, live: live, work: work, control: control)
        }
        logger.info(
            "serving", metadata: ["control": "\(controlPort)", "live": "\(livePort)", "work": "\(workPort)"])
        return Endpoints(controlPort: controlPort, livePort: livePort, workPort: workPort)
    }

    /// Ends the connection to the detector, works on what was received, publishes it, and closes the sockets.
    public func stop() async {
        let taken = parts.withLock { parts in
            defer { parts = nil }
            return parts
        }
        guard let taken else { return }
        await Self.blocking {
            taken.link.stop()
            for queue in taken.queues { queue.close() }
            for lane in taken.lanes { lane.join() }
            taken.detector.stop()
        }
        await taken.control.stop()
        await taken.work.stop()
        await taken.live.stop()
        await Self.blocking {
            for reactor in taken.reactors { reactor.stop() }
            taken.context.shutdown()
        }
        logger.info("stopped")
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

    private func receiverConfiguration(_ shape: RequestedShape) -> MerlinReceiver.Configuration {
        var receiver = MerlinReceiver.Configuration()
        receiver.source.framesPerPartition = configuration.framesPerPartition
        receiver.source.whenRingIsFull = configuration.whenRingIsFull
        receiver.source.tracker.idleLimit = configuration.idleLimit
        receiver.source.tracker.resolver = NavShapeResolver(
            shape: configuration.navShape, margins: configuration.margins)
        receiver.source.tracker.resolver.requestedShape = { shape.value }
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

/// The nav shape that came with the last arming, if one did.
final class RequestedShape: Sendable {
    private let shape = Mutex<[Int]?>(nil)

    var value: [Int]? {
        get { shape.withLock { $0 } }
        set { shape.withLock { $0 = newValue } }
    }
}
