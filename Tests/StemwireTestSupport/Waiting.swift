import StemwireSystem
import Synchronization

/// What a test waited for did not happen in time.
package struct TooLate: Error, CustomStringConvertible {
    let what: String
    let limit: Duration

    package init(what: String, limit: Duration) {
        self.what = what
        self.limit = limit
    }

    package var description: String { "\(what): not within \(limit)" }
}

/// Runs `body`, which must end when it is cancelled, within `limit`.
package func within<Value: Sendable>(
    _ what: String, limit: Duration = .seconds(120), _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            return nil
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() ?? nil else { throw TooLate(what: what, limit: limit) }
        return value
    }
}

/// Waits for a task that was begun before, and cancels it when `limit` has passed: waiting for its value alone would go on
/// then, and the test would stand still without a word.
package func within<Value: Sendable>(
    _ what: String, limit: Duration = .seconds(120), for task: Task<Value, any Error>
) async throws -> Value {
    try await within(what, limit: limit) {
        try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }
}

/// Asks until the answer is there: for states that nobody tells of.
package func eventually<Value>(
    _ what: String, limit: Duration = .seconds(120), isolation: isolated (any Actor)? = #isolation,
    _ ask: () async throws -> Value?
) async throws -> Value {
    let deadline = ContinuousClock.now + limit
    while true {
        if let value = try await ask() { return value }
        guard ContinuousClock.now < deadline else { throw TooLate(what: what, limit: limit) }
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// Runs blocking code on a thread of its own, as part of the test's task.
package func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    let executor = try ThreadExecutor()
    defer { executor.end() }
    return try await withTaskExecutorPreference(executor) { try body() }
}

private final class ThreadExecutor: TaskExecutor {
    private struct Inbox: Sendable {
        var jobs: [UnownedJob] = []
        var isOver = false
    }

    private let inbox = Locked(Inbox())
    private let wakeUp = CountingSemaphore()

    init() throws(SystemError) { _ = try NamedThread("test") { [self] in run() } }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        inbox.withLock { $0.jobs.append(job) }
        wakeUp.post()
    }

    func end() {
        inbox.withLock { $0.isOver = true }
        wakeUp.post()
    }

    private func run() {
        while true {
            wakeUp.wait()
            let (job, isOver) = inbox.withLock { ($0.jobs.isEmpty ? nil : $0.jobs.removeFirst(), $0.isOver) }
            if let job {
                job.runSynchronously(on: asUnownedTaskExecutor())
            } else if isOver {
                return
            }
        }
    }
}

/// How late this machine runs threads that are due, summed up: no server can be blamed for that.
package final class MachineDelay: Sendable {
    private static let pause = Duration.milliseconds(5)

    private final class Share: Sendable {
        let end = CountingSemaphore()
        let nanoseconds = Atomic<Int>(0)
    }

    private let share: Share
    private let thread: NamedThread

    package init() throws {
        let share = Share()
        self.share = share
        thread = try NamedThread("delay") {
            var before = ContinuousClock.now
            while !share.end.wait(timeout: Self.pause) {
                let now = ContinuousClock.now
                let late = now - before - Self.pause
                if late > Self.pause { share.nanoseconds.wrappingAdd(Int(late / .nanoseconds(1)), ordering: .relaxed) }
                before = now
            }
        }
    }

    deinit {
        share.end.post()
        thread.join()
    }

    package var sum: Duration { .nanoseconds(share.nanoseconds.load(ordering: .relaxed)) }
}

/// Ports that nobody uses now.
package func freePorts(_ count: Int) throws -> [Int] {
    let listeners = try (0..<count).map { _ in try TCPListener(host: "127.0.0.1", port: 0) }
    return listeners.map(\.port)
}
