import StemwireProtocol
import ZeroMQ

/// Why there is no connection.
public enum ConnectError: Error, Sendable, CustomStringConvertible {
    case badEndpoint(String, why: String)
    /// The address answers, but nobody listens there, or there is no such host or way to it.
    case nobodyThere(ServerEndpoint, why: String)
    /// Somebody accepts connections there, who is no Stemwire server.
    case notStemwire(ServerEndpoint, why: String)
    /// Somebody takes connections there and says nothing: a server that is stopped or hangs, or who speaks another language.
    case silent(ServerEndpoint, after: Duration)
    /// A Stemwire server that speaks other versions of the protocol.
    case unsupportedVersion(ServerEndpoint, ours: ClosedRange<UInt32>, server: String)
    /// The server asks for keys, and the client has none.
    case tokenNeeded(ServerEndpoint)
    /// The client shows a key, and the server asks nobody for one: it may not be the one that the token is for.
    case tokenNotWanted(ServerEndpoint)
    /// The server has as many connections as it may, and ended each one that was tried.
    case full(ServerEndpoint, after: Duration)
    /// The server does not have the key that the token names.
    case wrongServerKey(ServerEndpoint)
    /// The server does not let the token's key in (any more).
    case keyRefused(ServerEndpoint)
    /// A Stemwire server that refuses.
    case refused(ServerEndpoint, ControlFailure)
    /// A connection was made, but no answer came in time.
    case timedOut(ServerEndpoint, after: Duration, why: String)
    /// The task was cancelled.
    case cancelled
    /// This machine has no socket or thread to give.
    case system(String)

    public var description: String {
        switch self {
        case .badEndpoint(let text, let why):
            """
            “\(text)” is no server address: \(why); write it like tcp://merlin-server:7400 or merlin-server
            """
        case .nobodyThere(let endpoint, let why):
            """
            nobody answers at \(endpoint): \(why). Check that `stemwire serve` runs there, the host name, the control \
            port (default 7400), and that the server was bound to an address that can be reached from here (--bind)
            """
        case .notStemwire(let endpoint, let why):
            """
            at \(endpoint) is somebody who is not a Stemwire control socket: \(why). Check the port: control is 7400 by \
            default; 7401 and 7402 are the live and work ports, 7480 the viewer, 6341 and 6342 the detector's
            """
        case .silent(let endpoint, let duration):
            """
            \(endpoint) takes connections, but has said nothing for \(duration): the server there is stopped, hangs or is far \
            too busy, or it is another program that waits to be spoken to in its own language. Check the server's process, \
            and the port: control is 7400 by default
            """
        case .unsupportedVersion(let endpoint, let ours, let server):
            """
            the Stemwire server at \(endpoint) speaks another version of the protocol: this client speaks \
            \(ours.lowerBound) to \(ours.upperBound); the server says: \(server). Update the older of the two
            """
        case .tokenNeeded(let endpoint):
            """
            the server at \(endpoint) lets in only those who have a key: have `stemwire enrol` make a token on its machine, and \
            give it with --token FILE or STEMWIRE_TOKEN
            """
        case .tokenNotWanted(let endpoint):
            """
            the server at \(endpoint) asks nobody for a key, so it cannot prove that it is the one your token is for. Leave the \
            token out if you trust the way there; or have the server started with --keys
            """
        case .full(let endpoint, let duration):
            """
            the server at \(endpoint) took nobody new for \(duration): it has as many connections as it may. Close some, or raise its \
            --connections and its limit of open files
            """
        case .wrongServerKey(let endpoint):
            """
            the server at \(endpoint) does not have the key that the token names: the token is another server's, or the server \
            has a new key since (`stemwire keygen --replace`). Have a new token made by `stemwire enrol` on its machine
            """
        case .keyRefused(let endpoint):
            """
            the server at \(endpoint) does not let this token's key in: it was revoked, or never enrolled there. Have a new token \
            made by `stemwire enrol` on its machine
            """
        case .refused(let endpoint, let failure):
            "the server at \(endpoint) refuses the connection: \(failure)"
        case .timedOut(let endpoint, let duration, let why):
            """
            no answer from \(endpoint) within \(duration): \(why). Check that the host is up and that no firewall \
            drops the connection; a slow network needs a longer timeout
            """
        case .cancelled: "connecting was cancelled"
        case .system(let why): "this machine cannot open a connection: \(why)"
        }
    }
}

extension ConnectError {
    /// Whether somebody is there, and the client's or the server's key is the trouble.
    public var isAboutKeys: Bool {
        switch self {
        case .tokenNeeded, .tokenNotWanted, .wrongServerKey, .keyRefused: true
        default: false
        }
    }

    /// What a handshake that failed for good says of the server.
    init(_ endpoint: ServerEndpoint, _ failure: MonitorEvent.HandshakeFailure, hasToken: Bool) {
        self =
            switch failure {
            case .refused: .keyRefused(endpoint)
            case .cryptographic: .wrongServerKey(endpoint)
            case .mechanismMismatch: hasToken ? .tokenNotWanted(endpoint) : .tokenNeeded(endpoint)
            case .interrupted, .protocolViolation: .notStemwire(endpoint, why: failure.description)
            }
    }
}

/// What a server is doing.
public struct ServerState: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }

    /// No detector is connected.
    public static let disconnected = ServerState(rawValue: "disconnected")
    public static let idle = ServerState(rawValue: "idle")
    /// The detector waits for its trigger.
    public static let armed = ServerState(rawValue: "armed")
    public static let acquiring = ServerState(rawValue: "acquiring")
    /// Nobody told.
    public static let unknown = ServerState(rawValue: "")

    public var description: String { rawValue.isEmpty ? "unknown" : rawValue }
}

/// A request that was not done, or of which it is not known.
public struct ControlFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// A stable word to test for: the protocol's failure codes, and the client's own below.
    public struct Code: RawRepresentable, Sendable, Hashable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        public static let malformed = Code(rawValue: "malformed")
        public static let unknownRequest = Code(rawValue: "unknownRequest")
        public static let unsupportedVersion = Code(rawValue: "unsupportedVersion")
        public static let invalidArgument = Code(rawValue: "invalidArgument")
        public static let notFound = Code(rawValue: "notFound")
        public static let detectorRefused = Code(rawValue: "detectorRefused")
        public static let detectorUnreachable = Code(rawValue: "detectorUnreachable")
        public static let detectorNonsense = Code(rawValue: "detectorNonsense")
        public static let timedOut = Code(rawValue: "timedOut")
        public static let wrongState = Code(rawValue: "wrongState")
        public static let busy = Code(rawValue: "busy")
        /// The role of this connection's key is not enough.
        public static let forbidden = Code(rawValue: "forbidden")
        public static let `internal` = Code(rawValue: "internal")
        /// The client's own: no reply within the deadline. Whether the server did it is not known.
        public static let noReply = Code(rawValue: "noReply")
        /// The client's own: the connection is closed.
        public static let closed = Code(rawValue: "closed")
        /// The client's own: the calling task was cancelled. Whether the server did it is not known.
        public static let cancelled = Code(rawValue: "cancelled")
        /// The client's own: the reply is not of the kind that was asked for.
        public static let unexpectedReply = Code(rawValue: "unexpectedReply")
    }

    public let code: Code
    /// For people: what was wrong, where, what to do.
    public let message: String
    /// The detector's own code when it refused.
    public let detectorCode: Int?
    /// The server's state before and after the request; ``ServerState/unknown`` when there was no reply.
    public let stateBefore: ServerState
    public let stateAfter: ServerState

    public init(
        _ code: Code, _ message: String, detectorCode: Int? = nil, stateBefore: ServerState = .unknown,
        stateAfter: ServerState = .unknown
    ) {
        self.code = code
        self.message = message
        self.detectorCode = detectorCode
        self.stateBefore = stateBefore
        self.stateAfter = stateAfter
    }

    init(_ failure: WireFailure, stateBefore: ServerState = .unknown, stateAfter: ServerState = .unknown) {
        self.init(
            Code(rawValue: failure.code), failure.message,
            detectorCode: failure.detectorCode == 0 ? nil : Int(failure.detectorCode),
            stateBefore: stateBefore, stateAfter: stateAfter)
    }

    public var description: String {
        let detector = detectorCode.map { " (detector code \($0))" } ?? ""
        return "\(code.rawValue): \(message)\(detector)"
    }
}

/// Why a subscription ended before its time.
public enum SubscriptionError: Error, Sendable, CustomStringConvertible {
    /// The server is there, but no detector sends to it.
    case nobodySends(source: String, reason: String)
    /// The server was not heard of for longer than the connection's `lossTimeout`.
    case connectionLost(ServerEndpoint, after: Duration)
    /// ``StemwireConnection/close()`` was called.
    case closed
    /// The server refused something that the subscription needs.
    case refused(ControlFailure)
    /// A filter that cannot be a topic.
    case badName(String)
    /// This machine has no socket to give.
    case system(String)

    public var description: String {
        switch self {
        case .nobodySends(let source, let reason):
            """
            nobody sends: the server's detector \(source.isEmpty ? "" : "“\(source)” ")is not connected\
            \(reason.isEmpty ? "" : " (\(reason))"). Check that the detector software runs, that its address and data \
            port are those the server was started with (--source), and that no other program holds its data socket
            """
        case .connectionLost(let endpoint, let duration):
            """
            the server at \(endpoint) was not heard of for \(duration). Check that it still runs and the network to it; \
            an acquisition that was going on can be picked up again when it is back
            """
        case .closed: "the connection was closed"
        case .refused(let failure): "the server refused the subscription: \(failure)"
        case .badName(let name):
            """
            “\(name)” cannot be the name of a run, UDF or channel: 1 to \(WireLimits.identifierBytes) letters, digits, \
            ., _ and - are allowed
            """
        case .system(let why): "this machine cannot open the subscription: \(why)"
        }
    }
}

/// Why frames could not be fetched. Frames that the server does not have are no error, see ``UnavailableFrames``.
public enum FetchError: Error, Sendable, CustomStringConvertible {
    /// Nothing came for as long as the deadline.
    case noProgress(ServerEndpoint, after: Duration)
    case refused(ControlFailure)
    case invalidRange(first: Int, count: Int)
    case closed
    case system(String)

    public var description: String {
        switch self {
        case .noProgress(let endpoint, let duration):
            """
            fetching from \(endpoint) came to a stop: nothing came for \(duration). Check that the server runs and that \
            its work port can be reached from here
            """
        case .refused(let failure): "the server refused to send frames: \(failure)"
        case .invalidRange(let first, let count):
            "positions from \(first), \(count) of them, cannot be fetched: both are 0 or more"
        case .closed: "the connection was closed"
        case .system(let why): "this machine cannot open the work connection: \(why)"
        }
    }
}
