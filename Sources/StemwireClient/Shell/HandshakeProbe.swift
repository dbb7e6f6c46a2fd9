import ZeroMQ

/// Finds out why a server ends the connections of a client that shows a key: libzmq says nothing of the reason.
///
/// It connects once without a key, and then once without a word: a server that is full ends a connection at once, any other
/// waits for the handshake.
///
/// Threading: the reactor's thread only. Closed by ``close()``.
final class HandshakeProbe {
    enum Finding: Sendable {
        case letsInWithoutKey
        /// It asks for a key, and has time for who has none yet.
        case waitsForKey
        /// It has as many connections as it may.
        case endsConnections
    }

    private let reactor: Reactor
    private let keyless: Socket
    private let silent: Socket
    private var answer: ((Finding) -> Void)?
    private var patience: TimerToken?
    /// For a server to look at who came, far below its deadline for a handshake.
    private static let silence = Duration.milliseconds(250)

    /// - Parameters:
    ///   - kind: that of the socket in whose place it asks.
    ///   - answer: called once, unless the probe is closed before.
    init(
        _ kind: Socket.Kind, to address: String, isIPv6: Bool, in context: Context, on reactor: Reactor,
        answer: @escaping (Finding) -> Void
    ) throws(ZMQError) {
        self.answer = answer
        self.reactor = reactor
        func socket(_ kind: Socket.Kind) throws(ZMQError) -> Socket {
            try Socket(kind, in: context) { options in
                options.linger = .zero
                options.ipv6 = isIPv6
            }
        }
        keyless = try socket(kind)
        silent = try socket(.stream)
        try reactor.monitor(keyless) { [weak self] event in
            switch event {
            case .handshakeSucceeded: self?.finish(.letsInWithoutKey)
            case .handshakeFailed, .disconnected: self?.keepSilent(at: address)
            default: break
            }
        }
        try reactor.monitor(silent) { [weak self] event in
            switch event {
            case .connected: self?.wait()
            case .disconnected, .connectRetried: self?.finish(.endsConnections)
            default: break
            }
        }
        try keyless.connect(address)
    }

    func close() {
        answer = nil
        patience.take().map(reactor.cancel)
        keyless.close()
        silent.close()
    }

    private func keepSilent(at address: String) {
        keyless.close()
        guard silent.isOpen, (try? silent.connect(address)) != nil else { return finish(.waitsForKey) }
    }

    private func wait() {
        guard patience == nil, answer != nil else { return }
        patience = reactor.schedule(after: Self.silence) { [weak self] in self?.finish(.waitsForKey) }
    }

    private func finish(_ finding: Finding) {
        let answer = answer.take()
        answer?(finding)
    }
}
