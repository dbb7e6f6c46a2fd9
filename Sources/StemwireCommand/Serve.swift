import ArgumentParser
import Foundation
import Logging
import MerlinSimulator
import Stemwire
import StemwireClient
import StemwireServer
import StemwireSystem
import StemwireUDF
import StemwireViewer
import StemwireWorker
import ZeroMQ

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the acquisition server: owns the detector's sockets and serves clients.",
        discussion: """
            With --source synthetic or a recording, a simulated detector is started inside the server; arm and trigger it \
            like a real one.
            """)

    @Option(help: "merlin://HOST[:CONTROL,DATA], synthetic, or a recording (FILE.hdr, FILE.mib).")
    var source: String
    @Option(help: "Address to listen at. One that other machines reach needs keys (`stemwire keygen`) or --insecure.")
    var bind = "127.0.0.1"
    @Option(help: "Port of the control socket; 0 takes a free one.") var controlPort = 7400
    @Option(help: "Port of the live socket; 0 takes a free one.") var livePort = 7401
    @Option(help: "Port of the work socket; 0 takes a free one.") var workPort = 7402
    @Option(help: "Port of the viewer's page; 0 takes a free one. Default: 7480, or no page where that is taken.")
    var httpPort: Int?
    @Option(
        help: ArgumentHelp(
            "Address of the viewer's page. Default: that of --bind; with keys 127.0.0.1. With keys the page asks for a token (`stemwire enrol --web`).",
            valueName: "HOST"))
    var httpBind: String?
    @Option(
        help: ArgumentHelp(
            "Another site whose pages may connect, such as that of a proxy; may be repeated.", valueName: "https://HOST"
        ))
    var origin: [String] = []
    @Flag(help: "Serve no viewer page.") var noViewer = false
    @Flag(help: "Allow an address that other machines reach, without encryption and without asking who they are.")
    var insecure = false
    @OptionGroup var trust: TrustOptions
    @Option(help: NavShapeArgument.help) var navShape: NavShapeArgument?
    @Option(
        help: ArgumentHelp(
            "UDF to run on every acquisition; may be repeated; none for none. Default: sum, sumsig, monitor.",
            valueName: "[ID=]NAME[:key=value,…]"))
    var udf: [String] = []
    @OptionGroup var corrections: CorrectionOptions
    @Option(help: "Threads of the server that run UDFs; 0 leaves the work to workers.") var threads = max(
        1, ProcessInfo.processInfo.activeProcessorCount / 2)
    @Option(help: "Memory for frames, MiB.") var ring = 256
    @Option(help: "File for frames that work waits for when the ring is short, MiB; 0 for none.") var spool = 0
    @Option(help: "Directory of that file. Default: the system's for temporary files.") var spoolDirectory: String?
    @Option(
        help:
            "What happens when ring and spool are full of work: wait (the detector waits) or drop (work is lost, and told)."
    )
    var whenBehind = "wait"
    @Option(
        help: ArgumentHelp(
            "Ended acquisitions that are kept with their results and, as far as memory lasts, their frames (1 to 64).",
            valueName: "N"))
    var keep = 2
    @Option(
        help: ArgumentHelp("SQLite file that acquisitions are remembered in. Default: they are not.", valueName: "FILE")
    )
    var history: String?
    @Option(help: "Workers that may die over a partition before it is given up.") var quarantineDeaths = 3
    @Option(help: "Seconds of silence after which a worker counts as dead.") var workerTimeout = 3.0
    @Option(
        help: ArgumentHelp(
            "Frames in a partition. Default: whole scan lines, about 256, of 32 MiB and an eighth of --ring at most.",
            valueName: "N"))
    var framesPerPartition: Int?
    @OptionGroup var margins: MarginOptions
    @Option(help: "Seconds of silence after which an acquisition ends.") var idleLimit = 2.0
    @Option(help: "What a full ring means: wait (the detector is made to wait) or drop (frames are lost, and counted).")
    var whenFull = "wait"
    @Option(help: "Name of the detector in topics.") var name = "merlin"
    @Option(help: "Result updates a second.") var updates = 20.0
    @Option(help: "Seconds that stopping may take: what was received is worked off in them.") var stopTimeout = 30.0
    @Flag(help: "Leave out the checksums of tiles and results.") var noChecksums = false
    @OptionGroup var log: LogOptions
    @OptionGroup var settings: SettingsOptions
    @Flag(help: "Print one JSON object a line on standard output.") var json = false

    func run() async throws {
        let logger = log.logger()
        Machine.raiseDescriptorLimit(to: 65536)
        var configuration = try serverConfiguration()
        let page = try enrolPage(&configuration, logger)
        let simulator = try startSimulator(&configuration)
        let server: AcquisitionServer
        let endpoints: AcquisitionServer.Endpoints
        do throws(ServerError) {
            server = try AcquisitionServer(configuration, logger: logger)
            endpoints = try await server.start()
        } catch {
            simulator?.stop()
            if case .badSetting = error { throw CommandFailure.usage(error.description) }
            throw CommandFailure.failure(error.description)
        }
        let viewer = try await startViewer(
            controlPort: endpoints.controlPort, page, logger: logger, orStop: server)
        if insecure { logger.warning("insecure: whoever reaches \(bind) can read everything and control the detector") }
        if json {
            var line: [String: Any] = [
                "event": "listening", "control_port": endpoints.controlPort, "live_port": endpoints.livePort,
                "work_port": endpoints.workPort, "source": source,
            ]
            line["http_port"] = viewer?.port
            Terminal.json(line)
        } else {
            Terminal.print(
                "Serving \(source): control tcp://\(bind):\(endpoints.controlPort), live \(endpoints.livePort), work \(endpoints.workPort)"
            )
            if let viewer { Terminal.print("See it at http://\(pageHost(page)):\(viewer.port)") }
            if viewer != nil, page != nil {
                Terminal.print(
                    "It asks for a token, which `stemwire enrol --web` makes; or add #token=TOKEN to the address")
            }
            Terminal.print("Watch it with: stemwire watch --connect tcp://\(bind):\(endpoints.controlPort)")
        }
        let notifier = ServiceNotifier()
        var services = RunningServices(stopWithin: .seconds(stopTimeout), logger: logger)
        if let simulator { services.add("simulator") { simulator.stop() } }
        services.add("server") { await server.stop() }
        if let viewer { services.add("viewer") { await viewer.server.stop() } }
        if let page { services.add("web tokens") { page.gate.stop() } }
        let watchdog = Watchdog(notifier) { server.liveness().isGood }
        notifier.ready("serving \(source) on port \(endpoints.controlPort)")
        let signal = try await services.run { notifier.stopping() }
        watchdog.end()
        if signal == .interrupt { throw ExitCode(130) }
    }

    /// What an operator's tools ask for by HTTP.
    private static func texts(_ server: AcquisitionServer) -> [String: OperatorPage] {
        // What starts programs again, and what spreads requests over them, has no token.
        func health(_ ask: @escaping @Sendable () -> ServerHealth) -> OperatorPage {
            OperatorPage(isForAll: true) {
                let health = ask()
                return OperatorText(health.text, isGood: health.isGood)
            }
        }
        return [
            "metrics": OperatorPage { OperatorText(server.metrics(), mediaType: OperatorText.metricsMediaType) },
            "healthz": health { server.liveness() },
            "readyz": health { server.readiness() },
        ]
    }

    /// What the page is let in with, and whom it lets in.
    private struct GuardedPage {
        let token: AccessToken
        let gate: WebGate
    }

    /// HTTP has no encryption of its own: where peers need keys, nobody else sees it unless that is asked for.
    private func pageHost(_ page: GuardedPage?) -> String { httpBind ?? (page == nil ? bind : "127.0.0.1") }

    /// Where peers need keys, the page of this process has one too, for as long as it runs, and asks for tokens.
    private func enrolPage(_ configuration: inout ServerConfiguration, _ logger: Logger) throws -> GuardedPage? {
        guard !noViewer, let keys = configuration.trust.keys else { return nil }
        do {
            let pair = try CurveKeyPair.generate()
            configuration.trust.ownPeers = [AllowList.Entry(name: "page", role: .controller, key: pair.publicKey)]
            let token = AccessToken(serverKey: try keys.serverKeys().publicKey, keys: pair)
            return GuardedPage(token: token, gate: try WebGate(keys, logger: logger))
        } catch {
            throw CommandFailure.failure("\(error)")
        }
    }

    private func startViewer(
        controlPort: Int, _ page: GuardedPage?, logger: Logger, orStop server: AcquisitionServer
    ) async throws -> (server: ViewerServer, port: Int)? {
        guard !noViewer else { return nil }
        // The server is reached where it listens; at a wildcard address on this machine.
        let host = ["0.0.0.0", "::", "*"].contains(bind) ? "127.0.0.1" : bind
        var settings = ViewerConfiguration(
            serverEndpoint: "tcp://\(host.contains(":") ? "[\(host)]" : host):\(controlPort)")
        (settings.bindHost, settings.port, settings.allowsInsecure) = (pageHost(page), httpPort ?? 7480, insecure)
        settings.token = page?.token
        settings.guests = page?.gate.guestBook
        settings.allowedOrigins = origin
        settings.texts = Self.texts(server)
        do throws(ViewerError) {
            let viewer = try ViewerServer(settings, logger: logger)
            return (viewer, try await viewer.start())
        } catch {
            if case .cannotListen = error, httpPort == nil {
                // What somebody else's page does must not keep the detector from being served.
                logger.warning("no viewer page: \(error); choose another port with --http-port")
                return nil
            }
            await server.stop()
            if case .badSetting = error { throw CommandFailure.usage(error.description) }
            throw CommandFailure.failure("\(error); choose another --http-port, or --no-viewer")
        }
    }

    private func serverConfiguration() throws -> ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.sourceName = name
        configuration.bindHost = bind
        (configuration.controlPort, configuration.livePort, configuration.workPort) = (controlPort, livePort, workPort)
        configuration.allowsInsecure = insecure
        configuration.trust = trust.configuration(bind: bind, isInsecure: insecure)
        configuration.navShape = navShape?.lengths
        configuration.threads = threads
        configuration.corrections = try corrections.read()
        guard (8...1 << 20).contains(ring) else {
            throw CommandFailure.usage("--ring: \(ring) MiB; 8 to \(1 << 20) are possible")
        }
        configuration.ringBytes = ring << 20
        configuration.framesPerPartition = framesPerPartition
        if let margins = margins.margins { configuration.margins = margins }
        guard idleLimit > 0, idleLimit <= 86_400 else {
            throw CommandFailure.usage("--idle-limit: \(idleLimit) s; above 0, at most a day")
        }
        configuration.idleLimit = .seconds(idleLimit)
        guard stopTimeout > 0, stopTimeout <= 3600 else {
            throw CommandFailure.usage("--stop-timeout: \(stopTimeout) s; above 0, at most an hour")
        }
        switch whenFull {
        case "wait": configuration.whenRingIsFull = .wait
        case "drop": configuration.whenRingIsFull = .dropCounted
        default: throw CommandFailure.usage("--when-full: \"\(whenFull)\" is neither wait nor drop")
        }
        guard (0...1 << 24).contains(spool) else {
            throw CommandFailure.usage("--spool: \(spool) MiB; 0 to \(1 << 24) are possible")
        }
        configuration.spoolBytes = spool << 20
        configuration.spoolDirectory = spoolDirectory
        configuration.historyFile = history
        configuration.keptAcquisitions = keep
        configuration.quarantineDeaths = quarantineDeaths
        switch whenBehind {
        case "wait": configuration.whenProcessingIsBehind = .backPressure
        case "drop": configuration.whenProcessingIsBehind = .dropProcessing
        default: throw CommandFailure.usage("--when-behind: \"\(whenBehind)\" is neither wait nor drop")
        }
        guard workerTimeout >= 0.3, workerTimeout <= 3600 else {
            throw CommandFailure.usage("--worker-timeout: \(workerTimeout) s; 0.3 to 3600 are possible")
        }
        configuration.workerSilenceLimit = .seconds(workerTimeout)
        configuration.workerBeatInterval = .seconds(min(60, workerTimeout / 3))
        guard updates > 0, updates <= 1000 else {
            throw CommandFailure.usage("--updates: \(updates) a second; above 0, at most 1000")
        }
        configuration.updatesPerSecond = updates
        configuration.sendsChecksums = !noChecksums
        let names = udf.isEmpty ? ["sum", "sumsig", "monitor"] : udf == ["none"] ? [] : udf
        configuration.udfs = try names.map { try udfRequest($0) }
        return configuration
    }

    /// Starts the embedded simulator where the source is not a detector.
    private func startSimulator(_ configuration: inout ServerConfiguration) throws -> MerlinSimulator? {
        var settings: SimulatorConfiguration
        switch try sourceLocator(source) {
        case .merlin(let host, let control, let data):
            configuration.detectorHost = host
            (configuration.detectorControlPort, configuration.detectorDataPort) = (control, data)
            return nil
        case .server:
            throw CommandFailure.usage("--source: a server cannot be the source of another one")
        case .synthetic:
            settings = SimulatorConfiguration(source: .synthetic)
            if let shape = navShape?.lengths, !shape.contains(-1) { settings.navShape = shape }
        case .file(let path):
            settings = SimulatorConfiguration(source: .recording(path: path))
        }
        settings.mode = .triggered
        (settings.controlPort, settings.dataPort, settings.triggerPort) = (0, 0, 0)
        do {
            let simulator = try MerlinSimulator(settings)
            let ports = try simulator.start()
            configuration.detectorHost = "127.0.0.1"
            (configuration.detectorControlPort, configuration.detectorDataPort) = (ports.control, ports.data)
            return simulator
        } catch {
            throw CommandFailure.failure("the simulated detector cannot start: \(error)")
        }
    }
}

/// Reads a source, or fails as a matter of usage.
func sourceLocator(_ text: String) throws -> SourceLocator {
    do throws(SourceLocatorError) {
        return try SourceLocator(text)
    } catch {
        throw CommandFailure.usage(error.description)
    }
}

/// Reads a UDF request, or fails as a matter of usage.
func udfRequest(_ text: String) throws -> UDFRequest {
    do throws(UDFError) {
        return try UDFRequest(argument: text)
    } catch {
        throw CommandFailure.usage("--udf: \(error)")
    }
}
