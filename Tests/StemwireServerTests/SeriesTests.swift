import MerlinSimulator
import StemwireAcquisition
import StemwireClient
import Testing

@testable import StemwireServer

extension ServerTests {
    @Suite("Acquisition after acquisition") struct Series {
        @Test("acquisitions that follow one another at once stay apart")
        func backToBack() async throws {
            let ports = try freePorts(3)
            let settings = Bench.serverConfiguration(controlPort: ports[0], dataPort: ports[1])
            try await Bench.serve(settings) { server, endpoints in
                let client = try await Bench.connect(endpoints, waitsForDetector: false)
                let stream = client.tiles(options: .init(repair: true, waitsForDetector: true))
                try await stream.subscribed()
                // A detector that sends scan after scan as soon as somebody listens.
                var configuration = Bench.simulatorConfiguration()
                (configuration.controlPort, configuration.dataPort, configuration.triggerPort) = (
                    ports[0], ports[1], ports[2]
                )
                configuration.mode = .freeRunning
                configuration.maximumRuns = 5
                configuration.dwellMicroseconds = 200
                let simulator = try MerlinSimulator(configuration)
                let detector = try simulator.start()
                defer { simulator.stop() }
                let bench = Bench(simulator: simulator, detector: detector, server: server, endpoints: endpoints)
                let seen = try await Seen.follow(stream, bench.pattern, acquisitions: 5)
                #expect(seen.count == 5)
                for (number, seen) in seen.enumerated() {
                    expectComplete(seen, frames: 64)
                    #expect(seen.acquisitions == [UInt16(number)])
                    #expect(seen.start?.generation == UInt64(number + 1))
                }
                #expect(Set(seen.map { $0.start?.acquisition }).count == 5)
                let snapshot = try await Self.finalSnapshot(client)
                #expect(
                    snapshot.channel(udf: "sum", "intensity")?.doubles()
                        == (try bench.sum(acquisition: 4, frames: 0..<64)))
                await client.close()
            }
        }

        @Test("the next scan may be armed as soon as the last one's end is told")
        func armedAgainAtOnce() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                for number in 0..<4 {
                    let stream = client.tiles(options: .init(repair: true, untilEnd: true))
                    try await stream.subscribed()
                    try await client.startScan()
                    let seen = try #require(try await Seen.follow(stream, bench.pattern).first)
                    expectComplete(seen, frames: 64)
                    #expect(seen.acquisitions == [UInt16(number)])
                }
                let status = try await client.status()
                #expect(status.acquisitions == 4 && status.previousAcquisition.generation == 4)
                await client.close()
            }
        }

        @Test("STOP ends a scan with what came, ABORT at once; the next scan is whole")
        func stopAndAbort() async throws {
            try await Bench.run(nav: [64, 64]) {
                $0.dwellMicroseconds = 1000
            } _: { bench in
                let client = try await bench.connect()
                for (number, reason) in [AcquisitionEnd.Reason.stopped, .aborted].enumerated() {
                    let stream = client.tiles(options: .init(untilEnd: true))
                    try await stream.subscribed()
                    try await client.startScan()
                    try await eventually("some frames") {
                        try await client.status().acquisition.accounting.placed > 20 ? () : nil
                    }
                    #expect(try await client.status().state == "acquiring")
                    let done = reason == .stopped ? try await client.stop() : try await client.abort()
                    #expect(done.stateBefore == .acquiring && done.framesPlaced > 20)
                    let seen = try #require(try await Seen.follow(stream, bench.pattern).first)
                    #expect(seen.end?.reason == reason)
                    #expect(seen.misplaced == [] && seen.acquisitions == [UInt16(number)])
                    let accounting = try #require(seen.end?.accounting)
                    #expect(accounting.isBalanced && accounting.expected == 4096)
                    #expect(accounting.placed > 20 && accounting.placed < 4096)
                    #expect(accounting.placed == seen.frames.count)
                }
                // A short one, of another shape, on the same connection.
                let stream = client.tiles(options: .init(untilEnd: true))
                try await stream.subscribed()
                try await client.armWhenFree(navShape: [4, 8], frames: 32, trigger: .soft)
                try await client.trigger()
                let seen = try #require(try await Seen.follow(stream, bench.pattern).first)
                expectComplete(seen, frames: 32)
                #expect(seen.start?.navShape == [4, 8])
                await client.close()
            }
        }

        @Test("an abort before the first frame is told, and leaves nothing behind")
        func abortedBeforeTheFirstFrame() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                let events = client.events()
                try await events.subscribed()
                try await client.armWhenFree()
                try await eventually("the acquisition header") {
                    bench.server.receiver?.counters.state == .armed ? () : nil
                }
                #expect(try await client.status().state == "armed")
                try await client.abort()
                let end = try await within("the end") { () -> AcquisitionEnd? in
                    for try await event in events { if case .ended(let end) = event { return end } }
                    return nil
                }
                #expect(end?.reason == .aborted && end?.accounting.placed == 0 && end?.accounting.missing == 64)
                #expect(try await client.status().state == "idle")
                let stream = client.tiles(options: .init(untilEnd: true))
                try await stream.subscribed()
                try await client.startScan()
                expectComplete(try #require(try await Seen.follow(stream, bench.pattern).first), frames: 64)
                await client.close()
            }
        }

        @Test("a scan shape given with an arming is for that scan alone")
        func requestedShapeIsForOneScan() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                var shapes: [[Int]?] = []
                for navShape in [[2, 8], nil] as [[Int]?] {
                    let stream = client.tiles(options: .init(untilEnd: true))
                    try await stream.subscribed()
                    if let navShape {
                        try await client.armWhenFree(navShape: navShape, frames: 16)
                    } else {
                        // Somebody else arms: the detector's own program, say.
                        try await eventually("a detector that is free") {
                            try await client.detectorGet("DETECTORSTATUS") == "0" ? () : nil
                        }
                        try await client.detectorSet("NUMFRAMESTOACQUIRE", to: "64")
                        try await client.detectorCommand("STARTACQUISITION")
                    }
                    while !bench.simulator.trigger() { try await Task.sleep(for: .milliseconds(2)) }
                    shapes.append(try #require(try await Seen.follow(stream, bench.pattern).first).start?.navShape)
                }
                #expect(shapes == [[2, 8], [8, 8]])
                await client.close()
            }
        }

        static func finalSnapshot(_ client: StemwireConnection) async throws -> ResultSnapshot {
            try await eventually("final results") {
                let snapshot = try await client.snapshot()
                return snapshot.end != nil && !snapshot.channels.isEmpty && snapshot.channels.allSatisfy(\.isFinal)
                    ? snapshot : nil
            }
        }
    }
}
