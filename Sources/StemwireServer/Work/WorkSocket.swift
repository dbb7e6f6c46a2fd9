import StemwireAcquisition
import StemwireProtocol
import Synchronization
import ZeroMQ

/// The work socket, as its services see it: messages to peers, by routing id. Reactor's thread only.
final class WorkSocket {
    /// What became of a message.
    enum Outcome {
        case sent
        /// The peer does not read, and its queue is full.
        case full
        /// There is no such peer any more.
        case gone
    }

    /// What the status says of the socket; read by other threads.
    final class Counters: Sendable {
        let peers = Atomic<Int>(0)
        let malformed = Atomic<UInt64>(0)
        let tilesSent = Atomic<UInt64>(0)
    }

    let counters = Counters()
    /// How much of the ring is in the socket's queues.
    let pins: TilePins
    /// How much of the ring is held for workers that read it where it lies.
    let lent: TilePins
    private let ring: FrameRing
    private let sendsChecksums: Bool
    private let socket: Socket
    private let access: SocketGuard

    init(
        in context: Context, access: SocketGuard, ring: FrameRing, pins: TilePins, lent: TilePins,
        sendsChecksums: Bool
    ) throws(ZMQError) {
        self.access = access
        self.ring = ring
        self.pins = pins
        self.lent = lent
        self.sendsChecksums = sendsChecksums
        var options = SocketOptions.forPeers(
            queue: 128, largestMessage: WireLimits.resultPartBytes, heartbeat: .milliseconds(500),
            patience: .seconds(2))
        options.routerMandatory = true
        socket = try Socket(.router, in: context, options: options)
    }

    /// Binds, and hands over what comes. Returns the endpoint with its port.
    func start(
        at endpoint: String, on reactor: Reactor, message: @escaping ([ReceivedPart], KnownPeer) -> Void
    ) throws(ZMQError) -> String {
        reactor.watch(socket) { [self] _ in receive(message) }
        try reactor.monitor(socket) { [counters, access] event in
            access.observe(event)
            guard case .handshakeFailed = event else { return }
            counters.malformed.wrappingAdd(1, ordering: .relaxed)
        }
        return try access.bind(socket, at: endpoint)
    }

    func close() { socket.close() }

    private func receive(_ message: ([ReceivedPart], KnownPeer) -> Void) {
        for _ in 0..<64 {
            do throws(ZMQError) {
                guard let parts = try socket.tryReceive(limit: WireLimits.parts) else { return }
                guard let last = parts.last, let peer = access.sender(of: last) else { continue }
                message(parts, peer)
            } catch {
                guard error.code == .tooManyParts else { return }
                countMalformed()
            }
        }
    }

    func countMalformed() { counters.malformed.wrappingAdd(1, ordering: .relaxed) }

    // MARK: Out

    func send(
        _ kind: WireWorkMessage.OneOf_Kind, to routingID: ReceivedPart, payload: (inout Multipart) -> Void = { _ in }
    ) -> Outcome {
        var message = WireWorkMessage()
        message.kind = kind
        guard let bytes: [UInt8] = try? message.serializedBytes() else { return .gone }
        var parts = Multipart()
        parts.append(routingID)
        parts.append(copying: bytes)
        payload(&parts)
        do throws(ZMQError) {
            return try socket.trySend(&parts) ? .sent : .full
        } catch {
            // Unroutable: the peer is gone.
            return .gone
        }
    }

    /// Sends frames without a copy. Takes over the caller's hold on the tile, and what it counted in `pins`.
    ///
    /// - Parameter isChecked: whether the frames get a checksum, which costs a look at every byte.
    func send(
        _ tile: Tile, to routingID: ReceivedPart, isChecked: Bool = true,
        kind: (WireTile) -> WireWorkMessage.OneOf_Kind, header: WireTile
    ) -> Outcome {
        let pinned = PinnedTile(tile, in: ring, countedIn: pins)
        var header = header
        if sendsChecksums, isChecked { header.checksum = Checksum.xxh3(tile.bytes) }
        let outcome = send(kind(header), to: routingID) { $0.append(Message(pinned.tile.bytes, owner: pinned)) }
        if outcome == .sent { counters.tilesSent.wrappingAdd(1, ordering: .relaxed) }
        return outcome
    }

    /// Where a process on this machine finds a tile that the caller holds, and the hold for it, which takes over the
    /// caller's; nil when the tile is to be sent.
    func lend(_ tile: Tile) -> (place: FramePlace, hold: PinnedTile)? {
        guard let place = ring.place(of: tile), lent.take(tile) else { return nil }
        return (place, PinnedTile(tile, in: ring, countedIn: lent))
    }

    /// Refuses what a peer's role does not allow.
    func forbid(_ routingID: ReceivedPart, _ peer: KnownPeer, needs role: PeerRole) {
        access.counters.refusedRequests.wrappingAdd(1, ordering: .relaxed)
        refuse(
            routingID, .forbidden,
            "this needs the role \(role); the key of this connection, \(peer.name), is a \(peer.role)'s")
    }

    func refuse(_ routingID: ReceivedPart, _ code: FailureCode, _ text: String) {
        var failure = WireFailure()
        failure.code = code.rawValue
        failure.message = text
        _ = send(.failure(failure), to: routingID)
    }
}
