import Foundation
import MerlinSimulator
import StemwireAcquisition
import StemwireClient
import StemwireProtocol
import StemwireSystem
import Testing

@testable import StemwireServer

extension ServerTests {
    @Suite("Settings, scans, pictures and history by request") struct WholeScans {
        static func failure(_ body: () async throws -> Void) async -> ControlFailure? {
            do { try await body() } catch { return error as? ControlFailure }
            return nil
        }

        // MARK: Detector

        @Test("many settings in the right order, read back, with what differs and why")
        func configure() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                let settings = try await client.configure([
                    ("NUMFRAMESPERTRIGGER", "8"), ("ACQUISITIONTIME", "1.5"), ("COUNTERDEPTH", "6"), ("GAIN", "7"),
                    ("THRESHOLD0", "3"), ("NOSUCHTHING", "1"), ("THRESHOLD0", "4.25"),
                ])
                let names = settings.map(\.name)
                #expect(
                    names == [
                        "COUNTERDEPTH", "GAIN", "THRESHOLD0", "ACQUISITIONTIME", "NUMFRAMESPERTRIGGER", "NOSUCHTHING",
                    ])
                let differing = settings.filter(\.differs)
                #expect(differing.map(\.name) == ["GAIN", "NOSUCHTHING"])
                #expect(differing.map(\.detectorCode) == [3, 2] && differing[0].value == "0")
                #expect(settings[2].value == "4.250000" && !settings[2].differs)
                #expect(try await client.detectorGet("COUNTERDEPTH") == "6")
                let bad = await Self.failure { _ = try await client.configure([("A,B", "1")]) }
                #expect(bad?.code == .invalidArgument)
                await client.close()
            }
        }

        @Test("a command file is done line by line, up to the one that the detector refuses")
        func commandFile() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                let lines = try await client.runCommandFile("# gain\nSET,GAIN,2\n\nGET,GAIN\n")
                #expect(lines.map(\.request) == ["SET,GAIN,2", "GET,GAIN"] && lines[1].value == "2")
                let unreadable = await Self.failure { _ = try await client.runCommandFile("SET,GAIN,3\nnonsense\n") }
                #expect(unreadable?.code == .invalidArgument && unreadable?.message.contains("line 2") == true)
                #expect(try await client.detectorGet("GAIN") == "2")
                let refused = await Self.failure {
                    _ = try await client.runCommandFile("SET,GAIN,1\nSET,GAIN,9\nSET,GAIN,3\n")
                }
                #expect(refused?.code == .detectorRefused && refused?.detectorCode == 3)
                #expect(refused?.message.contains("line 2") == true)
                #expect(try await client.detectorGet("GAIN") == "1")
                await client.close()
            }
        }

        // MARK: Acquisitions

        @Test("a dry run compares the scan with what the detector would do, and changes nothing")
        func check() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                let good = try await client.check(.init(navShape: [8, 8], frames: 64, trigger: .soft))
                #expect(good.ok && good.framesNeeded == 64 && good.framesAnnounced == 64 && good.triggers == 1)
                #expect(good.sigShape == [16, 16] && good.dtype == "uint16" && good.bytes > 64 * 512)
                #expect(good.diskBytesFree > 0)
                let few = try await client.check(.init(navShape: [9, 8]))
                #expect(!few.ok && few.findings.contains { $0.code == "frames.tooFew" && $0.text.contains("72") })
                let fast = try await client.check(
                    settings: [("CONTINUOUSRW", "1"), ("ACQUISITIONTIME", "0.1"), ("ACQUISITIONPERIOD", "0.1")])
                #expect(fast.findings.contains { $0.code == "dwell.tooShort" && $0.severity == "error" })
                #expect(try await client.detectorGet("CONTINUOUSRW") == "0")
                #expect(try await client.status().state == "idle")
                await client.close()
            }
        }

        @Test("a scan in one request: settings, a run, arming, trigger, progress, the end with all results")
        func scan() async throws {
            try await Bench.run(simulator: { $0.dwellMicroseconds = 1500 }) { bench in
                let client = try await bench.connect()
                let events = client.events()
                try await events.subscribed()
                let told = Task {
                    var told: [OperatorEvent] = []
                    for try await case .event(let event) in events where event.request == "my-scan" {
                        told.append(event)
                        if told.count(where: { $0.code == "scan.ended" }) == 2 { break }
                    }
                    return told
                }
                let report = try await client.scan(
                    .init(navShape: [4, 16], trigger: .soft), settings: [("THRESHOLD0", "5")],
                    udfs: [UDFSelection("max")], run: "once", repeats: 2, id: "my-scan", deadline: .seconds(20))
                #expect(report.done == 2 && report.acquisitions.count == 2 && report.differing.isEmpty)
                #expect(report.acquisitions.map(\.generation) == [1, 2])
                for acquisition in report.acquisitions {
                    #expect(acquisition.endReason == "complete" && acquisition.accounting.placed == 64)
                    #expect(acquisition.navShape == [4, 16] && acquisition.framesProcessed == 64)
                }
                let snapshot = try await client.snapshot(run: "once")
                #expect(snapshot.channels.count == 1 && snapshot.channels[0].isFinal)
                let events2 = try await within("progress", for: told)
                #expect(Set(events2.map(\.code)).isSuperset(of: ["scan.armed", "scan.triggered", "scan.ended"]))
                #expect(events2.last?.framesPlaced == 64 && events2.last?.framesExpected == 64)
                await client.close()
            }
        }

        @Test("a scan that cannot end in time is aborted, and says so; the next one is right")
        func scanInVain() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                // An external trigger that never comes.
                let late = await Self.failure {
                    _ = try await client.scan(settings: [("TRIGGERSTART", "1")], deadline: .seconds(1))
                }
                #expect(late?.code == .timedOut && late?.message.contains("aborted") == true)
                #expect(late?.stateAfter == .idle)
                let refused = await Self.failure { _ = try await client.scan(settings: [("GAIN", "9")]) }
                #expect(refused?.code == .detectorRefused && refused?.detectorCode == 3)
                let report = try await client.scan(.init(trigger: .soft), deadline: .seconds(20))
                #expect(report.acquisitions.first?.accounting.placed == 64)
                try await client.arm()
                let busy = await Self.failure { _ = try await client.scan() }
                #expect(busy?.code == .wrongState && busy?.stateBefore == .armed)
                try await client.abort()
                await client.close()
            }
        }

        @Test("stop and abort tell how many frames there are, once the acquisition is over")
        func endings() async throws {
            try await Bench.run(simulator: { $0.dwellMicroseconds = 3000 }) { bench in
                let client = try await bench.connect()
                for ending in ["stop", "abort"] {
                    try await client.startScan()
                    try await eventually("some frames") {
                        try await client.status().acquisition.accounting.placed > 3 ? () : nil
                    }
                    let done = ending == "stop" ? try await client.stop() : try await client.abort()
                    #expect(done.stateBefore == .acquiring && done.stateAfter == .idle)
                    #expect(done.endReason == (ending == "stop" ? "stopped" : "aborted"))
                    #expect((4..<64).contains(done.framesPlaced) && done.framesExpected == 64)
                    #expect(
                        try await client.waitForEnd(deadline: .seconds(20)).accounting.placed
                            == UInt64(done.framesPlaced))
                }
                await client.close()
            }
        }

        @Test(
            "an endless acquisition is a window of the last scans until it is stopped: numbered, held, and told when gone"
        )
        func endless() async throws {
            try await Bench.run(simulator: { $0.dwellMicroseconds = 1000 }) { bench in
                let client = try await bench.connect()
                let both = await Self.failure {
                    try await client.arm(ArmSettings(frames: 4, isEndless: true))
                }
                #expect(both?.code == .invalidArgument)
                for size in [65, -1] {
                    let wrong = await Self.failure { try await client.arm(ArmSettings(isEndless: true, window: size)) }
                    #expect(wrong?.code == .invalidArgument)
                }
                let before = try await client.status().window
                #expect(before.kept == 2 && !before.endless && before.entries.isEmpty && before.firstGeneration == 0)
                try await client.startScan()
                _ = try await client.waitForEnd(deadline: .seconds(20))

                try await client.armWhenFree(
                    ArmSettings(navShape: [4, 4], trigger: .internal, isEndless: true, window: 3))
                let first = try await eventually("a scan") {
                    try await client.status().window.entries.last { $0.generation > 1 }
                }
                #expect(try await client.status().window.endless)
                let third = try await client.waitForEnd(generation: first.generation + 6, deadline: .seconds(20))
                #expect(
                    third.generation >= first.generation + 6 && third.accounting.expected == 16
                        && third.navShape == [4, 4])
                #expect(third.accounting.placed == 16)
                try await client.stop()
                let window = try await eventually("the end of the series") {
                    let status = try await client.status()
                    let isOver = status.state == "idle" && status.window.entries.last?.ended == true
                    return isOver && status.window.entries.count == 3 ? status.window : nil
                }
                #expect(window.kept == 3 && !window.endless && window.firstGeneration == 2)
                let numbers = window.entries.map(\.generation)
                #expect(numbers == Array(numbers[0]..<numbers[0] + UInt64(numbers.count)) && numbers[0] > 2)

                // The frames of all of them are there, each scan's own.
                for entry in window.entries.dropLast() {
                    #expect(entry.framesExpected == 16 && entry.framesHeld == 16)
                    let id = try #require(AcquisitionUUID(Array(entry.acquisition)))
                    let found = try await client.fetchAll(acquisition: id, first: 0, count: 16)
                    #expect(found.unavailable.isEmpty)
                    #expect(found.tiles.reduce(0) { $0 + $1.positions.count } == 16)
                    #expect(found.tiles.allSatisfy { $0.generation == entry.generation })
                    #expect(try await client.snapshot(acquisition: id).channel(udf: "sum", "intensity") != nil)
                }
                // What the window has left behind is told to be gone.
                let id = try #require(AcquisitionUUID(Array(first.acquisition)))
                await #expect { _ = try await client.fetchAll(acquisition: id, first: 0, count: 16) } throws: {
                    "\($0)".contains("it keeps acquisitions \(numbers[0]) to \(numbers.last!)")
                }
                // The next arming, which asks for nothing, keeps as many as usual, and ends as ever.
                try await client.armWhenFree(trigger: .soft)
                try await client.trigger()
                let next = try await client.waitForEnd(generation: numbers.last! + 1, deadline: .seconds(20))
                #expect(next.accounting.expected == 64 && next.accounting.placed == 64)
                let last = try await client.status().window
                #expect(last.kept == 2 && last.firstGeneration == numbers.last! + 1 && last.entries.count <= 3)
                try await eventually("a detector that has got over it") {
                    try await client.status().detector.busy ? nil : ()
                }
                #expect(try await client.status().state == "idle")
                #expect(try await client.scan(repeats: 2, deadline: .seconds(20)).done == 2)
                // What an operator sets is left, but a scan has an end.
                try await client.detectorSet("NUMFRAMESTOACQUIRE", to: "0")
                let withoutEnd = await Self.failure { _ = try await client.scan(deadline: .seconds(20)) }
                #expect(withoutEnd?.code == .invalidArgument)
                #expect(try await client.scan(ArmSettings(frames: 64), deadline: .seconds(20)).done == 1)
                await client.close()
            }
        }

        @Test("wait: at once for what has ended, with its deadline for what has not, by name for what is not there")
        func waiting() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                #expect(await Self.failure { _ = try await client.waitForEnd() }?.code == .notFound)
                try await client.startScan()
                #expect(try await client.waitForEnd(deadline: .seconds(20)).accounting.placed == 64)
                #expect(try await client.waitForEnd(deadline: .seconds(20)).generation == 1)
                try await client.arm()
                await #expect { _ = try await client.waitForEnd(deadline: .milliseconds(300)) } throws: {
                    ($0 as? ControlFailure)?.code == .timedOut || ($0 as? ControlFailure)?.code == .noReply
                }
                let waiting = Task { try await client.waitForEnd(deadline: .seconds(20)) }
                try await client.abort()
                let end = try? await waiting.value
                // Whichever comes first: the wait, or the abort, after which the last acquisition is the answer.
                #expect(end != nil)
                await client.close()
            }
        }

        @Test("the next scan may begin while the results of the last one are still being made")
        func scanWhileResultsDrain() async throws {
            let (gate, number) = (GatedUDF.Gate(), UInt64.random(in: 1 ... .max >> 12))
            GatedUDF.gates.withLock { $0[number] = gate }
            defer {
                gate.open()
                GatedUDF.gates.withLock { $0[number] = nil }
            }
            try await Bench.run(server: { configuration in
                configuration.registry = testRegistry
                configuration.udfs = [.init(name: GatedUDF.name, parameters: ["gate": .text("\(number)")])]
            }) { bench in
                let client = try await bench.connect()
                try await client.startScan()
                try await eventually("the end of the first scan") {
                    try await client.status().previousAcquisition.generation == 1 ? () : nil
                }
                let status = try await client.status()
                #expect(status.state == "idle" && status.previousAcquisition.framesProcessed < 64)
                try await client.startScan()
                try await eventually("the end of the second scan") {
                    try await client.status().previousAcquisition.generation == 2 ? () : nil
                }
                gate.open()
                let end = try await client.waitForEnd(generation: 2, deadline: .seconds(20))
                #expect(end.accounting.placed == 64 && end.framesProcessed == 64)
                await client.close()
            }
        }

        // MARK: Pictures

        @Test("the newest state of a channel, and any frame, as PNG, TIFF, .npy and raw")
        func pictures() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                #expect(await Self.failure { _ = try await client.image() }?.code == .notFound)
                _ = try await client.scan(deadline: .seconds(20))
                let raw = try await client.image(udf: "sum", as: .raw)
                #expect(raw.wire.shape == [16, 16] && raw.wire.udf == "sum" && raw.wire.final)
                #expect(raw.wire.positionsProcessed == 64)
                let sum = raw.bytes.withUnsafeBytes { bytes in
                    (0..<256).map { index in
                        raw.wire.dtype == "float64"
                            ? bytes.loadUnaligned(fromByteOffset: 8 * index, as: Double.self)
                            : Double(bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self))
                    }
                }
                #expect(sum == (try bench.sum(acquisition: 0, frames: 0..<64)))
                let npy = try await client.image(udf: "sum", as: .npy)
                #expect(
                    npy.bytes.starts(with: [0x93] + Array("NUMPY".utf8))
                        && npy.bytes.suffix(raw.bytes.count) == raw.bytes[...])
                let png = try await client.image(udf: "sumsig", colours: "magma", isLogarithmic: true)
                #expect(png.bytes.starts(with: [0x89] + Array("PNG".utf8)) && png.wire.shape == [8, 8])
                let tiff = try await client.image(udf: "sum", as: .tiff)
                #expect(tiff.bytes.starts(with: Array("II*".utf8)))
                #expect(
                    await Self.failure { _ = try await client.image(udf: "none") }?.message.contains("default/sum")
                        == true)
                #expect(await Self.failure { _ = try await client.image(colours: "pink") }?.code == .invalidArgument)

                for position in [0, 17, 63] {
                    let frame = try await client.frame(at: position, as: .raw)
                    let pixels = frame.bytes.withUnsafeBytes { Array($0.bindMemory(to: UInt16.self)) }
                    #expect(
                        pixels == (try bench.image(acquisition: 0, frame: position)) && frame.wire.dtype == "uint16")
                }
                #expect(try await client.frame(at: nil, as: .png).wire.position == 63)
                var at = WireRequest()
                at.frame.at = [2, 1]
                #expect(try await client.request(at).wire.image.position == 17)
                #expect(await Self.failure { _ = try await client.frame(at: 64) }?.code == .invalidArgument)
                await client.close()
            }
        }

        // MARK: Status and history

        @Test("what Tango and ophyd-async need is in the status")
        func statusFields() async throws {
            let folder = FileManager.default.temporaryDirectory.appending(path: "stemwire-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let file = folder.appending(path: "scan.npy").path
            try await Bench.run(server: {
                $0.udfs = [.init(name: "record", parameters: ["filename": .text(file)])]
            }) { bench in
                let client = try await bench.connect()
                let idle = try await eventually("the detector's settings") {
                    let status = try await client.status()
                    return status.detector.sigShape.isEmpty ? nil : status
                }
                #expect(!idle.armed && idle.detector.sigShape == [16, 16] && idle.detector.dtype == "uint16")
                #expect(idle.detector.controlConnected && idle.detector.connections == 1)
                #expect(idle.detector.deadTimes.map(\.counterDepth) == [1, 6, 12, 24])
                #expect(abs(idle.detector.deadTimes[2].seconds - 0.82e-3) < 1e-9)
                #expect(idle.versions["libzmq"]?.hasPrefix("4.") == true && idle.disk.bytesFree > 0)
                try await client.arm(trigger: .soft)
                #expect(try await client.status().armed)
                try await client.trigger()
                _ = try await client.waitForEnd(deadline: .seconds(20))
                let done = try await client.status()
                #expect(done.framesWritten == 64 && done.fileUri == "file://\(file)" && !done.armed)
                #expect(FileManager.default.fileExists(atPath: file))
                await client.close()
            }
        }

        @Test("the history remembers acquisitions with their results, page by page, also after a restart")
        func history() async throws {
            let folder = FileManager.default.temporaryDirectory.appending(path: "stemwire-\(UUID().uuidString)")
            defer { try? FileManager.default.removeItem(at: folder) }
            let file = folder.appending(path: "deep/history.sqlite").path
            var digest = ""
            for server in 0..<2 {
                try await Bench.run(server: { $0.historyFile = file }) { bench in
                    let client = try await bench.connect()
                    for _ in 0..<3 { _ = try await client.scan(deadline: .seconds(20)) }
                    try await client.arm(trigger: .soft)
                    try await client.abort()
                    let all = try await eventually("all acquisitions in the history") {
                        let history = try await client.history()
                        let isWhole =
                            history.entries.count == 4 * (server + 1)
                            && history.entries.prefix(4).dropFirst().allSatisfy { $0.runs.first?.results.count == 2 }
                        return isWhole ? history : nil
                    }
                    #expect(all.lost == 0 && all.next == 0)
                    #expect(all.entries.map(\.number) == (1...UInt64(4 * (server + 1))).reversed())
                    #expect(all.entries[0].acquisition.endReason == "aborted")
                    let scan = all.entries[3]
                    #expect(
                        scan.acquisition.accounting.placed == 64 && scan.dtype == "uint16" && scan.session.count == 16)
                    #expect(scan.acquisitionHeader.starts(with: Array("HDR,".utf8)) && scan.endedAt > scan.startedAt)
                    let sum = try #require(scan.runs[0].results.first { $0.udf == "sum" })
                    #expect(sum.manifest.framesProcessed == 64 && sum.shape == [16, 16])
                    // The same frames, the same bits.
                    if server == 0 { digest = sum.manifest.digest }
                    #expect(sum.manifest.digest == digest && digest.count == 32)
                    let page = try await client.history(count: 3)
                    #expect(
                        page.entries.map(\.number) == all.entries.prefix(3).map(\.number)
                            && page.next == page.entries[2].number)
                    let next = try await client.history(count: 3, before: page.next)
                    #expect(next.entries.first?.number == page.next - 1)
                    let one = try await client.history(acquisition: AcquisitionUUID(scan.acquisition.acquisition))
                    #expect(one.entries.map(\.number) == [scan.number])
                    await client.close()
                }
            }
        }

        @Test("a damaged or unwritable history costs entries and no acquisition")
        func damagedHistory() async throws {
            let folder = FileManager.default.temporaryDirectory.appending(path: "stemwire-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let damaged = folder.appending(path: "damaged.sqlite")
            try Data(repeating: 0x5A, count: 8192).write(to: damaged)
            for path in [damaged.path, damaged.path + "/below-a-file.sqlite"] {
                try await Bench.run(server: { $0.historyFile = path }) { bench in
                    let client = try await bench.connect()
                    let report = try await client.scan(deadline: .seconds(20))
                    #expect(report.acquisitions.first?.accounting.placed == 64)
                    let failure = await Self.failure { _ = try await client.history() }
                    #expect(failure?.code == .internal && failure?.message.contains(path) == true)
                    await client.close()
                }
            }
            #expect(try Data(contentsOf: damaged) == Data(repeating: 0x5A, count: 8192))
            try await Bench.run { bench in
                let client = try await bench.connect()
                #expect(await Self.failure { _ = try await client.history() }?.message.contains("--history") == true)
                await client.close()
            }
        }
    }
}
