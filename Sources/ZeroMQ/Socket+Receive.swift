import CLibzmq

extension Socket {
    /// How many parts a message may have unless the caller says otherwise.
    public static var defaultPartLimit: Int { 64 }

    /// Receives one message, all parts of it, without copying; waits for one.
    ///
    /// A message of more than `limit` parts is read to its end and dropped. (Until then it lies in libzmq's memory, which
    /// bounds the size of a part by `maxMessageSize`, but not their number: against a hostile peer only CURVE with an
    /// allow-list helps.)
    ///
    /// - Throws: `ZMQError`; ``ZMQError/Code/timedOut`` after the socket's `receiveTimeout`,
    ///   ``ZMQError/Code/tooManyParts``: the socket is good for the next message.
    public func receive(limit: Int = defaultPartLimit) throws(ZMQError) -> [ReceivedPart] {
        guard let parts = try core.receiveParts(limit: limit, flags: 0) else {
            throw ZMQError(.timedOut, "receive", subject: "on \(kind)")
        }
        return parts
    }

    /// Receives one message, all parts of it, if there is one; nil when there is none now.
    ///
    /// In a handler, call this until it gives nil, or a bounded number of times: what is left makes the socket ready
    /// again.
    ///
    /// - Throws: `ZMQError`; ``ZMQError/Code/tooManyParts`` as for ``receive(limit:)``.
    public func tryReceive(limit: Int = defaultPartLimit) throws(ZMQError) -> [ReceivedPart]? {
        try core.receiveParts(limit: limit, flags: ZMQ_DONTWAIT)
    }

    /// Receives one part into `message`, whose former content is released; waits for one.
    ///
    /// For hot loops that reuse one message. ``hasMoreParts`` says whether the message goes on.
    public func receive(into message: inout Message) throws(ZMQError) {
        guard try core.receive(message.pointer, flags: 0) else {
            throw ZMQError(.timedOut, "receive", subject: "on \(kind)")
        }
    }

    /// Receives one part into `message` if there is one; false when there is none now. Its former content is released
    /// in either case.
    public func tryReceive(into message: inout Message) throws(ZMQError) -> Bool {
        try core.receive(message.pointer, flags: ZMQ_DONTWAIT)
    }

    /// The next change of subscriptions on an XPUB, nil when there is none now.
    ///
    /// Which changes appear is a matter of `xpubVerbosity`. Subscriptions end also when their peer goes away.
    public func tryReceiveSubscription() throws(ZMQError) -> SubscriptionChange? {
        try core.tryReceiveSubscription()?.change
    }
}

/// What an XPUB hears from its subscribers.
public enum SubscriptionChange: Sendable, Hashable {
    case subscribed([UInt8])
    case unsubscribed([UInt8])
    /// An XSUB peer sent a message of its own upstream.
    case message([[UInt8]])
}

/// Where a change of subscriptions came from.
public struct SubscriptionOrigin: Sendable, Hashable {
    /// The descriptor of the peer's connection; nil when it has ended, which ended the subscription.
    public let connection: Int32?
    /// The user that the ZAP authenticator gave the connection.
    public let userID: String?

    public init(connection: Int32?, userID: String? = nil) {
        self.connection = connection
        self.userID = userID
    }
}

extension SocketCore {
    func receiveParts(limit: Int, flags: Int32) throws(ZMQError) -> [ReceivedPart]? {
        precondition(limit > 0, "a message has at least one part")
        var message = Message()
        guard try receive(message.pointer, flags: flags) else { return nil }
        guard zmq_msg_more(message.pointer) != 0 else { return [ReceivedPart(message)] }
        var parts: [ReceivedPart] = []
        parts.reserveCapacity(min(limit, 4))
        while true {
            let isLast = zmq_msg_more(message.pointer) == 0
            parts.append(ReceivedPart(message))
            if isLast { return parts }
            message = Message()
            // The parts of a message become visible together, so this neither waits nor fails for want of one.
            guard try receive(message.pointer, flags: flags) else { return parts }
            if parts.count == limit {
                try dropRest(of: &message)
                throw ZMQError(.tooManyParts, "receive", subject: "on \(kind), more than \(limit) parts")
            }
        }
    }

    private func dropRest(of message: inout Message) throws(ZMQError) {
        while zmq_msg_more(message.pointer) != 0 {
            guard try receive(message.pointer, flags: 0) else { return }
        }
    }

    func tryReceiveSubscription() throws(ZMQError) -> (change: SubscriptionChange, origin: SubscriptionOrigin)? {
        guard let parts = try receiveParts(limit: Socket.defaultPartLimit, flags: ZMQ_DONTWAIT) else { return nil }
        let first = parts[0].bytes
        let change: SubscriptionChange =
            switch (parts.count, first.first) {
            case (1, 1): .subscribed(Array(first.dropFirst()))
            case (1, 0): .unsubscribed(Array(first.dropFirst()))
            default: .message(parts.map(\.bytes))
            }
        return (change, SubscriptionOrigin(connection: parts[0].connection, userID: parts[0].userID))
    }
}
