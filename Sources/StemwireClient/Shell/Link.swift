import StemwireProtocol
import ZeroMQ

/// A socket to one server on a reactor, with what waits to be sent and the state of its connection.
///
/// Nothing is queued for a server that is away: what was not sent when the connection breaks is dropped, so that no request
/// is done long after its caller gave it up. The owner sends again what still matters.
///
/// Threading: the reactor's thread only. Closed by ``close()``.
package final class Link {
    /// What happens to the connection.
    package enum Change: Sendable, Equatable {
        /// A connection stands, but who is there is not known yet.
        case reached
        /// Connecting failed; it goes on.
        case notReached
        /// Messages flow from now on.
        case connected
        /// The connection broke; it is made anew.
        case lost
        /// The server takes nobody new now; it is tried again.
        case putOff
        /// Somebody is there who cannot be spoken to: why.
        case refused(MonitorEvent.HandshakeFailure)
    }

    package struct Handlers {
        let message: ([ReceivedPart]) -> Void
        let change: (Change) -> Void
        let malformed: () -> Void

        package init(
            message: @escaping ([ReceivedPart]) -> Void, change: @escaping (Change) -> Void,
            malformed: @escaping () -> Void
        ) {
            self.message = message
            self.change = change
            self.malformed = malformed
        }
    }

    /// A part of a message on its way out.
    package enum OutgoingPart {
        case copied([UInt8])
        /// Bytes that are sent from where they are; they stay there, unchanged, as long as `owner` lives.
        case shared(UnsafeRawBufferPointer, owner: any AnyObject & Sendable)
    }

    let address: String
    private(set) var isConnected = false
    private let socket: Socket
    private let reactor: Reactor
    private let handlers: Handlers
    private var watch: WatchToken?
    private var outbox: [[OutgoingPart]] = []
    private let hasToken: Bool
    private let isIPv6: Bool
    private var probe: HandshakeProbe?
    /// Connections in a row that ended in the handshake.
    private var interruptions = 0
    /// A server whose key is not the token's ends each of them without a word.
    private static let tellingInterruptions = 2
    /// Messages taken in one turn of the reactor; what is left makes it come back.
    private static let turn = 64
    private static let catchUpTurns = 64
    private static let outboxLimit = 4096

    package init(
        _ kind: Socket.Kind, to address: String, isIPv6: Bool, in context: Context, on reactor: Reactor,
        token: AccessToken?, receiveHighWaterMark: Int, handlers: Handlers
    ) throws(ZMQError) {
        self.address = address
        self.reactor = reactor
        self.handlers = handlers
        hasToken = token != nil
        self.isIPv6 = isIPv6
        socket = try Socket(kind, in: context) { options in
            options.linger = .zero
            options.receiveHighWaterMark = receiveHighWaterMark
            options.maxMessageSize = WireLimits.payloadBytes
            options.heartbeatInterval = .seconds(1)
            options.heartbeatTimeout = .seconds(5)
            options.reconnectInterval = .milliseconds(50)
            options.reconnectIntervalMaximum = .seconds(1)
            options.ipv6 = isIPv6
            if kind == .dealer { options.immediate = true }
            options.curve = token?.curve
        }
    }

    /// Begins to connect.
    package func open(subscribingTo topics: [String] = []) throws(ZMQError) {
        try reactor.monitor(socket) { [self] event in observe(event) }
        for topic in topics { try socket.subscribe(topic) }
        watch = reactor.watch(socket) { [self] events in
            if events.contains(.writable) { flush() }
            if events.contains(.readable) { receive() }
        }
        try socket.connect(address)
    }

    func send(_ parts: [[UInt8]]) { send(parts.map { .copied($0) }) }

    package func send(_ parts: [OutgoingPart]) {
        guard outbox.count < Self.outboxLimit else { return }
        outbox.append(parts)
        flush()
    }

    /// Ends subscriptions before the socket goes, so that the server hears of it at once.
    ///
    /// - Parameter linger: how long what was handed over already may still be sent; the context's end waits for it.
    package func close(unsubscribingFrom topics: [String] = [], linger: TimeLimit = .zero) {
        if linger != .zero { try? socket.configure { $0.linger = linger } }
        for topic in topics { try? socket.unsubscribe(topic) }
        outbox.removeAll()
        probe?.close()
        probe = nil
        socket.close()
        watch = nil
    }

    private func flush() {
        var sent = 0
        defer {
            outbox.removeFirst(sent)
            if let watch { reactor.change(watch, to: outbox.isEmpty ? .readable : [.readable, .writable]) }
        }
        for parts in outbox {
            var message = Multipart()
            for part in parts {
                switch part {
                case .copied(let bytes): message.append(copying: bytes)
                case .shared(let bytes, let owner): message.append(Message(bytes, owner: owner))
                }
            }
            do throws(ZMQError) {
                guard try socket.trySend(&message) else { return }
            } catch {
                // The peer went away in the middle, or the socket is closed: this message is lost in either case.
            }
            sent += 1
        }
    }

    /// Takes what has come already. To be called before a deadline is judged: a process that was held up finds timers
    /// due before it has looked at its sockets.
    package func catchUp() {
        for _ in 0..<Self.catchUpTurns where socket.isOpen {
            guard let events = try? socket.events, events.contains(.readable) else { return }
            receive()
        }
    }

    private func receive() {
        for _ in 0..<Self.turn where socket.isOpen {
            do throws(ZMQError) {
                guard let parts = try socket.tryReceive(limit: WireLimits.parts) else { return }
                handlers.message(parts)
            } catch {
                guard error.code == .tooManyParts else { return }
                handlers.malformed()
            }
        }
    }

    /// Whether the server has another key, none at all, or no room.
    private func askWhy() {
        do throws(ZMQError) {
            probe = try HandshakeProbe(socket.kind, to: address, isIPv6: isIPv6, in: socket.context, on: reactor) {
                [self] finding in
                probe?.close()
                probe = nil
                interruptions = 0
                guard socket.isOpen, !isConnected else { return }
                switch finding {
                case .letsInWithoutKey: handlers.change(.refused(.mechanismMismatch))
                case .waitsForKey: handlers.change(.refused(.cryptographic))
                case .endsConnections: handlers.change(.putOff)
                }
            }
        } catch {
            handlers.change(.refused(.cryptographic))
        }
    }

    private func lost() {
        isConnected = false
        outbox.removeAll()
        handlers.change(.lost)
    }

    private func observe(_ event: MonitorEvent) {
        guard socket.isOpen else { return }
        switch event {
        case .connected: handlers.change(.reached)
        case .connectRetried where !isConnected: handlers.change(.notReached)
        case .handshakeSucceeded:
            isConnected = true
            interruptions = 0
            probe?.close()
            probe = nil
            handlers.change(.connected)
        case .disconnected: lost()
        case .handshakeFailed(_, .interrupted):
            lost()
            interruptions += 1
            if hasToken, interruptions >= Self.tellingInterruptions, probe == nil { askWhy() }
        case .handshakeFailed(_, let failure):
            handlers.change(.refused(failure))
        default: break
        }
    }
}
