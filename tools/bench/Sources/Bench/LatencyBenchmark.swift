import MerlinProtocol
import MerlinSimulator
import StemwireClient
import StemwireServer
import StemwireSystem
import StemwireUDF

/// How long a viewer waits: from the trigger to the first partial result, and from the last frame to the final one.
///
/// Detector, server and client are in this process, with real sockets between them.
enum LatencyBenchmark {
    private static let runs = 20
    private static let navShape = [64, 64]

    static func run() async throws -> [Row] {
        let lastFrameSent = Locked<ContinuousClock.Instant?>(nil)
        var detector = SimulatorConfiguration(source: .constant(1000))
        (detector.controlPort, detector.dataPort, detector.triggerPort) = (0, 0, 0)
        detector.navShape = navShape
        detector.mode = .triggered
        detector.cache = .memory
        // A scan of a second, which the program does not slow down.
        detector.dwellMicroseconds = 250
        let simulator = try MerlinSimulator(detector) { event in
            if case .acquisitionEnded = event { lastFrameSent.value = .now }
        }
        let ports = try simulator.start()
        defer { simulator.stop() }

        var configuration = ServerConfiguration()
        (configuration.controlPort, configuration.livePort, configuration.workPort) = (0, 0, 0)
        (configuration.detectorControlPort, configuration.detectorDataPort) = (ports.control, ports.data)
        configuration.udfs = ["sum", "sumsig"].map { UDFRequest(name: $0) }
        let server = try AcquisitionServer(configuration)
        let endpoints = try await server.start()
        let connection = try await StemwireConnection.connect(
            to: "tcp://127.0.0.1:\(endpoints.controlPort)", timeout: .seconds(5))

        var (first, last) = ([Double](), [Double]())
        // The first run warms up.
        for number in 0...runs {
            let measured = try await measure(connection, lastFrameSent)
            if number > 0 {
                first.append(measured.first)
                last.append(measured.last)
            }
        }
        await connection.close()
        await server.stop()
        return [
            Row(
                name: "trigger to first partial result", target: .atMost(50), values: first, unit: " ms",
                beside: "\(runs) scans, at the client"),
            Row(
                name: "last frame to final result", target: .atMost(20), values: last, unit: " ms",
                beside: "\(runs) scans, at the client"),
        ]
    }

    private static func measure(
        _ connection: StemwireConnection, _ lastFrameSent: Locked<ContinuousClock.Instant?>
    ) async throws -> (first: Double, last: Double) {
        let updates = connection.updates(run: AcquisitionServer.defaultRun)
        try await updates.subscribed()
        let before = try await connection.status().previousAcquisition.generation
        lastFrameSent.value = nil
        _ = try await connection.arm()
        let triggered = ContinuousClock.now
        _ = try await connection.trigger()
        var firstResult: ContinuousClock.Instant?
        for try await event in updates {
            switch event {
            case .update(let update) where update.generation > before:
                if firstResult == nil, update.positionsProcessed > 0 { firstResult = .now }
            case .ended(let end) where end.generation > before:
                let over = ContinuousClock.now
                guard let sent = lastFrameSent.value, let firstResult else {
                    throw BenchFailure("a scan ended before its last frame, or without a result")
                }
                return ((firstResult - triggered) / .milliseconds(1), (over - sent) / .milliseconds(1))
            default: break
            }
        }
        throw BenchFailure("no end of the scan was told")
    }
}
