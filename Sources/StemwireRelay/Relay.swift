import Logging
import StemwireClient
import StemwireServer
import StemwireSystem
import ZeroMQ

/// Subscribes once to an acquisition server, or to another relay, and serves many viewers in its place.
///
/// Live messages are passed on as they come, with the server's session and numbers, so that a loss on any of the ways is
/// seen at the end of it. Snapshots and statuses are answered from what the relay has heard; requests that change something,
/// and those to the detector, are passed to the server under their ids, so that they are done once. Frames cannot be
/// fetched from a relay: its directory names no work port.
///
/// `start()`, then `stop()`, each once, from any task.
public final class Relay: Sendable {
    /// Where the relay is listening.
    public struct Endpoints: Sendable {
        public let controlPort: Int
        public let livePort: Int
    }

    public let configuration: RelayConfiguration
    private let logger: Logger
    private let parts = Locked<Parts?>(nil)

    private struct Parts: Sendable {
        let context: Context
        let reactor: Reactor
        let service: RelayService
        let control: ControlService
        let trust: Reactor
        let gatekeeper: Gatekeeper?
    }

    /// - Throws: ``RelayError`` for settings that cannot be.
    public init(
        _ configuration: RelayConfiguration, logger: Logger = Logger(label: "stemwire")
    ) throws(RelayError) {
        try configuration.check()
        self.configuration = configuration
        self.logger = logger
    }

    /// Opens the sockets and begins to connect to the server, which need not be there yet. Returns as soon as viewers can
    /// connect; they are welcomed when the server is known.
    ///
    /// - Throws: ``RelayError``; nothing is left open then.
    public func start() async throws(RelayError) -> Endpoints {
        let context: Context
        let reactor: Reactor
        let trust: Reactor
        do throws(ZMQError) {
            try ZMQLibrary.requireSupported()
            context = try Context()
            reactor = try Reactor("relay")
            trust = try Reactor("trust")
        } catch {
            throw .cannotStart(error.description)
        }
        do {
            let session = Locked<[UInt8]>([])
            try IPCDirectory.prepare(configuration.trust.ipcDirectory)
            let gatekeeper = try Gatekeeper(configuration.trust, on: trust, in: context, logger: logger)
            let guards = ["control", "live"].map {
                SocketGuard($0, gatekeeper: gatekeeper, configuration: configuration.trust)
            }
            let service = try RelayService(
                configuration, on: reactor, in: context, access: guards, session: session, logger: logger)
            let control = try ControlService(
                on: reactor, in: context, access: guards[0], session: { session.value }, handler: service)
            parts.withLock {
                $0 = Parts(
                    context: context, reactor: reactor, service: service, control: control, trust: trust,
                    gatekeeper: gatekeeper)
            }
            try await gatekeeper?.start()
            let livePort = try Self.port(of: await service.open(at: configuration.endpoint(configuration.livePort)))
            let controlPort = try Self.port(
                of: await control.start(at: configuration.endpoint(configuration.controlPort)))
            await service.begin(
                controlPort: controlPort, livePort: livePort, malformed: control.counters)
            logger.info("relaying", metadata: ["control": "\(controlPort)", "live": "\(livePort)"])
            return Endpoints(controlPort: controlPort, livePort: livePort)
        } catch {
            await stop()
            reactor.stop()
            trust.stop()
            throw error as? RelayError ?? .cannotStart("\(error)")
        }
    }

    /// Passes on what has come, and closes the sockets.
    public func stop() async {
        guard let parts = parts.withLock({ $0.take() }) else { return }
        await parts.control.stop()
        await parts.service.stop()
        await parts.gatekeeper?.stop()
        parts.reactor.stop()
        parts.trust.stop()
        parts.context.shutdown()
    }

    private static func port(of bound: String) throws(RelayError) -> Int {
        guard let port = bound.split(separator: ":").last.flatMap({ Int($0) }) else {
            throw .cannotStart("libzmq bound \(bound), which names no port")
        }
        return port
    }
}
