import Dispatch
import Foundation

/// Turns SIGINT and SIGTERM into cancellation.
enum Interruption {
    enum Signal: Sendable { case interrupt, terminate }

    /// Runs `body`, and cancels it at the first SIGINT or SIGTERM; a second one ends the process at once.
    ///
    /// - Throws: what `body` throws, or `CommandFailure.interrupted` when it was cancelled by SIGINT.
    static func cancelling<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let task = Task { try await body() }
        let sources = handle { _ in task.cancel() }
        defer { for source in sources { source.cancel() } }
        return try await task.value
    }

    /// Waits for SIGINT or SIGTERM.
    static func wait() async -> Signal {
        let (stream, continuation) = AsyncStream.makeStream(of: Signal.self)
        let sources = handle { continuation.yield($0) }
        defer { for source in sources { source.cancel() } }
        for await signal in stream { return signal }
        return .interrupt
    }

    private static func handle(_ handler: @escaping @Sendable (Signal) -> Void) -> [any DispatchSourceSignal] {
        [(SIGINT, Signal.interrupt), (SIGTERM, .terminate)].map { number, signal in
            // The default action would end the process before the source hears of it.
            Foundation.signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                handler(signal)
                // The next one ends the process, should the orderly end take too long.
                Foundation.signal(number, SIG_DFL)
            }
            source.resume()
            return source
        }
    }
}
