import StemwireProtocol
import StemwireServer
import ZeroMQ

/// The socket that viewers subscribe to: passes messages on as they came, with the bounds of a server's live socket.
///
/// Threading: the reactor's thread only. Closed by ``close()``.
final class ViewerSocket {
    struct Counts: Sendable {
        var tiles: UInt64 = 0
        var updates: UInt64 = 0
        /// Tiles that were left out since the queues held too much.
        var tilesLeftOut: UInt64 = 0
    }

    private struct Passing {
        let parts: [ReceivedPart]
        let verdict: RelayCache.Verdict

        /// Of the payload.
        var bytes: Int { parts.dropFirst(2).reduce(0) { $0 + $1.count } }
    }

    private static let longestBacklog = 256

    private let queued: QueuedMessages
    private let socket: PublisherSocket
    private let access: SocketGuard
    private let reactor: Reactor
    private lazy var pace = PacedQueue<Passing>(
        on: reactor, longestBacklog: Self.longestBacklog,
        hasRoom: { [socket, queued] in socket.hasRoom(behind: queued.count) }, send: { [unowned self] in send($0) })
    private var isClosed = false
    private(set) var counts = Counts()

    /// - Parameter queueBytes: what the queues of all viewers together may hold.
    init(on reactor: Reactor, in context: Context, access: SocketGuard, queueBytes: Int) throws(ZMQError) {
        self.access = access
        self.reactor = reactor
        queued = QueuedMessages(limit: queueBytes)
        socket = try PublisherSocket(on: reactor, in: context, access: access)
    }

    var subscriptionCount: Int { socket.subscriptions.count }
    var refused: UInt64 {
        socket.subscriptions.refused + access.counters.failedHandshakes.load(ordering: .relaxed)
            + access.counters.refusedKeys.load(ordering: .relaxed)
    }
    var queuedBytes: Int { queued.bytes }

    /// Binds, and takes subscriptions from now on. Returns the endpoint with its port.
    func open(at endpoint: String) throws(ZMQError) -> String { try socket.open(at: endpoint) }

    /// Passes on what waits, and closes.
    func close() {
        pace.sendAll()
        isClosed = true
        socket.close()
    }

    /// Passes a message on, to all who have subscribed to its topic.
    func pass(_ parts: [ReceivedPart], _ verdict: RelayCache.Verdict) {
        guard !isClosed, let topic = parts[0].text, socket.subscriptions.wants(topic) else { return }
        let passing = Passing(parts: parts, verdict: verdict)
        pace.add(passing, verdict == .landmark ? .landmark : .bytes(passing.bytes))
    }

    private func send(_ passing: Passing) {
        var message = Multipart()
        message.append(passing.parts[0])
        message.append(passing.parts[1])
        if passing.parts.count > 2 {
            let bytes = passing.bytes
            guard queued.take(bytes) else {
                // Its number shows that it is missing.
                if passing.verdict == .tile { counts.tilesLeftOut += 1 }
                return
            }
            QueuedPayload(Array(passing.parts[2...]), bytes: bytes, countedIn: queued).append(to: &message)
        }
        socket.send(&message)
        switch passing.verdict {
        case .tile: counts.tiles += 1
        case .update: counts.updates += 1
        default: break
        }
    }
}
