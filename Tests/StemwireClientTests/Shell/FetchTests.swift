import StemwireProtocol
import Testing

@testable import StemwireClient

@Suite(.timeLimit(.minutes(1))) struct FetchTests {
    private func prepared(_ server: FakeServer, missing: [Range<Int>] = []) async -> TestAcquisition {
        let scan = TestAcquisition(missing: missing)
        await server.change { server in
            server.begin(scan)
            for range in PositionSet(missing).gaps(in: 0..<128) { server.tile(range) }
            server.finish()
        }
        return scan
    }

    @Test func framesComeInOrderWithWhatIsNotThere() async throws {
        try await withServer { server, client in
            let scan = await prepared(server, missing: [40..<44])
            await server.release(50..<60)
            let (tiles, unavailable) = try await client.fetchAll(acquisition: scan.id, first: 30, count: 40)
            #expect(tiles.map(\.positions) == [30..<38, 38..<40, 44..<50, 60..<68, 68..<70])
            #expect(tiles.allSatisfy { $0.isFetched })
            for tile in tiles {
                let pixels = try tile.decodedFrames(as: UInt16.self)
                #expect(pixels == tile.positions.flatMap(TestFrames.pixels))
            }
            #expect(unavailable.map(\.positions) == [40..<44, 50..<60])
            #expect(unavailable.map(\.reason) == [.missing, .released])
        }
    }

    @Test func manyFetchesShareFewConnections() async throws {
        try await withServer { server, client in
            let scan = await prepared(server)
            for first in 0..<50 {
                let (tiles, _) = try await client.fetchAll(acquisition: scan.id, first: first, count: 3)
                #expect(PositionSet(tiles.map(\.positions)).ranges == [first..<first + 3])
            }
            try await withThrowingTaskGroup(of: Int.self) { group in
                for first in 0..<20 {
                    group.addTask {
                        try await client.fetchAll(acquisition: scan.id, first: first, count: 100).tiles
                            .reduce(0) { $0 + $1.count }
                    }
                }
                for try await count in group { #expect(count == 100) }
            }
        }
    }

    @Test func whatCannotBeFetchedIsRefusedAtOnce() async throws {
        try await withServer { server, client in
            let scan = await prepared(server)
            for (first, count) in [(-1, 3), (0, -1), (Int.max, 2), (1 << 40, 1)] {
                await #expect { try await client.fetchAll(acquisition: scan.id, first: first, count: count) } throws: {
                    if case FetchError.invalidRange = $0 { true } else { false }
                }
            }
            let (tiles, _) = try await client.fetchAll(acquisition: scan.id, first: 5, count: 0)
            #expect(tiles.isEmpty)
        }
    }

    @Test func aSilentServerEndsTheFetch() async throws {
        try await withServer { server, client in
            let scan = await prepared(server)
            await server.change { $0.isWorkMute = true }
            let began = ContinuousClock.now
            await #expect {
                try await client.fetchAll(acquisition: scan.id, first: 0, count: 8, patience: .milliseconds(150))
            } throws: { error in
                if case FetchError.noProgress(let endpoint, _) = error { endpoint.controlPort > 0 } else { false }
            }
            #expect(ContinuousClock.now - began < .seconds(10))
            await server.change { $0.isWorkMute = false }
            let (tiles, _) = try await client.fetchAll(acquisition: scan.id, first: 0, count: 8)
            #expect(tiles.count == 1)
        }
    }

    @Test func aSlowConsumerIsNotASilentServer() async throws {
        try await withServer { server, client in
            let scan = await prepared(server)
            var iterator = client.fetch(
                acquisition: scan.id, first: 0, count: 128, patience: .milliseconds(50)
            ).makeAsyncIterator()
            var count = 0
            while let event = try await iterator.next(isolation: nil) {
                guard case .tile(let tile) = event else { continue }
                count += tile.count
                if count == 8 { try await Task.sleep(for: .milliseconds(200)) }
            }
            #expect(count == 128)
        }
    }

    @Test func leavingAFetchSaysGoodbye() async throws {
        try await withServer { server, client in
            let scan = await prepared(server)
            for try await _ in client.fetch(acquisition: scan.id, first: 0, count: 128) { break }
            await server.until { $0.goodbyes == 1 }
            let task = Task { [client] in
                for try await _ in client.fetch(acquisition: scan.id, first: 0, count: 128) {}
            }
            task.cancel()
            try await task.value
        }
    }

    @Test func aClosedConnectionFetchesNothing() async throws {
        try await withServer { server, client in
            await client.close()
            await #expect { try await client.fetchAll(acquisition: .random(), first: 0, count: 1) } throws: {
                if case FetchError.closed = $0 { true } else { false }
            }
        }
    }
}
