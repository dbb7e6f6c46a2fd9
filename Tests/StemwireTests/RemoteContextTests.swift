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
            _ detector: Detector, idleLimit: Duration = .milliseconds(300), _ body: (String) async throws -> Void
        ) async throws {
            var configuration = ServerConfiguration()
            (configuration.controlPort, configuration.livePort, configuration.workPort) = (0, 0, 0)
            (configuration.detectorControlPort, configuration.detectorDataPort) =
                (detector.ports.control, detector.ports.data)
            configuration.ringBytes = 16 << 20
            configuration.idleLimit = idleLimit
            let server = try AcquisitionServer(configuration)
            let address = "127.0.0.1:\(try await server.start().controlPort)"
            do {
                let client = try await StemwireConnection.connect(to: address, timeout: .seconds(60))
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
                let first = try await context.run([sum, sumsig], on: scan, timeout: .seconds(120))
                #expect(first.incompleteness?.missingRanges == [1..<2] && first.navShape == [4, 6])
                #expect(first.coverage.count(.processed) == 23 && first["sumsig"]?.valid?[1] == false)
                #expect(try first["sum"]?.array.doubles() == detector.sum(0, frames: [0] + (2..<24)))
                #expect(diary.all == ["set up 12", "done"])

                let prepared = try context.prepareAcquisition(connection) { acquisition, udfs in
                    acquisition.onTearDown { diary.note("torn down") }
                    try await acquisition.start()
                    diary.note("\(udfs.map(\.name)): \(try await acquisition.waitUntilDone().isComplete)")
                }
                let second = try await context.run(sumsig, on: prepared, timeout: .seconds(120))
                #expect(try second["sumsig"]?.array.doubles() == detector.totals(1))
                #expect(diary.all.suffix(2) == ["[\"sumsig\"]: true", "torn down"])

                var last: RunUpdate?
                for try await update in context.updates([sumsig], on: prepared, timeout: .seconds(120)) {
                    #expect((last?.processed ?? 0) <= update.processed)
                    last = update
                }
                #expect(try last?.outcome?["sumsig"]?.array.doubles() == detector.totals(2))
            }
        }

        @Test("passive: the next acquisition, whoever starts it; waited for or not")
        func passive() async throws {
            let detector = try Detector(faults: "stall-at=20:300ms")
            try await Self.serve(detector, idleLimit: .seconds(10)) { address in
                let context = try LiveContext(server: address)
                let scan = try context.makeAcquisition(context.makeConnection(.server), mode: .passive)
                #expect(try await context.waitForAcquisition(scan, timeout: .milliseconds(50)) == nil)
                try detector.operate()
                let info = try #require(try await context.waitForAcquisition(scan, timeout: .seconds(120)))
                #expect(info.navShape == [4, 6] && info.framesExpected == 24)
                let joined = try await context.run(sumsig, on: scan, timeout: .seconds(120))
                #expect(joined.navShape == [4, 6] && joined.accounting.placed == 24)
                #expect(try joined.isComplete && joined["sumsig"]?.array.doubles() == detector.totals(0))

                let ready = Diary()
                let run = Task {
                    try await context.run(sumsig, on: scan, timeout: .seconds(120)) { _ in ready.note("frames") }
                }
                let client = try await StemwireConnection.connect(to: address, timeout: .seconds(60))
                try await eventually("the run") { try await !client.listRuns().isEmpty }
                try detector.operate()
                let outcome = try await run.value
                #expect(try outcome.isComplete && outcome["sumsig"]?.array.doubles() == detector.totals(1))
                await client.close()
            }
        }

        @Test("region of interest, corrections, auxiliary data, partitions and margins go along, with the same results")
        func arrays() async throws {
            let detector = try Detector(faults: "")
            let roi = PositionSet((0..<22).map { $0 % 3 != 1 })
            let pixels = detector.simulator.sigShape.pixelCount
            let shape = [detector.simulator.sigShape.height, detector.simulator.sigShape.width]
            let corrections = Corrections(
                dark: ResultArray((0..<pixels).map { Float($0 % 7) / 4 }, shape: shape),
                gain: ResultArray((0..<pixels).map { 1 + Float($0 % 5) / 8 }, shape: shape),
                excluded: ExcludedPixels([(y: 1, x: 1), (y: 3, x: 2)]))
            let shifts = ResultArray((0..<44).map { Int32($0 % 3 - 1) }, shape: [2, 11, 2])
            let masks = try UDFRequest(
                MasksUDF.self,
                .init(masks: ResultArray((0..<2 * pixels).map { Float($0 % 11) }, shape: [2] + shape)),
                auxiliary: ["shift": shifts])
            func outcome(_ context: LiveContext, _ connection: DetectorConnection) async throws -> RunOutcome {
                let scan = try context.makeAcquisition(
                    connection, navShape: [2, 11], margins: ScanMargins(leadIn: 2), framesPerPartition: 5)
                return try await context.run(
                    [sum, sumsig, masks], on: scan, roi: roi, corrections: corrections, timeout: .seconds(120))
            }
            let local = LiveContext()
            let here = try await outcome(local, local.makeConnection(detector.source))
            #expect(here.isComplete && here.selected == roi.count && here.accounting.leadInFrames == 2)
            let other = try Detector(faults: "")
            try await Self.serve(other) { address in
                let context = try LiveContext(server: address)
                let there = try await outcome(context, context.makeConnection(.server))
                #expect(there.isComplete && there.selected == roi.count && there.accounting == here.accounting)
                #expect(there.processedPositions == roi && there.corrections == corrections)
                for channel in here.channels {
                    let same = there[channel.udf, channel.name]
                    #expect(same?.array == channel.array && same?.valid == channel.valid, "\(channel.udf)")
                }
                let scan = try context.makeAcquisition(context.makeConnection(.server), navShape: [4, 6])
                let misfit = try await context.run(sum, on: scan, roi: PositionSet(size: 99), timeout: .seconds(120))
                #expect(misfit.udfError?.contains("region of interest") == true && !misfit.isComplete)
            }
        }

        @Test("the nav shape hook is asked when the detector is armed")
        func navShapeHook() async throws {
            let detector = try Detector(faults: "")
            try await Self.serve(detector) { address in
                let context = try LiveContext(server: address)
                let diary = Diary()
                let scan = try context.makeAcquisition(
                    context.makeConnection(.server),
                    hooks: AcquisitionHooks(
                        onSetUp: { try await $0.set("NUMFRAMESTOACQUIRE", to: 24) },
                        onDetermineNavShape: { question in
                            diary.note("\(question.frameCount)")
                            return [3, 8]
                        }))
                let outcome = try await context.run(sumsig, on: scan, timeout: .seconds(120))
                #expect(outcome.isComplete && outcome.navShape == [3, 8] && diary.all == ["24"])
            }
        }

        @Test("parameters change, and what was done before is done again")
        func parameters() async throws {
            let detector = try Detector(faults: "stall-at=9:500ms")
            try await Self.serve(detector, idleLimit: .seconds(10)) { address in
                let context = try LiveContext(server: address)
                let outcome = try await LiveContextTests.ParameterChange().outcome(
                    context, context.makeConnection(.server), after: 6, recompute: true)
                #expect(outcome.isComplete && outcome.parameterGeneration == 1)
                #expect(try outcome["bf"]?.array.doubles() == LiveContextTests.ParameterChange.expected(detector, 5))
                #expect(try outcome["sumsig"]?.array.doubles() == detector.totals())
            }
        }

        @Test("what a server cannot do is told; one that is not there is named")
        func refused() async throws {
            let port = try freePort()
            let context = try LiveContext(server: "tcp://127.0.0.1:\(port)")
            let connection = try context.makeConnection(.server)
            for request: @Sendable () throws -> Void in [
                { _ = try context.makeAcquisition(connection, mode: .passive, navShape: [4, 6]) },
                { _ = try context.makeAcquisition(connection, mode: .passive, framesPerPartition: 6) },
                { _ = try context.makeAcquisition(connection, mode: .passive, margins: ScanMargins(leadIn: 1)) },
                {
                    _ = try context.makeAcquisition(
                        connection, mode: .passive, hooks: .init(onDetermineNavShape: { _ in nil }))
                },
            ] {
                await expectRunError({ $0.isBadRequest(with: "server") }) { try request() }
            }
            let scan = try context.makeAcquisition(connection)
            await expectRunError({ error in
                if case .unreachable(let text) = error { text.contains("\(port)") } else { false }
            }) { _ = try await context.run(sum, on: scan) }
        }
    }
}
