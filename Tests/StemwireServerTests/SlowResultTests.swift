import StemwireClient
import StemwireProtocol
import StemwireUDF
import Testing

@testable import StemwireServer

/// A UDF that takes its time to be planned, or to compute its results: for as long as a gate is shut.
struct SlowUDF: FrameUDF {
    static let name = "slow"

    struct Parameters: UDFParameters {
        /// Where it stops, if there is such a gate.
        var plan: UInt64 = 0
        var results: UInt64 = 0
    }
    let parameters: Parameters

    init(parameters: Parameters, meta: UDFMeta) {
        self.parameters = parameters
        // Requests are tried with other scans than this one of the tests.
        if meta.navShape == SlowResults.navShape { Self.pass(parameters.plan) }
    }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [.nav("intensity", .uint64), .single("total", .uint64, use: .resultOnly)]
    }

    func process(_ frame: Frame, _ context: Context) throws {
        try context.buffer("intensity", as: UInt64.self)[0] = 1
    }

    func computeResults(_ context: ResultsContext) throws {
        Self.pass(parameters.results)
        let frames = try context.merged.values("intensity", as: UInt64.self).reduce(0, +)
        try context.results.elements("total", as: UInt64.self)[0] = frames
    }

    private static func pass(_ gate: UInt64) { GatedUDF.gates.withLock { $0[gate] }?.pass() }
}

enum SlowResults {
    static let navShape = [30, 30]
}

extension ServerTests {
    /// The time that results take is nobody else's.
    @Suite("Slow results and plans") struct SlowResultTests {
        /// Runs a scan with a UDF that stops at a gate, and opens it when all else has been seen.
        private func scan(_ parameter: String, gate number: UInt64) async throws {
            let gate = GatedUDF.Gate()
            GatedUDF.gates.withLock { $0[number] = gate }
            defer {
                gate.open()
                GatedUDF.gates.withLock { $0[number] = nil }
            }
            try await Bench.run(nav: SlowResults.navShape) {
                $0.dwellMicroseconds = 300
            } server: {
                $0.registry = testRegistry
                $0.udfs = [UDFRequest(name: SlowUDF.name, parameters: [parameter: .integer(Int64(number))])]
                $0.workerBeatInterval = .milliseconds(100)
                $0.workerSilenceLimit = .seconds(20)
            } _: { bench in
                let client = try await bench.connect()
                _ = try await client.startRun([UDFSelection("sumsig")], run: "quick", acquisitions: 1)
                let slow = client.updates(udf: SlowUDF.name)
                try await slow.subscribed()
                let quick = client.updates(run: "quick")
                try await quick.subscribed()
                let stream = client.tiles(options: .init(untilEnd: true))
                try await stream.subscribed()
                try await client.startScan()
                try await eventually("the gate") { gate.isReached ? () : nil }
                // All frames come live, and the end.
                let seen = try #require(try await Seen.follow(stream, bench.pattern).first)
                expectComplete(seen, frames: 900)
                // Other results too, and all that is asked.
                _ = try await Self.update(quick) { $0.positionsProcessed == 900 }
                let snapshot = try await client.snapshot(run: "quick")
                #expect(snapshot.channels.first?.positionsProcessed == 900)
                #expect(try await client.status().runs.count == 2)
                // Signs of life go on to those who work.
                try await onThread { [bench] in
                    let peer = try Stranger(.dealer, port: bench.endpoints.workPort)
                    try peer.greet(items: 1, bytes: 1 << 20)
                    while true {
                        if case .beat? = try WireWorkMessage(serializedBytes: try peer.receive()[0]).kind { break }
                    }
                }
                gate.open()
                let total = try await Self.update(slow) { $0.isFinal && $0.name.channel == "total" }
                #expect(total.doubles() == [900] && total.positionsProcessed == 900)
                #expect(try await client.status().runs.allSatisfy { $0.error.isEmpty })
                await client.close()
            }
        }

        private static func update(
            _ stream: ResultStream, where isWanted: @escaping @Sendable (ChannelUpdate) -> Bool
        ) async throws -> ChannelUpdate {
            let found = try await within("an update") { () -> ChannelUpdate? in
                for try await event in stream {
                    if case .update(let update) = event, isWanted(update) { return update }
                }
                return nil
            }
            return try #require(found)
        }

        @Test("tiles, ends, other results, requests and beats go on while a result is computed")
        func results() async throws { try await scan("results", gate: 7001) }

        @Test("the same while a run is planned, which has all frames all the same")
        func plan() async throws { try await scan("plan", gate: 7002) }
    }
}
