import StemwireProtocol

/// A server as it introduced itself.
public struct ServerInfo: Sendable {
    /// Version of the protocol that both sides speak.
    public let version: UInt32
    /// Name and version of the server's program.
    public let server: String
    /// Names the server process: another one after each start.
    public let session: [UInt8]
    /// What its detector is called in topics.
    public let source: String
    public let livePort: Int
    /// 0: nobody there sends frames again, as with a relay.
    public let workPort: Int
    /// Names of the UDFs that it can run.
    public let udfs: [String]
    /// The name that this client's key is enrolled by, and what it may do; admin where the server asks nobody.
    public let peer: String
    public let role: PeerRole?
    /// Its state when it introduced itself.
    public let status: WireStatus

    init(_ welcome: WireWelcome) throws(MalformedMessage) {
        version = welcome.version
        server = welcome.server
        session = Array(welcome.session)
        source = welcome.directory.source
        guard (1...64).contains(session.count), Topic.isValidSegment(source) else {
            throw MalformedMessage("a WELCOME without session or with the impossible source “\(source)”")
        }
        guard let live = Self.port(welcome.directory.livePort),
            let work = welcome.directory.workPort == 0 ? 0 : Self.port(welcome.directory.workPort)
        else {
            throw MalformedMessage(
                "a WELCOME with the ports \(welcome.directory.livePort) and \(welcome.directory.workPort)")
        }
        livePort = live
        workPort = work
        udfs = welcome.directory.udfs
        peer = String(welcome.peer.prefix(64))
        role = PeerRole(rawValue: welcome.role)
        status = welcome.status
    }

    private static func port(_ value: UInt32) -> Int? { (1...65535).contains(value) ? Int(value) : nil }
}

/// What a status says about acquisitions and the detector, checked.
struct StatusDigest: Sendable {
    let state: ServerState
    let source: String
    let isDetectorConnected: Bool
    let reason: String
    /// Generation of the newest acquisition; 0 when there was none.
    let newest: UInt64
    /// The last acquisitions that are over, oldest first.
    let ends: [AcquisitionEnd]
    /// Whether results of the newest acquisition are still being made, which may go on long after its end.
    let isWorking: Bool
    let malformed: Int

    init(_ wire: WireStatus) {
        state = ServerState(rawValue: wire.state)
        source = wire.detector.source
        isDetectorConnected = wire.detector.dataConnected
        reason = wire.detector.reason
        var newest: UInt64 = 0
        var ends: [AcquisitionEnd] = []
        var malformed = 0
        var told = wire.earlierAcquisitions
        if wire.hasPreviousAcquisition { told.append(wire.previousAcquisition) }
        if wire.hasAcquisition { told.append(wire.acquisition) }
        for acquisition in told {
            newest = max(newest, acquisition.generation)
            do throws(MalformedMessage) {
                if let end = try AcquisitionEnd(acquisition) { ends.append(end) }
            } catch {
                malformed += 1
            }
        }
        self.newest = newest
        self.ends = ends
        isWorking = wire.runs.contains { !$0.finished && $0.positionsExpected > 0 }
        self.malformed = malformed
    }

    /// Whether no detector can be expected to send.
    var nobodySends: Bool { state == .disconnected || (!isDetectorConnected && state != .acquiring) }
}
