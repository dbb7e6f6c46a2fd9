import StemwireProtocol
import Testing

@testable import StemwireClient

/// What a loop over a tile subscription has seen.
struct SeenTiles {
    var positions = PositionSet()
    var started: [UInt64] = []
    var ended: [AcquisitionEnd] = []
    var gaps: [TileGap] = []
    var unavailable: [UnavailableFrames] = []
    var fetched = PositionSet()
    var wrongFrames = 0

    mutating func take(_ event: TileEvent) throws {
        switch event {
        case .started(let start): started.append(start.generation)
        case .ended(let end): ended.append(end)
        case .gap(let gap): gaps.append(gap)
        case .unavailable(let frames): unavailable.append(frames)
        case .tile(let tile):
            if try tile.decodedFrames(as: UInt16.self) != tile.positions.flatMap(TestFrames.pixels) { wrongFrames += 1 }
            positions.insert(tile.positions)
            if tile.isFetched { fetched.insert(tile.positions) }
        }
    }

    /// Takes events until `isEnough` or the end.
    static func collect(
        _ stream: TileStream, until isEnough: (SeenTiles) -> Bool = { _ in false }
    ) async throws -> SeenTiles {
        var seen = SeenTiles()
        for try await event in stream {
            try seen.take(event)
            if isEnough(seen) { break }
        }
        return seen
    }
}

@Suite(.timeLimit(.minutes(1))) struct TileStreamTests {
    private let tileTopic = "1/tile/merlin/"

    @Test func aScanArrives() async throws {
        try await withServer { server, client in
            let stream = client.tiles(options: .init(untilEnd: true))
            try await stream.subscribed()
            await server.change { server in
                server.begin(TestAcquisition())
                for first in stride(from: 0, to: 128, by: 16) { server.tile(first..<first + 16) }
                server.finish()
            }
            let seen = try await SeenTiles.collect(stream)
            #expect(seen.started == [1])
            #expect(seen.positions.ranges == [0..<128])
            #expect(seen.ended.map(\.reason) == [.complete])
            #expect(seen.gaps.isEmpty && seen.wrongFrames == 0)
            #expect(stream.statistics.frames == 128)
            #expect(stream.statistics.malformedMessages == 0)
        }
    }

    @Test func lossesAreToldAsGaps() async throws {
        try await withServer { server, client in
            let stream = client.tiles(options: .init(untilEnd: true))
            try await stream.subscribed()
            await server.change { server in
                server.begin(TestAcquisition())
                for first in stride(from: 0, to: 128, by: 16) { server.tile(first..<first + 16, isLost: first == 32) }
                server.finish()
            }
            let seen = try await SeenTiles.collect(stream)
            #expect(seen.gaps.map(\.positions) == [[32..<48]])
            #expect(seen.gaps.map(\.cause) == [.lost])
            #expect(seen.positions.count == 112)
            #expect(stream.statistics.lostMessages == 1)
        }
    }

    @Test func repairsFillGaps() async throws {
        try await withServer { server, client in
            let stream = client.tiles(options: .init(repair: true, untilEnd: true, verifiesChecksums: true))
            try await stream.subscribed()
            await server.change { server in
                server.begin(TestAcquisition(missing: [100..<104]))
                for first in stride(from: 0, to: 96, by: 16) { server.tile(first..<first + 16, isLost: first == 32) }
                // A changed byte in a pixel: what the checksum is for.
                server.tile(96..<100) { $0[TestFrames.stride - 1] ^= 1 }
                // The last one is lost too, so that no jump shows it.
                server.tile(104..<112)
                server.tile(112..<128, isLost: true)
                server.release(116..<118)
                server.finish()
            }
            let seen = try await SeenTiles.collect(stream)
            #expect(seen.wrongFrames == 0)
            #expect(seen.fetched.ranges == [32..<48, 96..<100, 112..<116, 118..<128])
            #expect(seen.positions.ranges == [0..<100, 104..<116, 118..<128])
            #expect(Set(seen.unavailable.map(\.reason)) == [.released, .missing])
            #expect(seen.ended.count == 1)
            #expect(stream.statistics.repairedFrames == 34)
            #expect(stream.statistics.corruptedTiles == 1)
        }
    }

    @Test func joiningLateIsToldAndRepaired() async throws {
        try await withServer { server, client in
            await server.change { server in
                server.begin(TestAcquisition())
                for first in stride(from: 0, to: 64, by: 16) { server.tile(first..<first + 16) }
            }
            let stream = client.tiles(options: .init(repair: true, untilEnd: true))
            try await stream.subscribed()
            await server.change { server in
                for first in stride(from: 64, to: 128, by: 16) { server.tile(first..<first + 16) }
                server.finish()
            }
            let seen = try await SeenTiles.collect(stream)
            #expect(seen.started == [1])
            #expect(seen.gaps.map(\.cause) == [.beforeJoining])
            #expect(seen.gaps.map(\.positions) == [[0..<64]])
            #expect(seen.positions.ranges == [0..<128])
        }
    }

    @Test func lostStartsAndEndsAreLearnedOtherwise() async throws {
        try await withServer { server, client in
            let stream = client.tiles(options: .init(untilEnd: true))
            try await stream.subscribed()
            await server.change { server in
                server.begin(TestAcquisition(), isLost: true)
                for first in stride(from: 0, to: 128, by: 16) { server.tile(first..<first + 16) }
                server.finish(isLost: true)
            }
            let seen = try await SeenTiles.collect(stream)
            #expect(seen.started == [1])
            #expect(seen.ended.map(\.reason) == [.complete])
            #expect(seen.positions.ranges == [0..<128])
        }
    }

    @Test func aSlowConsumerLosesWhatItCannotHoldAndGetsItByRepair() async throws {
        let limit = 3 * 16 * TestFrames.stride
        try await withServer { server, client in
            let slow = client.tiles(options: .init(untilEnd: true, buffering: .oldest(bytes: limit)))
            let view = client.tiles(options: .init(untilEnd: true, buffering: .newest(2)))
            let patient = client.tiles(
                options: .init(
                    repair: true, untilEnd: true, buffering: .oldest(bytes: limit),
                    repairBytes: 20 * TestFrames.stride))
            for stream in [slow, view, patient] { try await stream.subscribed() }
            await server.change { server in
                server.begin(TestAcquisition(navShape: [16, 16]))
                for first in stride(from: 0, to: 256, by: 16) { server.tile(first..<first + 16) }
                server.finish()
            }
            // Each has seen all that was published before its consumer begins.
            for stream in [slow, view, patient] {
                while stream.statistics.dropped < 208 { _ = try await client.status() }
            }
            let slowSeen = try await SeenTiles.collect(slow)
            #expect(slowSeen.positions.ranges == [0..<48])
            #expect(slowSeen.gaps.map(\.cause) == [.bufferFull])
            #expect(slow.statistics.dropped == 208)
            let viewSeen = try await SeenTiles.collect(view)
            #expect(viewSeen.positions.ranges == [224..<256])
            let patientSeen = try await SeenTiles.collect(patient)
            #expect(patientSeen.positions.ranges == [0..<256])
            #expect(patientSeen.wrongFrames == 0 && patientSeen.unavailable.isEmpty)
        }
    }

    @Test func twoAcquisitionsAreToldApart() async throws {
        try await withServer { server, client in
            let stream = client.tiles()
            try await stream.subscribed()
            await server.change { server in
                for generation in 1...2 as ClosedRange<UInt64> {
                    server.begin(TestAcquisition(generation: generation))
                    server.tile(0..<128)
                    server.finish("stopped")
                }
            }
            let seen = try await SeenTiles.collect(stream) { $0.ended.count == 2 }
            #expect(seen.started == [1, 2])
            #expect(seen.ended.map(\.generation) == [1, 2])
        }
    }

    // MARK: Nobody sends

    @Test func nobodySendsIsAnErrorUnlessOneWaits() async throws {
        try await withServer { server, client in
            await server.change { server in
                server.status.state = "disconnected"
                server.status.detector.dataConnected = false
                server.status.detector.reason = "connection refused"
            }
            let began = ContinuousClock.now
            await #expect { for try await _ in client.tiles() {} } throws: { error in
                guard case SubscriptionError.nobodySends(let source, let reason) = error else { return false }
                return source == "merlin://test" && reason == "connection refused"
                    && "\(error)".contains("Check that the detector software runs")
            }
            #expect(ContinuousClock.now - began < .seconds(10))
            let waiting = client.tiles(options: .init(untilEnd: true, waitsForDetector: true))
            try await waiting.subscribed()
            await server.change { server in
                server.status.detector.dataConnected = true
                server.begin(TestAcquisition())
                server.tile(0..<128)
                server.finish()
            }
            let seen = try await SeenTiles.collect(waiting)
            #expect(seen.positions.count == 128)
        }
    }

    // MARK: Endings

    @Test func everyWayOutUnsubscribes() async throws {
        try await withServer { server, client in
            func gone() async { await server.until { [tileTopic] in !$0.topics.contains(tileTopic) } }
            func subscribed(_ stream: TileStream) async throws {
                try await stream.subscribed()
                await server.until { [tileTopic] in $0.topics.contains(tileTopic) }
            }
            // A task that is cancelled.
            let stream = client.tiles()
            try await subscribed(stream)
            let task = Task { for try await _ in stream {} }
            task.cancel()
            try await task.value
            await gone()
            // A loop that is left, though the stream is still held.
            let left = client.tiles()
            try await subscribed(left)
            await server.begin(TestAcquisition())
            for try await _ in left { break }
            await gone()
            #expect(left.statistics.messages == 1)
            // A stream that nobody iterates.
            do {
                let unused = client.tiles()
                try await subscribed(unused)
            }
            await gone()
            // An iterator that is dropped.
            do {
                let stream = client.tiles()
                try await subscribed(stream)
                _ = stream.makeAsyncIterator()
            }
            await gone()
            // A closed connection.
            let last = client.tiles()
            try await subscribed(last)
            await client.close()
            await #expect { for try await _ in last {} } throws: { error in
                if case SubscriptionError.closed = error { true } else { false }
            }
            await gone()
        }
    }

    @Test func aSecondIteratorIsAtItsEnd() async throws {
        try await withServer { server, client in
            let stream = client.tiles()
            let first = stream.makeAsyncIterator()
            var second = stream.makeAsyncIterator()
            let event = try await second.next(isolation: nil)
            #expect(event == nil)
            withExtendedLifetime(first) {}
        }
    }

    @Test func aStreamKeepsItsConnection() async throws {
        let server = try await FakeServer.start()
        func stream() async throws -> TileStream {
            try await StemwireConnection.connect(to: await server.endpoint, timeout: .seconds(5)).tiles()
        }
        var iterator = try await stream().makeAsyncIterator()
        await server.until { [tileTopic] in $0.topics.contains(tileTopic) }
        await server.begin(TestAcquisition())
        guard case .started = try await TileStream.take(&iterator) else { throw SubscriptionError.closed }
        await server.stop()
    }

    // MARK: Lost servers

    @Test func aServerThatIsGoneEndsTheSequence() async throws {
        try await withServer(options: impatientOptions) { server, client in
            let stream = client.tiles()
            try await stream.subscribed()
            await server.stop()
            let began = ContinuousClock.now
            await #expect { for try await _ in stream {} } throws: { error in
                if case SubscriptionError.connectionLost = error { true } else { false }
            }
            #expect(ContinuousClock.now - began < .seconds(10))
        }
    }

    @Test func aServerThatHangsEndsTheSequence() async throws {
        try await withServer(options: impatientOptions) { server, client in
            let stream = client.tiles()
            try await stream.subscribed()
            await server.change { $0.isMute = true }
            await #expect { for try await _ in stream {} } throws: { error in
                if case SubscriptionError.connectionLost = error { true } else { false }
            }
            await server.change { $0.isMute = false }
            let status = try await client.status()
            #expect(status.state == "idle", "the connection stays usable")
        }
    }

    @Test func aRestartedServerIsFollowed() async throws {
        try await withServer(host: FakeServer.ownHost()) { server, client in
            let stream = client.tiles()
            try await stream.subscribed()
            await server.change { server in
                server.begin(TestAcquisition(generation: 5))
                server.tile(0..<64)
            }
            var iterator = stream.makeAsyncIterator()
            var seen = SeenTiles()
            while seen.positions.count < 64 { try seen.take(try await TileStream.take(&iterator)) }
            let port = await server.controlPort
            await server.stop()
            let second = try await FakeServer.start(host: server.host, controlPort: port)
            await second.until { [tileTopic] in $0.topics.contains(tileTopic) }
            await second.change { server in
                server.begin(TestAcquisition(generation: 1))
                server.tile(0..<128)
                server.finish()
            }
            while seen.ended.count < 2 { try seen.take(try await TileStream.take(&iterator)) }
            #expect(seen.started == [5, 1])
            #expect(seen.ended.map(\.reason) == [.other("serverRestarted"), .complete])
            #expect(seen.positions.count == 128)
            #expect(await client.statistics.serverRestarts == 1)
            await second.stop()
        }
    }
}
