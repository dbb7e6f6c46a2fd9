import Foundation
import MerlinProtocol
import MerlinSimulator
import StemwireUDF
import Testing

extension CommandLineTests {
    @Suite("stemwire serve, ctl and watch") struct Serve {
        /// A small simulated detector in this process, and a server for it as a process.
        static func serve(
            nav: [Int] = [8, 8], dwell: Double? = nil, _ options: String...
        ) async throws -> (detector: MerlinSimulator, server: StemwireProcess, port: Int) {
            var configuration = SimulatorConfiguration(source: .selfIdentifying)
            configuration.navShape = nav
            configuration.sigShape = SigShape(height: 16, width: 16)
            configuration.mode = .triggered
            configuration.dwellMicroseconds = dwell
            (configuration.controlPort, configuration.dataPort, configuration.triggerPort) = (0, 0, 0)
            let detector = try MerlinSimulator(configuration)
            let ports = try detector.start()
            let server = try StemwireProcess(
                [
                    "serve", "--source", "merlin://127.0.0.1:\(ports.control),\(ports.data)", "--json",
                    "--control-port", "0",
                ]
                    + ["--live-port", "0", "--work-port", "0", "--ring", "16"] + options)
            let listening = try await server.listening()
            let names = ["control_port", "live_port", "work_port"]
            #expect(Set(names.compactMap { listening[$0] }).count == 3)
            let port = try #require(listening["control_port"])
            let deadline = ContinuousClock.now + .seconds(120)
            while try await status(port)["detector"].flatMap({ $0 as? [String: Any] })?["dataConnected"] as? Bool
                != true
            {
                try #require(ContinuousClock.now < deadline, "the server has its detector")
            }
            return (detector, server, port)
        }

        static func ctl(_ port: Int, _ arguments: String...) async throws -> StemwireProcess.Ended {
            try await ctl(port, arguments)
        }

        static func ctl(_ port: Int, _ arguments: [String]) async throws -> StemwireProcess.Ended {
            try await StemwireProcess(["ctl", "--connect", "tcp://127.0.0.1:\(port)", "--json"] + arguments).ended()
        }

        static func status(_ port: Int) async throws -> [String: Any] {
            let ended = try await ctl(port, "status")
            #expect(ended.code == 0, "\(ended.errors)")
            return try #require(ended.objects.first)
        }

        @Test("ctl gets, sets and commands the detector, in JSON and with its codes")
        func ctl() async throws {
            let (detector, server, port) = try await Self.serve()
            let got = try await Self.ctl(port, "get", "COUNTERDEPTH")
            #expect(got.code == 0 && got.objects.first?["COUNTERDEPTH"] as? String == "12")
            #expect(try await Self.ctl(port, "set", "THRESHOLD0", "12.5").code == 0)
            #expect(
                try await Self.ctl(port, "get", "THRESHOLD0").objects.first?["THRESHOLD0"] as? String == "12.500000")
            let refused = try await Self.ctl(port, "set", "COUNTERDEPTH", "5")
            #expect(refused.code == 1 && refused.errors.contains("refused") && refused.lines.isEmpty)
            #expect(try await Self.ctl(port, "cmd", "NOSUCHCOMMAND").code == 1)

            let armed = try #require(try await Self.ctl(port, "arm", "--trigger", "soft").objects.first)
            #expect(armed["state_before"] as? String == "idle" && armed["state_after"] as? String == "armed")
            #expect(try await Self.status(port)["state"] as? String == "armed")
            let triggered = try await Self.ctl(port, "trigger")
            #expect(triggered.objects.first?["state_before"] as? String == "armed")
            let deadline = ContinuousClock.now + .seconds(120)
            while true {
                let previous = try await Self.status(port)["previousAcquisition"] as? [String: Any]
                if previous?["endReason"] as? String == "complete" { break }
                try #require(ContinuousClock.now < deadline, "the scan ends")
            }
            let run = try await Self.ctl(port, "run", "--udf", "sum", "--name", "mine")
            #expect(run.objects.first?["run"] as? String == "mine")
            #expect(try await Self.ctl(port, "runs").objects.compactMap { $0["run"] as? String }.contains("mine"))
            #expect(try await Self.ctl(port, "stop-run", "mine").code == 0)
            #expect(try await Self.ctl(port, "stop-run", "mine").code == 1)
            #expect(try await Self.ctl(port, "run", "--udf", "no-such-udf").code == 64)
            server.signal(SIGINT)
            #expect(try await server.ended(limit: .seconds(60)).code == 130)
            detector.stop()
        }

        @Test("a run over a server: 0, with files; 4 when nothing comes, and then nothing is left behind")
        func runOverServer() async throws {
            let folder = try TemporaryFolder()
            let (detector, server, port) = try await Self.serve()
            let run = try await StemwireProcess.run(
                "run", "stemwire://127.0.0.1:\(port)", "--udf", "sumsig", "--udf", "sum", "--trigger", "soft",
                "--nav-shape",
                "8", "8", "--output", folder.path, "--json", "--timeout", "20")
            #expect(run.code == 0, "\(run.errors)")
            #expect(run.objects.first?["frames_placed"] as? Int == 64)
            let pattern = SelfIdentifyingPattern(
                try DetectorFormat(layout: .single, sigShape: detector.sigShape, counterDepth: .twelve, pixelType: .u16)
            )
            let totals = (0..<64).map { frame in
                pattern.encoded(.init(acquisition: 0, frame: frame), as: UInt16.self).reduce(0) { $0 + Double($1) }
            }
            let result = try NumpyFile.read(folder.path + "/sumsig.intensity.npy")
            #expect(result.shape == [8, 8] && result.doubles() == totals)

            let waiting = try await StemwireProcess.run(
                "run", "stemwire://127.0.0.1:\(port)", "--udf", "sum", "--timeout", "0.7")
            #expect(waiting.code == 4, "\(waiting.errors)")
            let runs = try await Self.ctl(port, "runs").objects
            #expect(runs.filter { ($0["finished"] as? Bool) != true }.compactMap { $0["run"] as? String } == [])

            server.signal(SIGTERM)
            #expect(try await server.ended(limit: .seconds(60)).code == 0)
            detector.stop()
        }

        @Test("SIGTERM in the middle of a scan ends the server in time, with code 0; whoever watches is told")
        func terminatedInScan() async throws {
            let (detector, server, port) = try await Self.serve(nav: [64, 64], dwell: 1000)
            let watch = try StemwireProcess(["watch", "--connect", "tcp://127.0.0.1:\(port)", "--json"])
            #expect(try await Self.ctl(port, "arm", "--trigger", "internal").code == 0)
            let deadline = ContinuousClock.now + .seconds(120)
            while try await Self.status(port)["state"] as? String != "acquiring" {
                try #require(ContinuousClock.now < deadline, "the scan begins")
            }
            server.signal(SIGTERM)
            let ended = try await server.ended(limit: .seconds(60))
            #expect(ended.code == 0, "\(ended.errors)")
            watch.signal(SIGINT)
            let watched = try await watch.ended(limit: .seconds(60))
            #expect([130, 3].contains(watched.code), "\(watched.errors)")
            #expect(!watched.objects.isEmpty && watched.objects.count == watched.lines.count)
            detector.stop()
        }
    }
}
