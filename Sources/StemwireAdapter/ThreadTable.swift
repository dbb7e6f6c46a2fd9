import StemwireSystem

/// Threads that each serve a connection, and end with it. All methods from any thread.
final class ThreadTable: Sendable {
    private struct State: Sendable {
        var threads: [Int: (thread: NamedThread, connection: TCPConnection)] = [:]
        var ended: [Int] = []
        var last = 0
        var isStopping = false
    }

    private let state = Locked(State())

    var isStopping: Bool { state.withLock { $0.isStopping } }

    /// Threads that have not ended.
    var count: Int {
        joinEnded()
        return state.withLock { $0.threads.count }
    }

    /// Serves a connection on a thread of its own; lets it go where there is none to be had.
    func run(_ name: String, _ connection: TCPConnection, _ body: @escaping @Sendable () -> Void) {
        state.withLock { state in
            guard !state.isStopping else { return }
            state.last += 1
            let number = state.last
            do throws(SystemError) {
                let thread = try NamedThread(name) { [self] in
                    body()
                    self.state.withLock { $0.ended.append(number) }
                }
                state.threads[number] = (thread, connection)
            } catch {
                connection.shutdown()
            }
        }
    }

    /// Shuts the connections down, which ends their threads.
    func stop() {
        let connections = state.withLock { state in
            state.isStopping = true
            return state.threads.values.map(\.connection)
        }
        for connection in connections { connection.shutdown() }
    }

    func joinAll() {
        let threads = state.withLock { state in
            defer { state.threads = [:] }
            return state.threads.values.map(\.thread)
        }
        for thread in threads { thread.join() }
    }

    private func joinEnded() {
        let threads = state.withLock { state in
            defer { state.ended = [] }
            return state.ended.compactMap { state.threads.removeValue(forKey: $0)?.thread }
        }
        for thread in threads { thread.join() }
    }
}
