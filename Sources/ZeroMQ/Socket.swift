import CLibzmq

/// A ZeroMQ socket with one owner.
///
/// A socket is neither copyable nor `Sendable`: the compiler sees to it that one thread, or one actor, uses it at a
/// time. It closes when its owner lets go of it, or by ``close()``; what it still has to send is sent within its
/// `linger` time. How sockets are owned in Stemwire is told at ``Reactor``; ``Handoff`` gives one to a thread.
///
/// Calls may fail with ``ZMQError/Code/terminated`` after ``Context/shutdown()`` and with ``ZMQError/Code/closed`` after
/// ``close()``. Calls without `try` in their name may block, for ever unless a time limit is set, so they have no
/// place in an actor or a reactor's handler.
public struct Socket: ~Copyable {
    /// The pattern a socket speaks.
    public enum Kind: String, Sendable, CaseIterable, CustomStringConvertible {
        case pub = "PUB"
        case xpub = "XPUB"
        case sub = "SUB"
        case xsub = "XSUB"
        case req = "REQ"
        case rep = "REP"
        case router = "ROUTER"
        case dealer = "DEALER"
        case push = "PUSH"
        case pull = "PULL"
        case pair = "PAIR"
        /// Raw TCP.
        case stream = "STREAM"

        var zmqValue: Int32 {
            switch self {
            case .pub: ZMQ_PUB
            case .xpub: ZMQ_XPUB
            case .sub: ZMQ_SUB
            case .xsub: ZMQ_XSUB
            case .req: ZMQ_REQ
            case .rep: ZMQ_REP
            case .router: ZMQ_ROUTER
            case .dealer: ZMQ_DEALER
            case .push: ZMQ_PUSH
            case .pull: ZMQ_PULL
            case .pair: ZMQ_PAIR
            case .stream: ZMQ_STREAM
            }
        }

        public var description: String { rawValue }
    }

    let core: SocketCore

    /// Opens a socket and sets its options, before anything is bound or connected.
    ///
    /// The linger time is 500 ms unless `options` say otherwise: libzmq's own default, for ever, keeps a program from
    /// ending while a peer is away.
    public init(_ kind: Kind, in context: Context, options: SocketOptions = SocketOptions()) throws(ZMQError) {
        let core = try SocketCore(kind, in: context)
        var options = options
        options.linger = options.linger ?? .milliseconds(500)
        try options.apply(to: core)
        self.core = core
    }

    /// Opens a socket with the options that `configure` fills in.
    ///
    /// (`@Sendable`, so that a socket made by an actor is not tied to it and can still be handed to a thread.)
    public init(
        _ kind: Kind, in context: Context, configure: @Sendable (inout SocketOptions) -> Void
    ) throws(ZMQError) {
        var options = SocketOptions()
        configure(&options)
        try self.init(kind, in: context, options: options)
    }

    deinit { core.closeWhereWatched() }

    public var kind: Kind { core.kind }
    public var context: Context { core.context }
    public var isOpen: Bool { core.isOpen }

    /// Closes the socket now rather than with its owner. Watches on it lapse. Closing twice does nothing.
    ///
    /// A socket that a reactor watches is closed by the reactor's thread, at once when called there.
    public func close() { core.closeWhereWatched() }

    /// Changes options of an open socket: those not named stay. libzmq takes most of them into account for later
    /// `bind` and `connect` calls only, the time limits and the welcome message at once.
    public func configure(_ change: @Sendable (inout SocketOptions) -> Void) throws(ZMQError) {
        var options = SocketOptions()
        change(&options)
        try options.apply(to: core)
    }

    /// Listens at `endpoint`, such as `tcp://127.0.0.1:7400`, `tcp://127.0.0.1:*` (a free port), `ipc:///path` or
    /// `inproc://name`.
    ///
    /// Peers that connect are taken in while the socket's owner calls it or waits for it: a bound SUB that is never
    /// asked never tells a publisher its subscriptions.
    ///
    /// - Returns: the endpoint as bound, with the port that was taken: what a peer connects to.
    @discardableResult
    public func bind(_ endpoint: String) throws(ZMQError) -> String {
        guard zmq_bind(core.pointer, endpoint) == 0 else { throw .last("bind", subject: endpoint) }
        return try lastEndpoint
    }

    /// Stops listening at `endpoint`, given as ``bind(_:)`` returned it. Connections made stay.
    public func unbind(_ endpoint: String) throws(ZMQError) {
        guard zmq_unbind(core.pointer, endpoint) == 0 else { throw .last("unbind", subject: endpoint) }
    }

    /// Connects to `endpoint`, and again whenever the connection breaks.
    ///
    /// Returns before there is a connection and does not fail for a peer that is away (``SocketMonitor`` tells). One
    /// failure ends the trying, in silence but for the monitor: a peer that breaks the protocol, which a CURVE client
    /// and a server without CURVE are to each other.
    public func connect(_ endpoint: String) throws(ZMQError) {
        guard zmq_connect(core.pointer, endpoint) == 0 else { throw .last("connect", subject: endpoint) }
    }

    /// Ends the connection to `endpoint` and drops what was not sent to it.
    public func disconnect(_ endpoint: String) throws(ZMQError) {
        guard zmq_disconnect(core.pointer, endpoint) == 0 else { throw .last("disconnect", subject: endpoint) }
    }

    /// Asks for messages whose first part begins with `topic`, on a SUB; lets the peer whose subscription was
    /// received last have them, on an XPUB with `xpubManual`; sends the subscription upstream, on an XSUB.
    ///
    /// Subscriptions are counted: as many ``unsubscribe(_:)`` calls end them.
    public func subscribe(_ topic: [UInt8]) throws(ZMQError) { try changeSubscription(topic, ZMQ_SUBSCRIBE, 1) }

    /// Asks for messages whose first part begins with `topic`; `""` for all.
    public func subscribe(_ topic: String) throws(ZMQError) { try subscribe(Array(topic.utf8)) }

    /// Ends one ``subscribe(_:)`` of the same topic.
    public func unsubscribe(_ topic: [UInt8]) throws(ZMQError) { try changeSubscription(topic, ZMQ_UNSUBSCRIBE, 0) }

    /// Ends one ``subscribe(_:)`` of the same topic.
    public func unsubscribe(_ topic: String) throws(ZMQError) { try unsubscribe(Array(topic.utf8)) }

    private func changeSubscription(_ topic: [UInt8], _ option: Int32, _ mark: UInt8) throws(ZMQError) {
        if kind == .xsub {
            try send(copying: [mark] + topic)
        } else {
            try core.set(mark == 1 ? "subscribe" : "unsubscribe", option, bytes: topic)
        }
    }

    /// The endpoint bound or connected last, with the port that was taken for `*`.
    public var lastEndpoint: String {
        get throws(ZMQError) {
            let bytes = try core.bytes("last endpoint", ZMQ_LAST_ENDPOINT, capacity: 1024)
            return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// What can be done without blocking just now: `.readable`, `.writable`, both or none.
    public var events: PollEvents {
        get throws(ZMQError) {
            let events = try core.integer("events", ZMQ_EVENTS)
            return PollEvents(zmqEvents: Int16(truncatingIfNeeded: events))
        }
    }

    /// Whether the part received last by ``receive(into:)`` has more of its message behind it.
    public var hasMoreParts: Bool {
        get throws(ZMQError) { try core.integer("more parts", ZMQ_RCVMORE) != 0 }
    }

    /// The id under which ROUTER peers know this socket; empty when they choose.
    public var routingID: [UInt8] {
        get throws(ZMQError) { try core.bytes("routing id", ZMQ_ROUTING_ID, capacity: 255) }
    }
}
