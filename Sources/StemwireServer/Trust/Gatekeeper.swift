import Logging
import StemwireProtocol
import StemwireSystem
import Synchronization
import ZeroMQ

/// Answers libzmq's question who may come in, from the allow list, which it watches while it runs.
///
/// Lives on a reactor of its own. Without it nobody new comes in: the sockets insist on an answer (`zapEnforceDomain`).
package actor Gatekeeper {
    private let reactor: Reactor
    private let socket: Socket
    private var follower: AllowListFollower
    private let ownPeers: [AllowList.Entry]
    private let logger: Logger
    private var lastWarning: ContinuousClock.Instant?

    nonisolated let secretKey: CurveSecretKey
    nonisolated package let publicKey: CurvePublicKey
    /// Peers by their public keys.
    private nonisolated let peers = Locked<[String: KnownPeer]>([:])
    private nonisolated let guards = Locked<[SocketGuard]>([])

    package nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    /// Reads keys and list.
    ///
    /// - Returns: nil when the configuration names no keys.
    /// - Throws: `TrustError`, `ZMQError`.
    package init?(
        _ configuration: TrustConfiguration, on reactor: Reactor, in context: Context, logger: Logger
    ) throws {
        guard let keys = configuration.keys else { return nil }
        let pair = try keys.serverKeys()
        (secretKey, publicKey) = (pair.secretKey, pair.publicKey)
        self.reactor = reactor
        self.logger = logger
        ownPeers = configuration.ownPeers
        follower = try AllowListFollower(keys)
        let list = follower.list
        peers.value = Self.table(list.entries + ownPeers)
        socket = try Socket(.router, in: context)
        if list.entries.isEmpty {
            logger.notice("nobody is enrolled yet", metadata: ["list": "\(keys.allowListPath)"])
        }
    }

    /// Begins to answer, and to watch the list.
    package func start() throws(ZMQError) {
        try socket.bind(ZAPRequest.endpoint)
        reactor.watch(socket) { [self] _ in answer() }
        reactor.schedule(every: AllowListFollower.interval) { [self] in look() }
    }

    package func stop() { socket.close() }

    nonisolated func add(_ guarded: SocketGuard) { guards.withLock { $0.append(guarded) } }

    /// Who has a public key; nil when nobody may have it (any more).
    nonisolated func peer(_ key: String) -> KnownPeer? { peers.withLock { $0[key] } }

    /// Peers that may come in.
    package nonisolated var count: Int { peers.withLock { $0.count } }

    private static func table(_ entries: [AllowList.Entry]) -> [String: KnownPeer] {
        Dictionary(entries.map { ($0.key.z85, KnownPeer(name: $0.name, role: $0.role)) }) { first, _ in first }
    }

    // MARK: The list

    private func look() {
        guard follower.look(logger) else { return }
        let new = Self.table(follower.list.entries + ownPeers)
        let old = peers.withLock { peers in
            defer { peers = new }
            return peers
        }
        for (key, peer) in old where new[key] == nil {
            logger.notice("revoked", metadata: ["peer": "\(peer.name)", "role": "\(peer.role)"])
        }
        for (key, peer) in new where old[key] != peer {
            logger.notice("enrolled", metadata: ["peer": "\(peer.name)", "role": "\(peer.role)"])
        }
        for guarded in guards.value { guarded.revoke { new[$0] != nil } }
    }

    // MARK: Questions

    private func answer() {
        for _ in 0..<256 {
            guard let parts = try? socket.tryReceive() else { return }
            // Routing id and delimiter stand before the question.
            guard parts.count > 2, parts[1].count == 0, let request = ZAPRequest(parts[2...]) else { continue }
            var message = Multipart()
            message.append(parts[0])
            message.appendEmpty()
            for part in judge(request) { message.append(copying: part) }
            _ = try? socket.trySend(&message)
        }
    }

    private func judge(_ request: ZAPRequest) -> [[UInt8]] {
        guard case .curve(let key) = request.credentials else { return request.refuse("a CURVE key is needed") }
        guard follower.isThere else { return request.refuse("the allow list cannot be read", isForGood: false) }
        guard let peer = peer(key.z85) else {
            // Of a flood, one a second; the status counts all.
            let isFirst = lastWarning.map { .now - $0 >= .seconds(1) } ?? true
            if isFirst { lastWarning = .now }
            logger.log(
                level: isFirst ? .warning : .debug,
                "refused an unknown key",
                metadata: ["address": "\(request.address)", "socket": "\(request.domain)", "key": "\(key)"])
            return request.refuse("this key is not in the allow list")
        }
        logger.debug("let in", metadata: ["peer": "\(peer.name)", "socket": "\(request.domain)"])
        return request.allow(userID: key.z85)
    }
}
