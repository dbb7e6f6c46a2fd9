import Logging
import MerlinProtocol
import MerlinSimulator
import StemwireClient
import StemwireServer
import StemwireSystem
@_exported import StemwireTestSupport
import StemwireUDF
import Testing

@testable import StemwireRelay

/// All tests with relays, one after the other: they watch the clock.
@Suite("Relay", .serialized) struct RelayTests {}

/// A simulated detector, a server connected to it, a relay of the server, and a relay of that relay, in this process, on
/// free ports.
struct RelayBench: Sendable {
    let simulator: MerlinSimulator
    let server: AcquisitionServer
    let serverPort: Int
    let relay: Relay
    let relayPort: Int
    let far: Relay
    let farPort: Int

    static func simulatorConfiguration(nav: [Int], sig: Int = 16, dwell: Double?) -> SimulatorConfiguration {
        var configuration = SimulatorConfiguration(source: .selfIdentifying)
        configuration.navShape = nav
        configuration.sigShape = SigShape(height: sig, width: sig)
        configuration.mode = .triggered
        if let dwell { configuration.dwellMicroseconds = dwell }
        (configuration.controlPort, configuration.dataPort, configuration.triggerPort) = (0, 0, 0)
        return configuration
    }

    static func serverConfiguration(_ detector: MerlinSimulator.Ports) -> ServerConfiguration {
        var configuration = ServerConfiguration()
        (configuration.controlPort, configuration.livePort, configuration.workPort) = (0, 0, 0)
        (configuration.detectorControlPort, configuration.detectorDataPort) = (detector.control, detector.data)
        configuration.ringBytes = 16 << 20
        configuration.idleLimit = .milliseconds(300)
        configuration.framesPerPartition = 16
        configuration.udfs = [UDFRequest(name: "sum"), UDFRequest(name: "sumsig")]
        return configuration
    }

    static var logger: Logger {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }

    /// Runs `body` on a bench, which is taken down in any case.
    static func run(
        nav: [Int] = [8, 8], sig: Int = 16, dwell: Double? = nil, _ body: (RelayBench) async throws -> Void
    ) async throws {
        let simulator = try MerlinSimulator(simulatorConfiguration(nav: nav, sig: sig, dwell: dwell))
        let detector = try simulator.start()
        defer { simulator.stop() }
        let server = try AcquisitionServer(serverConfiguration(detector), logger: logger)
        let ports = try await server.start()
        try await withRelay(of: ports.controlPort) { relay, relayPort in
            try await withRelay(of: relayPort) { far, farPort in
                let bench = RelayBench(
                    simulator: simulator, server: server, serverPort: ports.controlPort, relay: relay,
                    relayPort: relayPort, far: far, farPort: farPort)
                try await body(bench)
            }
        } finally: {
            await server.stop()
        }
    }

    static func withRelay(
        of port: Int, set: (inout RelayConfiguration) -> Void = { _ in }, _ body: (Relay, Int) async throws -> Void,
        finally: () async -> Void = {}
    ) async throws {
        var configuration = RelayConfiguration(upstream: try ServerEndpoint("127.0.0.1:\(port)"))
        (configuration.controlPort, configuration.livePort) = (0, 0)
        set(&configuration)
        let relay = try Relay(configuration, logger: logger)
        var failure: (any Error)?
        do {
            let ports = try await relay.start()
            try await body(relay, ports.controlPort)
        } catch {
            failure = error
        }
        await relay.stop()
        await finally()
        if let failure { throw failure }
    }

    /// A client at the server, at its relay and at the relay's relay, once the detector is there.
    func connectEverywhere() async throws -> [StemwireConnection] {
        var clients: [StemwireConnection] = []
        for port in [serverPort, relayPort, farPort] { clients.append(try await Self.connect(port)) }
        return clients
    }

    static func connect(_ port: Int) async throws -> StemwireConnection {
        let client = try await StemwireConnection.connect(to: "127.0.0.1:\(port)", timeout: .seconds(10))
        try await eventually("a connection to the detector") {
            try await client.status().detector.dataConnected ? () : nil
        }
        return client
    }
}

extension StemwireConnection {
    /// Arms and triggers, as soon as the detector has got over the acquisition before.
    func startScan() async throws {
        try await eventually("a detector that is free") {
            do throws(ControlFailure) {
                _ = try await arm()
                return ()
            } catch {
                guard error.code == .wrongState || error.detectorCode == 1 else { throw error }
                return nil
            }
        }
        try await trigger()
    }
}

/// What a client saw of an acquisition, in bytes.
struct Seen: Sendable, Equatable {
    var start: AcquisitionStart?
    var end: AcquisitionEnd?
    /// Header and pixels of each position's frame.
    var frames: [Int: [UInt8]] = [:]
    var lostFrames = 0

    static func tiles(_ stream: TileStream) async throws -> Seen {
        try await within("a scan with its end") {
            var seen = Seen()
            for try await event in stream {
                switch event {
                case .started(let start): seen.start = start
                case .tile(let tile):
                    for (index, position) in tile.positions.enumerated() {
                        seen.frames[position] =
                            tile.header(ofFrame: index) + tile.withPixels(ofFrame: index) { Array($0) }
                    }
                case .gap(let gap): seen.lostFrames += gap.count
                case .unavailable: break
                case .ended(let end):
                    seen.end = end
                    return seen
                }
            }
            throw TooLate(what: "the subscription ended before the acquisition", limit: .zero)
        }
    }
}

/// The final state of each channel, in bytes, as one subscription saw it, with the end.
struct FinalResults: Sendable, Equatable {
    struct Channel: Sendable, Equatable {
        let version: UInt64
        let data: [UInt8]
        let mask: [UInt8]
    }

    var starts = 0
    var channels: [ChannelName: Channel] = [:]
    var end: AcquisitionEnd?

    static func follow(_ stream: ResultStream) async throws -> FinalResults {
        try await within("results and an end") {
            var seen = FinalResults()
            for try await event in stream {
                switch event {
                case .started: seen.starts += 1
                case .update(let update):
                    guard update.isFinal else { continue }
                    seen.channels[update.name] = Channel(
                        version: update.version, data: update.withData { Array($0) },
                        mask: update.withValidMask { Array($0) })
                case .ended(let end):
                    seen.end = end
                    return seen
                }
            }
            throw TooLate(what: "the subscription ended before the acquisition", limit: .zero)
        }
    }
}
