import StemwireSystem
import StemwireUDF
import Synchronization

/// UDFs over a source in this process: a detector's two sockets, a recording, or the embedded simulator.
///
/// The source's frames go through the same ring, placement and engine as in the acquisition server.
public struct LocalRun: Sendable {
    public let source: SourceLocator
    public let requests: [UDFRequest]
    public let options: RunOptions

    /// How often progress is told, and cancellation and time limit are looked at.
    static let tick = Duration.milliseconds(100)

    /// - Parameter source: anything but a server.
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
        let isCancelled = CancellationFlag()
        let result: Result<RunOutcome, RunError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                do throws(SystemError) {
                    _ = try NamedThread("run") {
                        continuation.resume(returning: runBlocking(isCancelled: isCancelled, progress: progress))
                    }
                } catch {
                    continuation.resume(returning: .failure(.failed(error.description)))
                }
            }
        } onCancel: {
            isCancelled.set()
        }
        return try result.get()
    }

    private func runBlocking(
        isCancelled: CancellationFlag, progress: (RunProgress) -> Void
    ) -> Result<RunOutcome, RunError> {
        do throws(RunError) {
            let pipeline = try Pipeline(options: options, requests: requests)
            defer { pipeline.stop() }
            return .success(try follow(pipeline, isCancelled: isCancelled, progress: progress))
        } catch {
            return .failure(error)
        }
    }

    private func follow(
        _ pipeline: Pipeline, isCancelled: CancellationFlag, progress: (RunProgress) -> Void
    ) throws(RunError) -> RunOutcome {
        let began = ContinuousClock.now
        let deadline = options.timeout.map { began + $0 }
        let active: any ActiveSource
        switch source {
        case .merlin(let host, let controlPort, let dataPort):
            active = try pipeline.connect(
                host: host, controlPort: controlPort, dataPort: dataPort, trigger: options.trigger, deadline: deadline)
        case .file(let path):
            active = try pipeline.play(path: path)
        case .synthetic:
            active = try pipeline.simulate()
        case .server:
            throw .badRequest("\(source) is a server; use RemoteRun")
        }
        defer { active.stop() }
        while true {
            pipeline.waitForChange(timeout: Self.tick)
            progress(pipeline.progress)
            if let failure = active.failure { throw .failed(failure) }
            if let outcome = pipeline.outcome(requests) { return outcome }
            if active.hasEnded {
                // Nothing more will come; what came is worked on before the engine has stopped.
                active.stop()
                pipeline.stop()
                if let outcome = pipeline.outcome(requests) { return outcome }
                throw .failed("the source ended before a good frame had come: \(active.endText)")
            }
            if isCancelled.isSet { throw .cancelled }
            if let deadline, ContinuousClock.now >= deadline {
                active.stop()
                let rest = pipeline.drain(within: .seconds(10)) ? pipeline.outcome(requests) : nil
                throw .timedOut(pipeline.timeoutText(after: deadline - began), rest)
            }
        }
    }
}

/// A flag that a task's cancellation sets.
final class CancellationFlag: Sendable {
    private let flag = Atomic<Bool>(false)
    func set() { flag.store(true, ordering: .releasing) }
    var isSet: Bool { flag.load(ordering: .acquiring) }
}
