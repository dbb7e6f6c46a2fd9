import StemwireAcquisition
import StemwireProtocol
import StemwireWire
import ZeroMQ

/// Answers FETCH: frames that the server still holds, as fast as each client gives credit. Reactor's thread only.
final class FetchDesk {
    /// Steps in a turn of one client.
    private static let stepsAtOnce = 16
    /// How long a client waits when this socket's share of the ring is in the peers' queues.
    private static let pauseForMemory = Duration.milliseconds(5)

    private struct Client {
        let routingID: ReceivedPart
        var fetches = FetchPeer()
        /// Its next turn is on its way.
        var hasTurn = false
    }

    private let socket: WorkSocket
    private let frames: FrameStore
    private let table: RunTable
    private let reactor: Reactor
    /// Called when a client turns out to be gone.
    private let onGone: ([UInt8]) -> Void
    private var clients: [[UInt8]: Client] = [:]

    init(
        _ socket: WorkSocket, frames: FrameStore, table: RunTable, reactor: Reactor,
        onGone: @escaping ([UInt8]) -> Void
    ) {
        self.socket = socket
        self.frames = frames
        self.table = table
        self.reactor = reactor
        self.onGone = onGone
    }

    // MARK: Clients

    func welcome(_ key: [UInt8], _ routingID: ReceivedPart, credit: WireCredit) {
        clients[key] = Client(routingID: routingID)
        clients[key]?.fetches.grant(items: credit.items, bytes: credit.bytes)
    }

    func forget(_ key: [UInt8]) { clients[key] = nil }

    func grant(_ credit: WireCredit, to key: [UInt8]) {
        clients[key]?.fetches.grant(items: credit.items, bytes: credit.bytes)
        serve(key)
    }

    func take(_ fetch: WireFetch, from key: [UInt8]) {
        guard let routingID = clients[key]?.routingID else { return }
        let acquisition = [UInt8](fetch.acquisition)
        guard let record = record(acquisition) else {
            return socket.refuse(
                routingID, .notFound, "fetch \(fetch.request): this server has no frames of that acquisition\(window)")
        }
        let expected = UInt64(record.description.framesExpected)
        guard fetch.count > 0, fetch.first < expected, fetch.count <= expected - fetch.first else {
            return socket.refuse(
                routingID, .invalidArgument,
                "fetch \(fetch.request): positions \(fetch.first) and \(fetch.count) from there are not all in 0 ..< \(expected)"
            )
        }
        let positions = Int(fetch.first)..<Int(fetch.first + fetch.count)
        let request = FetchPeer.Request(number: fetch.request, acquisition: acquisition, positions: positions)
        guard clients[key]?.fetches.enqueue(request) == true else {
            return socket.refuse(
                routingID, .busy, "fetch \(fetch.request): \(FetchPeer.maximumRequests) fetches wait already")
        }
        serve(key)
    }

    /// What there is in place of an acquisition that is not there.
    private var window: String {
        let held = table.acquisitions.map(\.description.generation)
        guard let oldest = held.first, let newest = held.last else { return "" }
        return
            "; it keeps acquisitions \(oldest) to \(newest) (more with a larger window: arm, or `stemwire serve --keep`)"
    }

    private func record(_ acquisition: [UInt8]) -> AcquisitionRecord? {
        table.acquisitions.last { $0.description.id.bytes == acquisition }
    }

    // MARK: Frames out

    private enum Step {
        /// There may be more to do at once.
        case goOn
        /// Nothing to do until the client asks, gives credit or takes what its queue holds.
        case wait
        /// This socket's share of the ring is used up.
        case waitForMemory
    }

    /// Sends what credit allows, a bounded amount in one turn. However often it is called, a client has one turn at a time.
    func serve(_ key: [UInt8]) {
        guard clients[key]?.hasTurn == false else { return }
        for _ in 0..<Self.stepsAtOnce {
            switch step(key) {
            case .goOn: continue
            case .wait: return
            case .waitForMemory: return giveTurn(key, after: Self.pauseForMemory)
            }
        }
        guard clients[key] != nil else { return }
        giveTurn(key, after: .zero)
    }

    private func giveTurn(_ key: [UInt8], after pause: Duration) {
        clients[key]?.hasTurn = true
        reactor.schedule(after: pause) { [self] in
            clients[key]?.hasTurn = false
            serve(key)
        }
    }

    private func step(_ key: [UInt8]) -> Step {
        guard let client = clients[key], let request = client.fetches.current else { return .wait }
        guard let position = request.positions.first else {
            guard sent(socket.send(.fetchEnd(end(request)), to: client.routingID), key) else { return .wait }
            _ = clients[key]?.fetches.takeFinished()
            return .goOn
        }
        guard let record = record(request.acquisition) else {
            clients[key]?.fetches.skipped(upTo: request.positions.upperBound, reason: .released)
            return .goOn
        }
        // Asked before the store is: a frame that has come by now and is not there, is there no more.
        let absence = record.absence(from: request.positions)
        let generation = record.description.generation
        guard let tile = frames.lookup(generation: generation, position: position) else {
            let end =
                absence.reason == .released
                ? firstHeld(in: position..<absence.end, generation: generation) : absence.end
            clients[key]?.fetches.skipped(upTo: end, reason: absence.reason)
            return .goOn
        }
        let part = tile.part(position..<min(tile.positions.upperBound, request.positions.upperBound))
        guard client.fetches.canSend(bytes: part.bytes.count) else {
            tile.release()
            return .wait
        }
        guard socket.pins.take(part) else {
            tile.release()
            return .waitForMemory
        }
        let header = WireTile(part, of: record.description, format: WireFrameFormat(record.description.format))
        let outcome = socket.send(
            part, to: client.routingID, kind: { Self.fetched($0, request.number) }, header: header)
        guard sent(outcome, key) else { return .wait }
        clients[key]?.fetches.sent(upTo: part.positions.upperBound, bytes: part.bytes.count)
        return .goOn
    }

    private func sent(_ outcome: WorkSocket.Outcome, _ key: [UInt8]) -> Bool {
        if outcome == .gone { onGone(key) }
        return outcome == .sent
    }

    private static func fetched(_ tile: WireTile, _ request: UInt64) -> WireWorkMessage.OneOf_Kind {
        var fetched = WireFetchedTile()
        fetched.request = request
        fetched.tile = tile
        return .tile(fetched)
    }

    /// The first of `positions` that is held, or where looking for it was given up for this turn.
    private func firstHeld(in positions: Range<Int>, generation: UInt64) -> Int {
        let rest = positions.lowerBound + 1..<max(positions.upperBound, positions.lowerBound + 1)
        return frames.firstPosition(in: rest, generation: generation) ?? positions.upperBound
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
}
