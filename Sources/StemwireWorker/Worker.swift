import StemwireSystem
@_exported import StemwireUDF
import ZeroMQ

/// Runs UDFs for an acquisition server, on any machine that reaches it.
///
/// ```swift
/// import StemwireWorker
///
/// @main struct MyWorker {
///     static func main() async { await Worker.main(udfs: [Brightest.self]) }
/// }
/// ```
///
/// The server sends it partitions of scans as frames arrive, as many as it has room for, and merges what comes back. Workers
/// come and go: what one leaves undone others do, and the results have the same bits whoever made them.
///
/// **When the connection breaks** it is made anew, for ever unless there is a
/// ``WorkerConfiguration/connectTimeout``. Results that the server has not acknowledged are sent again.
///
/// **Threading.** One thread for the connection, and ``WorkerConfiguration/threads`` that compute; a partition is worked
/// on by one of them. Nothing here blocks the caller's thread.
///
/// **Memory.** Frames are worked on where they were received; the server sends no more than
/// ``WorkerConfiguration/memoryBytes`` ahead, but for a single larger tile.
public final class Worker: Sendable {
    public let configuration: WorkerConfiguration
    /// The UDFs that it offers.
    public let udfs: UDFRegistry
    private let endpoint: WorkEndpoint
    private let aliveFile: AliveFile?

    private enum Phase {
        case new
        case running(WorkerCore)
        case over
    }

    private let phase = Locked(Phase.new)
    private static let freedBytesKept = 64 << 20

    /// - Parameter udfs: The UDFs it offers.
    /// - Throws: `WorkerError.badSetting`.
    public init(_ configuration: WorkerConfiguration, udfs: UDFRegistry = .builtIn) throws(WorkerError) {
        try configuration.check()
        self.configuration = configuration
        self.udfs = udfs
        endpoint = try WorkEndpoint(configuration.endpoint)
        do throws(SystemError) {
            aliveFile = if let path = configuration.aliveFile { try AliveFile(path) } else { nil }
        } catch {
            throw .badSetting("the alive file \(configuration.aliveFile ?? "") cannot be touched: \(error)")
        }
    }

    /// Works until ``leave(within:)`` is called or the task is cancelled, which leaves at once. To be called once.
    ///
    /// - Parameter onEvent: called on the connection's thread; must not block.
    /// - Throws: `WorkerError` when there is no server for longer than the connect timeout, or it will never take this
    ///   worker.
    public func run(onEvent: @escaping @Sendable (WorkerEvent) -> Void = { _ in }) async throws(WorkerError) {
        ProcessMemory.keepFreed(upTo: Self.freedBytesKept)
        let (reactor, context) = try makeReactor()
        let core = WorkerCore(
            configuration, endpoint: endpoint, aliveFile: aliveFile, udfs: udfs, on: reactor, in: context, tell: onEvent
        )
        let pool: ComputePool
        do throws(SystemError) {
            pool = try ComputePool(threads: configuration.threads, registry: udfs) { core.report($0) }
        } catch {
            reactor.stop()
            throw .system(error.description)
        }
        let isNew = phase.withLock { phase in
            switch phase {
            case .new: phase = .running(core)
            case .running: preconditionFailure("a worker runs once")
            case .over: return false
            }
            return true
        }
        let ending = isNew ? await work(core, pool) : .left(unfinished: 0)
        phase.withLock { $0 = .over }
        pool.stop()
        // Threads that are at what nobody waits for any more may end when they are done with it.
        let leavesWork = if case .left(let unfinished) = ending { unfinished > 0 } else { false }
        if !leavesWork { await pool.ended() }
        reactor.stop()
        switch ending {
        case .left: return
        case .refused(let why): throw .refused(endpoint.address, why: why)
        case .unreachable(let why):
            throw .unreachable(endpoint.address, after: configuration.connectTimeout ?? .zero, why: why)
        }
    }

    /// Takes no more work, finishes the partitions whose frames are all here, and goes; ``run(onEvent:)`` returns then.
    ///
    /// - Parameter patience: how long that may take; what is not done by then is left to others.
    public func leave(within patience: Duration = .seconds(10)) async {
        let core = phase.withLock { phase -> WorkerCore? in
            guard case .running(let core) = phase else {
                phase = .over
                return nil
            }
            return core
        }
        await core?.leave(within: patience)
    }

    private func makeReactor() throws(WorkerError) -> (Reactor, Context) {
        do throws(ZMQError) {
            let context = try Context()
            return (try Reactor("sw-worker"), context)
        } catch {
            throw .system(error.description)
        }
    }

    private func work(_ core: WorkerCore, _ pool: ComputePool) async -> WorkerEnding {
        await withTaskCancellationHandler {
            await core.run(on: pool)
        } onCancel: {
            Task { await core.leave(within: .zero) }
        }
    }
}
