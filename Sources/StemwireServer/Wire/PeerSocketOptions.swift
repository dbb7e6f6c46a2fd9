import ZeroMQ

extension SocketOptions {
    /// What the server's sockets have in common: peers that may be anybody, and may go without a word.
    ///
    /// - Parameters:
    ///   - queue: messages that wait for a peer at most, and from it.
    ///   - largestMessage: bytes; libzmq cuts off a peer that sends a larger one.
    ///   - heartbeat: how often a silent peer is asked whether it is there.
    ///   - patience: how long it may be silent all the same.
    package static func forPeers(
        queue: Int, largestMessage: Int, heartbeat: Duration = .seconds(1), patience: Duration = .seconds(5)
    ) -> SocketOptions {
        var options = SocketOptions()
        options.sendHighWaterMark = queue
        options.receiveHighWaterMark = queue
        options.maxMessageSize = largestMessage
        options.handshakeInterval = .seconds(2)
        options.heartbeatInterval = heartbeat
        options.heartbeatTimeout = patience
        options.heartbeatTTL = patience
        return options
    }
}
