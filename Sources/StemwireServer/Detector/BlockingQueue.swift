import StemwireSystem
import Synchronization

/// One thread for calls that block, such as requests to the detector: asked from async code, done in order.
final class BlockingQueue: Sendable {
    /// Why something asked for was not done.
    enum Refusal: Error, Sendable {
        /// Its turn did not come in time.
        case deadlinePassed
        case stopped
    }

    private struct Job: Sendable {
        let ticket: Ticket
        let work: @Sendable () -> Void
    }

    /// Decides who answers: the thread that begins the work, or the clock that gives it up.
    private final class Ticket: Sendable {
        private let isTaken = Atomic<Bool>(false)
        func take() -> Bool { !isTaken.exchange(true, ordering: .acquiringAndReleasing) }
        var isOpen: Bool { !isTaken.load(ordering: .acquiring) }
    }

    /// What the thread and its owner share; the thread holds this, not the queue.
    private final class Shared: Sendable {
        struct State {
            var jobs: [Job] = []
            var isStopped = false
        }

        let state = Locked(State())
        let wakeUp = CountingSemaphore()
        let ended = CountingSemaphore()

        func run() {
            while true {
                wakeUp.wait()
                let (job, isStopped) = state.withLock { state in
                    (state.jobs.isEmpty ? nil : state.jobs.removeFirst(), state.isStopped)
                }
                if let job {
                    if job.ticket.take() { job.work() }
                } else if isStopped {
                    return ended.post()
                }
            }
        }
    }

    private let shared = Shared()
    private let thread: NamedThread

    init(_ name: String) throws(SystemError) {
        thread = try NamedThread(name) { [shared] in shared.run() }
    }

    /// Runs `work` on the thread, after what was asked for before, if its turn comes before the deadline. Once begun it
    /// is waited for: it must keep the deadline itself.
    func perform<Value: Sendable>(
        by deadline: ContinuousClock.Instant, _ work: @escaping @Sendable () -> Value
    ) async throws(Refusal) -> Value {
        let result: Result<Value, Refusal> = await withCheckedContinuation { continuation in
            let ticket = Ticket()
            let alarm = Task {
                try? await Task.sleep(until: deadline, clock: .continuous)
                if ticket.take() { continuation.resume(returning: .failure(.deadlinePassed)) }
            }
            let job = Job(ticket: ticket) { [shared] in
                let isStopped = shared.state.withLock { $0.isStopped }
                continuation.resume(returning: isStopped ? .failure(.stopped) : .success(work()))
                alarm.cancel()
            }
            let isAccepted = shared.state.withLock { state in
                guard !state.isStopped else { return false }
                state.jobs.removeAll { !$0.ticket.isOpen }
                state.jobs.append(job)
                return true
            }
            if isAccepted {
                shared.wakeUp.post()
            } else if ticket.take() {
                continuation.resume(returning: .failure(.stopped))
                alarm.cancel()
            }
        }
        return try result.get()
    }

    /// Refuses what has not begun, then ends the thread. To be called once.
    ///
    /// A call that blocks is waited for no longer than `patience`; its thread then ends by itself when the call does.
    func stop(patience: Duration) {
        shared.state.withLock { $0.isStopped = true }
        shared.wakeUp.post()
        if shared.ended.wait(timeout: patience) { thread.join() }
    }
}
