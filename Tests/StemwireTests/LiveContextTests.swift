import MerlinProtocol
import MerlinSimulator
import Stemwire
import StemwireAcquisition
import StemwireKernels
import StemwireUDF
import Testing

/// The scripting interface against detectors on real sockets, one test after the other.
@Suite("LiveContext", .serialized, .timeLimit(.minutes(2))) struct LiveContextTests {}

extension LiveContextTests {
    @Suite("active acquisitions") struct Active {
        @Test("results by UDF and channel, with shapes, types, coverage and accounting")
        func results() async throws {
            let detector = try Detector()
            let context = LiveContext(threads: 2)
            let connection = try context.makeConnection(detector.source)
            let scan = try context.makeAcquisition(connection, navShape: [4, 6])
            let total = UDFRequest(id: "total", name: "sumsig")
            let outcome = try await context.run([sum, total], on: scan, timeout: .seconds(120))

            #expect(outcome.isComplete && outcome.incompleteness == nil && outcome.endReason == .complete)
            #expect(outcome.navShape == [4, 6] && outcome.sigShape == [16, 16] && outcome.dtype == .uint16)
            #expect(outcome.accounting.placed == 24 && outcome.accounting.isBalanced)
            #expect(outcome.coverage.count(.processed) == 24 && outcome.processed == 24)
            let pattern = try #require(outcome["sum"])
            #expect(pattern.shape == [16, 16] && pattern.dtype == .uint64 && pattern.valid == nil)
            #expect(try pattern.array.doubles() == detector.sum(frames: 0..<24))
            let image = try #require(outcome["total", "intensity"])
            #expect(image.shape == [4, 6] && image.kind == .nav)
            #expect(image.valid == Array(repeating: true, count: 24))
            #expect(try image.array.doubles() == detector.totals())
            #expect(outcome["sum", "nothing"] == nil && outcome["nobody"] == nil)
            #expect(try outcome.complete().processed == 24)
        }

        @Test("three scans, one after the other, on one connection")
        func several() async throws {
            let detector = try Detector()
            let context = LiveContext()
            let scan = try context.makeAcquisition(context.makeConnection(detector.source))
            for acquisition in 0..<3 {
                let outcome = try await context.run(sumsig, on: scan, timeout: .seconds(120))
                #expect(try outcome["sumsig"]?.array.doubles() == detector.totals(UInt16(acquisition)))
            }
        }

        @Test("lost frames: an incomplete result with what is there")
        func incomplete() async throws {
            let detector = try Detector(faults: "drop-at=3-5+24")
            let context = LiveContext()
            let scan = try context.makeAcquisition(
                context.makeConnection(detector.source), idleLimit: .milliseconds(300))
            let outcome = try await context.run(sumsig, on: scan, timeout: .seconds(120))
            let lack = try #require(outcome.incompleteness)
            #expect(!outcome.isComplete && lack.missingRanges == [2..<5, 23..<24] && lack.placed == 20)
            #expect(lack.description.contains("20 of 24 frames"))
            #expect(outcome.coverage[3] == .missing && outcome.coverage[5] == .processed)
            let (image, totals) = (try #require(outcome["sumsig"]), try detector.totals())
            for position in 0..<24 {
                let isLost = lack.missingRanges.contains { $0.contains(position) }
                #expect(image.isValid(at: position) == !isLost)
                if !isLost { #expect(image.array.doubles()[position] == totals[position]) }
            }
            do {
                _ = try outcome.complete()
                Issue.record("an incomplete outcome passed as complete")
            } catch {
                #expect(error.outcome["sumsig"]?.array == image.array)
            }
        }

        @Test("a scan larger than the acquisition: what came is there, and said to be too little")
        func tooLarge() async throws {
            let detector = try Detector()
            let context = LiveContext()
            let scan = try context.makeAcquisition(
                context.makeConnection(detector.source), navShape: [5, 5], idleLimit: .milliseconds(200),
                hooks: AcquisitionHooks(onReadyForData: { session in
                    try await session.arm(frames: 24, trigger: .soft)
                    try await session.trigger()
                }))
            let outcome = try await context.run(sumsig, on: scan, timeout: .seconds(120))
            #expect(outcome.navShape == [5, 5] && outcome.accounting.missingRanges == [24..<25])
            #expect(outcome.warnings.contains { $0.contains("25") })
            #expect(try Array(outcome["sumsig"]?.array.doubles().prefix(24) ?? []) == detector.totals())
        }

        @Test(
            "placeholders",
            arguments: [([-1, 6], [4, 6]), ([4, -1], [4, 6]), ([2, -1, 3], [2, 4, 3]), ([-1], [24])])
        func placeholders(_ given: [Int], _ found: [Int]) async throws {
            let detector = try Detector()
            let context = LiveContext()
            let scan = try context.makeAcquisition(context.makeConnection(detector.source), navShape: given)
            let outcome = try await context.run(sumsig, on: scan, timeout: .seconds(120))
            #expect(outcome.isComplete && outcome.navShape == found && outcome["sumsig"]?.shape == found)
        }

        @Test("a region of interest: the rest is not processed, and nothing is missing")
        func regionOfInterest() async throws {
            let detector = try Detector()
            let context = LiveContext()
            let scan = try context.makeAcquisition(
                context.makeConnection(detector.source), navShape: [4, 6], framesPerPartition: 5)
            var roi = PositionSet(size: 24)
            roi.insert(3..<9)
            roi.insert(20..<21)
            let outcome = try await context.run([sum, sumsig], on: scan, roi: roi, timeout: .seconds(120))
            #expect(outcome.isComplete && outcome.selected == 7 && outcome.processed == 7)
            #expect(outcome.accounting.placed == 24)
            #expect(try outcome["sum"]?.array.doubles() == detector.sum(frames: Array(3..<9) + [20]))
            #expect(outcome["sumsig"]?.valid == roi.booleans)
            await expectRunError({ $0.isBadRequest(with: "23", "24") }) {
                _ = try await context.run(sum, on: scan, roi: PositionSet(size: 23), timeout: .seconds(120))
            }
        }

        @Test("a UDF of the user's own")
        func ownUDF() async throws {
            let detector = try Detector()
            let context = LiveContext(registry: try UDFRegistry.builtIn.adding(FirstPixel.self))
            let scan = try context.makeAcquisition(context.makeConnection(detector.source))
            let request = try UDFRequest(id: "corner", FirstPixel.self, .init(factor: 3))
            let outcome = try await context.run(request, on: scan, timeout: .seconds(120))
            let corner = try (0..<24).map { try detector.sum(frames: [$0])[0] * 3 }
            #expect(outcome["corner", "value"]?.array.doubles() == corner)
        }

        @Test("cancelled: all is closed when the call returns, and the detector can be had again")
        func cancelled() async throws {
            let left = Diary()
            let detector = try Detector(observer: { if case .dataClientLeft = $0 { left.note("left") } })
            let context = LiveContext()
            let connection = try context.makeConnection(detector.source)
            let ready = Diary()
            let waiting = try context.makeAcquisition(
                connection, hooks: AcquisitionHooks(onReadyForData: { _ in ready.note("ready") }))
            let run = Task { try await context.run(sum, on: waiting) }
            try await ready.begun()
            run.cancel()
            await expectRunError(\.isCancelled) { _ = try await run.value }
            try await left.begun()
            let scan = try context.makeAcquisition(connection)
            #expect(try await context.run(sum, on: scan, timeout: .seconds(120)).isComplete)
        }
    }

    @Suite("passive acquisitions") struct Passive {
        @Test("told, held and run: no frame is lost; then the next, without being waited for")
        func series() async throws {
            let detector = try Detector()
            let context = LiveContext()
            let connection = try context.makeConnection(detector.source)
            let scan = try context.makeAcquisition(connection, mode: .passive, navShape: [-1, 6])
            #expect(try await context.waitForAcquisition(scan, timeout: .milliseconds(50)) == nil)
            try detector.operate()
            let info = try #require(try await context.waitForAcquisition(scan, timeout: .seconds(120)))
            #expect(info.navShape == [4, 6] && info.framesExpected == 24 && info.dtype == .uint16)
            #expect(info.sigShape == SigShape(height: 16, width: 16))
            #expect(info.header.contains { $0.value == "24" })
            let first = try await context.run(sumsig, on: scan, timeout: .seconds(120))
            #expect(try first.isComplete && first["sumsig"]?.array.doubles() == detector.totals(0))
            try detector.operate()
            let second = try await context.run(sumsig, on: scan, timeout: .seconds(120))
            #expect(try second.isComplete && second["sumsig"]?.array.doubles() == detector.totals(1))
            await connection.close()
        }

        @Test("an acquisition that nobody ran is let go by the next wait")
        func passedOver() async throws {
            let detector = try Detector()
            let context = LiveContext(threads: 2)
            let connection = try context.makeConnection(detector.source)
            let scan = try context.makeAcquisition(connection, mode: .passive)
            #expect(try await context.waitForAcquisition(scan, timeout: .zero) == nil)
            try detector.operate()
            let first = try #require(try await context.waitForAcquisition(scan, timeout: .seconds(120)))
            try await eventually("the first scan's end") { detector.simulator.statistics.runs == 1 }
            try detector.operate()
            let second = try #require(try await context.waitForAcquisition(scan, timeout: .seconds(120)))
            #expect(second.generation > first.generation)
            let outcome = try await context.run(sumsig, on: scan, timeout: .seconds(120))
            #expect(try outcome["sumsig"]?.array.doubles() == detector.totals(1))
            await connection.close()
        }

        @Test("a detector that scans on and on: each run has a whole scan")
        func freeRunning() async throws {
            let detector = try Detector(mode: .freeRunning)
            let context = LiveContext(ringBytes: 4 << 20)
            let connection = try context.makeConnection(detector.source)
            let scan = try context.makeAcquisition(connection, mode: .passive)
            for _ in 0..<5 {
                _ = try #require(try await context.waitForAcquisition(scan, timeout: .seconds(120)))
                #expect(try await context.run(sum, on: scan, timeout: .seconds(120)).isComplete)
            }
            await connection.close()
        }

        @Test("active after passive on one connection")
        func activeAfterPassive() async throws {
            let detector = try Detector()
            let context = LiveContext()
            let connection = try context.makeConnection(detector.source)
            let passive = try context.makeAcquisition(connection, mode: .passive)
            #expect(try await context.waitForAcquisition(passive, timeout: .zero) == nil)
            let active = try context.makeAcquisition(connection)
            #expect(try await context.run(sum, on: active, timeout: .seconds(120)).isComplete)
            #expect(try await context.waitForAcquisition(passive, timeout: .zero) == nil)
            try detector.operate()
            #expect(try await context.run(sum, on: passive, timeout: .seconds(120)).isComplete)
        }

        @Test("a time limit: the error has what came")
        func timeLimit() async throws {
            let detector = try Detector(faults: "stall-at=13:60s,runs=1")
            let context = LiveContext()
            let connection = try context.makeConnection(detector.source)
            let scan = try context.makeAcquisition(connection, mode: .passive, idleLimit: .seconds(60))
            #expect(try await context.waitForAcquisition(scan, timeout: .zero) == nil)
            try detector.operate()
            await expectRunError({ error in
                guard case .timedOut(let text, let outcome) = error else { return false }
                return text.contains("12 of 24") && outcome?.processed == 12
            }) { _ = try await context.run(sumsig, on: scan, timeout: .seconds(1)) }
            await connection.close()
        }
    }

    @Suite("what cannot be") struct Errors {
        @Test("is told before anything is opened")
        func refused() async throws {
            let context = LiveContext()
            let merlin = try context.makeConnection(.merlin(controlPort: 1, dataPort: 1))
            let memory = try context.makeConnection(
                .memory([UInt8](repeating: 1, count: 64), navShape: [4], sigShape: SigShape(height: 4, width: 4)))
            let requests: [() throws -> Void] = [
                { _ = try LiveContext(server: "http://x") },
                { _ = try context.makeConnection(.server) },
                {
                    _ = try context.makeConnection(
                        .memory([UInt16](), navShape: [2], sigShape: SigShape(height: 1, width: 1)))
                },
                { _ = try context.makeAcquisition(merlin, navShape: [0, 4]) },
                { _ = try context.makeAcquisition(merlin, navShape: [-1, -1, -1]) },
                { _ = try context.makeAcquisition(merlin, framesPerPartition: 0) },
                { _ = try context.makeAcquisition(merlin, idleLimit: .zero) },
                { _ = try context.makeAcquisition(memory, mode: .passive) },
                { _ = try context.makeAcquisition(memory, navShape: [2, 2]) },
            ]
            for request in requests {
                await expectRunError({ $0.isBadRequest() }) { try request() }
            }
            let scan = try context.makeAcquisition(merlin)
            let runs: [@Sendable () async throws -> Void] = [
                { _ = try await context.run([], on: scan) },
                { _ = try await context.run(UDFRequest(name: "no-such-udf"), on: scan) },
                { _ = try await context.run([sum, sum], on: scan) },
                { _ = try await context.waitForAcquisition(scan, timeout: .zero) },
                { _ = try await context.load("no-such-file.mib") },
                { _ = try await context.load("no-such-file.npy") },
            ]
            for run in runs {
                await expectRunError({ $0.isBadRequest() }, from: run)
            }
        }

        @Test("a detector that is not there: its address is named, at once")
        func unreachable() async throws {
            let context = LiveContext()
            let port = try freePort()
            for mode in [Acquisition.Mode.active, .passive] {
                let scan = try context.makeAcquisition(
                    context.makeConnection(.merlin(controlPort: port, dataPort: port)), mode: mode)
                await expectRunError({ error in
                    guard case .unreachable(let text) = error else { return false }
                    return text.contains("127.0.0.1:\(port)")
                }) { _ = try await context.run(sum, on: scan) }
            }
        }

        @Test("a connection in use")
        func inUse() async throws {
            let detector = try Detector()
            let context = LiveContext()
            let connection = try context.makeConnection(detector.source)
            let scan = try context.makeAcquisition(
                connection,
                hooks: AcquisitionHooks(onReadyForData: { session in
                    let other = try context.makeAcquisition(connection)
                    await expectRunError({ $0.isBadRequest(with: "in use") }) {
                        _ = try await context.run(sum, on: other)
                    }
                    try await session.start()
                }))
            #expect(try await context.run(sum, on: scan, timeout: .seconds(120)).isComplete)
        }
    }
}

/// The first pixel of each frame, times a factor.
private struct FirstPixel: FrameUDF {
    static let name = "first-pixel"
    struct Parameters: UDFParameters { var factor: Double = 1 }
    let parameters: Parameters

    init(parameters: Parameters, meta: UDFMeta) { self.parameters = parameters }
    var input: InputType { .float32 }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("value", .float64)] }

    func process(_ frame: Frame, _ context: Context) throws {
        try context.buffer("value", as: Double.self)[0] =
            Double(frame.pixels(as: Float.self)[0]) * parameters.factor
    }
}
