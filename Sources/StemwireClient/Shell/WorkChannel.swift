import StemwireProtocol
import ZeroMQ

/// One DEALER to the server's work socket with the state machine that drives it.
///
/// Threading: the reactor's thread only. Closed by ``close()``.
final class WorkChannel {
    struct Handlers {
        var tile: (UInt64, FrameTile, ContinuousClock.Instant) -> Void = { _, _, _ in }
        var ended: (UInt64, [UnavailableFrames], ContinuousClock.Instant) -> Void = { _, _, _ in }
        var failed: (UInt64, FetchError, ContinuousClock.Instant) -> Void = { _, _, _ in }
    }

    struct Settings {
        let endpoint: ServerEndpoint
        let port: Int
        let client: String
        let window: FetchPeer.Window
        let patience: Duration
        let verifiesChecksums: Bool
        let token: AccessToken?
    }

    var handlers: Handlers
    let patience: Duration
    private var peer: FetchPeer
    private var factory: TileFactory
    private var link: Link?
    private var alarm: Alarm?
    /// Tiles of the present fetch whose bytes changed on the way.
    private var corrupted: [UnavailableFrames] = []
    private(set) var malformed = 0

    init(
        _ settings: Settings, in context: Context, on reactor: Reactor, handlers: Handlers
    ) throws(ZMQError) {
        self.handlers = handlers
        patience = settings.patience
        let address = settings.endpoint.address(of: .work, port: settings.port)
        let work = settings.endpoint.isIPC ? settings.endpoint : (try? ServerEndpoint(address)) ?? settings.endpoint
        // An id for each connection: with one for the process, a server might take a second one for a reconnection of
        // the first.
        peer = FetchPeer(
            endpoint: work, client: settings.client, clientID: AcquisitionUUID.random().bytes,
            window: settings.window, patience: settings.patience, now: .now)
        factory = TileFactory(verifiesChecksums: settings.verifiesChecksums)
        alarm = Alarm(on: reactor) { [self] in
            self.link?.catchUp()
            peer.tick(now: .now)
            perform()
        }
        let link = try Link(
            .dealer, to: address, isIPv6: work.isIPv6, in: context, on: reactor,
            token: settings.token, receiveHighWaterMark: settings.window.items * 2,
            handlers: Link.Handlers(
                message: { [self] in received($0) }, change: { [self] in changed($0) },
                malformed: { [self] in malformed += 1 }))
        self.link = link
        try link.open()
    }

    /// Whether a further consumer may have it.
    var isReusable: Bool { link != nil && peer.isIdle && peer.heldBytes == 0 }

    func fetch(
        request: UInt64, acquisition: AcquisitionUUID, positions: Range<Int>, now: ContinuousClock.Instant
    ) {
        peer.fetch(request: request, acquisition: acquisition, positions: positions, now: now)
        perform()
    }

    func released(items: Int, bytes: Int, now: ContinuousClock.Instant) {
        peer.released(items: items, bytes: bytes, now: now)
        perform()
    }

    /// Says goodbye and closes; what is under way fails with `closed`, unless the handlers were taken off before.
    func close() {
        guard link != nil else { return }
        peer.close()
        perform()
        handlers = Handlers()
        alarm?.set(nil)
        alarm = nil
        link?.close()
        link = nil
    }

    private func changed(_ change: Link.Change) {
        switch change {
        case .connected: peer.connected(now: .now)
        case .lost: peer.disconnected()
        case .refused(let why):
            peer.failAll(.refused(ControlFailure(.unexpectedReply, "the work port cannot be used: \(why)")))
        case .reached, .notReached, .putOff: break
        }
        perform()
    }

    private func received(_ parts: [ReceivedPart]) {
        guard parts.count <= 2, parts[0].count <= WireLimits.headerBytes,
            let (message, _) = try? ControlCoding.decode(
                WireWorkMessage.self, from: parts[0].bytes, limit: WireLimits.headerBytes)
        else {
            malformed += 1
            return
        }
        let payload = parts.count == 2 ? parts[1] : nil
        let now = ContinuousClock.now
        peer.received(message, payloadBytes: payload?.count, now: now)
        perform(payload: payload)
    }

    private func perform(payload: ReceivedPart? = nil) {
        let now = ContinuousClock.now
        var payload = payload
        while true {
            let actions = peer.takeActions()
            if actions.isEmpty { break }
            for action in actions {
                switch action {
                case .send(let message):
                    if let body = try? ControlCoding.encode(message, as: .protobuf) { link?.send([body]) }
                case .deliver(let request, let tile):
                    if let part = payload.take() { deliver(tile, part, request: request, now: now) }
                case .ended(let request, let unavailable):
                    let told = unavailable + corrupted
                    corrupted.removeAll()
                    handlers.ended(request, told, now)
                case .failed(let request, let error):
                    corrupted.removeAll()
                    handlers.failed(request, error, now)
                }
            }
        }
        alarm?.set(peer.nextDeadline)
    }

    private func deliver(
        _ wire: WireTile, _ payload: ReceivedPart, request: UInt64, now: ContinuousClock.Instant
    ) {
        do throws(TileFactory.Refusal) {
            handlers.tile(request, try factory.make(wire, payload: payload, isFetched: true), now)
        } catch {
            switch error {
            case .malformed: malformed += 1
            case .checksum(let acquisition, _, let positions):
                corrupted.append(
                    UnavailableFrames(
                        acquisition: acquisition, positions: positions,
                        reason: .failed("the bytes changed on the way: the checksum does not fit")))
            }
            peer.released(items: 1, bytes: payload.count, now: now)
        }
    }
}
