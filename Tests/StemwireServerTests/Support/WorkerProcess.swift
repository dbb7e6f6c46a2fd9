import Foundation
import StemwireUDF
import StemwireWorker
import Synchronization
import Testing

/// A worker with the UDFs of these tests as a process of its own, which can be killed: this program, that runs one test only.
final class WorkerProcess: Sendable {
    /// Where the worker is to hang for ever.
    enum Phase: String, CaseIterable, Sendable {
        case plan, process, merge, results
    }

    private let process = Process()
    private let marker: URL

    /// - Parameters:
    ///   - threads: that compute.
    ///   - phase: one thread does not come back from this, the first that gets there.
    init(port: Int, threads: Int = 1, hangsIn phase: Phase) throws {
        marker = FileManager.default.temporaryDirectory.appendingPathComponent("stemwire-\(UUID().uuidString)")
        process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
        process.arguments = ["--testing-library", "swift-testing", "--filter", "WorkerProcessMain"]
        process.environment = ProcessInfo.processInfo.environment.merging([
            Self.endpointVariable: "tcp://127.0.0.1:\(port)", Self.phaseVariable: phase.rawValue,
            Self.markerVariable: marker.path, Self.threadsVariable: "\(threads)",
        ]) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    deinit {
        kill()
        try? FileManager.default.removeItem(at: marker)
    }

    /// Whether it is where it hangs.
    var hangs: Bool { FileManager.default.fileExists(atPath: marker.path) }

    /// SIGKILL.
    func kill() { Foundation.kill(process.processIdentifier, SIGKILL) }

    // MARK: In the process

    fileprivate static let endpointVariable = "STEMWIRE_TEST_WORKER"
    fileprivate static let threadsVariable = "STEMWIRE_TEST_WORKER_THREADS"
    private static let phaseVariable = "STEMWIRE_TEST_WORKER_HANGS_IN"
    private static let markerVariable = "STEMWIRE_TEST_WORKER_MARKER"

    private static let isHanging = Atomic<Bool>(false)
    private static let hanging: (phase: String, marker: String)? = {
        let variables = ProcessInfo.processInfo.environment
        guard let phase = variables[phaseVariable], let marker = variables[markerVariable] else { return nil }
        return (phase, marker)
    }()

    /// Called by UDFs that may hang; does nothing but in such a process.
    static func passing(_ phase: Phase) {
        guard let hanging, hanging.phase == phase.rawValue,
            !isHanging.exchange(true, ordering: .relaxed)
        else { return }
        FileManager.default.createFile(atPath: hanging.marker, contents: nil)
        while true { sleep(1000) }
    }
}

/// Not a test: what a `WorkerProcess` runs.
@Suite struct WorkerProcessMain {
    private static let endpoint = ProcessInfo.processInfo.environment[WorkerProcess.endpointVariable]

    @Test(.enabled(if: endpoint != nil)) func work() async throws {
        var configuration = WorkerConfiguration(endpoint: try #require(Self.endpoint))
        configuration.threads =
            ProcessInfo.processInfo.environment[WorkerProcess.threadsVariable].flatMap { Int($0) } ?? 1
        try await Worker(configuration, udfs: foreignRegistry).run()
    }
}
