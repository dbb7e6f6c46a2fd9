import Glibc
import StemwireSystem

/// Turns SIGINT and SIGTERM into cancellation.
enum Interruption {
    enum Signal: Sendable { case interrupt, terminate }

    /// Runs `body`, and cancels it at the first SIGINT or SIGTERM; a second one ends the process at once.
    ///
    /// - Throws: what `body` throws, or `CommandFailure.interrupted` when it was cancelled by SIGINT.
    static func cancelling<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let state = Locked((isOver: false, task: Task<Value, any Error>?.none))
        let watch = try handle { _ in
            state.withLock { state in
                state.isOver = true
                state.task?.cancel()
            }
        }
        defer { watch.end() }
        let task = Task { try await body() }
        state.withLock { state in
            state.task = task
            // A signal may have come before there was anything to cancel.
            if state.isOver { task.cancel() }
        }
        return try await task.value
    }

    /// Waits for SIGINT or SIGTERM.
    static func wait() async throws -> Signal {
        let (stream, continuation) = AsyncStream.makeStream(of: Signal.self)
        let watch = try handle { continuation.yield($0) }
        defer { watch.end() }
        for await signal in stream { return signal }
        return .interrupt
    }

    private static func handle(_ handler: @escaping @Sendable (Signal) -> Void) throws -> SignalWatch {
        try SignalWatch([SIGINT, SIGTERM]) { handler($0 == SIGINT ? .interrupt : .terminate) }
    }
}
