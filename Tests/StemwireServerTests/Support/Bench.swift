import Logging
import MerlinProtocol
import MerlinSimulator
import StemwireAcquisition
import StemwireClient
import StemwireProtocol
import StemwireServer
import StemwireSystem
@_exported import StemwireTestSupport
import StemwireUDF
import Testing

/// All tests with servers, one after the other: they watch the clock.
@Suite("Acquisition server", .serialized) struct ServerTests {}

/// A simulated detector and a server connected to it, in this process, on free ports.
struct Bench: Sendable {
    let simulator: MerlinSimulator
    let detector: MerlinSimulator.Ports
    let server: AcquisitionServer
    let endpoints: AcquisitionServer.Endpoints

    static let idleLimit = Duration.milliseconds(300)

    /// Small frames that tell which one they are; the detector waits to be armed.
    static func simulatorConfiguration(nav: [Int] = [8, 8], sig: Int = 16) -> SimulatorConfiguration {
        var configuration = SimulatorConfiguration(source: .selfIdentifying)
        configuration.navShape = nav
        configuration.sigShape = SigShape(height: sig, width: sig)
        configuration.mode = .triggered
        (configuration.controlPort, configuration.dataPort, configuration.triggerPort) = (0, 0, 0)
        return configuration
    }

    static func serverConfiguration(controlPort: Int, dataPort: Int) -> ServerConfiguration {
        var configuration = ServerConfiguration()
        (configuration.controlPort, configuration.livePort, configuration.workPort) = (0, 0, 0)
        (configuration.detectorControlPort, configuration.detectorDataPort) = (controlPort, dataPort)
        configuration.ringBytes = 16 << 20
        configuration.idleLimit = idleLimit
        configuration.framesPerPartition = 16
        configuration.udfs = [UDFRequest(name: "sum"), UDFRequest(name: "sumsig")]
        return configuration
    }

    /// Runs `body` on a bench, which is taken down in any case.
    static func run(
        nav: [Int] = [8, 8], sig: Int = 16, faults: String = "",
        simulator change: (inout SimulatorConfiguration) -> Void = { _ in },
        server set: (inout ServerConfiguration) -> Void = { _ in },
        _ body: (Bench) async throws -> Void
    ) async throws {
        var configuration = simulatorConfiguration(nav: nav, sig: sig)
        configuration.faults = try FaultPlan(faults)
        change(&configuration)
        let simulator = try MerlinSimulator(configuration)
        let detector = try simulator.start()
        defer { simulator.stop() }
        var settings = serverConfiguration(controlPort: detector.control, dataPort: detector.data)
        set(&settings)
        try await serve(settings) { server, endpoints in
            try await body(
                Bench(simulator: simulator, detector: detector, server: server, endpoints: endpoints))
        }
    }

    /// Runs `body` with a server, which is stopped in any case.
    static func serve(
        _ configuration: ServerConfiguration,
        _ body: (AcquisitionServer, AcquisitionServer.Endpoints) async throws -> Void
    ) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let server = try AcquisitionServer(configuration, logger: logger)
        let endpoints = try await server.start()
        do {
            try await body(server, endpoints)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    /// Connects a client, and waits until the server has its detector.
    func connect() async throws -> StemwireConnection { try await Self.connect(endpoints) }

    static func connect(
        _ endpoints: AcquisitionServer.Endpoints, waitsForDetector: Bool = true
    ) async throws -> StemwireConnection {
        let client = try await StemwireConnection.connect(
            to: "127.0.0.1:\(endpoints.controlPort)", timeout: .seconds(60))
        if waitsForDetector {
            try await eventually("a connection to the detector") {
                try await client.status().detector.dataConnected ? () : nil
            }
        }
        return client
    }

    var pattern: SelfIdentifyingPattern {
        get throws {
            SelfIdentifyingPattern(
                try DetectorFormat(
                    layout: .single, sigShape: simulator.sigShape, counterDepth: .twelve, pixelType: .u16))
        }
    }

    /// Bytes of a frame's message on the detector's data socket, prefix counted.
    var messageBytes: Int { MPXPrefix.byteCount + 384 + simulator.sigShape.pixelCount * 2 }

    /// The image of a frame as the simulator sends it.
    func image(acquisition: UInt16, frame: Int) throws -> [UInt16] {
        try pattern.encoded(.init(acquisition: acquisition, frame: UInt32(frame)), as: UInt16.self)
    }

    /// What `sum` gives for these frames: an independent, plain sum.
    func sum(acquisition: UInt16, frames: some Sequence<Int>) throws -> [Double] {
        var sum = [Double](repeating: 0, count: simulator.sigShape.pixelCount)
        for frame in frames {
            for (pixel, count) in try image(acquisition: acquisition, frame: frame).enumerated() {
                sum[pixel] += Double(count)
            }
        }
        return sum
    }

    /// What `sumsig` gives for a frame.
    func total(acquisition: UInt16, frame: Int) throws -> Double {
        try image(acquisition: acquisition, frame: frame).reduce(0) { $0 + Double($1) }
    }
}

extension StemwireConnection {
    /// Arms and triggers, as soon as the detector has got over the acquisition before.
    func startScan() async throws {
        try await armWhenFree()
        try await trigger()
    }

    func armWhenFree(navShape: [Int]? = nil, frames: Int? = nil, trigger: TriggerMode? = nil) async throws {
        try await armWhenFree(ArmSettings(navShape: navShape, frames: frames, trigger: trigger))
    }

    func armWhenFree(_ settings: ArmSettings) async throws {
        try await eventually("a detector that is free") {
            do throws(ControlFailure) {
                _ = try await arm(settings)
                return ()
            } catch {
                guard error.code == .wrongState || error.detectorCode == 1 else { throw error }
                return nil
            }
        }
    }
}
