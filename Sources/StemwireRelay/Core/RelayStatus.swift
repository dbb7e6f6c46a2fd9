import StemwireProtocol

/// What a relay says of itself in the status, in the place of what the server says of its own sockets.
struct RelayStatus: Sendable {
    var server = ""
    var live = WireLiveStatus()
    var uptimeMs: UInt64 = 0
    var malformedControl: UInt64 = 0
    var malformedLive: UInt64 = 0
    var subscribers: [WireSubscriberStatus] = []
    /// Why the server's status is old; nil while the server is heard of.
    var reasonLost: String?

    /// The server's status with this relay's own words and counts; without a server, that nobody is connected.
    func wire(upstream: WireStatus?) -> WireStatus {
        var status = upstream ?? WireStatus()
        status.server = server
        status.live = live
        status.uptimeMs = uptimeMs
        status.malformedControl = malformedControl
        status.malformedLive = malformedLive
        status.subscribers = subscribers
        if let reasonLost {
            status.state = "disconnected"
            status.detector.dataConnected = false
            status.detector.reason = reasonLost
        }
        return status
    }
}
