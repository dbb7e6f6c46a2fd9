import MerlinProtocol
import Stemwire
import StemwireUDF
import Testing

extension LiveContextTests {
    @Suite("parameters that change during a run") struct ParameterChange {
        private static func request(_ radius: Double) -> UDFRequest {
            UDFRequest(id: "bf", name: "disk", parameters: ["r": .number(radius)])
        }

        /// What `disk` gives for each frame.
        static func expected(_ detector: Detector, _ radius: Double) throws -> [Double] {
            try (0..<24).map { frame in
                try detector.image(0, frame).enumerated().reduce(0) { sum, pixel in
                    let (y, x) = (Double(pixel.offset / 16) - 8, Double(pixel.offset % 16) - 8)
                    return y * y + x * x <= radius * radius ? sum + Double(pixel.element) : sum
                }
            }
        }

        /// Changes the radius while the scan pauses after eight frames, the first two of partition 1 among them, and so many are
        /// processed.
        func outcome(
            _ context: LiveContext, _ connection: DetectorConnection, after processed: Int = 8, recompute: Bool
        ) async throws -> RunOutcome {
            let scan = try context.makeAcquisition(
                connection, navShape: [4, 6], framesPerPartition: 6)
            let updates = context.updates(
                [Self.request(2), sum, sumsig], on: scan, maximumRate: 1000, timeout: .seconds(120))
            var isChanged = false
            var outcome: RunOutcome?
            for try await update in updates {
                #expect(update.parameterGeneration <= 1)
                if update.processed == processed, !isChanged {
                    isChanged = true
                    try await updates.changeParameters([Self.request(5)], recompute: recompute)
                }
                outcome = update.outcome
            }
            #expect(isChanged)
            await expectRunError({ if case .badRequest = $0 { true } else { false } }) {
                try await updates.changeParameters([Self.request(3)])
            }
            return try #require(outcome)
        }

        @Test("frames from then on have the new ones; which these are is told")
        func seam() async throws {
            for threads in [1, 3] {
                let detector = try Detector(faults: "stall-at=9:500ms")
                let context = LiveContext(threads: threads)
                let outcome = try await outcome(
                    context, context.makeConnection(detector.source), recompute: false)
                #expect(outcome.isComplete && outcome.parameterGeneration == 1)
                #expect(outcome.generations.map(\.positions) == [0..<12, 12..<24])
                #expect(outcome.generations.map(\.generation) == [0, 1])
                let (old, new) = (try Self.expected(detector, 2), try Self.expected(detector, 5))
                #expect(outcome["bf"]?.array.doubles() == Array(old[..<12] + new[12...]))
                #expect(try outcome["sumsig"]?.array.doubles() == detector.totals())
                #expect(try outcome["sum"]?.array.doubles() == detector.sum(frames: 0..<24))
            }
        }

        @Test("with frames that were kept, all is recomputed")
        func recomputed() async throws {
            for threads in [1, 3] {
                let detector = try Detector(faults: "stall-at=9:500ms")
                let context = LiveContext(threads: threads, retainedBytes: 16 << 20)
                let outcome = try await outcome(context, context.makeConnection(detector.source), recompute: true)
                #expect(outcome.isComplete && outcome.generations.map(\.positions) == [0..<24])
                #expect(outcome.generations.map(\.generation) == [1])
                #expect(try outcome["bf"]?.array.doubles() == Self.expected(detector, 5))
                #expect(try outcome["sumsig"]?.array.doubles() == detector.totals())
                #expect(try outcome["sum"]?.array.doubles() == detector.sum(frames: 0..<24))
            }
        }

        @Test("what cannot be changed is refused, and the run goes on")
        func refused() async throws {
            let detector = try Detector(faults: "stall-at=9:500ms")
            let context = LiveContext()
            let scan = try context.makeAcquisition(context.makeConnection(detector.source), navShape: [4, 6])
            let updates = context.updates([Self.request(2)], on: scan, maximumRate: 1000, timeout: .seconds(120))
            var refusals: [String] = []
            for try await update in updates where update.processed == 8 {
                for request in [
                    UDFRequest(name: "sum"), UDFRequest(id: "bf", name: "ring"),
                    UDFRequest(id: "bf", name: "disk", parameters: ["r": -1]),
                ] {
                    do throws(RunError) {
                        try await updates.changeParameters([request])
                        Issue.record("it was changed")
                    } catch {
                        refusals.append(error.description)
                    }
                }
            }
            #expect(
                refusals.count == 3 && refusals[0].contains("only bf") && refusals[1].contains("cannot become a ring"))
            #expect(refusals.last?.contains("is no radius") == true)
        }
    }
}
