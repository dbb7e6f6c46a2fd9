import StemwireProtocol
import StemwireTestSupport
import Testing

@testable import StemwireClient

/// A server's side of the work protocol: sends only what credit allows.
private struct ModelServer {
    var items = 0
    var bytes = 0
    var largest = 0
    var isGreeted = false
    var fetches: [WireFetch] = []
    var missing = PositionSet()
    var overruns = 0

    mutating func take(_ message: WireWorkMessage) -> [WireWorkMessage] {
        switch message.kind {
        case .hello(let hello):
            isGreeted = true
            (items, bytes, largest) = (0, 0, 0)
            grant(hello.credit)
            fetches.removeAll()
            var welcome = WireWorkMessage()
            welcome.welcome.version = 1
            welcome.welcome.beatIntervalMs = 100
            return [welcome]
        case .credit(let credit): grant(credit)
        case .fetch(let fetch): fetches.append(fetch)
        default: break
        }
        return []
    }

    private mutating func grant(_ credit: WireCredit) {
        items += Int(credit.items)
        bytes += Int(credit.bytes)
        largest = max(largest, bytes)
    }

    /// The next message, nil when there is nothing to send or no credit for it.
    mutating func next(_ scan: TestAcquisition, tileSize: Int) -> (WireWorkMessage, Int?)? {
        guard var fetch = fetches.first else { return nil }
        let range = Int(fetch.first)..<Int(fetch.first + fetch.count)
        guard let run = missing.gaps(in: range).first else {
            fetches.removeFirst()
            var end = WireWorkMessage()
            end.fetchEnd.request = fetch.request
            end.fetchEnd.unavailable = asked[fetch.request, default: PositionSet()].ranges.flatMap {
                missing.members(in: $0)
            }.map { range in
                var item = WireUnavailableRange()
                item.range.first = UInt64(range.lowerBound)
                item.range.count = UInt64(range.count)
                item.reason = "missing"
                return item
            }
            return (end, nil)
        }
        let positions = run.prefix(tileSize)
        let size = positions.count * TestFrames.stride
        guard items > 0, bytes >= size || (bytes == largest && size > largest) else { return nil }
        items -= 1
        bytes = max(0, bytes - size)
        asked[fetch.request, default: PositionSet()].insert(range)
        fetch.count -= UInt64(positions.upperBound) - fetch.first
        fetch.first = UInt64(positions.upperBound)
        fetches[0] = fetch
        var tile = WireWorkMessage()
        tile.tile.request = fetch.request
        tile.tile.tile = TestFrames.wire(positions, of: scan, hasChecksum: false)
        return (tile, size)
    }

    private var asked: [UInt64: PositionSet] = [:]
}

@Suite struct FetchPeerTests {
    private func peer(
        _ window: FetchPeer.Window = .init(), patience: Duration = .seconds(5), now: ContinuousClock.Instant
    ) throws -> FetchPeer {
        FetchPeer(
            endpoint: try ServerEndpoint("host"), client: "test", clientID: [UInt8](repeating: 1, count: 16),
            window: window, patience: patience, now: now)
    }

    /// Random tile sizes, window sizes and consumers: all comes, in order, and never more than the window allows.
    @Test func creditNeitherStallsNorOverruns() throws {
        for seed in 0..<300 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            let scan = TestAcquisition(navShape: [8, 16])
            let window = FetchPeer.Window(
                items: Int.random(in: 1...6, using: &generator),
                bytes: Int.random(in: 1...20, using: &generator) * TestFrames.stride / 2)
            var now = ContinuousClock.now
            var peer = try peer(window, now: now)
            var server = ModelServer()
            if generator.chance(percent: 50) { server.missing.insert(20..<Int.random(in: 21..<40, using: &generator)) }
            var held: [Int] = []
            var heldBytes = 0
            var got: [UInt64: PositionSet] = [:]
            var ended: [UInt64: [UnavailableFrames]] = [:]
            peer.connected(now: now)
            let asked: [UInt64: Range<Int>] = [1: 0..<64, 2: 64..<128, 3: 10..<30]
            for (request, range) in asked.sorted(by: { $0.key < $1.key }) {
                peer.fetch(request: request, acquisition: scan.id, positions: range, now: now)
            }
            for _ in 0..<5000 where ended.count < 3 {
                now = now + .milliseconds(1)
                for action in peer.takeActions() {
                    switch action {
                    case .send(let message):
                        for reply in server.take(message) { peer.received(reply, payloadBytes: nil, now: now) }
                    case .deliver(let request, let tile):
                        let first = Int(tile.firstPosition)
                        let range = first..<first + Int(tile.count)
                        #expect(got[request, default: PositionSet()].ranges.last.map { $0.upperBound <= first } ?? true)
                        got[request, default: PositionSet()].insert(range)
                        held.append(Int(tile.payloadBytes))
                        heldBytes += Int(tile.payloadBytes)
                        #expect(held.count <= window.items, "seed \(seed)")
                    case .ended(let request, let unavailable): ended[request] = unavailable
                    case .failed(let request, let error): Issue.record("seed \(seed): \(request) failed: \(error)")
                    }
                }
                if let (message, size) = server.next(scan, tileSize: Int.random(in: 1...6, using: &generator)) {
                    peer.received(message, payloadBytes: size, now: now)
                }
                if !held.isEmpty, generator.chance(percent: 40) {
                    let size = held.removeFirst()
                    heldBytes -= size
                    peer.released(items: 1, bytes: size, now: now)
                }
                peer.tick(now: now)
            }
            #expect(ended.count == 3, "seed \(seed): a fetch came to a stop")
            for (request, range) in asked {
                var all = got[request] ?? PositionSet()
                for item in ended[request] ?? [] { all.insert(item.positions) }
                #expect(all.ranges == [range], "seed \(seed), request \(request)")
            }
            #expect(peer.malformed == 0)
        }
    }

    @Test func silenceEndsAFetchButASlowConsumerDoesNot() throws {
        let now = ContinuousClock.now
        let scan = TestAcquisition()
        var peer = try peer(patience: .seconds(2), now: now)
        var server = ModelServer()
        peer.connected(now: now)
        peer.fetch(request: 1, acquisition: scan.id, positions: 0..<4, now: now)
        func exchange() {
            for action in peer.takeActions() {
                if case .send(let message) = action {
                    for reply in server.take(message) { peer.received(reply, payloadBytes: nil, now: now) }
                }
            }
        }
        exchange()
        exchange()
        let sent = server.next(scan, tileSize: 2)
        let (tile, size) = try #require(sent)
        peer.received(tile, payloadBytes: size, now: now)
        peer.tick(now: now + .seconds(60))
        var failures = 0
        for action in peer.takeActions() { if case .failed = action { failures += 1 } }
        #expect(failures == 0, "the consumer has not taken the tile")
        peer.released(items: 1, bytes: size ?? 0, now: now + .seconds(60))
        peer.tick(now: now + .seconds(61))
        for action in peer.takeActions() { if case .failed = action { failures += 1 } }
        #expect(failures == 0)
        peer.tick(now: now + .seconds(62))
        for action in peer.takeActions() {
            if case .failed(1, .noProgress(_, let duration)) = action {
                failures += 1
                #expect(duration == .seconds(2))
            }
        }
        #expect(failures == 1)
        #expect(peer.isIdle)
    }

    @Test func aServerThatForgotThePeerIsGreetedAgain() throws {
        let now = ContinuousClock.now
        let scan = TestAcquisition()
        var peer = try peer(now: now)
        peer.connected(now: now)
        var welcome = WireWorkMessage()
        welcome.welcome.beatIntervalMs = 100
        peer.received(welcome, payloadBytes: nil, now: now)
        peer.fetch(request: 1, acquisition: scan.id, positions: 0..<8, now: now)
        var tile = WireWorkMessage()
        tile.tile.request = 1
        tile.tile.tile = TestFrames.wire(0..<4, of: scan)
        peer.received(tile, payloadBytes: 4 * TestFrames.stride, now: now)
        _ = peer.takeActions()
        var failure = WireWorkMessage()
        failure.failure.code = "wrongState"
        peer.received(failure, payloadBytes: nil, now: now)
        peer.received(welcome, payloadBytes: nil, now: now)
        let sent = peer.takeActions().compactMap { action in
            if case .send(let message) = action { message } else { nil }
        }
        #expect(sent.map(\.hello.epoch) == [2, 0])
        #expect(sent.last?.fetch.first == 4 && sent.last?.fetch.count == 4, "only what has not come")
        for _ in 0..<5 { peer.received(failure, payloadBytes: nil, now: now) }
        let actions = peer.takeActions()
        let failed = actions.contains { if case .failed(1, .refused) = $0 { true } else { false } }
        #expect(failed, "greeting again and again is no way out")
    }

    @Test func tilesThatWereNotAskedForAreCounted() throws {
        let now = ContinuousClock.now
        let scan = TestAcquisition()
        var peer = try peer(now: now)
        peer.connected(now: now)
        var welcome = WireWorkMessage()
        welcome.welcome.beatIntervalMs = 0
        peer.received(welcome, payloadBytes: nil, now: now)
        peer.fetch(request: 1, acquisition: scan.id, positions: 8..<16, now: now)
        _ = peer.takeActions()
        func receive(_ request: UInt64, _ wire: WireTile, bytes: Int?) {
            var message = WireWorkMessage()
            message.tile.request = request
            message.tile.tile = wire
            peer.received(message, payloadBytes: bytes, now: now)
        }
        receive(2, TestFrames.wire(8..<9, of: scan), bytes: 10)
        receive(1, TestFrames.wire(7..<9, of: scan), bytes: 10)
        receive(1, TestFrames.wire(15..<17, of: scan), bytes: 10)
        receive(1, TestFrames.wire(8..<9, of: TestAcquisition()), bytes: 10)
        receive(1, TestFrames.wire(8..<9, of: scan), bytes: nil)
        var extreme = TestFrames.wire(8..<9, of: scan)
        extreme.firstPosition = .max
        extreme.count = .max
        receive(1, extreme, bytes: 10)
        #expect(peer.malformed == 6)
        let actions = peer.takeActions()
        let delivered = actions.contains { if case .deliver = $0 { true } else { false } }
        #expect(!delivered)
        #expect(peer.nextDeadline! >= now + .milliseconds(50), "a beat interval of 0 is no busy loop")
    }
}
