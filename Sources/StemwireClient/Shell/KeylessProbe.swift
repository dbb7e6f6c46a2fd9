import ZeroMQ

/// Connects to a server without a key, once, to learn whether it asks for one.
///
/// Threading: the reactor's thread only. Closed by ``close()``.
final class KeylessProbe {
    private let socket: Socket
    private var answer: ((_ isOpen: Bool) -> Void)?

    /// - Parameters:
    ///   - kind: that of the socket in whose place it asks.
    ///   - answer: called once, unless the probe is closed before: true when the server lets in who has no key.
    init(
        _ kind: Socket.Kind, to address: String, isIPv6: Bool, in context: Context, on reactor: Reactor,
        answer: @escaping (_ isOpen: Bool) -> Void
    ) throws(ZMQError) {
        self.answer = answer
        socket = try Socket(kind, in: context) { options in
            options.linger = .zero
            options.ipv6 = isIPv6
        }
        try reactor.monitor(socket) { [weak self] event in
            switch event {
            case .handshakeSucceeded: self?.finish(isOpen: true)
            case .handshakeFailed, .disconnected: self?.finish(isOpen: false)
            default: break
            }
        }
        try socket.connect(address)
    }

    func close() {
        answer = nil
        socket.close()
    }

    private func finish(isOpen: Bool) {
        let answer = answer.take()
        answer?(isOpen)
    }
}
