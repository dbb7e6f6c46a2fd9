import Foundation
import MerlinProtocol
import MerlinSimulator
import Stemwire
import StemwireAcquisition
import StemwireSystem
import StemwireUDF
import Testing

extension LiveContextTests {
    @Suite("partial results and plots") struct Updates {
        @Test("grow, are right as far as they go, and end with the outcome")
        func growing() async throws {
            // A pause in the scan, in which what came before must show.
            let detector = try Detector(faults: "stall-at=9:300ms")
            let context = LiveContext()
            let scan = try context.makeAcquisition(context.makeConnection(detector.source), navShape: [4, 6])
            let totals = try detector.totals()
            var counts: [Int] = []
            var last: RunUpdate?
            for try await update in context.updates([sum, sumsig], on: scan, maximumRate: 1000, timeout: .seconds(120))
            {
                #expect(last?.outcome == nil)
                counts.append(update.processed)
                let image = try #require(update["sumsig"])
                #expect(update.navShape == [4, 6] && update.expected == 24 && image.shape == [4, 6])
                for position in 0..<24 where image.isValid(at: position) {
                    #expect(image.array.doubles()[position] == totals[position])
                }
                #expect(update.coverage == Double(update.processed) / 24)
                last = update
            }
            #expect(counts == counts.sorted() && counts.contains(8) && counts.last == 24)
            #expect(try #require(last?.outcome).isComplete)
        }

        @Test("a loop that is left ends the run")
        func leaving() async throws {
            let detector = try Detector(faults: "stall-at=9:60s,runs=1")
            let diary = Diary()
            let context = LiveContext()
            let connection = try context.makeConnection(detector.source)
            let scan = try context.makeAcquisition(
                connection, hooks: AcquisitionHooks(onAcquisitionDone: { _, _ in diary.note("done") }))
            for try await update in context.updates([sum], on: scan) where update.processed > 0 { break }
            try await diary.begun()
        }

        @Test("what goes wrong is thrown at the end of the loop")
        func failing() async throws {
            let context = LiveContext()
            let port = try freePort()
            let scan = try context.makeAcquisition(
                context.makeConnection(.merlin(controlPort: port, dataPort: port)))
            await expectRunError({ if case .unreachable = $0 { true } else { false } }) {
                for try await _ in context.updates([sum], on: scan) { Issue.record("an update came") }
            }
        }

        private final class Watcher: LivePlot {
            let shown = Locked<[Int]>([])
            let hasOutcome = Locked(false)
            func show(_ update: RunUpdate) async throws {
                shown.withLock { $0.append(update.processed) }
                if let outcome = update.outcome { hasOutcome.value = outcome.isComplete }
            }
        }

        private struct Failing: LivePlot {
            struct NoPaper: Error {}
            func show(_ update: RunUpdate) async throws { throw NoPaper() }
        }

        @Test("plots: the user's own, PNG files and the terminal; one that fails does not disturb the others")
        func plots() async throws {
            let folder = try TemporaryFolder()
            let detector = try Detector(faults: "stall-at=9:300ms")
            let context = LiveContext()
            let scan = try context.makeAcquisition(context.makeConnection(detector.source), navShape: [4, 6])
            let watcher = Watcher()
            let drawn = Diary()
            let outcome = try await context.run(
                [sum, sumsig], on: scan, timeout: .seconds(120),
                plots: [
                    watcher, Failing(), PNGPlot(folder: folder.path + "/live"),
                    PNGPlot(folder: folder.path + "/one", channels: ["sum.intensity"]),
                    TerminalPlot(udf: "sumsig", maximumWidth: 40) { drawn.note($0) },
                ])
            #expect(outcome.isComplete && outcome.plotErrors.count == 1)
            #expect(outcome.plotErrors.first?.contains("NoPaper") == true)
            let shown = watcher.shown.value
            #expect(shown.contains(8) && shown.last == 24 && watcher.hasOutcome.value)
            let files = try FileManager.default.contentsOfDirectory(atPath: folder.path + "/live")
            #expect(files.sorted() == ["sum.intensity.png", "sumsig.intensity.png"])
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/one") == ["sum.intensity.png"])
            let written = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/live/sumsig.intensity.png"))
            let picture = try #require(outcome["sumsig"].flatMap { Picture($0, navShape: outcome.navShape) })
            #expect(Array(written) == picture.png())
            // Four rows of positions in two lines, and a title; drawn over the one before.
            #expect(drawn.all.count >= 2)
            #expect(drawn.all.allSatisfy { $0.count { $0 == "\n" } == 3 && $0.contains("▀") })
            #expect(drawn.all.first?.hasPrefix("\u{1B}[38") == true)
            #expect(drawn.all.dropFirst().allSatisfy { $0.hasPrefix("\u{1B}[3A") })
            #expect(drawn.all.last?.contains("sumsig.intensity: 24 of 24") == true)
        }

        @Test("a folder that cannot be made is told, and costs no result")
        func unwritable() async throws {
            let folder = try TemporaryFolder()
            try Data().write(to: URL(fileURLWithPath: folder.path + "/file"))
            let detector = try Detector()
            let context = LiveContext()
            let scan = try context.makeAcquisition(context.makeConnection(detector.source))
            let outcome = try await context.run(
                sum, on: scan, timeout: .seconds(120), plots: [PNGPlot(folder: folder.path + "/file/pictures")])
            #expect(outcome.isComplete && outcome.plotErrors.first?.contains("pictures") == true)
        }
    }
}
