import StemwireAcquisition
import StemwireProtocol
import SwiftProtobuf
import Synchronization
import ZeroMQ

/// The work socket: lossless clients fetch frames out of the ring, as fast as they give credit.
///
/// Lives on its reactor's thread.
actor WorkService {
    static let beatInterval = Duration.milliseconds(500)
    /// A peer that is silent for so many beats is forgotten.
    static let silentBeats = 10
    static let maximumPeers = 256
    /// A turn of one peer: steps, and slots that are looked at for frames that may not be there.
    private static let stepsAtOnce = 16
    private static let slotsAtOnce = 50_000
    /// How long a peer waits when this socket's share of the ring is in the peers' queues.
    private static let pauseForMemory = Duration.milliseconds(5)

    private struct Peer {
        let routingID: ReceivedPart
        var fetches = FetchPeer()
        var lastHeard: ContinuousClock.Instant
        /// Its next turn is on its way.
        var hasTurn = false
    }

    private let reactor: Reactor
    private let socket: Socket
    private let ring: FrameRing
    private let pins: TilePins
    private let table: RunTable
    private let session: [UInt8]
    private let sendsChecksums: Bool
    private var peers: [[UInt8]: Peer] = [:]

    /// What the status says of this socket; read by other threads.
    nonisolated let counters = Counters()

    final class Counters: Sendable {
        let peers = Atomic<Int>(0)
        let malformed = Atomic<UInt64>(0)
        let tilesSent = Atomic<UInt64>(0)
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    init(
        on reactor: Reactor, in context: Context, ring: FrameRing, pins: TilePins, table: RunTable, session: [UInt8],
        sendsChecksums: Bool
    ) throws(ZMQError) {
        self.reactor = reactor
        self.ring = ring
        self.pins = pins
        self.table = table
        self.session = session
        self.sendsChecksums = sendsChecksums
        // What is a little too large is refused by an answer; libzmq would cut the peer off without a word.
        var options = SocketOptions.forPeers(
            queue: 128, largestMessage: 4 * WireLimits.workRequestBytes, heartbeat: .milliseconds(500),
            patience: .seconds(2))
        options.routerMandatory = true
        socket = try Socket(.router, in: context, options: options)
    }

    /// Binds and begins to serve. Returns the endpoint with its port.
    func start(at endpoint: String) throws(ZMQError) -> String {
        reactor.watch(socket) { [self] _ in receive() }
        try reactor.monitor(socket) { [counters] event in
            guard case .handshakeFailed = event else { return }
            counters.malformed.wrappingAdd(1, ordering: .relaxed)
        }
        reactor.schedule(every: Self.beatInterval) { [self] in beat() }
        return try socket.bind(endpoint)
    }

    func stop() {
        for key in Array(peers.keys) {
            var bye = WireBye()
            bye.reason = "the server is shutting down"
            _ = send(.bye(bye), to: key)
        }
        socket.close()
    }

    // MARK: Messages in

    private func receive() {
        for _ in 0..<64 {
            do throws(ZMQError) {
                guard let parts = try socket.tryReceive(limit: 8) else { return }
                take(parts)
            } catch {
                guard error.code == .tooManyParts else { return }
                counters.malformed.wrappingAdd(1, ordering: .relaxed)
            }
        }
    }

    private func take(_ parts: [ReceivedPart]) {
        guard let routingID = parts.first else { return }
        let key = routingID.bytes
        guard parts.count == 2, (1...WireLimits.workRequestBytes).contains(parts[1].count),
            let message = try? WireWorkMessage(serializedBytes: parts[1].bytes), let kind = message.kind
        else {
            counters.malformed.wrappingAdd(1, ordering: .relaxed)
            return refuse(routingID, .malformed, "not a WorkMessage of stemwire.proto")
        }
        if case .hello(let hello) = kind { return welcome(hello, from: routingID, key) }
        guard peers[key] != nil else {
            counters.malformed.wrappingAdd(1, ordering: .relaxed)
            return refuse(routingID, .wrongState, "say hello first; this server does not know you (any more)")
        }
        peers[key]?.lastHeard = .now
        switch kind {
        case .credit(let credit):
            peers[key]?.fetches.grant(items: credit.items, bytes: credit.bytes)
            serve(key)
        case .fetch(let fetch):
            take(fetch, from: key)
        case .bye:
            forget(key)
        case .beat, .hello:
            break
        case .welcome, .tile, .fetchEnd, .failure:
            counters.malformed.wrappingAdd(1, ordering: .relaxed)
            refuse(routingID, .malformed, "a message that only the server sends")
        }
    }

    private func welcome(_ hello: WireWorkHello, from routingID: ReceivedPart, _ key: [UInt8]) {
        guard let version = ProtocolVersion.agreed(minimum: hello.versionMin, maximum: hello.versionMax) else {
            return refuse(
                routingID, .unsupportedVersion,
                "the client speaks versions \(hello.versionMin) to \(hello.versionMax), this server \(ProtocolVersion.current)"
            )
        }
        guard peers[key] != nil || peers.count < Self.maximumPeers else {
            return refuse(routingID, .busy, "\(Self.maximumPeers) clients are connected; more are not taken")
        }
        var peer = Peer(routingID: routingID, lastHeard: .now)
        peer.fetches.grant(items: hello.credit.items, bytes: hello.credit.bytes)
        peers[key] = peer
        counters.peers.store(peers.count, ordering: .relaxed)
        var welcome = WireWorkWelcome()
        welcome.version = version
        welcome.session = .init(session)
        welcome.beatIntervalMs = UInt32(Self.beatInterval / .milliseconds(1))
        _ = send(.welcome(welcome), to: key)
    }

    private func take(_ fetch: WireFetch, from key: [UInt8]) {
        guard let peer = peers[key] else { return }
        let acquisition = [UInt8](fetch.acquisition)
        guard let record = record(acquisition) else {
            return refuse(
                peer.routingID, .notFound, "fetch \(fetch.request): this server has no frames of that acquisition")
        }
        let expected = UInt64(record.description.framesExpected)
        guard fetch.count > 0, fetch.first < expected, fetch.count <= expected - fetch.first else {
            return refuse(
                peer.routingID, .invalidArgument,
                "fetch \(fetch.request): positions \(fetch.first) and \(fetch.count) from there are not all in 0 ..< \(expected)"
            )
        }
        let positions = Int(fetch.first)..<Int(fetch.first + fetch.count)
        let request = FetchPeer.Request(number: fetch.request, acquisition: acquisition, positions: positions)
        guard peers[key]?.fetches.enqueue(request) == true else {
            return refuse(
                peer.routingID, .busy, "fetch \(fetch.request): \(FetchPeer.maximumRequests) fetches wait already")
        }
        serve(key)
    }

    private func record(_ acquisition: [UInt8]) -> AcquisitionRecord? {
        table.acquisitions.last { $0.description.id.bytes == acquisition }
    }

    // MARK: Frames out

    private enum Step {
        /// There may be more to do at once.
        case goOn
        /// Nothing to do until the peer asks, gives credit or takes what its queue holds.
        case wait
        /// This socket's share of the ring is used up.
        case waitForMemory
    }

    /// Sends what credit allows, a bounded amount in one turn. However often it is called, a peer has one turn at a time.
    private func serve(_ key: [UInt8]) {
        guard peers[key]?.hasTurn == false else { return }
        for _ in 0..<Self.stepsAtOnce {
            switch step(key) {
            case .goOn: continue
            case .wait: return
            case .waitForMemory:
                peers[key]?.hasTurn = true
                reactor.schedule(after: Self.pauseForMemory) { [self] in takeTurn(key) }
                return
            }
        }
        guard peers[key] != nil else { return }
        peers[key]?.hasTurn = true
        reactor.submit { [self] in assumeIsolated { $0.takeTurn(key) } }
    }

    private func takeTurn(_ key: [UInt8]) {
        peers[key]?.hasTurn = false
        serve(key)
    }

    private func step(_ key: [UInt8]) -> Step {
        guard let peer = peers[key], let request = peer.fetches.current else { return .wait }
        guard let position = request.positions.first else {
            guard send(.fetchEnd(end(request)), to: key) else { return .wait }
            _ = peers[key]?.fetches.takeFinished()
            return .goOn
        }
        guard let record = record(request.acquisition) else {
            peers[key]?.fetches.skipped(upTo: request.positions.upperBound, reason: .released)
            return .goOn
        }
        // Asked before the ring is: a frame that has come by now and is not there, is there no more.
        let absence = record.absence(from: request.positions)
        let generation = record.description.generation
        guard let tile = ring.lookup(generation: generation, position: position) else {
            let end =
                absence.reason == .released
                ? firstHeld(in: position..<absence.end, generation: generation) : absence.end
            peers[key]?.fetches.skipped(upTo: end, reason: absence.reason)
            return .goOn
        }
        let part = tile.part(position..<min(tile.positions.upperBound, request.positions.upperBound))
        guard peer.fetches.canSend(bytes: part.bytes.count) else {
            ring.release(tile)
            return .wait
        }
        guard pins.take(part) else {
            ring.release(tile)
            return .waitForMemory
        }
        guard send(part, of: record, for: request, to: key) else { return .wait }
        peers[key]?.fetches.sent(upTo: part.positions.upperBound, bytes: part.bytes.count)
        return .goOn
    }

    /// The first of `positions` that is in the ring, or where looking for it was given up for this turn.
    private func firstHeld(in positions: Range<Int>, generation: UInt64) -> Int {
        let end = min(positions.upperBound, positions.lowerBound + max(1, Self.slotsAtOnce / ring.slotCount))
        for position in positions.lowerBound + 1..<max(end, positions.lowerBound + 1) {
            if let tile = ring.lookup(generation: generation, position: position) {
                ring.release(tile)
                return position
            }
        }
        return end
    }

    /// Sends a tile, whose hold and pin this takes over. False when the peer's queue is full or it is gone.
    private func send(
        _ tile: Tile, of record: AcquisitionRecord, for request: FetchPeer.Request, to key: [UInt8]
    ) -> Bool {
        let pinned = PinnedTile(tile, in: ring, countedIn: pins)
        var fetched = WireFetchedTile()
        fetched.request = request.number
        fetched.tile = WireTile(tile, of: record.description, format: WireFrameFormat(record.description.format))
        if sendsChecksums { fetched.tile.checksum = Checksum.xxh3(tile.bytes) }
        let isSent = send(.tile(fetched), to: key) { $0.append(Message(pinned.tile.bytes, owner: pinned)) }
        if isSent { counters.tilesSent.wrappingAdd(1, ordering: .relaxed) }
        return isSent
    }

    private func end(_ request: FetchPeer.Request) -> WireFetchEnd {
        var end = WireFetchEnd()
        end.request = request.number
        end.unavailable = request.unavailable.map { entry in
            var range = WireUnavailableRange()
            range.range = WirePositionRange(entry.range)
            range.reason = entry.reason.rawValue
            return range
        }
        return end
    }

    // MARK: Peers

    private func beat() {
        let silence = Self.beatInterval * Self.silentBeats
        for (key, peer) in peers where .now - peer.lastHeard > silence { forget(key) }
        for key in Array(peers.keys) {
            _ = send(.beat(WireBeat()), to: key)
            serve(key)
        }
    }

    private func forget(_ key: [UInt8]) {
        peers[key] = nil
        counters.peers.store(peers.count, ordering: .relaxed)
    }

    private func refuse(_ routingID: ReceivedPart, _ code: FailureCode, _ text: String) {
        var failure = WireFailure()
        failure.code = code.rawValue
        failure.message = text
        _ = send(.failure(failure), to: routingID)
    }

    private func send(
        _ kind: WireWorkMessage.OneOf_Kind, to key: [UInt8], payload: (inout Multipart) -> Void = { _ in }
    ) -> Bool {
        guard let peer = peers[key] else { return false }
        return send(kind, to: peer.routingID, payload: payload)
    }

    private func send(
        _ kind: WireWorkMessage.OneOf_Kind, to routingID: ReceivedPart, payload: (inout Multipart) -> Void = { _ in }
    ) -> Bool {
        var message = WireWorkMessage()
        message.kind = kind
        guard let bytes: [UInt8] = try? message.serializedBytes() else { return false }
        var parts = Multipart()
        parts.append(routingID)
        parts.append(copying: bytes)
        payload(&parts)
        do throws(ZMQError) {
            return try socket.trySend(&parts)
        } catch {
            // Unroutable: the peer is gone.
            forget(routingID.bytes)
            return false
        }
    }
}
