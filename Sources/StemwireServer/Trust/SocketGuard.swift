import StemwireProtocol
import StemwireSystem
import Synchronization
import ZeroMQ

/// Sees to who uses one of the server's sockets: encryption, who a message is of, how many connections there are, and the
/// end of those whose key is revoked.
///
/// Any thread; binds and observes on the socket's own.
package final class SocketGuard: Sendable {
    /// What the status says; read by other threads.
    package final class Counters: Sendable {
        package let connections = Atomic<Int>(0)
        /// Connections that ended before they were one: no ZMTP, wrong keys, too slow.
        package let failedHandshakes = Atomic<UInt64>(0)
        /// Peers whose key is not in the allow list.
        package let refusedKeys = Atomic<UInt64>(0)
        /// Connections beyond the most there may be.
        package let refusedConnections = Atomic<UInt64>(0)
        /// Requests of peers whose role does not allow them.
        package let refusedRequests = Atomic<UInt64>(0)
        /// Connections that were ended: revoked keys, floods.
        package let cutConnections = Atomic<UInt64>(0)
    }

    package let service: String
    package let counters = Counters()
    private let gatekeeper: Gatekeeper?
    private let ipcPath: String?
    private let maximumConnections: Int
    private let connections = Locked(ConnectionBook())
    private let tally = Locked(Tally())
    private let addresses = Locked<[String]>([])

    /// What has come of connections. libzmq does not tell of each handshake that comes to nothing; those that are over and
    /// never came to anything are told by the difference.
    private struct Tally {
        var accepted: UInt64 = 0
        var greeted: UInt64 = 0
        var refused: UInt64 = 0
        var failed: UInt64 = 0

        func failures(open: Int) -> UInt64 {
            let known = greeted + refused + UInt64(open)
            return max(failed, accepted > known ? accepted - known : 0)
        }
    }

    /// - Parameter gatekeeper: nil: nobody is asked who it is.
    package init(_ service: String, gatekeeper: Gatekeeper?, configuration: TrustConfiguration) {
        self.service = service
        self.gatekeeper = gatekeeper
        ipcPath = configuration.ipcDirectory.map { "ipc://\($0)/\(service)" }
        let share = Int(Double(Machine.descriptorLimit) * configuration.descriptorShare)
        maximumConnections = min(configuration.maximumConnections, max(8, share))
        gatekeeper?.add(self)
    }

    /// One that lets everybody in.
    package convenience init(open service: String) {
        self.init(service, gatekeeper: nil, configuration: TrustConfiguration())
    }

    /// Binds a socket, with encryption unless nobody is asked. Returns the TCP endpoint with its port.
    package func bind(_ socket: borrowing Socket, at endpoint: String) throws(ZMQError) -> String {
        connections.withLock { $0.removeAll() }
        addresses.value = []
        // First: what is bound before the keys are set goes without them.
        if let ipcPath { try socket.bind(ipcPath) }
        if let gatekeeper {
            let (key, domain) = (gatekeeper.secretKey, service)
            try socket.configure { options in
                options.curve = .server(secretKey: key)
                options.zapDomain = domain
                options.zapEnforceDomain = true
            }
        }
        let bound = try socket.bind(endpoint)
        addresses.value = [bound] + (ipcPath.map { [$0] } ?? [])
        return bound
    }

    /// The ways to the socket, for the directory.
    package var endpoints: [WireEndpoint] {
        addresses.value.map { address in
            var endpoint = WireEndpoint()
            (endpoint.service, endpoint.address) = (service, address)
            if let gatekeeper, !address.hasPrefix("ipc:") {
                (endpoint.needsKey, endpoint.publicKey) = (true, gatekeeper.publicKey.z85)
            }
            return endpoint
        }
    }

    // MARK: Messages

    /// Who sent a message, by its last part: of a ROUTER's first part, libzmq does not always know. Nil for one whose key was revoked: its connection is ended, and the message to be dropped.
    package func sender(of part: ReceivedPart) -> KnownPeer? {
        guard gatekeeper != nil else { return .local }
        return peer(userID: part.userID, connection: part.connection)
    }

    package func peer(userID: String?, connection: Int32?) -> KnownPeer? {
        guard let gatekeeper else { return .local }
        guard let userID, !userID.isEmpty else {
            // Only what comes by ipc has no key.
            return connection.flatMap { ForeignConnection($0) }?.isLocal == true ? .local : nil
        }
        if let connection { connections.withLock { $0.note(userID, on: connection) } }
        if let peer = gatekeeper.peer(userID) { return peer }
        if let connection { cut(connection) }
        return nil
    }

    /// Ends a connection, such as that of a peer that floods.
    package func cut(_ connection: Int32) {
        guard connections.withLock({ $0.cut(connection) }) else { return }
        counters.cutConnections.wrappingAdd(1, ordering: .relaxed)
    }

    /// Ends the connections of all whose key is in the list no more.
    func revoke(unless allowed: (String) -> Bool) {
        let cuts = connections.withLock { $0.cut(unless: allowed) }
        counters.cutConnections.wrappingAdd(UInt64(cuts), ordering: .relaxed)
    }

    // MARK: Connections

    package func observe(_ event: MonitorEvent) {
        switch event {
        case .accepted(_, let descriptor): accepted(descriptor)
        case .disconnected(_, let descriptor): connections.withLock { $0.closed(descriptor) }
        case .acceptFailed: counters.refusedConnections.wrappingAdd(1, ordering: .relaxed)
        case .handshakeSucceeded: tally.withLock { $0.greeted += 1 }
        case .handshakeFailed(_, .refused):
            tally.withLock { $0.refused += 1 }
            counters.refusedKeys.wrappingAdd(1, ordering: .relaxed)
        case .handshakeFailed: tally.withLock { $0.failed += 1 }
        default: return
        }
        let open = connections.withLock { $0.count }
        counters.connections.store(open, ordering: .relaxed)
        let failures = tally.withLock { $0.failures(open: open) }
        let told = counters.failedHandshakes.load(ordering: .relaxed)
        counters.failedHandshakes.store(max(told, failures), ordering: .relaxed)
    }

    private func accepted(_ descriptor: Int32) {
        tally.withLock { $0.accepted += 1 }
        let isTooMany = connections.withLock { book in
            book.opened(descriptor)
            return book.count > maximumConnections && book.cut(descriptor)
        }
        guard isTooMany else { return }
        tally.withLock { $0.refused += 1 }
        counters.refusedConnections.wrappingAdd(1, ordering: .relaxed)
    }
}
