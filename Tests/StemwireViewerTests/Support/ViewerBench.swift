import Foundation
import Logging
import MerlinProtocol
import MerlinSimulator
import StemwireClient
import StemwireServer
import StemwireUDF
import StemwireViewer
import Testing

/// All tests with servers, one after the other: they watch the clock.
@Suite("Viewer", .serialized) struct ViewerTests {}

/// A simulated detector, an acquisition server and a viewer, in this process, on free ports.
struct ViewerBench: Sendable {
    let server: StemwireConnection
    let controlPort: Int
    /// The viewer's.
    let port: Int

    static var quiet: Logger {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }

    static func run(
        nav: [Int] = [8, 8], faults: String = "", dwellMicroseconds: Double? = nil,
        historyFile: String? = nil, viewer change: (inout ViewerConfiguration) -> Void = { _ in },
        _ body: (ViewerBench) async throws -> Void
    ) async throws {
        var detector = SimulatorConfiguration(source: .selfIdentifying)
        detector.navShape = nav
        detector.sigShape = SigShape(height: 16, width: 16)
        detector.mode = .triggered
        detector.faults = try FaultPlan(faults)
        detector.dwellMicroseconds = dwellMicroseconds
        (detector.controlPort, detector.dataPort, detector.triggerPort) = (0, 0, 0)
        let simulator = try MerlinSimulator(detector)
        let detectorPorts = try simulator.start()
        defer { simulator.stop() }
        var settings = ServerConfiguration()
        (settings.controlPort, settings.livePort, settings.workPort) = (0, 0, 0)
        (settings.detectorControlPort, settings.detectorDataPort) = (detectorPorts.control, detectorPorts.data)
        settings.ringBytes = 16 << 20
        settings.framesPerPartition = 8
        settings.historyFile = historyFile
        settings.udfs = [UDFRequest(name: "sum"), UDFRequest(name: "sumsig")]
        let server = try AcquisitionServer(settings, logger: quiet)
        let ports = try await server.start()
        do {
            try await serve(controlPort: ports.controlPort, change, body)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    /// With a server that keeps a history.
    static func withHistory(_ body: (ViewerBench) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "stemwire-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try await run(historyFile: folder.appending(path: "history.sqlite").path, body)
    }

    private static func serve(
        controlPort: Int, _ change: (inout ViewerConfiguration) -> Void, _ body: (ViewerBench) async throws -> Void
    ) async throws {
        let client = try await StemwireConnection.connect(to: "127.0.0.1:\(controlPort)", timeout: .seconds(60))
        while try await !client.status().detector.dataConnected { try await Task.sleep(for: .milliseconds(5)) }
        try await withViewer(of: controlPort, change) { port in
            try await body(ViewerBench(server: client, controlPort: controlPort, port: port))
        }
        await client.close()
    }

    /// Runs `body` with a viewer, which is stopped in any case.
    static func withViewer(
        of controlPort: Int, _ change: (inout ViewerConfiguration) -> Void = { _ in },
        _ body: (_ port: Int) async throws -> Void
    ) async throws {
        var configuration = ViewerConfiguration(serverEndpoint: "127.0.0.1:\(controlPort)")
        configuration.port = 0
        change(&configuration)
        let viewer = try ViewerServer(configuration, logger: quiet)
        let port = try await viewer.start()
        do {
            try await body(port)
        } catch {
            await viewer.stop()
            throw error
        }
        await viewer.stop()
    }

    func startScan() async throws {
        try await server.arm()
        try await server.trigger()
    }

    /// Waits for the present acquisition's end and its final results.
    func end() async throws {
        for try await event in server.updates() {
            if case .ended = event { return }
        }
    }
}
