import MerlinProtocol
import MerlinSimulator
import Stemwire
import StemwireAcquisition
import StemwireClient
import StemwireServer
import StemwireUDF
import Testing

extension LiveContextTests {
    @Suite("on a server") struct Remote {
        /// Runs `body` with a server for `detector`, and its address.
        private static func serve(
            _ detector: Detector, _ body: (String) async throws -> Void
        ) async throws {
            var configuration = ServerConfiguration()
            (configuration.controlPort, configuration.livePort, configuration.workPort) = (0, 0, 0)
            (configuration.detectorControlPort, configuration.detectorDataPort) =
                (detector.ports.control, detector.ports.data)
            configuration.ringBytes = 16 << 20
            configuration.idleLimit = .milliseconds(300)
            let server = try AcquisitionServer(configuration)
            let address = "127.0.0.1:\(try await server.start().controlPort)"
            do {
                let client = try await StemwireConnection.connect(to: address, timeout: .seconds(10))
                try await eventually("a connection to the detector") {
                    try await client.status().detector.dataConnected
                }
                await client.close()
                try await body(address)
            } catch {
                await server.stop()
                throw error
            }
            await server.stop()
        }

        @Test("the same words, the same results: active, with hooks, with user code, incomplete, and in updates")
        func sameWords() async throws {
            let detector = try Detector(faults: "drop-at=2,runs=1")
            try await Self.serve(detector) { address in
                let context = try LiveContext(server: address)
                let connection = try context.makeConnection(.server)
                let diary = Diary()
                let scan = try context.makeAcquisition(
                    connection, navShape: [4, 6],
                    hooks: AcquisitionHooks(
                        onSetUp: { diary.note("set up \(try await $0.get("COUNTERDEPTH"))") },
                        onAcquisitionDone: { _, _ in diary.note("done") }))
                let first = try await context.run([sum, sumsig], on: scan, timeout: .seconds(20))
                #expect(first.incompleteness?.missingRanges == [1..<2] && first.navShape == [4, 6])
                #expect(first.coverage.count(.processed) == 23 && first["sumsig"]?.valid?[1] == false)
                #expect(try first["sum"]?.array.doubles() == detector.sum(0, frames: [0] + (2..<24)))
                #expect(diary.all == ["set up 12", "done"])

                let prepared = try context.prepareAcquisition(connection) { acquisition, udfs in
                    acquisition.onTearDown { diary.note("torn down") }
                    try await acquisition.start()
                    diary.note("\(udfs.map(\.name)): \(try await acquisition.waitUntilDone().isComplete)")
                }
                let second = try await context.run(sumsig, on: prepared, timeout: .seconds(20))
                #expect(try second["sumsig"]?.array.doubles() == detector.totals(1))
                #expect(diary.all.suffix(2) == ["[\"sumsig\"]: true", "torn down"])

                var last: RunUpdate?
                for try await update in context.updates([sumsig], on: prepared, timeout: .seconds(20)) {
                    #expect((last?.processed ?? 0) <= update.processed)
                    last = update
                }
                #expect(try last?.outcome?["sumsig"]?.array.doubles() == detector.totals(2))
            }
        }

        @Test("passive: the next acquisition, whoever starts it; waited for or not")
        func passive() async throws {
            let detector = try Detector(faults: "stall-at=20:300ms")
            try await Self.serve(detector) { address in
                let context = try LiveContext(server: address)
                let scan = try context.makeAcquisition(context.makeConnection(.server), mode: .passive)
                #expect(try await context.waitForAcquisition(scan, timeout: .milliseconds(50)) == nil)
                try detector.operate()
                let info = try #require(try await context.waitForAcquisition(scan, timeout: .seconds(20)))
                #expect(info.navShape == [4, 6] && info.framesExpected == 24)
                let joined = try await context.run(sumsig, on: scan, timeout: .seconds(20))
                #expect(joined.navShape == [4, 6] && joined.accounting.placed == 24)

                let ready = Diary()
                let run = Task {
                    try await context.run(sumsig, on: scan, timeout: .seconds(20)) { _ in ready.note("frames") }
                }
                let client = try await StemwireConnection.connect(to: address, timeout: .seconds(10))
                try await eventually("the run") { try await !client.listRuns().isEmpty }
                try detector.operate()
                let outcome = try await run.value
                #expect(try outcome.isComplete && outcome["sumsig"]?.array.doubles() == detector.totals(1))
                await client.close()
            }
        }

        @Test("what a server cannot do is told; one that is not there is named")
        func refused() async throws {
            let port = try freePort()
            let context = try LiveContext(server: "tcp://127.0.0.1:\(port)")
            let connection = try context.makeConnection(.server)
            for request: @Sendable () throws -> Void in [
                { _ = try context.makeAcquisition(connection, mode: .passive, navShape: [4, 6]) },
                { _ = try context.makeAcquisition(connection, framesPerPartition: 6) },
                { _ = try context.makeAcquisition(connection, margins: ScanMargins(leadIn: 1)) },
                { _ = try context.makeAcquisition(connection, hooks: .init(onDetermineNavShape: { _ in nil })) },
            ] {
                await expectRunError({ $0.isBadRequest(with: "server") }) { try request() }
            }
            let scan = try context.makeAcquisition(connection)
            await expectRunError({ $0.isBadRequest(with: "region of interest") }) {
                _ = try await context.run(sum, on: scan, roi: PositionSet(size: 24))
            }
            await expectRunError({ error in
                if case .unreachable(let text) = error { text.contains("\(port)") } else { false }
            }) { _ = try await context.run(sum, on: scan) }
        }
    }
}
