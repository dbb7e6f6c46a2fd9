import StemwireAcquisition
import StemwireProtocol
import StemwireSystem
import ZeroMQ

/// The work socket: lossless clients fetch frames, workers run UDFs on partitions; both by credit.
///
/// Lives on its reactor's thread.
actor WorkService {
    /// A client that is silent for so many beats is forgotten; workers are the dispatcher's to judge.
    static let silentBeats = 10
    static let maximumPeers = 4096
    private static let clientBeatInterval = Duration.milliseconds(500)

    /// What the service works with.
    struct Parts {
        let ring: FrameRing
        let frames: FrameStore
        /// The source's events; its `onPush` signals `wakeUp`.
        let queue: TileQueue
        let wakeUp: WakeUp
        let table: RunTable
        let results: ResultDesk
        let session: [UInt8]
    }

    private struct Peer {
        let routingID: ReceivedPart
        var lastHeard: ContinuousClock.Instant
        /// Nil for clients.
        var worker: RemoteWorker?
    }

    private let reactor: Reactor
    private let socket: WorkSocket
    private let parts: Parts
    private let settings: DispatchDesk.Settings
    private let announce: @Sendable (WireEvent) -> Void
    private var fetches: FetchDesk?
    private var dispatch: DispatchDesk?
    private var peers: [[UInt8]: Peer] = [:]

    nonisolated let counters: WorkSocket.Counters
    nonisolated let report = Locked(DispatchReport())

    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    /// - Parameter announce: told what an operator wants to know.
    init(
        on reactor: Reactor, in context: Context, access: SocketGuard, pins: TilePins, lent: TilePins,
        sendsChecksums: Bool,
        parts: Parts, settings: DispatchDesk.Settings, announce: @escaping @Sendable (WireEvent) -> Void
    ) throws(ZMQError) {
        self.reactor = reactor
        self.parts = parts
        self.settings = settings
        self.announce = announce
        socket = try WorkSocket(
            in: context, access: access, ring: parts.ring, pins: pins, lent: lent, sendsChecksums: sendsChecksums)
        counters = socket.counters
    }

    /// Binds and begins to serve. Returns the endpoint with its port.
    func start(at endpoint: String) throws(ZMQError) -> String {
        fetches = FetchDesk(socket, frames: parts.frames, table: parts.table, reactor: reactor) { [self] key in
            forget(key, reason: .unreachable)
        }
        let desk = try DispatchDesk(
            settings, on: reactor, socket: socket, parts: parts, report: report,
            announce: { [announce] severity, code, text in
                var event = WireEvent()
                (event.severity, event.code, event.text) = (severity, code, text)
                announce(event)
            },
            onDesk: { [self] body in
                reactor.submit { [self] in assumeIsolated { service in service.dispatch.map { body($0) } } }
            })
        dispatch = desk
        desk.start()
        reactor.schedule(every: Self.clientBeatInterval) { [self] in beat() }
        return try socket.start(at: endpoint, on: reactor) { [self] in take($0, of: $1) }
    }

    /// Works off what the source has handed on, as far as the server's own threads can. They are to be stopped next, then
    /// this service.
    func drain() -> [Reactor] { dispatch?.drainQueue() ?? [] }

    /// Returns when all that other threads have told until now is taken in.
    func settle() {}

    /// Says goodbye and closes.
    func stop() {
        for peer in peers.values {
            var bye = WireBye()
            bye.reason = "the server is shutting down"
            _ = socket.send(.bye(bye), to: peer.routingID)
        }
        socket.close()
        dispatch = nil
        fetches = nil
        parts.frames.removeAll()
    }

    // MARK: Messages in

    private func take(_ parts: [ReceivedPart], of sender: KnownPeer) {
        guard let routingID = parts.first else { return }
        let key = routingID.bytes
        let worker = peers[key]?.worker
        let limit = worker == nil ? WireLimits.workRequestBytes : WireLimits.headerBytes
        guard parts.count >= 2, parts.count == 2 || worker != nil, (1...limit).contains(parts[1].count),
            let message = try? WireWorkMessage(serializedBytes: parts[1].bytes), let kind = message.kind
        else {
            socket.countMalformed()
            return socket.refuse(routingID, .malformed, "not a WorkMessage of stemwire.proto")
        }
        if case .hello(let hello) = kind {
            return welcome(hello, of: sender, from: routingID, key, at: parts[1].peerAddress)
        }
        guard peers[key] != nil else {
            socket.countMalformed()
            return socket.refuse(routingID, .wrongState, "say hello first; this server does not know you (any more)")
        }
        peers[key]?.lastHeard = .now
        if case .bye = kind { return forget(key, reason: .goodbye) }
        if let worker {
            // Its role may have been taken back since.
            guard sender.role >= .worker else {
                forget(key, reason: .unreachable)
                return socket.forbid(routingID, sender, needs: .worker)
            }
            dispatch?.heard(worker)
            if case .beat = kind { return }
            if dispatch?.take(kind, payload: Array(parts[2...]), from: worker) == true { return }
        }
        switch kind {
        case .credit(let credit): fetches?.grant(credit, to: key)
        case .fetch(let fetch): fetches?.take(fetch, from: key)
        case .beat: break
        default:
            socket.countMalformed()
            socket.refuse(routingID, .malformed, "a message that a server sends, or a worker")
        }
    }

    private func welcome(
        _ hello: WireWorkHello, of sender: KnownPeer, from routingID: ReceivedPart, _ key: [UInt8], at address: String?
    ) {
        guard let version = ProtocolVersion.agreed(minimum: hello.versionMin, maximum: hello.versionMax) else {
            return socket.refuse(
                routingID, .unsupportedVersion,
                "the client speaks versions \(hello.versionMin) to \(hello.versionMax), this server \(ProtocolVersion.current)"
            )
        }
        guard !hello.hasWorker || sender.role >= .worker else {
            return socket.forbid(routingID, sender, needs: .worker)
        }
        guard peers[key] != nil || peers.count < Self.maximumPeers else {
            return socket.refuse(routingID, .busy, "\(Self.maximumPeers) clients are connected; more are not taken")
        }
        var worker: RemoteWorker?
        if hello.hasWorker {
            guard let uuid = AcquisitionID(bytes: [UInt8](hello.clientID)) else {
                return socket.refuse(routingID, .invalidArgument, "a worker needs a client_id of 16 bytes")
            }
            let id = WorkerID(uuid: .init(high: uuid.high, low: uuid.low), epoch: hello.epoch)
            worker = RemoteWorker(hello, id: id, routingID: routingID, address: address, socket: socket)
        }
        peers[key] = Peer(routingID: routingID, lastHeard: .now, worker: worker)
        counters.peers.store(peers.count, ordering: .relaxed)
        var welcome = WireWorkWelcome()
        welcome.version = version
        welcome.session = .init(parts.session)
        let interval = worker == nil ? Self.clientBeatInterval : settings.beatInterval
        welcome.beatIntervalMs = UInt32(interval / .milliseconds(1))
        welcome.silenceLimitMs = UInt32(settings.silenceLimit / .milliseconds(1))
        if hello.worker.readsMemory, worker?.isOnThisMachine == true, let shared = parts.ring.shared {
            welcome.frameMemory.path = shared.memory.path
            welcome.frameMemory.bytes = UInt64(shared.memory.byteCount)
            welcome.frameMemory.inode = shared.memory.inode
            welcome.frameMemory.slots = UInt32(shared.slots)
        }
        _ = socket.send(.welcome(welcome), to: routingID)
        if let worker {
            dispatch?.welcome(worker, hello)
        } else {
            fetches?.welcome(key, routingID, credit: hello.credit)
        }
    }

    // MARK: Peers

    private func beat() {
        let silence = Self.clientBeatInterval * Self.silentBeats
        for (key, peer) in peers where peer.worker == nil {
            guard .now - peer.lastHeard <= silence else {
                forget(key, reason: .unreachable)
                continue
            }
            _ = socket.send(.beat(WireBeat()), to: peer.routingID)
            fetches?.serve(key)
        }
        // A worker that the dispatcher has given up has to say hello again.
        for (key, peer) in peers {
            if let worker = peer.worker, dispatch?.knows(worker) != true { peers[key] = nil }
        }
        counters.peers.store(peers.count, ordering: .relaxed)
    }

    private func forget(_ key: [UInt8], reason: LeaveReason) {
        guard let peer = peers.removeValue(forKey: key) else { return }
        if let worker = peer.worker { dispatch?.left(worker, reason: reason) }
        fetches?.forget(key)
        counters.peers.store(peers.count, ordering: .relaxed)
    }
}
