import Foundation
import MerlinProtocol
import MerlinSimulator
import StemwireKernels
import StemwireSystem
import StemwireUDF
import Testing

/// All tests with processes, one after the other: they share two cores.
@Suite("Command line", .serialized) struct CommandLineTests {}

extension CommandLineTests {
    @Suite("stemwire run") struct Run {
        /// A simulated detector as a process, whose frames of 256 × 256 pixels all have 3 counts a pixel.
        static func detector(_ options: String...) async throws -> (process: StemwireProcess, source: String) {
            let process = try StemwireProcess(
                ["sim", "constant:3", "--nav-shape", "6", "8", "--json"]
                    + ["--control-port", "0", "--data-port", "0", "--trigger-port", "0"] + options)
            let ports = try await process.listening()
            let control = try #require(ports["control_port"])
            let data = try #require(ports["data_port"])
            #expect(ports["trigger_port"] != nil)
            return (process, "merlin://127.0.0.1:\(control),\(data)")
        }

        @Test("a scan of a detector, armed and triggered: 0, files, and run.json as other programs know it")
        func complete() async throws {
            let folder = try TemporaryFolder()
            let (detector, source) = try await Self.detector("--wait-trigger")
            let run = try await StemwireProcess.run(
                "run", source, "--udf", "sum", "--udf", "total=sumsig", "--udf", "bf=disk:cy=10,cx=20,r=2", "--trigger",
                "soft", "--nav-shape", "6", "8", "--output", folder.path + "/new/folder", "--json", "--timeout", "20")
            #expect(run.code == 0, "\(run.errors)")

            let sum = try NumpyFile.read(folder.path + "/new/folder/sum.intensity.npy")
            #expect(sum.shape == [256, 256] && sum.dtype == .uint64)
            #expect(sum.doubles().allSatisfy { $0 == 3 * 48 })
            let total = try NumpyFile.read(folder.path + "/new/folder/total.intensity.npy")
            #expect(total.shape == [6, 8] && total.doubles().allSatisfy { $0 == 3 * 65536 })
            let disk = try NumpyFile.read(folder.path + "/new/folder/bf.intensity.npy")
            #expect(disk.shape == [6, 8] && disk.doubles().allSatisfy { $0 == 3 * 13 })

            let text = try String(contentsOfFile: folder.path + "/new/folder/run.json", encoding: .utf8)
            #expect(run.lines == [text.trimmingCharacters(in: .newlines)])
            let json = try #require(StemwireProcess.object(text))
            #expect(json["nav_shape"] as? [Int] == [6, 8] && json["sig_shape"] as? [Int] == [256, 256])
            #expect(json["dtype"] as? String == "uint16" && json["end_reason"] as? String == "complete")
            #expect(json["frames_expected"] as? Int == 48 && json["frames_placed"] as? Int == 48)
            for key in ["frames_missing", "frames_duplicate", "frames_rejected"] {
                #expect(json[key] as? Int == 0, "\(key)")
            }
            #expect((json["missing_ranges"] as? [Any])?.isEmpty == true)
            #expect((json["seconds"] as? Double ?? -1) >= 0 && (json["frames_per_second"] as? Double ?? 0) > 0)
            #expect((json["seconds_to_result"] as? Double ?? -1) >= json["seconds"] as? Double ?? 0)
            let udfs = try #require(json["udfs"] as? [[String: Any]])
            #expect(udfs.map { $0["id"] as? String } == ["sum", "total", "bf"])
            #expect(udfs.map { $0["name"] as? String } == ["sum", "sumsig", "disk"])
            let header = try #require(json["acquisition_header"] as? [String: String])
            #expect(header["Frames in Acquisition (Number)"] == "48" && header["Counter Depth (number)"] == "12")
            detector.signal(SIGTERM)
            #expect(try await detector.ended(limit: .seconds(60)).code == 0)
        }

        @Test("lost frames: 2, and where they are")
        func incomplete() async throws {
            let folder = try TemporaryFolder()
            let (detector, source) = try await Self.detector(
                "--wait-trigger", "--faults", "drop-at=5-7+20,duplicate-at=9")
            let run = try await StemwireProcess.run(
                "run", source, "--udf", "sumsig", "--trigger", "soft", "--output", folder.path, "--png", "--json")
            #expect(run.code == 2, "\(run.errors)")
            let json = try #require(run.objects.first)
            #expect(json["frames_missing"] as? Int == 4 && json["frames_placed"] as? Int == 44)
            #expect(json["frames_duplicate"] as? Int == 1)
            #expect(json["missing_ranges"] as? [[Int]] == [[4, 7], [19, 20]])
            let totals = try NumpyFile.read(folder.path + "/sumsig.intensity.npy").doubles()
            let lost = [4, 5, 6, 19]
            #expect(totals.indices.allSatisfy { totals[$0] == (lost.contains($0) ? 0 : 3 * 65536) })
            let picture = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/sumsig.intensity.png"))
            #expect(picture.starts(with: [0x89, 0x50, 0x4E, 0x47]))
            detector.signal(SIGINT)
            #expect(try await detector.ended(limit: .seconds(60)).code == 130)
        }

        @Test("nobody there: 3, at once and with the address")
        func unreachable() async throws {
            let port = try freePort()
            let commands = [
                ["run", "merlin://127.0.0.1:\(port),\(port)", "--udf", "sum"],
                ["run", "stemwire://127.0.0.1:\(port)", "--udf", "sum"],
                ["ctl", "--connect", "tcp://127.0.0.1:\(port)", "status"],
                ["watch", "--connect", "tcp://127.0.0.1:\(port)"],
            ]
            try await withThrowingTaskGroup { group in
                for arguments in commands {
                    group.addTask {
                        let ended = try await StemwireProcess(arguments).ended(limit: .seconds(60))
                        #expect(ended.code == 3, "\(arguments)")
                        #expect(ended.errors.contains("\(port)") && ended.lines.isEmpty, "\(ended.errors)")
                    }
                }
                try await group.waitForAll()
            }
        }

        @Test("a scan that does not come: 4; a detector that leaves without a frame: 1")
        func timedOut() async throws {
            let detector = try SilentDetector()
            let run = try await StemwireProcess.run("run", detector.source, "--udf", "sum", "--timeout", "0.5")
            #expect(run.code == 4 && run.errors.contains("armed and triggered"), "\(run.errors)")
            #expect(detector.isConnected())
            let waiting = try StemwireProcess(["run", detector.source, "--udf", "sum"])
            #expect(detector.isConnected())
            detector.simulator.stop()
            let left = try await waiting.ended(limit: .seconds(60))
            #expect(left.code == 1 && left.errors.contains("before a good frame"), "\(left.errors)")
        }

        @Test("what cannot be: 64, before anything is tried")
        func usage() async throws {
            let folder = try TemporaryFolder()
            let cases: [[String]] = [
                ["run", "merlin://127.0.0.1"], ["run"], ["no-such-command"], ["run", "somewhere", "--udf", "sum"],
                ["run", "synthetic", "--udf", "no-such-udf"], ["run", "synthetic", "--udf", "disk:radius=3"],
                ["run", "synthetic", "--udf", "disk:r=-1"], ["run", "synthetic", "--udf", "sum", "--udf", "sum"],
                ["run", "synthetic", "--udf", "sum", "--trigger", "loud"],
                ["run", "synthetic", "--udf", "sum", "--timeout", "0"],
                ["run", "synthetic", "--udf", "sum", "--threads", "0"],
                ["run", "synthetic", "--udf", "sum", "--nav-shape", "0", "4"],
                ["run", folder.path + "/none.hdr", "--udf", "sum"],
                ["serve"], ["serve", "--source", "synthetic", "--bind", "0.0.0.0"],
                ["serve", "--source", "synthetic", "--ring", "1"], ["serve", "--source", "stemwire://x"],
                ["serve", "--source", "synthetic", "--control-port", "70000"],
                ["sim", "synthetic", "--faults", "drop=2"], ["sim", "synthetic", "--counter-depth", "7"],
                ["ctl", "set", "COUNTERDEPTH"], ["ctl", "dance"], ["ctl", "--connect", "nonsense://x", "status"],
            ]
            for arguments in cases {
                let ended = try await StemwireProcess(arguments).ended(limit: .seconds(60))
                #expect(ended.code == 64, "\(arguments): \(ended.code) \(ended.errors)")
                #expect(!ended.errors.isEmpty)
            }
        }

        @Test("a recording: 0, its numbers, and what is missing in it")
        func recording() async throws {
            let folder = try TemporaryFolder()
            let format = try DetectorFormat(
                layout: .single, sigShape: SigShape(height: 16, width: 16), counterDepth: .twelve, pixelType: .u16)
            let pattern = SelfIdentifyingPattern(format)
            let time = CivilTime.now
            let header = AcquisitionHeaderText(format: format, frames: 12, framesPerTrigger: 12, time: time)
            try Data(header.encoded()).write(to: URL(fileURLWithPath: folder.path + "/scan.hdr"))
            let template = FrameHeaderText(format).template()
            let encoder = FrameEncoder(format)
            var totals: [Double] = []
            var mib = Data()
            for frame in 0..<12 {
                let image = pattern.encoded(.init(acquisition: 0, frame: UInt32(frame)), as: UInt16.self)
                totals.append(image.reduce(0) { $0 + Double($1) })
                var message = [UInt8](repeating: 0, count: template.bytes.count)
                message.withUnsafeMutableBytes {
                    template.write(sequenceNumber: UInt64(frame + 1), time: time, into: $0)
                }
                mib += message + encoder.encoded(image)
            }
            try mib.write(to: URL(fileURLWithPath: folder.path + "/scan.mib"))
            for source in ["scan.hdr", "scan.mib"] {
                let run = try await StemwireProcess.run(
                    "run", folder.path + "/" + source, "--udf", "sumsig", "--nav-shape", "3", "-1", "--output",
                    folder.path + "/out", "--json")
                #expect(run.code == 0, "\(source): \(run.errors)")
                #expect(run.objects.first?["nav_shape"] as? [Int] == [3, 4])
                #expect(run.objects.first?["sig_shape"] as? [Int] == [16, 16])
                let result = try NumpyFile.read(folder.path + "/out/sumsig.intensity.npy")
                #expect(result.shape == [3, 4] && result.doubles() == totals)
            }
            // Cut in the middle of the last frame.
            try mib.dropLast(100).write(to: URL(fileURLWithPath: folder.path + "/scan.mib"))
            let run = try await StemwireProcess.run(
                "run", folder.path + "/scan.mib", "--udf", "sumsig", "--nav-shape", "3", "4", "--json")
            #expect(run.code == 2 && run.objects.first?["frames_placed"] as? Int == 11, "\(run.lines) \(run.errors)")
        }

        @Test("interrupted: 130, and no more than a moment later")
        func interrupted() async throws {
            let detector = try SilentDetector()
            let run = try StemwireProcess(["run", detector.source, "--udf", "sum"])
            #expect(detector.isConnected())
            run.signal(SIGINT)
            #expect(try await run.ended(limit: .seconds(60)).code == 130)
            detector.simulator.stop()
        }
    }
}

/// A port that nobody uses now.
func freePort() throws -> Int { try TCPListener(host: "127.0.0.1", port: 0).port }

/// A simulated detector in this process that waits to be armed.
private struct SilentDetector {
    let simulator: MerlinSimulator
    let source: String
    private let connections = CountingSemaphore()

    init() throws {
        var configuration = SimulatorConfiguration(source: .constant(1))
        configuration.navShape = [4, 4]
        configuration.mode = .triggered
        (configuration.controlPort, configuration.dataPort, configuration.triggerPort) = (0, 0, 0)
        simulator = try MerlinSimulator(configuration) { [connections] event in
            if case .dataClientConnected = event { connections.post() }
        }
        let ports = try simulator.start()
        source = "merlin://127.0.0.1:\(ports.control),\(ports.data)"
    }

    /// Waits for the next data client.
    func isConnected() -> Bool { connections.wait(timeout: .seconds(120)) }
}
