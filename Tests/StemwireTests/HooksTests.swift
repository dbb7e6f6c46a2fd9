import MerlinSimulator
import Stemwire
import StemwireAcquisition
import StemwireSystem
import StemwireUDF
import Testing

extension LiveContextTests {
    @Suite("hooks and user code around an acquisition") struct Hooks {
        private struct Mishap: Error {}

        /// One whose scans take minutes, unless they are stopped.
        private static func slowDetector(
            observer: @escaping @Sendable (SimulatorEvent) -> Void = { _ in }
        ) throws -> Detector {
            try Detector(nav: [128, 128], observer: observer) { $0.dwellMicroseconds = 10_000 }
        }

        @Test("are called in their order, with what they can do")
        func order() async throws {
            let detector = try Detector()
            let diary = Diary()
            let context = LiveContext()
            let scan = try context.makeAcquisition(
                context.makeConnection(detector.source), navShape: [-1, 6],
                hooks: AcquisitionHooks(
                    onSetUp: { session in
                        try await session.set("HVBIAS", to: 90)
                        diary.note("set up \(try await session.get("HVBIAS"))")
                        await expectRunError({ $0.isBadRequest(with: "onSetUp") }) { try await session.arm() }
                        await expectRunError({ $0.isBadRequest(with: "onSetUp") }) { try await session.waitUntilDone() }
                    },
                    onReadyForData: { session in
                        diary.note("ready")
                        try await session.arm(frames: 24, trigger: .soft)
                        try await session.trigger()
                    },
                    onDetermineNavShape: { question in
                        diary.note("shape of \(question.frameCount), \(question.hint ?? [])")
                        return [6, 4]
                    },
                    onAcquisitionDone: { _, result in
                        diary.note("done \((try? result.get())?.accounting.placed ?? -1)")
                    }))
            let outcome = try await context.run(sumsig, on: scan, timeout: .seconds(120))
            #expect(outcome.navShape == [6, 4] && outcome.isComplete)
            #expect(diary.all == ["set up 90", "ready", "shape of 24, [-1, 6]", "done 24"])
        }

        @Test("a nav shape that does not fit: one line of frames, with a warning", arguments: [[5, 5], [-1, 6], []])
        func wrongShape(_ answer: [Int]) async throws {
            let detector = try Detector()
            let context = LiveContext()
            let scan = try context.makeAcquisition(
                context.makeConnection(detector.source), hooks: AcquisitionHooks(onDetermineNavShape: { _ in answer }))
            let outcome = try await context.run(sumsig, on: scan, timeout: .seconds(120))
            #expect(outcome.navShape == [24] && outcome.isComplete && outcome.warnings.contains { $0.contains("hook") })
        }

        @Test("passive: nobody is asked to start anything")
        func passive() async throws {
            let detector = try Detector(mode: .freeRunning)
            let diary = Diary()
            let context = LiveContext()
            let connection = try context.makeConnection(detector.source)
            let scan = try context.makeAcquisition(
                connection, mode: .passive,
                hooks: AcquisitionHooks(
                    onSetUp: { _ in diary.note("set up") }, onReadyForData: { _ in diary.note("ready") },
                    onAcquisitionDone: { _, _ in diary.note("done") }))
            #expect(try await context.run(sum, on: scan, timeout: .seconds(120)).isComplete)
            #expect(diary.all == ["set up", "done"])
            await connection.close()
        }

        @Test("what a hook throws reaches the caller, and the end is told")
        func throwing() async throws {
            let detector = try Detector()
            let diary = Diary()
            let context = LiveContext()
            let connection = try context.makeConnection(detector.source)
            let done: @Sendable (AcquisitionSession, Result<RunOutcome, any Error>) async -> Void = { _, result in
                if case .failure(let error) = result { diary.note("\(type(of: error))") }
            }
            let hooks = [
                AcquisitionHooks(onSetUp: { _ in throw Mishap() }, onAcquisitionDone: done),
                AcquisitionHooks(onReadyForData: { _ in throw Mishap() }, onAcquisitionDone: done),
            ]
            for hooks in hooks {
                let scan = try context.makeAcquisition(connection, hooks: hooks)
                await #expect(throws: Mishap.self) { try await context.run(sum, on: scan) }
            }
            #expect(diary.all == ["Mishap", "Mishap"])
            #expect(try await context.run(sum, on: context.makeAcquisition(connection)).isComplete)
        }

        @Test("prepare, start, wait for the end, clean up: each in its turn")
        func prepared() async throws {
            let detector = try Detector()
            let diary = Diary()
            let context = LiveContext()
            let scan = try context.prepareAcquisition(context.makeConnection(detector.source), navShape: [4, 6]) {
                acquisition, udfs in
                diary.note("prepare for \(udfs.map(\.id))")
                acquisition.onTearDown { diary.note("tear down first step") }
                acquisition.onTearDown { diary.note("tear down second step") }
                try await acquisition.start()
                diary.note("complete: \(try await acquisition.waitUntilDone().isComplete)")
            }
            let outcome = try await context.run([sum, sumsig], on: scan, timeout: .seconds(120))
            #expect(try outcome["sumsig"]?.array.doubles() == detector.totals())
            #expect(
                diary.all == [
                    "prepare for [\"sum\", \"sumsig\"]", "complete: true", "tear down second step",
                    "tear down first step",
                ])
            // Once more, the same words.
            #expect(try await context.run(sum, on: scan, timeout: .seconds(120)).isComplete)
            #expect(diary.all.count == 8)
        }

        @Test("code that throws in the middle of a scan: the detector is stopped, all is torn down, the error told")
        func throwingBody() async throws {
            let ended = Diary()
            let detector = try Self.slowDetector { if case .acquisitionEnded = $0 { ended.note("ended") } }
            let diary = Diary()
            let context = LiveContext()
            let connection = try context.makeConnection(detector.source)
            let scan = try context.prepareAcquisition(
                connection, hooks: AcquisitionHooks(onAcquisitionDone: { _, _ in diary.note("done") })
            ) { acquisition, _ in
                acquisition.onTearDown { diary.note("torn down, cancelled: \(Task.isCancelled)") }
                try await acquisition.start()
                throw Mishap()
            }
            await #expect(throws: Mishap.self) { try await context.run(sum, on: scan) }
            #expect(diary.all == ["torn down, cancelled: false", "done"])
            try await ended.begun()
            let next = try context.makeAcquisition(connection, navShape: [2, 3])
            #expect(try await context.run(sum, on: next, timeout: .seconds(120)).isComplete)
        }

        @Test("a task that is cancelled in the middle of a scan: torn down just the same")
        func cancelledBody() async throws {
            let detector = try Self.slowDetector()
            let diary = Diary()
            let context = LiveContext()
            let connection = try context.makeConnection(detector.source)
            let scan = try context.prepareAcquisition(connection) { acquisition, _ in
                acquisition.onTearDown {
                    let frames = (try? await acquisition.get("NUMFRAMESTOACQUIRE")) ?? ""
                    diary.note("torn down, cancelled: \(Task.isCancelled), \(frames)")
                }
                try await acquisition.start()
                diary.note("started")
                try await acquisition.waitUntilDone()
                diary.note("never")
            }
            let run = Task { try await context.run(sum, on: scan) }
            try await diary.begun()
            run.cancel()
            await expectRunError(\.isCancelled) { _ = try await run.value }
            #expect(diary.all == ["started", "torn down, cancelled: false, 16384"])
            let next = try context.makeAcquisition(connection, navShape: [2, 3])
            #expect(try await context.run(sum, on: next, timeout: .seconds(120)).isComplete)
        }

        @Test("code that waits for something else is cancelled when the run has failed")
        func waitingBody() async throws {
            let detector = try Self.slowDetector()
            let diary = Diary()
            let context = LiveContext()
            let scan = try context.prepareAcquisition(context.makeConnection(detector.source)) { acquisition, _ in
                acquisition.onTearDown { diary.note("torn down") }
                try await acquisition.start()
                for await _ in AsyncStream<Int>.makeStream().stream {}
                diary.note("cancelled: \(Task.isCancelled)")
                try Task.checkCancellation()
            }
            await expectRunError({ error in
                if case .timedOut(_, let outcome) = error { outcome?.isComplete == false } else { false }
            }) { _ = try await context.run(sum, on: scan, timeout: .milliseconds(500)) }
            #expect(diary.all == ["cancelled: true", "torn down"])
        }

        @Test("STOP and ABORT: the acquisition ends, the result says how far it came")
        func stopped() async throws {
            for (word, reason) in [("stop", EndReason.stopped), ("abort", .aborted)] {
                let detector = try Self.slowDetector()
                let context = LiveContext()
                let frames = Diary()
                let scan = try context.prepareAcquisition(context.makeConnection(detector.source)) { acquisition, _ in
                    try await acquisition.start()
                    try await frames.begun()
                    if word == "stop" { try await acquisition.stop() } else { try await acquisition.abort() }
                }
                let outcome = try await context.run(sum, on: scan, timeout: .seconds(120)) { progress in
                    if progress.placed > 0 { frames.note("frame") }
                }
                #expect(outcome.endReason == reason && !outcome.isComplete && outcome.processed > 0)
                #expect(outcome.navShape == [128, 128] && outcome.processed == outcome.accounting.placed)
            }
        }

        @Test("STOP and ABORT before the first frame: the run ends, and says that nothing came")
        func stoppedAtOnce() async throws {
            for word in ["stop", "abort"] {
                let detector = try Detector()
                let context = LiveContext()
                let scan = try context.prepareAcquisition(context.makeConnection(detector.source)) { acquisition, _ in
                    try await acquisition.arm(trigger: .soft)
                    if word == "stop" { try await acquisition.stop() } else { try await acquisition.abort() }
                }
                await expectRunError({
                    if case .failed(let text) = $0 { text.contains("before a good frame") } else { false }
                }) { _ = try await context.run(sum, on: scan, timeout: .seconds(120)) }
            }
        }

        @Test("a detector's refusal is told with its reason")
        func refused() async throws {
            let detector = try Detector()
            let context = LiveContext()
            let scan = try context.prepareAcquisition(context.makeConnection(detector.source)) { acquisition, _ in
                try await acquisition.set("COUNTERDEPTH", to: 7)
            }
            await expectRunError({ if case .refused(let text) = $0 { text.contains("COUNTERDEPTH") } else { false } }) {
                _ = try await context.run(sum, on: scan)
            }
        }
    }
}
