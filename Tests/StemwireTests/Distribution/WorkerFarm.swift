import Foundation
import MerlinProtocol
import MerlinSimulator
import StemwireClient
import StemwireProtocol
import Testing

/// A simulated detector, a server and any number of workers; server and workers are processes.
final class WorkerFarm {
    let detector: Detector
    let server: StemwireProcess
    let client: StemwireConnection
    let workPort: Int
    private(set) var workers: [(process: StemwireProcess, proxy: CuttingProxy)] = []

    static let navShape = [24, 32]
    /// Exact ones, and those whose last bits tell in which order was added.
    static let udfs = ["sum", "sumsig", "stddev", "com:r=20,regression=1", "disk:r=9"]

    /// - Parameters:
    ///   - threads: of the server itself.
    ///   - dwell: the time of a frame in µs.
    ///   - workerTimeout: seconds; nil for the server's own.
    init(threads: Int, dwell: Double, workerTimeout: Double? = 0.9, options: [String] = []) async throws {
        detector = try Detector(
            nav: Self.navShape, sig: 64,
            { configuration in
                configuration.source = .synthetic
                configuration.dwellMicroseconds = dwell
            })
        server = try StemwireProcess(
            ["serve", "--source", "merlin://127.0.0.1:\(detector.ports.control),\(detector.ports.data)"]
                + ["--control-port", "0", "--live-port", "0", "--work-port", "0", "--json", "--idle-limit", "1"]
                + ["--threads", "\(threads)", "--frames-per-partition", "24"]
                + (workerTimeout.map { ["--worker-timeout", "\($0)"] } ?? [])
                + Self.udfs.flatMap { ["--udf", $0] } + options)
        let ports = try await server.listening()
        workPort = try #require(ports["work_port"])
        client = try await StemwireConnection.connect(
            to: "tcp://127.0.0.1:\(try #require(ports["control_port"]))", timeout: .seconds(60))
        let client = client
        try await eventually("a connection to the detector") { try await client.status().detector.dataConnected }
    }

    @discardableResult
    func addWorker(threads: Int = 1) throws -> Int {
        let proxy = try CuttingProxy(to: workPort)
        workers.append((try Self.worker(proxy, threads: threads), proxy))
        return workers.count - 1
    }

    /// Adds a worker that comes by itself.
    func addWorker(at endpoint: String) throws {
        let process = try StemwireProcess(["worker", "--connect", endpoint, "--threads", "1"])
        // Nothing is cut between them.
        workers.append((process, try CuttingProxy(to: workPort)))
    }

    /// Starts a worker anew in the place of one that was killed.
    func replaceWorker(_ index: Int) throws {
        workers[index].process = try Self.worker(workers[index].proxy, threads: 1)
    }

    private static func worker(_ proxy: CuttingProxy, threads: Int) throws -> StemwireProcess {
        try StemwireProcess(["worker", "--connect", "tcp://127.0.0.1:\(proxy.port)", "--threads", "\(threads)"])
    }

    func awaitWorkers(_ count: Int) async throws {
        let client = client
        try await eventually("\(count) workers at the server") {
            try await client.status().workers.filter { !$0.isLocal }.count == count
        }
    }

    func startScan() async throws {
        _ = try await client.arm()
        _ = try await client.trigger()
    }

    /// Waits for the final results of the last acquisition.
    func finalResults(limit: Duration = .seconds(60)) async throws -> Results {
        let deadline = ContinuousClock.now + limit
        while true {
            // Until the first frame there is none.
            if let snapshot = try? await client.snapshot(), let end = snapshot.end, !snapshot.channels.isEmpty,
                snapshot.channels.allSatisfy(\.isFinal)
            {
                return Results(snapshot.channels, end)
            }
            guard ContinuousClock.now < deadline else {
                throw StemwireProcess.Failure(description: "no final results: \(try await client.status().dispatch)")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    func stop() async {
        await client.close()
        for worker in workers {
            worker.process.signal(SIGCONT)
            worker.process.signal(SIGKILL)
            worker.proxy.stop()
        }
        server.signal(SIGTERM)
        _ = try? await server.ended(limit: .seconds(120))
    }

    /// The bits of all results.
    struct Results {
        var arrays: [String: [UInt8]] = [:]
        var valid: [String: [UInt8]] = [:]
        var digests: [String: String] = [:]
        /// Of the first channel; all have the same positions.
        let manifest: ResultManifest?
        let end: AcquisitionEnd

        init(_ channels: [ChannelUpdate], _ end: AcquisitionEnd) {
            for channel in channels {
                let name = channel.name.description
                arrays[name] = channel.withData { Array($0) }
                valid[name] = channel.withValidMask { Array($0) }
                digests[name] = channel.manifest?.digest
            }
            manifest = channels.first?.manifest
            self.end = end
        }
    }
}
