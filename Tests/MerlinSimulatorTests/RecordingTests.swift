import Foundation
import MerlinProtocol
import Testing

@testable import MerlinSimulator

/// Recordings written by the simulator's own encoder, served again.
@Suite struct RecordingTests {
    /// Two files of 4 and 3 frames, numbered from 1, and a header for them; removed at the end.
    private final class Recording {
        let directory: String
        var header: String { directory + "/scan.hdr" }
        var firstFile: String { directory + "/scan1.mib" }
        let frames: [[UInt8]]
        let text: [UInt8]

        init() throws {
            directory = FileManager.default.temporaryDirectory.path + "/stemwire-recording-\(UUID())"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
            let format = try DetectorFormat(
                layout: .single, sigShape: SigShape(height: 8, width: 8), counterDepth: .twelve, pixelType: .u16)
            let pattern = SelfIdentifyingPattern(format)
            let header = FrameHeaderText(format).template()
            frames = (0..<7).map { frame in
                var head = [UInt8](repeating: 0, count: format.dataOffset)
                head.withUnsafeMutableBytes { header.write(sequenceNumber: UInt64(frame) + 1, time: .now, into: $0) }
                return head + FrameEncoder(format).encoded(pattern.image(frame: frame))
            }
            text = AcquisitionHeaderText(format: format, frames: 7, framesPerTrigger: 1, time: .now).encoded()
            write(text, to: self.header)
            write(Array(frames[..<4].joined()), to: firstFile)
            write(Array(frames[4...].joined()), to: directory + "/scan2.mib")
        }

        deinit {
            try? FileManager.default.removeItem(atPath: directory)
        }

        private func write(_ bytes: [UInt8], to path: String) {
            let file = fopen(path, "wb")
            fwrite(bytes, 1, bytes.count, file)
            fclose(file)
        }
    }

    @Test(arguments: SimulatorConfiguration.Cache.allCases)
    func filesAreSentVerbatim(cache: SimulatorConfiguration.Cache) throws {
        let recording = try Recording()
        let detector = try TestDetector(.recording(path: recording.header)) { $0.cache = cache }
        let control = try ControlClient(detector.ports)
        let data = try DataClient(detector.ports)
        #expect(control.ask("GET,IMAGEX") == "GET,IMAGEX,8,0")
        #expect(control.ask("GET,COUNTERDEPTH") == "GET,COUNTERDEPTH,12,0")
        _ = control.ask("CMD,STARTACQUISITION")
        #expect(data.next()?.body == recording.text)
        _ = control.ask("CMD,SOFTTRIGGER")
        #expect(data.messages(7).map(\.body) == recording.frames)
        // Half of it again, then twice and a half of it.
        for frames in [3, 17] as [UInt64] {
            _ = control.ask("SET,NUMFRAMESPERTRIGGER,\(frames)")
            _ = control.ask("SET,NUMFRAMESTOACQUIRE,\(frames)")
            _ = control.ask("CMD,STARTACQUISITION")
            let header = try #require(data.next())
            #expect(header.body.count == 2048)
            #expect(header.header?.framesInAcquisition == frames)
            #expect(header.header?.framesPerTrigger == frames)
            _ = control.ask("CMD,SOFTTRIGGER")
            let sent = data.messages(Int(frames))
            #expect(sent.map(\.number) == Array(1...frames))
            for (index, frame) in sent.enumerated() {
                #expect(frame.payload == recording.frames[index % 7][384...])
            }
        }
    }

    @Test func scanShapeComesFromTheUserOrTheHeader() throws {
        let recording = try Recording()
        #expect(try TestDetector(.recording(path: recording.header)).simulator.navShape == [7])
        let detector = try TestDetector(.recording(path: recording.firstFile)) { $0.navShape = [2, 3] }
        #expect(detector.simulator.frameCount == 6)
        let failure = #expect(throws: SimulatorConfigurationError.self) {
            try TestDetector(.recording(path: recording.header)) { $0.navShape = [2, 4] }
        }
        #expect(failure?.option == "--nav-shape")
    }

    /// A6 over the wire: a memory cache whose numbers pass 999,999.
    @Test func cachedNumbersMayGrow() throws {
        let recording = try Recording()
        var configuration = SimulatorConfiguration(source: .recording(path: recording.header))
        configuration.cache = .memory
        let source = try configuration.makeSource()
        var state = DetectorState(source.setup)
        _ = state.answer(.set("NUMFRAMESTOACQUIRE", "0"))
        let plan = state.presentPlan
        let cache = try #require(try MessageCache(source: source, plan: plan, startedAt: .now, isCancelled: { false }))
        let store = CachedMessages(cache, writer: try source.writer(for: plan, startedAt: .now))
        let size = store.writer.messageBytes
        for first in [999_992, 0, 1_000_006] {
            let (bytes, count) = try store.messages(first..<(first + 100))
            #expect(count == 7 - first % 7)
            for index in 0..<count {
                let body = UnsafeRawBufferPointer(rebasing: bytes[(index * size + 15)..<((index + 1) * size)])
                let fields = try FrameHeaderFields.parse(body)
                #expect(fields.sequenceNumber == UInt64(first + index + 1))
                #expect(fields.dataOffset == 384)
                #expect(body[384...].elementsEqual(recording.frames[(first + index) % 7][384...]))
            }
        }
    }

    @Test func aCacheThatDoesNotFitIsRefused() throws {
        var configuration = SimulatorConfiguration(source: .constant(1))
        configuration.navShape = [100_000, 1000]
        configuration.cache = .memory
        (configuration.controlPort, configuration.dataPort, configuration.triggerPort) = (0, 0, 0)
        let simulator = try MerlinSimulator(configuration)
        #expect(throws: SimulatorError.self) { try simulator.start() }
    }
}
