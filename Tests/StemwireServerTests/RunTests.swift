import MerlinSimulator
import StemwireClient
import StemwireProtocol
import Testing

@testable import StemwireServer

extension ServerTests {
    @Suite("Runs") struct Runs {
        /// Waits until no thread works on the last acquisition any more, and gives its results.
        static func scan(_ bench: Bench, _ client: StemwireConnection) async throws -> ResultSnapshot {
            let before = try await client.status().previousAcquisition.generation
            try await client.startScan()
            return try await eventually("final results") {
                guard try await client.status().previousAcquisition.generation > before else { return nil }
                let snapshot = try await client.snapshot()
                let isFinal = !snapshot.channels.isEmpty && snapshot.channels.allSatisfy(\.isFinal)
                return snapshot.end != nil && isFinal ? snapshot : nil
            }
        }

        @Test("a run asked for by control is on the next acquisitions, as many as asked, and its numbers are right")
        func forSomeAcquisitions() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                let name = try await client.startRun(
                    [UDFSelection("disk", id: "bf", parameters: ["r": "4"]), UDFSelection("sumsig")], run: "mine",
                    acquisitions: 2)
                #expect(name == "mine")
                await #expect { try await client.startRun([UDFSelection("sum")], run: "mine") } throws: {
                    ($0 as? ControlFailure)?.code == .invalidArgument
                }
                var left: [[UInt32]] = []
                for number in 0..<3 {
                    left.append(
                        try await client.listRuns().filter {
                            $0.run == "mine" && !($0.finished && $0.acquisitionsLeft == 0)
                        }.map(\.acquisitionsLeft))
                    let snapshot = try await Self.scan(bench, client)
                    let channels = snapshot.channels.filter { $0.name.run == "mine" }
                    #expect(channels.map(\.name.udf) == (number < 2 ? ["bf", "sumsig"] : []))
                    guard number < 2 else { break }
                    let totals = try (0..<64).map { try bench.total(acquisition: UInt16(number), frame: $0) }
                    #expect(channels[1].doubles() == totals)
                    let disk = try (0..<64).map {
                        try Self.disk(bench, acquisition: UInt16(number), frame: $0, radius: 4)
                    }
                    #expect(channels[0].doubles() == disk)
                }
                #expect(left == [[2], [1], []])
                await client.close()
            }
        }

        @Test("what no detector's frames suit is refused at once, what some suit is tried")
        func checkedBeforeTheFrames() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                await #expect { try await client.startRun([UDFSelection("disk", parameters: ["r": "-1"])]) } throws: {
                    ($0 as? ControlFailure)?.code == .invalidArgument && "\($0)".contains("-1.0 is no radius")
                }
                // Of scan positions that this scan of 64 has, and of others that it does not have.
                _ = try await client.startRun([UDFSelection("pick", parameters: ["frames": "60"])], run: "fits")
                _ = try await client.startRun([UDFSelection("pick", parameters: ["frames": "900"])], run: "not")
                let snapshot = try await Self.scan(bench, client)
                let picked = try #require(snapshot.channel(udf: "pick", "intensity", run: "fits"))
                #expect(picked.doubles() == (try bench.image(acquisition: 0, frame: 60).map { Double($0) }))
                #expect(snapshot.channel(udf: "pick", "intensity", run: "not") == nil)
                let failed = try await client.listRuns().first { $0.run == "not" }
                #expect(failed?.error.contains("900 is no scan position") == true)
                await client.close()
            }
        }

        /// Counts within `radius` of the centre (8, 8) of 16 × 16 pixels.
        static func disk(_ bench: Bench, acquisition: UInt16, frame: Int, radius: Double) throws -> Double {
            var sum = 0.0
            for (pixel, count) in try bench.image(acquisition: acquisition, frame: frame).enumerated() {
                let (y, x) = (Double(pixel / 16 - 8), Double(pixel % 16 - 8))
                if y * y + x * x <= radius * radius { sum += Double(count) }
            }
            return sum
        }

        @Test("a run joins a scan that runs, another leaves it; each has what it saw")
        func joinAndLeave() async throws {
            try await Bench.run(nav: [32, 32]) {
                $0.dwellMicroseconds = 500
            } _: { bench in
                let client = try await bench.connect()
                let stream = client.tiles(options: .init(untilEnd: true))
                try await stream.subscribed()
                _ = try await client.startRun([UDFSelection("sumsig")], run: "leaves")
                try await client.startScan()
                func placed(_ count: UInt64) async throws {
                    try await eventually("\(count) frames") {
                        try await client.status().acquisition.accounting.placed >= count ? () : nil
                    }
                }
                try await placed(200)
                _ = try await client.startRun(
                    [UDFSelection("sumsig")], run: "joins", acquisitions: 1, joinCurrent: true)
                await #expect {
                    try await client.startRun(
                        [UDFSelection("sumsig")], run: "joins", acquisitions: 1, joinCurrent: true)
                } throws: { ($0 as? ControlFailure)?.code == .invalidArgument }
                try await placed(400)
                try await client.stopRun("leaves")
                // Its results so far stay, so that no other may take its name on this acquisition.
                await #expect {
                    try await client.startRun([UDFSelection("sum")], run: "leaves", joinCurrent: true)
                } throws: { ($0 as? ControlFailure)?.code == .invalidArgument }
                _ = try await Seen.follow(stream, bench.pattern)
                let snapshot = try await Series.finalSnapshot(client)
                let joined = try #require(snapshot.channel(udf: "sumsig", "intensity", run: "joins"))
                let left = try #require(snapshot.channel(udf: "sumsig", "intensity", run: "leaves"))
                #expect(joined.positionsProcessed < 900 && joined.positionsProcessed > 100)
                #expect(!joined.isValid(position: 100) && joined.isValid(position: 1023))
                #expect(left.positionsProcessed >= 300 && left.positionsProcessed < 1000)
                #expect(left.isValid(position: 0) && !left.isValid(position: 1023))
                for channel in [joined, left] {
                    let values = channel.doubles()
                    for position in stride(from: 0, to: 1024, by: 37) where channel.isValid(position: position) {
                        #expect(values[position] == (try bench.total(acquisition: 0, frame: position)))
                    }
                }
                #expect(snapshot.channel(udf: "sum", "intensity")?.positionsProcessed == 1024)
                await client.close()
            }
        }

        @Test("a UDF that fails costs its own result, is told, and nothing else")
        func failingUDF() async throws {
            try await Bench.run { _ in
            } server: {
                $0.registry = testRegistry
            } _: { bench in
                let client = try await bench.connect()
                _ = try await client.startRun([UDFSelection("failing")], run: "bad", acquisitions: 1)
                let snapshot = try await Self.scan(bench, client)
                #expect(snapshot.end?.reason == .complete && snapshot.end?.accounting.placed == 64)
                #expect(
                    snapshot.channel(udf: "sum", "intensity")?.doubles()
                        == (try bench.sum(acquisition: 0, frames: 0..<64)))
                let bad = try #require(try await client.status().runs.first { $0.run == "bad" })
                #expect(bad.framesFailed == 64 && bad.positionsProcessed == 0 && bad.error.contains("it always fails"))
                await client.close()
            }
        }

        @Test("runs are limited, also those that join")
        func limits() async throws {
            try await Bench.run { _ in
            } server: {
                $0.udfs = []
                $0.idleLimit = .seconds(20)
            } _: { bench in
                let client = try await bench.connect()
                for number in 0..<WireLimits.runs {
                    _ = try await client.startRun([UDFSelection("sumsig")], run: "r\(number)")
                }
                await #expect { try await client.startRun([UDFSelection("sumsig")], run: "one-more") } throws: {
                    ($0 as? ControlFailure)?.code == .busy
                }
                for number in 0..<WireLimits.runs { try await client.stopRun("r\(number)") }
                #expect(try await client.listRuns().isEmpty)
                // A scan that stands still in the middle.
                try await client.detectorSet("NUMFRAMESPERTRIGGER", to: "32")
                try await client.startScan()
                try await eventually("half a scan") {
                    try await client.status().acquisition.accounting.placed == 32 ? () : nil
                }
                for number in 0..<WireLimits.runs {
                    _ = try await client.startRun(
                        [UDFSelection("sumsig")], run: "j\(number)", acquisitions: 1, joinCurrent: true)
                }
                await #expect {
                    try await client.startRun(
                        [UDFSelection("sumsig")], run: "one-more", acquisitions: 1, joinCurrent: true)
                } throws: { ($0 as? ControlFailure)?.code == .busy }
                try await client.trigger()
                let snapshot = try await Series.finalSnapshot(client)
                #expect(snapshot.channels.count == WireLimits.runs)
                #expect(snapshot.channels.allSatisfy { $0.positionsProcessed == 32 })
                await client.close()
            }
        }

        @Test("results do not depend on the number of threads")
        func threads() async throws {
            var results: [[Double]] = []
            for threads in [1, 3] {
                try await Bench.run(nav: [16, 16], faults: "reorder=0.3,drop=0.1") { _ in
                } server: {
                    $0.threads = threads
                } _: { bench in
                    let client = try await bench.connect()
                    let snapshot = try await Self.scan(bench, client)
                    let frames = bench.truth("reorder=0.3,drop=0.1").placeable
                    let sum = try #require(snapshot.channel(udf: "sum", "intensity"))
                    #expect(sum.doubles() == (try bench.sum(acquisition: 0, frames: frames)))
                    #expect(sum.positionsProcessed == frames.count)
                    results.append(sum.doubles())
                    await client.close()
                }
            }
            #expect(results.count == 2 && results[0] == results[1])
        }
    }
}
