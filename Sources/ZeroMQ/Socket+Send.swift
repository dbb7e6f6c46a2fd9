import CLibzmq

extension Socket {
    /// Sends one part as a message of its own; waits while the peers' queues are full.
    ///
    /// Whatever happens, `message` is gone afterwards and its owner is released when libzmq is done with it.
    ///
    /// - Throws: `ZMQError`; ``ZMQError/Code/timedOut`` after the socket's `sendTimeout`,
    ///   ``ZMQError/Code/unroutable`` on a ROUTER with `routerMandatory`.
    public func send(_ message: consuming Message) throws(ZMQError) {
        guard try core.send(message.pointer, flags: 0) else { throw ZMQError(.timedOut, "send", subject: "on \(kind)") }
    }

    /// Sends a copy of `bytes` as a message of one part; waits while the peers' queues are full.
    public func send(copying bytes: [UInt8]) throws(ZMQError) { try send(Message(copying: bytes)) }

    /// Sends `text` as a message of one part; waits while the peers' queues are full.
    public func send(copying text: String) throws(ZMQError) { try send(Message(copying: text)) }

    /// Sends one part as a message of its own if that is possible now.
    ///
    /// - Returns: false when the peers' queues are full or there is no peer, and `message` is as before, to be tried
    ///   again or let go; true when it was sent (or, by a PUB or XPUB, dropped for those who are full), and is empty.
    public func trySend(_ message: inout Message) throws(ZMQError) -> Bool {
        try core.send(message.pointer, flags: ZMQ_DONTWAIT)
    }

    /// Sends all parts as one message; waits while the peers' queues are full.
    ///
    /// A peer receives all parts or none. That a message was sent does not mean that it arrives: when the peer goes
    /// away, queued messages are lost, and one that it had been given in part is dropped whole, in silence. PUB and XPUB
    /// drop whole messages for peers whose queue is full. A ROUTER drops messages for unknown peers unless
    /// `routerMandatory` is set.
    ///
    /// Whatever happens, `message` is gone afterwards.
    ///
    /// - Precondition: there is at least one part.
    /// - Throws: `ZMQError`; ``ZMQError/Code/timedOut`` after the socket's `sendTimeout`, nothing was sent.
    public func send(_ message: consuming Multipart) throws(ZMQError) {
        guard try sendParts(&message, flags: 0) else { throw ZMQError(.timedOut, "send", subject: "on \(kind)") }
    }

    /// Sends all parts as one message if that is possible now.
    ///
    /// - Precondition: there is at least one part.
    /// - Returns: false when the peers' queues are full or there is no peer, and `message` is as before; true when it
    ///   was sent (see ``send(_:)-(Multipart)`` for what that means), and `message` has no parts.
    /// - Throws: `ZMQError`; ``ZMQError/Code/droppedMidMessage`` when the peer went away between two parts: no part
    ///   arrives, `message` has no parts, and the next message is not touched by it.
    public func trySend(_ message: inout Multipart) throws(ZMQError) -> Bool {
        try sendParts(&message, flags: ZMQ_DONTWAIT)
    }

    private func sendParts(_ message: inout Multipart, flags: Int32) throws(ZMQError) -> Bool {
        precondition(message.count > 0, "a message has at least one part")
        let last = message.count - 1
        guard try core.send(message.parts[0], flags: flags | (last > 0 ? ZMQ_SNDMORE : 0)) else { return false }
        defer { message.removeAll() }
        guard try core.sendRest(message.parts[1...], flags: flags) else {
            throw ZMQError(.droppedMidMessage, "send", subject: "on \(kind)")
        }
        return true
    }
}

extension SocketCore {
    /// Sends the parts behind the first one, which libzmq has taken.
    ///
    /// A queue that took the first part takes the rest: high-water marks count whole messages. A part refused here
    /// means that the peer's queue went away; libzmq then swallows what follows up to the last part, and has to be
    /// given it, or the next message would be taken for this one's tail.
    ///
    /// - Returns: whether all parts were taken.
    func sendRest(_ rest: ArraySlice<UnsafeMutablePointer<zmq_msg_t>>, flags: Int32) throws(ZMQError) -> Bool {
        var intact = true
        for (index, part) in zip(rest.indices, rest) {
            let more = index < rest.endIndex - 1 ? ZMQ_SNDMORE : 0
            if try !send(part, flags: flags | more) { intact = false }
        }
        return intact
    }
}
