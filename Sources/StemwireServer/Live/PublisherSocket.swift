import StemwireProtocol
import ZeroMQ

/// An XPUB socket for anybody: who does not read costs a few messages, and who floods it with subscriptions nothing.
///
/// Threading: the reactor's thread only. Closed by ``close()``.
package final class PublisherSocket {
    /// Messages that wait for each subscriber.
    package static let highWaterMark = 16

    private let reactor: Reactor
    private let context: Context
    private let access: SocketGuard
    private var socket: Socket
    private var endpoint = ""
    private var isClosed = false
    package private(set) var subscriptions = SubscriptionTable()
    private var onChange: () -> Void = {}

    /// - Parameter access: who may come in.
    package init(on reactor: Reactor, in context: Context, access: SocketGuard) throws(ZMQError) {
        self.reactor = reactor
        self.access = access
        self.context = context
        socket = try Socket(.xpub, in: context, options: Self.options)
    }

    private static var options: SocketOptions {
        var options = SocketOptions.forPeers(queue: highWaterMark, largestMessage: WireLimits.subscriptionBytes)
        // Subscribers of many channels say so all at once.
        options.receiveHighWaterMark = nil
        options.linger = .milliseconds(200)
        options.backlog = 128
        // All are needed to know whose connection wants what.
        options.xpubVerbosity = .everything
        options.tcpMaxRetransmit = .seconds(10)
        return options
    }

    /// Binds, and takes subscriptions from now on. Returns the endpoint with its port.
    ///
    /// - Parameter onChange: called when subscriptions or counts have changed.
    package func open(at endpoint: String, onChange: @escaping () -> Void = {}) throws(ZMQError) -> String {
        self.onChange = onChange
        try watch()
        self.endpoint = try access.bind(socket, at: endpoint)
        return self.endpoint
    }

    package func close() {
        isClosed = true
        socket.close()
        onChange = {}
    }

    /// Sends to whoever has subscribed. An XPUB drops for those who are full; nothing else can fail but the context's
    /// shutdown.
    package func send(_ message: inout Multipart) { _ = try? socket.trySend(&message) }

    /// Whether one more message finds room in the queues of those who read, while so many are in them.
    package func hasRoom(behind count: Int) -> Bool {
        // Looking makes libzmq take note of what has left; by itself it does so every few milliseconds.
        _ = try? socket.events
        return count < Self.highWaterMark / 2
    }

    private func watch() throws(ZMQError) {
        reactor.watchSubscriptions(of: socket) { [self] change, origin in
            take(change, origin)
            if subscriptions.isFlooded { dismissSubscribers() }
            onChange()
        }
        try reactor.monitor(socket) { [self] event in
            access.observe(event)
            if case .disconnected(_, let connection) = event { subscriptions.ended(connection) }
            onChange()
        }
    }

    private func take(_ change: SubscriptionChange, _ origin: SubscriptionOrigin) {
        if let connection = origin.connection {
            // What libzmq sends it until it is cut off is in its topics; the server makes nothing for it.
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
}
