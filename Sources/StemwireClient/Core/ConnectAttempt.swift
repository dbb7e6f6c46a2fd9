/// What is known about the other side while a connection is being made, and what to say when it fails.
struct ConnectAttempt: Sendable {
    private let endpoint: ServerEndpoint
    private var wasReached = false
    private var wasConnected = false
    private var failures = 0
    private var interruptions = 0

    init(_ endpoint: ServerEndpoint) { self.endpoint = endpoint }

    /// - Returns: an error when waiting longer is of no use.
    mutating func observe(_ change: Link.Change) -> ConnectError? {
        switch change {
        case .reached: wasReached = true
        case .notReached: failures += 1
        case .connected: wasConnected = true
        case .lost: interruptions += 1
        case .refused(let why): return .notStemwire(endpoint, why: why)
        }
        return nil
    }

    /// The error for an attempt whose time is over.
    func timedOut(after duration: Duration) -> ConnectError {
        if wasConnected {
            return .notStemwire(endpoint, why: "it speaks ZeroMQ but did not answer HELLO within \(duration)")
        }
        if wasReached {
            let what = interruptions > 0 ? "closes them again" : "does not speak ZeroMQ"
            return .notStemwire(endpoint, why: "it takes connections but \(what)")
        }
        if failures > 0 {
            return .nobodyThere(endpoint, why: "the connection was refused, or there is no such host or no way to it")
        }
        return .timedOut(endpoint, after: duration, why: "the host did not even refuse the connection")
    }
}
