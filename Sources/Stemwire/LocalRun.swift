import MerlinProtocol
import MerlinSimulator
import StemwireAcquisition
import StemwireUDF

/// UDFs over a source in this process: a detector's two sockets, a recording, or the embedded simulator.
///
/// The source's frames go through the same ring, placement and engine as in the acquisition server.
public struct LocalRun: Sendable {
    public let source: SourceLocator
    public let requests: [UDFRequest]
    public let options: RunOptions

    /// - Parameters:
    ///   - source: anything but a server.
    ///   - requests: the UDFs, with ids that differ.
    ///   - options: nav shape, trigger, time limit and the like.
    public init(source: SourceLocator, requests: [UDFRequest], options: RunOptions = RunOptions()) {
        self.source = source
        self.requests = requests
        self.options = options
    }

    /// Runs one acquisition to its end. Cancelling the task ends it.
    ///
    /// - Parameter progress: called about ten times a second, on a thread of the run.
    /// - Throws: `RunError`.
    public func run(
        progress: @escaping @Sendable (RunProgress) -> Void = { _ in }
    ) async throws(RunError) -> RunOutcome {
        let source = try localSource()
        let engine = LocalEngine(requests, options: options) { [options] () throws(RunError) in
            try LocalLink(source, options: options, holds: false)
        }
        let trigger = source.isDetectorOfOthers ? options.trigger : .soft
        let procedure = RunProcedure(
            engine: engine, opening: trigger.map { .start($0) } ?? .none, observer: RunObserver(progress: progress))
        do {
            return try await procedure.run()
        } catch let error as RunError {
            throw error
        } catch {
            throw .failed("\(error)")
        }
    }

    private func localSource() throws(RunError) -> LocalSource {
        switch source {
        case .merlin(let host, let controlPort, let dataPort):
            return .merlin(host: host, controlPort: controlPort, dataPort: dataPort)
        case .file(let path):
            return .recording(try LocalSource.files(path))
        case .synthetic:
            var configuration = SimulatorConfiguration(source: .synthetic)
            configuration.navShape = options.navShape
            configuration.mode = .triggered
            return .simulator(configuration.embedded)
        case .server:
            throw .badRequest("\(source) is a server; use RemoteRun")
        }
    }
}

extension LocalSource {
    /// Whether it is a detector that may be started by somebody else.
    var isDetectorOfOthers: Bool { if case .merlin = self { true } else { false } }

    /// Finds the files of a recording.
    static func files(_ path: String) throws(RunError) -> MIBFileSet {
        do throws(MIBError) {
            return try MIBFileSet(path: path)
        } catch {
            throw .badRequest(error.description)
        }
    }
}

extension SimulatorConfiguration {
    /// For use inside this process: on free ports of loopback.
    var embedded: SimulatorConfiguration {
        var embedded = self
        embedded.host = "127.0.0.1"
        (embedded.controlPort, embedded.dataPort, embedded.triggerPort) = (0, 0, 0)
        return embedded
    }
}
