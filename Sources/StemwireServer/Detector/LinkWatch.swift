/// How the data connection stands, when to try again, and what to say of it. I/O-free: everything it knows it is told.
///
/// The pause before the next attempt grows from `firstPause` to `longestPause` as long as connections bring nothing: a peer
/// that takes connections only to close them is not asked ten times a second.
struct LinkWatch: Sendable {
    /// What has come so far, over all connections.
    struct Traffic: Sendable, Equatable {
        var bytes = 0
        /// Frames and acquisitions found in them.
        var messages = 0
        var garbage = 0
    }

    /// Something an operator wants to know.
    struct Change: Sendable, Equatable {
        var isConnected: Bool
        var text: String
        /// A stable word of an event.
        var code: String
    }

    static let firstPause = Duration.milliseconds(100)
    static let longestPause = Duration.seconds(1)
    /// A connection that lasted so long was a good one, also when nothing was measured.
    static let goodAfter = Duration.seconds(5)
    /// Bytes that are no message, as the first of a connection, that are worth a word.
    static let muchGarbage = 1024

    private(set) var isConnected = false
    /// Why there is no connection, or what is wrong with the one there is; empty when nothing is.
    private(set) var reason = "not connected yet"
    private(set) var connections = 0
    private var pause = Self.firstPause
    private var lastTold = ""
    private var since: ContinuousClock.Instant?
    private var before = Traffic()
    private var isSuspected = false

    /// A connection stands.
    mutating func connected(to peer: String, _ traffic: Traffic, at now: ContinuousClock.Instant) -> Change? {
        isConnected = true
        reason = ""
        connections += 1
        since = now
        before = traffic
        isSuspected = false
        lastTold = ""
        return Change(
            isConnected: true, text: "connected to the detector's data socket at \(peer)", code: "detector.connected")
    }

    /// To be called now and then while the connection stands.
    mutating func looked(at traffic: Traffic, peer: String) -> Change? {
        guard isConnected else { return nil }
        if traffic.messages > before.messages {
            guard isSuspected else { return nil }
            isSuspected = false
            reason = ""
            return Change(isConnected: true, text: "\(peer) sends frames now", code: "detector.understood")
        }
        guard !isSuspected, traffic.garbage - before.garbage >= Self.muchGarbage else { return nil }
        isSuspected = true
        reason =
            "what \(peer) has sent so far is no Merlin data stream; check that this is the detector's data port (6342 by "
            + "default)"
        return Change(isConnected: true, text: reason, code: "detector.foreign")
    }

    /// The connection is over, or none could be made.
    ///
    /// - Returns: what to tell, and how long to wait before the next attempt.
    mutating func lost(
        _ why: String, _ traffic: Traffic, at now: ContinuousClock.Instant
    ) -> (change: Change?, pause: Duration) {
        let wasGood =
            isConnected && (traffic.messages > before.messages || since.map { now - $0 >= Self.goodAfter } == true)
        let tells = isConnected || why != lastTold
        isConnected = false
        since = nil
        reason = why
        lastTold = why
        if wasGood { pause = Self.firstPause }
        defer { pause = min(pause * 2, Self.longestPause) }
        return (tells ? Change(isConnected: false, text: why, code: "detector.disconnected") : nil, pause)
    }
}
