/// What is known about the other side while a connection is being made, and what to say when it fails.
struct ConnectAttempt: Sendable {
    private let endpoint: ServerEndpoint
    private var wasReached = false
    private var wasConnected = false
    private var failures = 0
    private var interruptions = 0
    private var hasNoRoom = false
    private var isPutOff = false
    /// ZAP's code for a refusal that may end; libzmq tries again by itself.
    static let temporary: Int32 = 300

    /// Whether the client shows a key.
    private let hasToken: Bool

    init(_ endpoint: ServerEndpoint, hasToken: Bool = false) {
        self.endpoint = endpoint
        self.hasToken = hasToken
    }

    /// - Returns: an error when waiting longer is of no use.
    mutating func observe(_ change: Link.Change) -> ConnectError? {
        switch change {
        case .reached: wasReached = true
        case .notReached: failures += 1
        case .connected: wasConnected = true
        case .lost: interruptions += 1
        case .putOff: hasNoRoom = true
        case .refused(.refused(Self.temporary)): isPutOff = true
        case .refused(let failure): return ConnectError(endpoint, failure, hasToken: hasToken)
        }
        return nil
    }

    /// The error for an attempt whose time is over.
    func timedOut(after duration: Duration) -> ConnectError {
        if isPutOff {
            let why = "the server lets nobody new in just now, since it cannot read its allow list: its log says more"
            return .timedOut(endpoint, after: duration, why: why)
        }
        if hasNoRoom { return .full(endpoint, after: duration) }
        if wasConnected {
            return .notStemwire(endpoint, why: "it speaks ZeroMQ but did not answer HELLO within \(duration)")
        }
        if wasReached {
            guard interruptions == 0 else {
                return .notStemwire(
                    endpoint,
                    why: "it takes connections but closes them again, as a server also does that has as many as it may")
            }
            return .silent(endpoint, after: duration)
        }
        if failures > 0 {
            return .nobodyThere(endpoint, why: "the connection was refused, or there is no such host or no way to it")
        }
        return .timedOut(endpoint, after: duration, why: "the host did not even refuse the connection")
    }
}
