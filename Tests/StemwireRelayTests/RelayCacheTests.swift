import StemwireProtocol
import Testing
import ZeroMQ

@testable import StemwireRelay

@Suite("Relay's cache") struct RelayCacheTests {
    private static let session: [UInt8] = [1, 2, 3]
    private let now = ContinuousClock.now

    /// A cache by reference, so that what changes it can stand in an expectation.
    private final class Cache {
        private var cache = RelayCache()

        var isCurrent: Bool { cache.isCurrent }
        var counts: RelayCache.Counts { cache.counts }

        func enter(_ session: [UInt8]) -> [[ReceivedPart]] { cache.enter(session) }
        func take(_ parts: [ReceivedPart], now: ContinuousClock.Instant) -> RelayCache.Verdict {
            cache.take(parts, now: now)
        }
        func take(_ status: WireStatus, now: ContinuousClock.Instant) { cache.take(status, now: now) }
        func merge(
            _ snapshot: WireSnapshot, payload: [ReceivedPart], answering wish: RelayCache.SnapshotWish,
            now: ContinuousClock.Instant
        ) {
            cache.merge(snapshot, payload: payload, answering: wish, now: now)
        }
        func nothingFound(_ wish: RelayCache.SnapshotWish) { cache.nothingFound(wish) }
        func failed(_ wish: RelayCache.SnapshotWish, now: ContinuousClock.Instant) { cache.failed(wish, now: now) }
        func takeSnapshotWish(now: ContinuousClock.Instant) -> RelayCache.SnapshotWish? {
            cache.takeSnapshotWish(now: now)
        }
        func nextDeadline(now: ContinuousClock.Instant) -> ContinuousClock.Instant? { cache.nextDeadline(now: now) }
        func snapshot(_ wanted: WireSnapshotRequest) -> (snapshot: WireSnapshot, payload: [ReceivedPart])? {
            cache.snapshot(wanted)
        }
    }

    /// Makes messages as a server does.
    private final class Source {
        private let session: [UInt8]
        private var sequences: [String: UInt64] = [:]

        init(session: [UInt8] = RelayCacheTests.session) { self.session = session }

        func message(
            _ kind: WireLiveHeader.OneOf_Kind, topic: String, _ payload: [[UInt8]] = [], losing lost: UInt64 = 0
        ) throws -> [ReceivedPart] {
            sequences[topic, default: 0] += 1 + lost
            var header = WireLiveHeader()
            header.session = .init(session)
            header.sequence = sequences[topic] ?? 0
            header.kind = kind
            let parts = [Array(topic.utf8), try header.serializedBytes()] + payload
            return parts.map { ReceivedPart(Message(copying: $0)) }
        }

        func start(_ generation: UInt64, losing lost: UInt64 = 0) throws -> [ReceivedPart] {
            try message(.start(RelayCacheTests.start(generation)), topic: "1/acquisition/m/", losing: lost)
        }

        func end(_ generation: UInt64, _ udfs: [String] = [], losing lost: UInt64 = 0) throws -> [ReceivedPart] {
            try message(.end(RelayCacheTests.end(generation, udfs)), topic: "1/acquisition/m/", losing: lost)
        }

        func update(
            _ generation: UInt64, _ udf: String, version: UInt64, final: Bool = false, losing lost: UInt64 = 0
        ) throws -> [ReceivedPart] {
            let (update, payload) = RelayCacheTests.update(generation, udf, version: version, final: final)
            return try message(.update(update), topic: "1/result/m/r/\(udf)/c/", payload, losing: lost)
        }

        func tile(losing lost: UInt64 = 0) throws -> [ReceivedPart] {
            var tile = WireTile()
            tile.count = 4
            return try message(.tile(tile), topic: "1/tile/m/", [[1, 2]], losing: lost)
        }
    }

    private static func start(_ generation: UInt64) -> WireStart {
        var start = WireStart()
        start.acquisition = .init([UInt8](repeating: UInt8(generation), count: 16))
        start.generation = generation
        return start
    }

    private static func end(_ generation: UInt64, _ udfs: [String]) -> WireEnd {
        var end = WireEnd()
        end.acquisition = start(generation).acquisition
        end.generation = generation
        end.results = udfs.map { udf in
            var name = WireResultName()
            (name.run, name.udf, name.channel) = ("r", udf, "c")
            return name
        }
        return end
    }

    private static func update(
        _ generation: UInt64, _ udf: String, version: UInt64, final: Bool
    ) -> (WireUpdate, [[UInt8]]) {
        let payload: [[UInt8]] = [[UInt8(version), 0, 0, 0], [0xFF]]
        var update = WireUpdate()
        update.acquisition = start(generation).acquisition
        update.generation = generation
        (update.run, update.udf, update.channel) = ("r", udf, "c")
        update.version = version
        update.final = final
        update.checksum = payload[0].withUnsafeBytes { Checksum.xxh3($0) }
        update.maskChecksum = payload[1].withUnsafeBytes { Checksum.xxh3($0) }
        return (update, payload)
    }

    private static func request(udf: String = "", generation: UInt64? = nil) -> WireSnapshotRequest {
        var request = WireSnapshotRequest()
        request.udf = udf
        if let generation { request.acquisition = start(generation).acquisition }
        return request
    }

    /// A cache that knows its server and has asked it for the state, which there is none of.
    private func primed() throws -> Cache {
        let cache = Cache()
        #expect(cache.enter(Self.session).isEmpty)
        #expect(!cache.isCurrent)
        let wish = try #require(cache.takeSnapshotWish(now: now))
        #expect(wish.acquisition.isEmpty)
        cache.nothingFound(wish)
        #expect(cache.isCurrent)
        return cache
    }

    @Test("start, newest updates with their payload, and end make the snapshot, filtered as the server does")
    func snapshot() throws {
        let cache = try primed()
        let source = Source()
        #expect(cache.snapshot(Self.request()) == nil)
        #expect(cache.take(try source.start(1), now: now) == .landmark)
        for (udf, version) in [("a", 1), ("b", 1), ("a", 2), ("a", 3)] as [(String, UInt64)] {
            #expect(cache.take(try source.update(1, udf, version: version), now: now) == .update)
        }
        var made = try #require(cache.snapshot(Self.request()))
        #expect(made.snapshot.hasStart && !made.snapshot.hasEnd)
        #expect(made.snapshot.channels.map(\.udf) == ["a", "b"] && made.snapshot.channels.map(\.version) == [3, 1])
        #expect(made.payload.map { $0.bytes.first } == [3, 0xFF, 1, 0xFF])
        _ = cache.take(try source.update(1, "a", version: 3, final: true), now: now)
        _ = cache.take(try source.update(1, "a", version: 4), now: now)
        _ = cache.take(try source.end(1, ["a"]), now: now)
        made = try #require(cache.snapshot(Self.request(udf: "a")))
        #expect(made.snapshot.hasEnd && made.snapshot.channels.map(\.version) == [3] && made.snapshot.channels[0].final)
        #expect(made.payload.count == 2 && cache.counts.lostMessages == 0)
    }

    @Test("the present acquisition and the last one are kept, each under its id")
    func twoAcquisitions() throws {
        let cache = try primed()
        let source = Source()
        for generation in 1...3 as ClosedRange<UInt64> {
            _ = cache.take(try source.start(generation), now: now)
            _ = cache.take(try source.update(generation, "a", version: generation), now: now)
        }
        #expect(cache.snapshot(Self.request())?.snapshot.start.generation == 3)
        #expect(cache.snapshot(Self.request(generation: 2))?.snapshot.channels.map(\.version) == [2])
        #expect(cache.snapshot(Self.request(generation: 1)) == nil)
        // What still comes of one that was let go changes nothing.
        _ = cache.take(try source.update(1, "a", version: 9), now: now)
        #expect(cache.snapshot(Self.request(generation: 1)) == nil)
    }

    @Test("a jump of the server's numbers is counted, and what it hid is asked for")
    func losses() throws {
        let cache = try primed()
        let source = Source()
        _ = cache.take(try source.start(1), now: now)
        _ = cache.take(try source.tile(), now: now)
        #expect(cache.take(try source.tile(losing: 3), now: now) == .tile)
        #expect(cache.counts.lostTiles == 3 && cache.counts.lostMessages == 3 && cache.counts.frames == 8)
        #expect(cache.takeSnapshotWish(now: now + .seconds(1)) == nil)
        _ = cache.take(try source.update(1, "a", version: 1), now: now)
        _ = cache.take(try source.update(1, "a", version: 4, losing: 2), now: now)
        #expect(cache.counts.lostTiles == 3 && cache.counts.lostMessages == 5)
        let later = now + .seconds(1)
        let wish = try #require(cache.takeSnapshotWish(now: later))
        #expect(wish.acquisition.isEmpty && cache.isCurrent && cache.takeSnapshotWish(now: later) == nil)
        // A start that was lost makes snapshots wait.
        _ = cache.take(try source.end(1, losing: 1), now: later)
        #expect(!cache.isCurrent)
    }

    @Test("final states that do not come are asked for after a while, again and again, and given up in the end")
    func lostFinals() throws {
        let cache = try primed()
        let source = Source()
        _ = cache.take(try source.start(1), now: now)
        _ = cache.take(try source.update(1, "a", version: 1), now: now)
        _ = cache.take(try source.end(1, ["a", "b"]), now: now)
        let begin = now + .seconds(1)
        var wish = try #require(cache.takeSnapshotWish(now: begin))
        #expect(wish.acquisition == [UInt8](repeating: 1, count: 16))
        cache.failed(wish, now: begin)
        #expect(cache.takeSnapshotWish(now: begin) == nil)
        wish = try #require(cache.takeSnapshotWish(now: begin + RelayCache.pause))
        var answer = WireSnapshot()
        answer.start = Self.start(1)
        answer.end = Self.end(1, ["a", "b"])
        let (update, payload) = Self.update(1, "a", version: 2, final: true)
        answer.channels = [update]
        let parts = payload.map { ReceivedPart(Message(copying: $0)) }
        cache.merge(answer, payload: parts, answering: wish, now: begin)
        #expect(cache.snapshot(Self.request())?.snapshot.channels.map(\.final) == [true])
        #expect(cache.nextDeadline(now: begin) != nil, "b is still missing")
        #expect(cache.takeSnapshotWish(now: begin + RelayCache.patience + .seconds(1)) == nil)
        #expect(cache.nextDeadline(now: begin) == nil)
    }

    @Test("an end that was lost shows in the status, an acquisition that began unheard too")
    func statusTells() throws {
        let cache = try primed()
        let source = Source()
        _ = cache.take(try source.start(1), now: now)
        var status = WireStatus()
        status.previousAcquisition.generation = 1
        cache.take(status, now: now)
        let wish = try #require(cache.takeSnapshotWish(now: now + .seconds(1)))
        #expect(wish.acquisition == [UInt8](repeating: 1, count: 16) && cache.isCurrent)
        status.acquisition.generation = 2
        cache.take(status, now: now)
        #expect(!cache.isCurrent)
        let newest = try #require(cache.takeSnapshotWish(now: now + .seconds(1)))
        #expect(newest.acquisition.isEmpty && newest.told == 2)
        cache.nothingFound(newest)
        #expect(cache.isCurrent, "the server has nothing of it")
    }

    @Test("messages of a session that is not known yet wait for the server's introduction, and no old state stays")
    func sessions() throws {
        let cache = try primed()
        let old = Source()
        _ = cache.take(try old.start(5), now: now)
        let new = Source(session: [9])
        let foreign = Source(session: [7])
        #expect(cache.take(try new.start(1), now: now) == .unsettled)
        #expect(cache.take(try foreign.start(1), now: now) == .unsettled)
        #expect(cache.snapshot(Self.request())?.snapshot.start.generation == 5)
        let freed = cache.enter([9])
        #expect(freed.count == 1 && cache.snapshot(Self.request()) == nil && !cache.isCurrent)
        for parts in freed { #expect(cache.take(parts, now: now) == .landmark) }
        #expect(cache.snapshot(Self.request())?.snapshot.start.generation == 1)
        #expect(cache.take(try old.end(5), now: now) == .unsettled)
        #expect(cache.enter([9]).isEmpty && cache.enter(Self.session).isEmpty, "what is over is not kept")
        #expect(cache.counts.lostMessages == 0)
    }

    @Test("what is no live message is counted and not passed on; an update of other bytes is not kept")
    func malformed() throws {
        let cache = try primed()
        let source = Source()
        for parts in [[[UInt8]("1/tile/m/".utf8)], [[0xFF], [0xFF, 1]], [[], []]] as [[[UInt8]]] {
            #expect(cache.take(parts.map { ReceivedPart(Message(copying: $0)) }, now: now) == .malformed)
        }
        #expect(cache.counts.malformed == 3)
        _ = cache.take(try source.start(1), now: now)
        let (update, _) = Self.update(1, "a", version: 1, final: false)
        let wrong = try source.message(.update(update), topic: "1/result/m/r/a/c/", [[7, 7, 7, 7], [0xFF]])
        #expect(cache.take(wrong, now: now) == .update)
        #expect(cache.snapshot(Self.request())?.snapshot.channels.isEmpty == true && cache.counts.malformed == 4)
        #expect(cache.takeSnapshotWish(now: now + .seconds(1)) != nil)
    }

    @Test("a snapshot that does not hold together is asked for again")
    func brokenSnapshot() throws {
        let cache = Cache()
        _ = cache.enter(Self.session)
        let wish = try #require(cache.takeSnapshotWish(now: now))
        var answer = WireSnapshot()
        answer.start = Self.start(1)
        answer.channels = [Self.update(1, "a", version: 1, final: false).0]
        cache.merge(answer, payload: [], answering: wish, now: now)
        #expect(!cache.isCurrent && cache.takeSnapshotWish(now: now) == nil)
        #expect(cache.takeSnapshotWish(now: now + RelayCache.pause) == wish)
    }
}

@Suite("Relay's queues") struct QueuedMessagesTests {
    @Test("what waits is bounded, one message may in any case, and all is given back")
    func bounds() {
        let queued = QueuedMessages(limit: 100)
        #expect(queued.take(1000) && !queued.take(1))
        queued.giveBack(1000)
        #expect(queued.take(60) && queued.take(40) && !queued.take(1) && queued.count == 2 && queued.bytes == 100)
        queued.giveBack(60)
        queued.giveBack(40)
        #expect(queued.count == 0 && queued.bytes == 0)
    }

    @Test("a payload counts as long as a message of it lives")
    func payload() {
        let queued = QueuedMessages(limit: 1 << 20)
        let part = ReceivedPart(Message(copying: [UInt8](repeating: 5, count: 1000)))
        #expect(queued.take(1000))
        var message = Multipart()
        QueuedPayload([part], bytes: 1000, countedIn: queued).append(to: &message)
        #expect(queued.bytes == 1000 && message.count == 1 && message.byteCount == 1000)
        message.removeAll()
        #expect(queued.bytes == 0 && queued.count == 0)
    }
}
