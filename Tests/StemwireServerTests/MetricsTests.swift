import StemwireProtocol
import Testing

@testable import StemwireServer

@Suite struct MetricsTests {
    /// Reads Prometheus' text form as its manual describes it; nothing of what writes it.
    static func read(_ text: String) throws -> [String: Double] {
        var samples: [String: Double] = [:]
        var typed: Set<Substring> = []
        for line in text.split(separator: "\n") {
            if line.hasPrefix("# TYPE ") {
                let words = line.split(separator: " ")
                try #require(words.count == 4 && ["counter", "gauge", "histogram"].contains(words[3]))
                if words[3] == "histogram" {
                    for end in ["_bucket", "_sum", "_count"] { typed.insert(words[2] + end) }
                }
                #expect(typed.insert(words[2]).inserted, "\(line)")
                #expect(words[3] != "counter" || words[2].hasSuffix("_total"), "\(line)")
                continue
            }
            if line.hasPrefix("#") { continue }
            let space = try #require(line.lastIndex(of: " "))
            let name = line[..<space]
            #expect(typed.contains(name.prefix { $0 != "{" }), "\(line)")
            #expect(
                samples.updateValue(try #require(Double(line[line.index(after: space)...])), forKey: String(name))
                    == nil)
        }
        return samples
    }

    @Test func whatTheStatusSaysIsInTheMetrics() throws {
        var status = WireStatus()
        status.state = "acquiring"
        status.detector.framesReceived = 12345
        status.detector.bytesReceived = 9_007_199_254_740_993
        (status.ring.bytesTotal, status.ring.slotsTotal, status.ring.slotsFree) = (1000, 10, 4)
        var socket = WireSocketAccess()
        (socket.socket, socket.refusedKeys, socket.connections) = ("live", 7, 3)
        status.access.sockets = [socket]
        var totals = AccountingTotals()
        (totals.missing, totals.malformed) = (5, 6)
        totals.acquisitions = ["complete": 3, "a \"b\"\\\n": 1]
        var figures = ServerFigures(totals: totals, residentBytes: 4096, openDescriptors: 12)
        figures.receiveGaps = [5, 0, 2, 0, 0, 0, 0, 0, 1]
        (figures.receiveGapSeconds, figures.resultAge, figures.recorderLagBytes) = (2.5, 0.25, 131_072)
        status.framesWritten = 7
        let text = status.metrics(figures)
        let samples = try Self.read(text)
        #expect(samples["stemwire_frames_received_total"] == 12345)
        #expect(samples["stemwire_frames_missing_total"] == 5)
        #expect(samples["stemwire_frames_corrupt_total{reason=\"malformed\"}"] == 6)
        #expect(samples["stemwire_ring_used_bytes"] == 600 && samples["stemwire_ring_capacity_bytes"] == 1000)
        #expect(samples["stemwire_scan_state{state=\"acquiring\"}"] == 1)
        #expect(samples["stemwire_scan_state{state=\"idle\"}"] == 0)
        #expect(samples["stemwire_keys_refused_total{socket=\"live\"}"] == 7)
        #expect(samples["stemwire_connections{socket=\"live\"}"] == 3)
        #expect(samples["stemwire_acquisitions_total{reason=\"a \\\"b\\\"\\\\\\n\"}"] == 1)
        #expect(samples["stemwire_open_descriptors"] == 12)
        #expect(samples["stemwire_receive_gap_seconds_bucket{le=\"0.003\"}"] == 7)
        #expect(samples["stemwire_receive_gap_seconds_bucket{le=\"+Inf\"}"] == 8)
        #expect(
            samples["stemwire_receive_gap_seconds_count"] == 8 && samples["stemwire_receive_gap_seconds_sum"] == 2.5)
        #expect(samples["stemwire_result_age_seconds"] == 0.25)
        #expect(samples["stemwire_recorder_lag_bytes"] == 131_072 && samples["stemwire_recorder_frames_written"] == 7)
    }

    @Test func readinessNamesWhatIsMissing() {
        var status = WireStatus()
        (status.ring.slotsTotal, status.ring.slotsFree) = (4, 2)
        status.detector.reason = "connection refused"
        let away = status.readiness(freeDiskBytes: nil)
        #expect(!away.isGood && away.text.contains("NOT OK detector: connection refused"))
        status.detector.dataConnected = true
        #expect(status.readiness(freeDiskBytes: 1 << 30).isGood)
        #expect(!status.readiness(freeDiskBytes: 1 << 20).isGood)
        (status.dispatch.spoolBytesTotal, status.dispatch.spoolBytesUsed) = (100, 95)
        #expect(!status.readiness(freeDiskBytes: nil).isGood)
        (status.dispatch.spoolBytesUsed, status.ring.slotsFree) = (5, 0)
        #expect(!status.readiness(freeDiskBytes: nil).isGood)
    }
}

extension ServerTests {
    @Suite("How an operator sees the server") struct Operation {
        @Test("metrics count what scans bring, and the threads turn")
        func metrics() async throws {
            try await Bench.run(simulator: { $0.dwellMicroseconds = 500 }) { bench in
                let client = try await bench.connect()
                #expect(bench.server.readiness().isGood && bench.server.liveness().isGood)
                for number in 1...2 {
                    try await client.startScan()
                    try await eventually("the end of scan \(number)") {
                        try await client.status().previousAcquisition.generation == UInt64(number) ? () : nil
                    }
                }
                let samples = try MetricsTests.read(bench.server.metrics())
                #expect(samples["stemwire_frames_placed_total"] == 128)
                #expect(samples["stemwire_acquisitions_total{reason=\"complete\"}"] == 2)
                #expect((samples["stemwire_bytes_received_total"] ?? 0) >= Double(128 * bench.messageBytes))
                #expect((samples["stemwire_resident_memory_bytes"] ?? 0) > 1e6)
                #expect((samples["stemwire_connections{socket=\"control\"}"] ?? 0) >= 1)
                #expect((samples["stemwire_receive_gap_seconds_count"] ?? 0) > 0)
                #expect(samples["stemwire_result_age_seconds"] != nil && samples["stemwire_recorder_lag_bytes"] == nil)
                bench.simulator.stop()
                try await eventually("a server that is not ready") { bench.server.readiness().isGood ? nil : () }
                #expect(bench.server.liveness().isGood)
                await client.close()
                await bench.server.stop()
                #expect(!bench.server.liveness().isGood && bench.server.metrics().isEmpty)
            }
        }
    }
}
