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
    private var socket: Socket
    private var endpoint = ""
    private var isClosed = false
    package private(set) var subscriptions = SubscriptionTable()
    package private(set) var failedHandshakes: UInt64 = 0
    private var onChange: () -> Void = {}

    package init(on reactor: Reactor, in context: Context) throws(ZMQError) {
        self.reactor = reactor
        self.context = context
        socket = try Socket(.xpub, in: context, options: Self.options)
    }

    private static var options: SocketOptions {
        var options = SocketOptions.forPeers(queue: highWaterMark, largestMessage: WireLimits.subscriptionBytes)
        // Subscribers of many channels say so all at once.
        options.receiveHighWaterMark = nil
        options.linger = .milliseconds(200)
        options.backlog = 128
        options.tcpMaxRetransmit = .seconds(10)
        return options
    }

    /// Binds, and takes subscriptions from now on. Returns the endpoint with its port.
    ///
    /// - Parameter onChange: called when subscriptions or counts have changed.
    package func open(at endpoint: String, onChange: @escaping () -> Void = {}) throws(ZMQError) -> String {
        self.onChange = onChange
        try watch()
        self.endpoint = try socket.bind(endpoint)
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
        reactor.watchSubscriptions(of: socket) { [self] change in
            _ = subscriptions.take(change)
            if subscriptions.isFlooded { dismissSubscribers() }
            onChange()
        }
        try reactor.monitor(socket) { [self] event in
            guard case .handshakeFailed = event else { return }
            failedHandshakes += 1
            onChange()
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
            try socket.bind(endpoint)
        } catch {
            // libzmq's own thread has still to give the port back.
            socket.close()
            reactor.schedule(after: .milliseconds(10)) { [self] in if !isClosed { reopen() } }
        }
    }
}
