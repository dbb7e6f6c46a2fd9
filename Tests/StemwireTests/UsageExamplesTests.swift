import Foundation
import Stemwire
import Testing

/// The five steps of `Stemwire.docc/Usage.md`, word for word; `theTextHasThisCode` compares the two.
@Suite("the usage page", .timeLimit(.minutes(1))) struct UsageExamplesTests {
    @Test("1. simulate a detector") func simulate() async throws {
        // example: simulate
        let simulator = LiveSource.synthetic(
            navShape: [16, 16], sigShape: SigShape(height: 64, width: 64))
        let array = LiveSource.memory(
            [UInt16](repeating: 3, count: 4 * 6 * 32 * 32), navShape: [4, 6],
            sigShape: SigShape(height: 32, width: 32))
        // end

        let context = LiveContext()
        for (source, navShape) in [(simulator, [16, 16]), (array, [4, 6])] {
            let scan = try context.makeAcquisition(context.makeConnection(source))
            let outcome = try await context.run(UDFRequest(name: "sumsig"), on: scan, timeout: .seconds(120))
            #expect(outcome.isComplete && outcome.navShape == navShape)
        }
    }

    @Test("2. start a LiveContext") func context() async throws {
        // example: context
        let context = LiveContext()
        let connection = try context.makeConnection(.synthetic(navShape: [8, 8]))
        let scan = try context.makeAcquisition(connection, navShape: [8, 8])
        let outcome = try await context.run(UDFRequest(name: "sum"), on: scan)
        let pattern = outcome["sum"]?.array  // counts, shape (y, x) of the detector
        // end

        #expect(outcome.isComplete && pattern?.shape == [256, 256])
        let remote = try LiveContext(server: "merlin-server")
        #expect(remote.server?.controlPort == 7400)
        _ = try remote.makeConnection(.server)
    }

    @Test("3. define a routine to start and stop an acquisition") func setUpRoutine() async throws {
        let diary = Diary()
        let print: @Sendable (String) -> Void = { diary.note($0) }
        // example: routine
        let routine: PreparationBody = { acquisition, udfs in
            print("preparing for \(udfs.count) UDFs")
            try await acquisition.set("COUNTERDEPTH", to: 12)
            acquisition.onTearDown { print("beam blanked, camera out") }
            print("running the acquisition")
            try await acquisition.start()
        }
        // end

        let context = LiveContext()
        let scan = try context.prepareAcquisition(
            context.makeConnection(.synthetic(navShape: [4, 4], sigShape: SigShape(height: 64, width: 64))), routine)
        #expect(try await context.run(UDFRequest(name: "sum"), on: scan, timeout: .seconds(120)).isComplete)
        #expect(diary.all == ["preparing for 1 UDFs", "running the acquisition", "beam blanked, camera out"])
    }

    @Test("4. prepare an acquisition") func prepare() async throws {
        let context = LiveContext()
        let routine: PreparationBody = { acquisition, _ in try await acquisition.start() }
        // example: prepare
        let frames = (0..<20_480).map { UInt16($0 % 251) }
        let connection = try context.makeConnection(
            .memory(frames, navShape: [8, 10], sigShape: SigShape(height: 16, width: 16)))
        let scan = try context.prepareAcquisition(connection, framesPerPartition: 10, routine)
        // end

        let outcome = try await context.run(UDFRequest(name: "sumsig"), on: scan, timeout: .seconds(120))
        let totals = (0..<80).map { frame in
            frames[frame * 256..<(frame + 1) * 256].reduce(0.0) { $0 + Double($1) }
        }
        #expect(outcome.isComplete && outcome["sumsig"]?.array.doubles() == totals)
    }

    @Test("5. run an acquisition with the signal monitor and plots") func run() async throws {
        let folder = try TemporaryFolder()
        let screen = Diary()
        let context = LiveContext()
        let frames = (0..<6_144).map { UInt16($0 / 256) }
        let connection = try context.makeConnection(
            .memory(frames, navShape: [4, 6], sigShape: SigShape(height: 16, width: 16)))
        let scan = try context.makeAcquisition(connection)
        let (path, show) = (folder.path, { @Sendable (text: String) in screen.note(text) })
        // example: run
        let outcome = try await context.run(
            UDFRequest(name: "monitor"), on: scan,
            plots: [PNGPlot(folder: path), TerminalPlot(maximumWidth: 64, write: show)])
        if let lack = outcome.incompleteness { print("usable, but \(lack)") }
        // end

        // The last frame, whose pixels are all its number.
        #expect(outcome["monitor"]?.array.doubles() == Array(repeating: 23, count: 256))
        #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["monitor.intensity.png"])
        #expect(screen.all.last?.contains("monitor.intensity: 24 of 24") == true)
    }

    @Test("corrected frames") func corrections() async throws {
        let context = LiveContext()
        let connection = try context.makeConnection(
            .memory(
                [UInt16](repeating: 3, count: 4 * 1024), navShape: [2, 2], sigShape: SigShape(height: 32, width: 32)))
        let scan = try context.makeAcquisition(connection)
        // example: corrections
        let corrections = Corrections(
            dark: ResultArray([Float](repeating: 0.5, count: 1024), shape: [32, 32]),
            gain: ResultArray([Float](repeating: 1.25, count: 1024), shape: [32, 32]),
            excluded: ExcludedPixels([(y: 3, x: 5), (y: 17, x: 30)]))
        let outcome = try await context.run(UDFRequest(name: "sum"), on: scan, corrections: corrections)
        // end

        #expect(outcome["sum"]?.array.doubles() == Array(repeating: 4 * 2.5 * 1.25, count: 1024))
    }

    @Test func theTextHasThisCode() throws {
        let here = URL(fileURLWithPath: #filePath)
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(
            contentsOf: root.appendingPathComponent("Sources/Stemwire/Stemwire.docc/Usage.md"), encoding: .utf8)
        let source = try String(contentsOf: here, encoding: .utf8)
        let examples = source.components(separatedBy: "        // example: ").dropFirst().map { part in
            let code = part.components(separatedBy: "        // end")[0].split(
                separator: "\n", omittingEmptySubsequences: false
            ).dropFirst()
            return code.map { $0.hasPrefix("        ") ? String($0.dropFirst(8)) : String($0) }.joined(separator: "\n")
        }
        // The last one is this function's own text.
        #expect(examples.count == 7)
        for example in examples.prefix(6) {
            #expect(page.contains("```swift\n\(example)```"), "the page lacks:\n\(example)")
        }
    }
}
