import ArgumentParser
import Foundation
import Logging
import MerlinSimulator
import Stemwire
import StemwireServer
import StemwireUDF

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the acquisition server: owns the detector's sockets and serves clients.",
        discussion: """
            With --source synthetic or a recording, a simulated detector is started inside the server; arm and trigger it \
            like a real one.
            """)

    @Option(help: "merlin://HOST[:CONTROL,DATA], synthetic, or a recording (FILE.hdr, FILE.mib).")
    var source: String
    @Option(help: "Address to listen at. One that other machines reach needs --insecure.") var bind = "127.0.0.1"
    @Option(help: "Port of the control socket; 0 takes a free one.") var controlPort = 7400
    @Option(help: "Port of the live socket; 0 takes a free one.") var livePort = 7401
    @Option(help: "Port of the work socket; 0 takes a free one.") var workPort = 7402
    @Option(help: "Reserved for the viewer, which this version does not have: a value other than 0 is warned about.")
    var httpPort: Int?
    @Flag(help: "Allow an address that other machines reach, without encryption and without asking who they are.")
    var insecure = false
    @Option(help: NavShapeArgument.help) var navShape: NavShapeArgument?
    @Option(
        help: ArgumentHelp(
            "UDF to run on every acquisition; may be repeated; none for none. Default: sum, sumsig, monitor.",
            valueName: "[ID=]NAME[:key=value,…]"))
    var udf: [String] = []
    @Option(help: "Threads that run UDFs.") var threads = max(1, ProcessInfo.processInfo.activeProcessorCount / 2)
    @Option(help: "Memory for frames, MiB.") var ring = 256
    @Option(help: ArgumentHelp("Frames in a partition. Default: whole scan lines, about 256.", valueName: "N"))
    var framesPerPartition: Int?
    @Option(help: "Seconds of silence after which an acquisition ends.") var idleLimit = 2.0
    @Option(help: "What a full ring means: wait (the detector is made to wait) or drop (frames are lost, and counted).")
    var whenFull = "wait"
    @Option(help: "Name of the detector in topics.") var name = "merlin"
    @Option(help: "Result updates a second.") var updates = 20.0
    @Flag(help: "Leave out the checksums of tiles and results.") var noChecksums = false
    @Option(help: "trace, debug, info, notice, warning, error.") var logLevel = "notice"
    @Flag(help: "Print one JSON object a line on standard output.") var json = false

    func run() async throws {
        let logger = try makeLogger(level: logLevel)
        if let httpPort, httpPort != 0 {
            logger.warning("--http-port \(httpPort): this version has no viewer, nothing listens there")
        }
        var configuration = try serverConfiguration()
        let simulator = try startSimulator(&configuration)
        defer { simulator?.stop() }
        let server: AcquisitionServer
        let endpoints: AcquisitionServer.Endpoints
        do throws(ServerError) {
            server = try AcquisitionServer(configuration, logger: logger)
            endpoints = try await server.start()
        } catch {
            if case .badSetting = error { throw CommandFailure.usage(error.description) }
            throw CommandFailure.failure(error.description)
        }
        if insecure { logger.warning("insecure: whoever reaches \(bind) can read everything and control the detector") }
        if json {
            Terminal.json([
                "event": "listening", "control_port": endpoints.controlPort, "live_port": endpoints.livePort,
                "work_port": endpoints.workPort, "source": source,
            ])
        } else {
            Terminal.print(
                "Serving \(source): control tcp://\(bind):\(endpoints.controlPort), live \(endpoints.livePort), work \(endpoints.workPort)"
            )
            Terminal.print("Watch it with: stemwire watch --connect tcp://\(bind):\(endpoints.controlPort)")
        }
        let signal = try await Interruption.wait()
        await server.stop()
        if signal == .interrupt { throw ExitCode(130) }
    }

    private func serverConfiguration() throws -> ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.sourceName = name
        configuration.bindHost = bind
        (configuration.controlPort, configuration.livePort, configuration.workPort) = (controlPort, livePort, workPort)
        configuration.allowsInsecure = insecure
        configuration.navShape = navShape?.lengths
        configuration.threads = threads
        guard (8...1 << 20).contains(ring) else {
            throw CommandFailure.usage("--ring: \(ring) MiB; 8 to \(1 << 20) are possible")
        }
        configuration.ringBytes = ring << 20
        configuration.framesPerPartition = framesPerPartition
        guard idleLimit > 0, idleLimit <= 86_400 else {
            throw CommandFailure.usage("--idle-limit: \(idleLimit) s; above 0, at most a day")
        }
        configuration.idleLimit = .seconds(idleLimit)
        switch whenFull {
        case "wait": configuration.whenRingIsFull = .wait
        case "drop": configuration.whenRingIsFull = .dropCounted
        default: throw CommandFailure.usage("--when-full: \"\(whenFull)\" is neither wait nor drop")
        }
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

/// A logger that writes to standard error.
func makeLogger(level: String) throws -> Logger {
    guard let level = Logger.Level(rawValue: level) else {
        throw CommandFailure.usage("--log-level: \"\(level)\" is none of trace, debug, info, notice, warning, error")
    }
    var logger = Logger(label: "stemwire") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = level
    return logger
}
