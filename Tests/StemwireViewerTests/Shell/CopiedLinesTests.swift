import StemwireClient
import Testing

extension ViewerTests {
    /// The lines that the page gives for copying. `tools/viewer/test` compares them with what it gives.
    @Suite("Copied lines") struct CopiedLinesTests {
        @Test(.timeLimit(.minutes(2))) func ofAChannel() async throws {
            try await ViewerBench.run { bench in
                let endpoint = "127.0.0.1:\(bench.controlPort)"
                let scan = Task { try await bench.startScan() }
                // copied: channel
                let server = try await StemwireConnection.connect(to: endpoint)
                for try await event in server.updates(run: "default", udf: "sumsig", channel: "intensity") {
                    if case .update(let update) = event { print(update.positionsProcessed, update.doubles()) }
                    if case .ended = event { break }
                }
                // end
                try await scan.value
                #expect(try await server.snapshot(udf: "sumsig").channel(udf: "sumsig", "intensity")?.isFinal == true)
                await server.close()
            }
        }

        @Test(.timeLimit(.minutes(2))) func ofAVirtualDetector() async throws {
            try await ViewerBench.run { bench in
                let endpoint = "127.0.0.1:\(bench.controlPort)"
                let scan = Task {
                    while try await !bench.server.listRuns().contains(where: { $0.udfs.contains { $0.id == "d" } }) {
                        try await Task.sleep(for: .milliseconds(5))
                    }
                    try await bench.startScan()
                }
                // copied: virtual detector
                let server = try await StemwireConnection.connect(to: endpoint)
                let run = try await server.startRun(
                    [
                        UDFSelection("disk", id: "d", parameters: ["cy": "7", "cx": "8.5", "r": "4"])
                    ], joinCurrent: true, fromStart: true)
                for try await event in server.updates(run: run, udf: "d", channel: "intensity") {
                    if case .update(let update) = event { print(update.positionsProcessed, update.doubles()) }
                    if case .ended = event { break }
                }
                // end
                try await scan.value
                let image = try await server.snapshot(run: run).channel(udf: "d", "intensity")
                #expect(image?.isFinal == true && image?.positionsProcessed == 64)
                await server.close()
            }
        }
    }
}
