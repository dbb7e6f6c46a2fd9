import CLibzmq

/// Something that happened to a connection or a listening endpoint of a socket.
///
/// `endpoint` is the address that was bound or connected to; for an accepted connection, the local one.
public enum MonitorEvent: Sendable, Hashable, CustomStringConvertible {
    /// A TCP or ipc connection stands; the handshake follows.
    case connected(endpoint: String)
    /// Connecting was begun and goes on in the background.
    case connectDelayed(endpoint: String)
    /// Connecting failed (nobody listens, for one) or the connection broke; it is tried again after `pause`.
    case connectRetried(endpoint: String, pause: Duration)
    case listening(endpoint: String)
    /// The endpoint comes without its transport, as `127.0.0.1:7400`.
    case bindFailed(endpoint: String, ZMQError)
    /// A peer has connected; the handshake follows.
    case accepted(endpoint: String, descriptor: Int32)
    case acceptFailed(endpoint: String, ZMQError)
    /// The socket closed a connection or a listening endpoint of its own.
    case closed(endpoint: String)
    case closeFailed(endpoint: String, ZMQError)
    /// A connection that stood is gone. Its descriptor is closed, and may be another connection's by now.
    case disconnected(endpoint: String, descriptor: Int32)
    /// The peer speaks the same language and, with CURVE, is whom it should be: messages flow from now on.
    case handshakeSucceeded(endpoint: String)
    case handshakeFailed(endpoint: String, HandshakeFailure)
    /// The monitored socket is closed; the last event.
    case stopped

    /// Why a handshake failed.
    public enum HandshakeFailure: Sendable, Hashable, CustomStringConvertible {
        /// The connection ended, or took too long, in the handshake; the code is libzmq's errno.
        case interrupted(Int32)
        /// The keys do not fit: a wrong server key, or a client that does not know the server's.
        case cryptographic
        /// One side asks for CURVE and the other does not.
        case mechanismMismatch
        /// The peer does not speak ZMTP as it should; the code is libzmq's `ZMQ_PROTOCOL_ERROR_…`.
        case protocolViolation(Int32)
        /// The authenticator refused the peer; the code is ZAP's: 300 for now, 400 for good, 500 its own error.
        case refused(Int32)

        public var description: String {
            switch self {
            case .interrupted(let code): "the connection ended too soon (\(String(cString: zmq_strerror(code))))"
            case .cryptographic: "the CURVE keys do not fit: check the server's public key"
            case .mechanismMismatch: "one side asks for CURVE, the other does not"
            case .protocolViolation(let code): "the peer does not speak ZMTP (0x\(String(code, radix: 16)))"
            case .refused(let code): "the peer's key is not allowed (\(code))"
            }
        }
    }

    public var description: String {
        switch self {
        case .connected(let endpoint): "connected \(endpoint)"
        case .connectDelayed(let endpoint): "connecting \(endpoint)"
        case .connectRetried(let endpoint, let pause): "no connection to \(endpoint), again in \(pause)"
        case .listening(let endpoint): "listening at \(endpoint)"
        case .bindFailed(_, let error), .acceptFailed(_, let error), .closeFailed(_, let error): "\(error)"
        case .accepted(let endpoint, _): "accepted at \(endpoint)"
        case .closed(let endpoint): "closed \(endpoint)"
        case .disconnected(let endpoint, _): "disconnected \(endpoint)"
        case .handshakeSucceeded(let endpoint): "handshake done \(endpoint)"
        case .handshakeFailed(let endpoint, let failure): "handshake failed \(endpoint): \(failure)"
        case .stopped: "monitor stopped"
        }
    }

    /// Reads libzmq's form: 16-bit event, 32-bit value, both in native order, and the endpoint in a second part.
    init?(_ parts: [ReceivedPart]) {
        guard parts.count == 2, parts[0].count == 6 else { return nil }
        let (event, value) = parts[0].withUnsafeBytes {
            (Int32($0.loadUnaligned(as: UInt16.self)), $0.loadUnaligned(fromByteOffset: 2, as: Int32.self))
        }
        let endpoint = parts[1].text ?? ""
        func failure(_ step: String) -> ZMQError { ZMQError(.init(rawValue: value), step, subject: endpoint) }
        switch event {
        case ZMQ_EVENT_CONNECTED: self = .connected(endpoint: endpoint)
        case ZMQ_EVENT_CONNECT_DELAYED: self = .connectDelayed(endpoint: endpoint)
        case ZMQ_EVENT_CONNECT_RETRIED: self = .connectRetried(endpoint: endpoint, pause: .milliseconds(Int(value)))
        case ZMQ_EVENT_LISTENING: self = .listening(endpoint: endpoint)
        case ZMQ_EVENT_BIND_FAILED: self = .bindFailed(endpoint: endpoint, failure("bind"))
        case ZMQ_EVENT_ACCEPTED: self = .accepted(endpoint: endpoint, descriptor: value)
        case ZMQ_EVENT_ACCEPT_FAILED: self = .acceptFailed(endpoint: endpoint, failure("accept"))
        case ZMQ_EVENT_CLOSED: self = .closed(endpoint: endpoint)
        case ZMQ_EVENT_CLOSE_FAILED: self = .closeFailed(endpoint: endpoint, failure("close"))
        case ZMQ_EVENT_DISCONNECTED: self = .disconnected(endpoint: endpoint, descriptor: value)
        case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: self = .handshakeSucceeded(endpoint: endpoint)
        case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: self = .handshakeFailed(endpoint: endpoint, .interrupted(value))
        case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: self = .handshakeFailed(endpoint: endpoint, .refused(value))
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
            let failure: HandshakeFailure =
                switch value {
                case ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC: .cryptographic
                case ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH: .mechanismMismatch
                default: .protocolViolation(value)
                }
            self = .handshakeFailed(endpoint: endpoint, failure)
        case ZMQ_EVENT_MONITOR_STOPPED: self = .stopped
        default: return nil
        }
    }
}
