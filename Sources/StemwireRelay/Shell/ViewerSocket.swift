import StemwireProtocol
import StemwireServer
import ZeroMQ

/// The XPUB socket that viewers subscribe to: passes messages on as they came, with the bounds of a server's live socket.
///
/// Threading: the reactor's thread only. Closed by ``close()``.
final class ViewerSocket {
    struct Counts: Sendable {
        var tiles: UInt64 = 0
        var updates: UInt64 = 0
        /// Tiles that were left out since the queues held too much.
        var tilesLeftOut: UInt64 = 0
    }

    private struct Waiting {
        let parts: [ReceivedPart]
        let verdict: RelayCache.Verdict
        let until: ContinuousClock.Instant
        var bytes: Int { parts.dropFirst(2).reduce(0) { $0 + $1.count } }
    }

    /// Messages that wait for each viewer.
    static let highWaterMark = 16
    /// How long a start or an end, and other small messages, wait for those before them to leave the queues.
    private static let longestHold = Duration.milliseconds(20)
    private static let shortHold = Duration.milliseconds(1)
    /// Larger messages do not come in bursts, and do not wait; nor does any when so many are behind it.
    private static let smallBytes = 64 << 10
    private static let longestBacklog = 256

    private let reactor: Reactor
    private let context: Context
    private let queued: QueuedMessages
    private var socket: Socket
    private let access: SocketGuard
    private var endpoint = ""
    private var subscriptions = SubscriptionTable()
    private var waiting: [Waiting] = []
    private var isAwaitingRoom = false
    private var isClosed = false
    private(set) var counts = Counts()

    /// - Parameter queueBytes: what the queues of all viewers together may hold.
    init(on reactor: Reactor, in context: Context, access: SocketGuard, queueBytes: Int) throws(ZMQError) {
        self.access = access
        self.reactor = reactor
        self.context = context
        queued = QueuedMessages(limit: queueBytes)
        socket = try Socket(.xpub, in: context, options: Self.options)
    }

    private static var options: SocketOptions {
        var options = SocketOptions.forPeers(queue: highWaterMark, largestMessage: WireLimits.subscriptionBytes)
        // Subscribers of many channels say so all at once.
        options.receiveHighWaterMark = nil
        options.linger = .milliseconds(200)
        options.backlog = 128
        options.xpubVerbosity = .everything
        options.tcpMaxRetransmit = .seconds(10)
        return options
    }

    var subscriptionCount: Int { subscriptions.count }
    var refused: UInt64 {
        subscriptions.refused + access.counters.failedHandshakes.load(ordering: .relaxed)
            + access.counters.refusedKeys.load(ordering: .relaxed)
    }
    var queuedBytes: Int { queued.bytes }

    /// Binds, and takes subscriptions from now on. Returns the endpoint with its port.
    func open(at endpoint: String) throws(ZMQError) -> String {
        try watch()
        self.endpoint = try access.bind(socket, at: endpoint)
        return self.endpoint
    }

    /// Passes on what waits, and closes.
    func close() {
        for message in waiting { send(message) }
        waiting = []
        isClosed = true
        socket.close()
    }

    private func watch() throws(ZMQError) {
        reactor.watchSubscriptions(of: socket) { [self] change, origin in
            take(change, origin)
            if subscriptions.isFlooded { dismissSubscribers() }
        }
        try reactor.monitor(socket) { [self] event in
            access.observe(event)
            if case .disconnected(_, let connection) = event { subscriptions.ended(connection) }
        }
    }

    private func take(_ change: SubscriptionChange, _ origin: SubscriptionOrigin) {
        if let connection = origin.connection {
            guard access.peer(userID: origin.userID, connection: connection) != nil else { return }
        }
        if subscriptions.take(change, from: origin.connection) == .flood, let connection = origin.connection {
            access.cut(connection)
        }
    }

    /// Opens the socket anew, as libzmq keeps all that anybody has subscribed to, and has no other way to be rid of it.
    /// Honest subscribers come back by themselves, and see by the numbers what they have missed.
    private func dismissSubscribers() {
        socket.close()
        subscriptions.dismissAll()
        reopen()
    }

    private func reopen() {
        do throws(ZMQError) {
            socket = try Socket(.xpub, in: context, options: Self.options)
            try watch()
            _ = try access.bind(socket, at: endpoint)
        } catch {
            // libzmq's own thread has still to give the port back.
            socket.close()
            reactor.schedule(after: .milliseconds(10)) { [self] in if !isClosed { reopen() } }
        }
    }

    // MARK: Passing on

    /// Passes a message on, to all who have subscribed to its topic.
    func pass(_ parts: [ReceivedPart], _ verdict: RelayCache.Verdict) {
        guard !isClosed, let topic = parts[0].text, subscriptions.wants(topic) else { return }
        let hold = verdict == .landmark ? Self.longestHold : Self.shortHold
        waiting.append(Waiting(parts: parts, verdict: verdict, until: .now + hold))
        if waiting.count == 1 || waiting.count > Self.longestBacklog { flush() }
    }

    /// Bursts of small messages would fill the queues of those who read before libzmq's own thread has looked, and what
    /// comes next, an end perhaps, would be dropped for all.
    private func flush() {
        var sent = 0
        while sent < waiting.count {
            let next = waiting[sent]
            let mayWait = next.bytes < Self.smallBytes && waiting.count - sent <= Self.longestBacklog
            guard !mayWait || hasRoom || ContinuousClock.now >= next.until else { break }
            send(next)
            sent += 1
        }
        waiting.removeFirst(sent)
        guard !waiting.isEmpty, !isAwaitingRoom else { return }
        isAwaitingRoom = true
        reactor.schedule(after: .milliseconds(1)) { [self] in
            isAwaitingRoom = false
            flush()
        }
    }

    private var hasRoom: Bool {
        // Looking makes libzmq take note of what has left; by itself it does so every few milliseconds.
        _ = try? socket.events
        return queued.count < Self.highWaterMark / 2
    }

    private func send(_ waiting: Waiting) {
        var message = Multipart()
        message.append(waiting.parts[0])
        message.append(waiting.parts[1])
        if waiting.parts.count > 2 {
            let bytes = waiting.bytes
            guard queued.take(bytes) else {
                // Its number shows that it is missing.
                if waiting.verdict == .tile { counts.tilesLeftOut += 1 }
                return
            }
            QueuedPayload(Array(waiting.parts[2...]), bytes: bytes, countedIn: queued).append(to: &message)
        }
        // An XPUB drops for those who are full; nothing else can fail but the context's shutdown.
        _ = try? socket.trySend(&message)
        switch waiting.verdict {
        case .tile: counts.tiles += 1
        case .update: counts.updates += 1
        default: break
        }
    }
}
