import MerlinSimulator
import StemwireClient
import Testing

extension ServerTests {
    @Suite("Main path") struct MainPath {
        @Test("every frame reaches two clients, each at its own position, and is accounted for")
        func framesArrive() async throws {
            try await Bench.run(nav: [16, 16]) { bench in
                let pattern = try bench.pattern
                let clients = [try await bench.connect(), try await bench.connect()]
                let streams = clients.map { $0.tiles(options: .init(repair: true, untilEnd: true)) }
                for stream in streams { try await stream.subscribed() }
                try await clients[0].startScan()
                for stream in streams {
                    let seen = try #require(try await Seen.follow(stream, pattern).first)
                    expectComplete(seen, frames: 256)
                    #expect(seen.start?.navShape == [16, 16] && seen.end?.navShape == [16, 16])
                    #expect(seen.start?.dtype == "uint16" && seen.start?.counterDepth == 12)
                    #expect(seen.start.map { String(decoding: $0.header.prefix(4), as: UTF8.self) } == "HDR,")
                    #expect((seen.end?.tilesPublished ?? 0) > 0 && seen.end?.tilesDropped == 0)
                }
                for client in clients { await client.close() }
            }
        }

        @Test("results grow without going back, end with the final state, and equal a plain sum")
        func resultsAreRight() async throws {
            try await Bench.run(nav: [16, 16]) {
                $0.dwellMicroseconds = 2000
            } server: {
                $0.updatesPerSecond = 100
            } _: { bench in
                let client = try await bench.connect()
                let stream = client.updates()
                try await stream.subscribed()
                try await client.startScan()
                let (updates, end) = try await Self.follow(stream)
                #expect(end.reason == .complete && end.accounting.placed == 256)
                for name in ["sum", "sumsig"] {
                    let states = updates.filter { $0.name.udf == name }
                    #expect(states.count > 1, "a scan of 512 ms at 100 updates a second")
                    #expect(zip(states, states.dropFirst()).allSatisfy { $0.version < $1.version || $1.isFinal })
                    #expect(
                        zip(states, states.dropFirst()).allSatisfy { $0.positionsProcessed <= $1.positionsProcessed })
                    let last = try #require(states.last)
                    #expect(last.isFinal && last.positionsProcessed == 256 && last.positionsExpected == 256)
                    #expect(states.dropLast().allSatisfy { !$0.isFinal })
                }
                let final = Dictionary(updates.map { ($0.name.udf, $0) }) { $1 }
                #expect(final["sum"]?.doubles() == (try bench.sum(acquisition: 0, frames: 0..<256)))
                let totals = try (0..<256).map { try bench.total(acquisition: 0, frame: $0) }
                #expect(final["sumsig"]?.doubles() == totals)
                // An unfinished state is right for the positions that it says it has.
                let early = try #require(updates.first { $0.name.udf == "sumsig" })
                let values = early.doubles()
                for position in 0..<256 where early.isValid(position: position) {
                    #expect(values[position] == totals[position])
                }
                await client.close()
            }
        }

        @Test("who joins late gets the whole state by a snapshot")
        func lateJoin() async throws {
            try await Bench.run { bench in
                let pattern = try bench.pattern
                let first = try await bench.connect()
                let stream = first.tiles(options: .init(untilEnd: true))
                try await stream.subscribed()
                try await first.startScan()
                _ = try await Seen.follow(stream, pattern)

                let late = try await bench.connect()
                let (updates, end) = try await Self.follow(late.updates())
                #expect(end.reason == .complete && end.accounting.placed == 64)
                #expect(Set(updates.map(\.name.udf)) == ["sum", "sumsig"] && updates.allSatisfy(\.isFinal))
                let snapshot = try await late.snapshot(udf: "sum")
                #expect(snapshot.start?.navShape == [8, 8] && snapshot.end == end)
                #expect(snapshot.channels.count == 1)
                #expect(
                    snapshot.channel(udf: "sum", "intensity")?.doubles()
                        == (try bench.sum(acquisition: 0, frames: 0..<64)))
                for client in [first, late] { await client.close() }
            }
        }

        @Test("a running scan is joined: what was before comes by FETCH, nothing twice")
        func joinRunningScan() async throws {
            try await Bench.run(nav: [16, 16]) {
                $0.dwellMicroseconds = 2000
            } _: { bench in
                let pattern = try bench.pattern
                let client = try await bench.connect()
                try await client.startScan()
                try await eventually("some frames") {
                    try await client.status().acquisition.accounting.placed >= 40 ? () : nil
                }
                let stream = client.tiles(options: .init(repair: true, untilEnd: true))
                let seen = try #require(try await Seen.follow(stream, pattern).first)
                expectComplete(seen, frames: 256)
                #expect(seen.gaps.contains { $0.cause == .beforeJoining })
                #expect(seen.fetched.contains(0) && !seen.fetched.contains(255))
                await client.close()
            }
        }

        /// Follows results until an acquisition has ended.
        static func follow(_ stream: ResultStream) async throws -> ([ChannelUpdate], AcquisitionEnd) {
            try await within("results and an end") {
                var updates: [ChannelUpdate] = []
                for try await event in stream {
                    switch event {
                    case .started: break
                    case .update(let update): updates.append(update)
                    case .ended(let end): return (updates, end)
                    }
                }
                throw TooLate(what: "the subscription ended before the acquisition", limit: .zero)
            }
        }
    }
}
