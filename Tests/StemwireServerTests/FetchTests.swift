import MerlinSimulator
import StemwireAcquisition
import StemwireClient
import StemwireProtocol
import Testing

@testable import StemwireServer

extension ServerTests {
    @Suite("FETCH") struct Fetch {
        /// Runs a scan to its end and gives the acquisition's id.
        static func scan(_ bench: Bench, _ client: StemwireConnection) async throws -> AcquisitionEnd {
            let stream = client.tiles(options: .init(untilEnd: true))
            try await stream.subscribed()
            try await client.startScan()
            return try #require(try await Seen.follow(stream, bench.pattern).first?.end)
        }

        @Test("what the live stream leaves out comes by FETCH")
        func repair() async throws {
            try await Bench.run(nav: [32, 32], sig: 64) {
                $0.dwellMicroseconds = 200
            } server: {
                // Nothing but the one tile that always goes may wait in queues.
                $0.liveShare = 0
            } _: { bench in
                let client = try await bench.connect()
                // Who does not read has its queue full soon, so that nothing is published any more.
                let stalled = try await onThread { [bench] in
                    let peer = try RawZMTP(port: bench.endpoints.livePort, socketType: "SUB")
                    try peer.send(part: [1] + Array("1/tile/".utf8))
                    return peer
                }
                let stream = client.tiles(options: .init(repair: true, untilEnd: true))
                try await stream.subscribed()
                try await client.startScan()
                let seen = try #require(try await Seen.follow(stream, bench.pattern).first)
                expectComplete(seen, frames: 1024)
                let end = try #require(seen.end)
                #expect(end.tilesPublished > 0 && end.tilesDropped > 0)
                #expect(seen.fetched.contains(1023))
                let status = try await client.status()
                #expect(
                    status.live.tilesDropped == end.tilesDropped && status.live.bytesPinned <= FrameRing.usualSlotBytes)
                await client.close()
                stalled.connection.shutdown()
            }
        }

        @Test("a frame that has gone to the spool comes by FETCH and by control, as it was")
        func spooled() async throws {
            try await Bench.run(nav: [16, 16], sig: 256) { _ in
            } server: {
                $0.ringBytes = 8 << 20
                $0.spoolBytes = 64 << 20
                // The disk may be slow.
                $0.idleLimit = .seconds(20)
                // They wait for a worker, so that none is let go.
                $0.threads = 0
            } _: { bench in
                let client = try await bench.connect()
                let end = try await Self.scan(bench, client)
                // 256 frames of 131 kB are four times the ring.
                let status = try await client.status()
                #expect(status.dispatch.spoolBytesUsed > 8 << 20)
                for position in [0, 100, 255] {
                    let truth = try bench.image(acquisition: 0, frame: position)
                    let frame = try await client.frame(at: position, as: .raw)
                    #expect(frame.bytes.withUnsafeBytes { Array($0.bindMemory(to: UInt16.self)) } == truth)
                    let fetched = try await client.fetchAll(acquisition: end.acquisition, first: position, count: 1)
                    #expect(try fetched.tiles.first?.decodedFrames(as: UInt16.self) == truth)
                }
                await client.close()
            }
        }

        @Test("frames that the ring cannot give are told with the reason: missing, rejected, pending, released")
        func reasons() async throws {
            try await Bench.run(nav: [40, 40], sig: 64, faults: "drop-at=1590-1592,truncate-at=1595,runs=1") { _ in
            } server: {
                $0.ringBytes = 8 << 20
                $0.udfs = []
            } _: { bench in
                let client = try await bench.connect()
                let end = try await Self.scan(bench, client)
                #expect(end.accounting.missing == 3 && end.accounting.rejected == 1)
                let id = end.acquisition
                let (tiles, unavailable) = try await client.fetchAll(acquisition: id, first: 0, count: 1600)
                // 1600 frames of 8.6 kB are more than what a ring of 8 MiB retains.
                let held = tiles.reduce(into: Set<Int>()) { $0.formUnion($1.positions) }
                let released = Set(unavailable.filter { $0.reason == .released }.flatMap(\.positions))
                let missing = Set(unavailable.filter { $0.reason == .missing }.flatMap(\.positions))
                #expect(released.contains(0) && !released.contains(1599))
                #expect(missing.isSuperset(of: [1589, 1590, 1591, 1594]))
                #expect(held.contains(1599) && held.count > 300)
                #expect(held.count + released.count + missing.count == 1600 && held.isDisjoint(with: released))
                #expect(zip(tiles, tiles.dropFirst()).allSatisfy { $0.positions.upperBound <= $1.positions.lowerBound })
                var seen = Seen()
                for tile in tiles { try seen.take(tile, bench.pattern) }
                #expect(seen.misplaced == [])
                await client.close()
            }
        }

        @Test("while a scan runs, frames to come are pending, and those let go are released")
        func pendingFrames() async throws {
            try await Bench.run(nav: [40, 40], sig: 64) {
                $0.mode = .triggered
            } server: {
                $0.ringBytes = 8 << 20
                $0.udfs = []
                // Nothing comes between the triggers.
                $0.idleLimit = .seconds(20)
            } _: { bench in
                let client = try await bench.connect()
                // 1400 of 1600 frames, and then nothing for now.
                try await client.detectorSet("NUMFRAMESPERTRIGGER", to: "1400")
                try await client.armWhenFree()
                try await client.trigger()
                try await eventually("1400 frames") {
                    try await client.status().acquisition.accounting.placed == 1400 ? () : nil
                }
                let id = try #require(AcquisitionUUID(try await client.status().acquisition.acquisition))
                let (tiles, unavailable) = try await client.fetchAll(acquisition: id, first: 0, count: 1600)
                let reasons = unavailable.reduce(into: [Int: UnavailableFrames.Reason]()) { reasons, range in
                    for position in range.positions { reasons[position] = range.reason }
                }
                #expect(reasons[0] == .released)
                #expect((1400..<1600).allSatisfy { reasons[$0] == .pending })
                #expect(tiles.last?.positions.upperBound == 1400)
                try await client.abort()
                await client.close()
            }
        }

        @Test("not more than the credit is sent, and a request ends when all is sent")
        func credit() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                let end = try await Self.scan(bench, client)
                try await onThread { [bench] in
                    let peer = try Stranger(.dealer, port: bench.endpoints.workPort)
                    try peer.greet(items: 1, bytes: 1 << 20)
                    try peer.fetch(Array(end.acquisition.bytes), 0..<64)
                    var positions: [Int] = []
                    for step in 0..<20 {
                        // Partitions of 16 frames: four tiles at least, and one at a time.
                        let (kind, payload, _) = try peer.work()
                        if case .fetchEnd(let end) = kind {
                            #expect(end.request == 1 && end.unavailable.isEmpty && step >= 4)
                            break
                        }
                        guard case .tile(let fetched) = kind else { throw Stranger.Unexpected() }
                        #expect(fetched.request == 1 && fetched.tile.payloadBytes == UInt64(payload.count))
                        #expect(payload.withUnsafeBytes { Checksum.xxh3($0) } == fetched.tile.checksum)
                        positions += Array(
                            Int(fetched.tile.firstPosition)..<Int(fetched.tile.firstPosition) + Int(fetched.tile.count))
                        if positions.count < 64 {
                            // Without credit, beats come but no tile.
                            let parts = try peer.receive()
                            guard case .beat? = try WireWorkMessage(serializedBytes: parts[0]).kind else {
                                throw Stranger.Unexpected()
                            }
                        }
                        var credit = WireCredit()
                        (credit.items, credit.bytes) = (1, UInt64(payload.count))
                        try peer.send(.credit(credit))
                    }
                    #expect(positions == Array(0..<64))
                }
                await client.close()
            }
        }

        @Test("what a stranger gets wrong is told, counted, and disturbs nobody")
        func mistakes() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                let end = try await Self.scan(bench, client)
                let id = Array(end.acquisition.bytes)
                try await onThread { [bench] in
                    let peer = try Stranger(.dealer, port: bench.endpoints.workPort)
                    func failure() throws -> String {
                        guard case .failure(let failure) = try peer.work().kind else { throw Stranger.Unexpected() }
                        return failure.code
                    }
                    try peer.fetch(id, 0..<64)
                    #expect(try failure() == "wrongState")
                    var hello = WireWorkHello()
                    (hello.versionMin, hello.versionMax) = (2, 9)
                    try peer.send(.hello(hello))
                    #expect(try failure() == "unsupportedVersion")
                    try peer.send([0xFF, 0xFF, 0xFF])
                    #expect(try failure() == "malformed")
                    try peer.send([], [1, 2], [3])
                    #expect(try failure() == "malformed")
                    try peer.send([UInt8](repeating: 0, count: WireLimits.workRequestBytes + 1))
                    #expect(try failure() == "malformed")

                    try peer.greet(items: 0, bytes: 0)
                    try peer.fetch([UInt8](repeating: 7, count: 16), 0..<64)
                    #expect(try failure() == "notFound")
                    for positions in [0..<0, 0..<65, 64..<65, 1 << 40..<1 << 41] {
                        try peer.fetch(id, positions)
                        #expect(try failure() == "invalidArgument")
                    }
                    for number in 0..<UInt64(FetchPeer.maximumRequests) { try peer.fetch(id, 0..<64, request: number) }
                    try peer.fetch(id, 0..<64, request: 99)
                    #expect(try failure() == "busy")
                    try peer.send(.welcome(WireWorkWelcome()))
                    #expect(try failure() == "malformed")
                    // A new greeting begins anew.
                    try peer.greet()
                    try peer.fetch(id, 3..<5, request: 7)
                    guard case .tile(let tile) = try peer.work().kind else { throw Stranger.Unexpected() }
                    #expect(tile.tile.firstPosition == 3 && tile.tile.count == 2)
                    try peer.send(.bye(WireBye()))
                }
                let status = try await client.status()
                #expect(status.malformedWork == 5)
                try await eventually("the peer is forgotten") { try await client.status().workPeers == 0 ? () : nil }
                await client.close()
            }
        }

        @Test("a fetch of frames that come while an earlier acquisition is still worked on is served")
        func lanesFarBehind() async throws {
            let gate = GatedUDF.Gate()
            GatedUDF.gates.withLock { $0[1] = gate }
            defer { gate.open() }
            try await Bench.run { _ in
            } server: {
                $0.registry = testRegistry
                $0.udfs = [.init(name: "gated", parameters: ["gate": .integer(1)])]
            } _: { bench in
                let client = try await bench.connect()
                for number in 0..<2 {
                    let stream = client.tiles(options: .init(untilEnd: true))
                    try await stream.subscribed()
                    try await client.startScan()
                    let seen = try #require(try await Seen.follow(stream, bench.pattern).first)
                    expectComplete(seen, frames: 64)
                    let id = try #require(seen.start?.acquisition)
                    let (tiles, unavailable) = try await client.fetchAll(acquisition: id, first: 0, count: 64)
                    #expect(tiles.reduce(0) { $0 + $1.count } == 64 && unavailable.isEmpty, "acquisition \(number)")
                    #expect(seen.end?.navShape == [8, 8] && seen.end?.framesProcessed == 0)
                    let status = try await client.status()
                    #expect(status.previousAcquisition.generation == UInt64(number + 1))
                }
                #expect(gate.isReached)
                gate.open()
                // Both are worked on to their ends.
                let snapshot = try await Series.finalSnapshot(client)
                #expect(snapshot.start?.generation == 2)
                #expect(snapshot.channel(udf: "gated", "intensity")?.doubles() == [Double](repeating: 1, count: 64))
                await client.close()
            }
        }
    }
}
