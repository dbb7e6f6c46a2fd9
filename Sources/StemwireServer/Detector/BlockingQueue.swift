import StemwireSystem
import Synchronization

/// One thread for calls that block, such as requests to the detector: asked from async code, done in order.
final class BlockingQueue: Sendable {
    /// What the thread and its owner share; the thread holds this, not the queue.
    private final class Shared: Sendable {
        struct State {
            var jobs: [@Sendable () -> Void] = []
            var isStopped = false
        }

        let state = Mutex(State())
        let wakeUp = CountingSemaphore()

        func run() {
            while true {
                wakeUp.wait()
                let (job, isStopped) = state.withLock { state in
                    (state.jobs.isEmpty ? nil : state.jobs.removeFirst(), state.isStopped)
                }
                if let job {
                    job()
                } else if isStopped {
                    return
                }
            }
        }
    }

    private let shared = Shared()
    private let thread: NamedThread

    init(_ name: String) throws(SystemError) {
        thread = try NamedThread(name) { [shared] in shared.run() }
    }

    /// Runs `work` on the thread, after what was asked for before; nil when the queue has been stopped.
    func perform<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value? {
        await withCheckedContinuation { continuation in
            let isAccepted = shared.state.withLock { state in
                guard !state.isStopped else { return false }
                state.jobs.append { continuation.resume(returning: work()) }
                return true
            }
            if isAccepted { shared.wakeUp.post() } else { continuation.resume(returning: nil) }
        }
    }

    /// Finishes what was asked for, then ends the thread. To be called once.
    func stop() {
        shared.state.withLock { $0.isStopped = true }
        shared.wakeUp.post()
        thread.join()
    }
}
