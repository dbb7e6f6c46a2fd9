import CLibzmq

/// Options of a socket; what is nil stays as libzmq has it.
///
/// A plain value: build one for each role (control, live, work) and open sockets with it. Sizes are in bytes.
public struct SocketOptions: Sendable, Hashable {
    /// Messages queued for each peer before sending blocks or drops; 0 is without limit. (1000)
    public var sendHighWaterMark: Int?
    /// Messages queued from each peer before it has to wait; 0 is without limit. (1000)
    public var receiveHighWaterMark: Int?
    /// How long unsent messages are kept after the socket is closed. (500 ms, see ``Socket``)
    public var linger: TimeLimit?
    /// How long a blocking send waits. (unlimited)
    public var sendTimeout: TimeLimit?
    /// How long a blocking receive waits. (unlimited)
    public var receiveTimeout: TimeLimit?
    /// The kernel's send buffer. (the system's default)
    public var sendBuffer: Int?
    /// The kernel's receive buffer. (the system's default)
    public var receiveBuffer: Int?
    /// Connections that may wait to be accepted. (100)
    public var backlog: Int?
    /// The largest message part accepted from a peer; a peer that sends a larger one is cut off. (no limit)
    ///
    /// libzmq limits neither the number of parts nor their sum; see ``Socket/receive(limit:)``.
    public var maxMessageSize: Int?
    /// How long a new connection may take to greet. (30 s)
    public var handshakeInterval: TimeLimit?
    /// How often a silent connection is probed. (never)
    public var heartbeatInterval: Duration?
    /// How long the answer to a probe may take before the connection is given up. (``heartbeatInterval``)
    public var heartbeatTimeout: Duration?
    /// After which silence the peer should give up this side; in steps of 100 ms. (never)
    public var heartbeatTTL: Duration?
    /// How long making a TCP connection may take before it is tried again. (the system's default)
    public var connectTimeout: Duration?
    /// The pause before connecting again. (100 ms)
    public var reconnectInterval: Duration?
    /// To which the pause doubles at most. (it does not)
    public var reconnectIntervalMaximum: Duration?
    /// How long sent bytes may stay without acknowledgement before TCP gives the connection up. (the system's default)
    public var tcpMaxRetransmit: Duration?
    /// Lets IPv6 addresses be used, IPv4 ones still work. (false)
    public var ipv6: Bool?
    /// Queues messages for completed connections only. (false)
    public var immediate: Bool?
    /// The id under which ROUTER peers know this socket: 1 to 255 bytes, the first not 0. (they choose)
    public var routingID: [UInt8]?
    /// ROUTER: sending to an unknown peer fails with ``ZMQError/Code/unroutable`` instead of dropping. (false)
    public var routerMandatory: Bool?
    /// ROUTER: a new peer with a known id takes the old one's place instead of being refused. (false)
    public var routerHandover: Bool?
    /// REQ, DEALER, ROUTER: greets a connected ROUTER by an empty message, so that it learns of this peer. (false)
    public var probeRouter: Bool?
    /// XPUB: which subscription messages are passed on to the owner. (``XPUBVerbosity/changes``)
    public var xpubVerbosity: XPUBVerbosity?
    /// XPUB: the owner decides about each subscription by ``Socket/subscribe(_:)-(String)``. (false)
    public var xpubManual: Bool?
    /// XPUB, PUB: a full peer makes sending fail with "would block" instead of dropping for this peer. (false)
    public var xpubNoDrop: Bool?
    /// XPUB: what each new subscriber gets first, if it subscribes to it. (nothing)
    public var welcomeMessage: [UInt8]?
    /// REQ: tells replies to an earlier request from those to this one. (false)
    public var requestCorrelate: Bool?
    /// REQ: may send again without having received the reply. (false)
    public var requestRelaxed: Bool?
    /// Encryption and who is who. (none)
    public var curve: CurveRole?
    /// The domain that a ZAP authenticator is asked about. (empty)
    public var zapDomain: String?
    /// Refuses connections when a ``zapDomain`` is set and no authenticator answers. (false)
    public var zapEnforceDomain: Bool?

    public init() {}
}

/// Which subscription messages an XPUB passes on to its owner.
public enum XPUBVerbosity: Sendable, Hashable {
    /// The first subscription and the last unsubscription of a topic.
    case changes
    /// All subscriptions, and the last unsubscription.
    case allSubscriptions
    /// All subscriptions and all unsubscriptions.
    case everything
}

extension SocketOptions {
    /// Sets what is not nil, and stops at the first option that libzmq refuses.
    func apply(to core: SocketCore) throws(ZMQError) {
        let counts: [(String, Int32, Int?)] = [
            ("sendHighWaterMark", ZMQ_SNDHWM, sendHighWaterMark),
            ("receiveHighWaterMark", ZMQ_RCVHWM, receiveHighWaterMark),
            ("sendBuffer", ZMQ_SNDBUF, sendBuffer),
            ("receiveBuffer", ZMQ_RCVBUF, receiveBuffer),
            ("backlog", ZMQ_BACKLOG, backlog),
        ]
        for case let (name, option, value?) in counts { try core.set(name, option, Int32(clamping: value)) }
        let limits: [(String, Int32, TimeLimit?)] = [
            ("linger", ZMQ_LINGER, linger),
            ("sendTimeout", ZMQ_SNDTIMEO, sendTimeout),
            ("receiveTimeout", ZMQ_RCVTIMEO, receiveTimeout),
        ]
        for case let (name, option, value?) in limits { try core.set(name, option, value.zmqValue) }
        // Here, libzmq writes "without end" as 0.
        if let handshakeInterval {
            try core.set("handshakeInterval", ZMQ_HANDSHAKE_IVL, handshakeInterval.milliseconds ?? 0)
        }
        let durations: [(String, Int32, Duration?)] = [
            ("heartbeatInterval", ZMQ_HEARTBEAT_IVL, heartbeatInterval),
            ("heartbeatTimeout", ZMQ_HEARTBEAT_TIMEOUT, heartbeatTimeout),
            ("heartbeatTTL", ZMQ_HEARTBEAT_TTL, heartbeatTTL),
            ("connectTimeout", ZMQ_CONNECT_TIMEOUT, connectTimeout),
            ("reconnectInterval", ZMQ_RECONNECT_IVL, reconnectInterval),
            ("reconnectIntervalMaximum", ZMQ_RECONNECT_IVL_MAX, reconnectIntervalMaximum),
            ("tcpMaxRetransmit", ZMQ_TCP_MAXRT, tcpMaxRetransmit),
        ]
        for case let (name, option, value?) in durations { try core.set(name, option, TimeLimit(value).zmqValue) }
        let switches: [(String, Int32, Bool?)] = [
            ("ipv6", ZMQ_IPV6, ipv6),
            ("immediate", ZMQ_IMMEDIATE, immediate),
            ("routerMandatory", ZMQ_ROUTER_MANDATORY, routerMandatory),
            ("routerHandover", ZMQ_ROUTER_HANDOVER, routerHandover),
            ("probeRouter", ZMQ_PROBE_ROUTER, probeRouter),
            ("xpubManual", ZMQ_XPUB_MANUAL, xpubManual),
            ("xpubNoDrop", ZMQ_XPUB_NODROP, xpubNoDrop),
            ("requestCorrelate", ZMQ_REQ_CORRELATE, requestCorrelate),
            ("requestRelaxed", ZMQ_REQ_RELAXED, requestRelaxed),
            ("zapEnforceDomain", Int32(STEMWIRE_ZMQ_ZAP_ENFORCE_DOMAIN), zapEnforceDomain),
        ]
        for case let (name, option, value?) in switches { try core.set(name, option, Int32(value ? 1 : 0)) }
        if let maxMessageSize { try core.set("maxMessageSize", ZMQ_MAXMSGSIZE, Int64(maxMessageSize)) }
        if let routingID { try core.set("routingID", ZMQ_ROUTING_ID, bytes: routingID) }
        if let welcomeMessage { try core.set("welcomeMessage", ZMQ_XPUB_WELCOME_MSG, bytes: welcomeMessage) }
        if let zapDomain { try core.set("zapDomain", ZMQ_ZAP_DOMAIN, bytes: Array(zapDomain.utf8)) }
        try applyXPUBVerbosity(to: core)
        try curve?.apply(to: core)
    }

    private func applyXPUBVerbosity(to core: SocketCore) throws(ZMQError) {
        guard let xpubVerbosity else { return }
        // Each of the two options sets both halves, for subscriptions and for unsubscriptions.
        switch xpubVerbosity {
        case .changes: try core.set("xpubVerbosity", ZMQ_XPUB_VERBOSER, Int32(0))
        case .allSubscriptions: try core.set("xpubVerbosity", ZMQ_XPUB_VERBOSE, Int32(1))
        case .everything: try core.set("xpubVerbosity", ZMQ_XPUB_VERBOSER, Int32(1))
        }
    }
}
