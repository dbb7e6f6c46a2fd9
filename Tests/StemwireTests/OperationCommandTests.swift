import Foundation
import MerlinSimulator
import StemwireSystem
import Testing

extension CommandLineTests {
    @Suite("settings, health and the end of a server") struct Operation {
        private static func file(_ text: String, in folder: TemporaryFolder) throws -> String {
            let path = folder.path + "/stemwire.toml"
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            return path
        }

        @Test("a setting comes from flag, variable, file or default, in this order, and says so")
        func settings() async throws {
            let folder = try TemporaryFolder()
            let path = try Self.file(
                """
                log-level = "error"
                [serve]
                source = "synthetic"
                nav-shape = [4, 6]
                udf = ["sum", "bf=disk:r=3"]
                control-port = 1111
                live-port = 2222
                work-port = 3333
                no-viewer = true
                idle-limit = 1.5
                [relay]
                connect = "example"
                """, in: folder)
            let shown = try await StemwireProcess(
                ["serve", "--config", path, "--print-config", "--json", "--control-port", "5555"],
                environment: ["STEMWIRE_CONTROL_PORT": "4444", "STEMWIRE_LIVE_PORT": "4445"]
            ).ended()
            #expect(shown.code == 0, "\(shown.errors)")
            var found: [String: (value: String, origin: String)] = [:]
            for object in shown.objects {
                let name = try #require(object["name"] as? String)
                found[name] = (object["value"] as? String ?? "", object["origin"] as? String ?? "")
            }
            #expect(found["control-port"]?.value == "5555" && found["control-port"]?.origin == "command line")
            #expect(found["live-port"]?.value == "4445")
            #expect(found["live-port"]?.origin == "environment STEMWIRE_LIVE_PORT")
            #expect(found["work-port"]?.value == "3333" && found["work-port"]?.origin == "\(path) [serve]")
            #expect(found["log-level"]?.value == "error" && found["log-level"]?.origin == path)
            #expect(found["ring"]?.value == "256" && found["ring"]?.origin == "default")
            #expect(found["nav-shape"]?.value == "4 6" && found["udf"]?.value == "sum bf=disk:r=3")
            #expect(found["no-viewer"]?.value == "true" && found["insecure"]?.value == "false")
        }

        @Test("a command below another one has settings too")
        func nestedSettings() async throws {
            let folder = try TemporaryFolder()
            let path = try Self.file(
                """
                [adapt.mpx]
                connect = "tcp://merlin-server:7400"
                queue = 64
                """, in: folder)
            let shown = try await StemwireProcess(
                ["adapt", "mpx", "--config", path, "--print-config", "--json", "--data-port=1"],
                environment: ["STEMWIRE_READ_ONLY": "true"]
            ).ended()
            #expect(shown.code == 0, "\(shown.errors)")
            let found = Dictionary(
                shown.objects.map { ($0["name"] as? String ?? "", ($0["value"] as? String, $0["origin"] as? String)) }
            ) { first, _ in first }
            #expect(found["queue"]?.0 == "64" && found["queue"]?.1 == "\(path) [adapt.mpx]")
            #expect(found["connect"]?.0 == "tcp://merlin-server:7400" && found["data-port"]?.0 == "1")
            #expect(found["read-only"]?.0 == "true" && found["read-only"]?.1 == "environment STEMWIRE_READ_ONLY")
            #expect(found["control-port"]?.0 == "6341" && found["control-port"]?.1 == "default")
        }

        @Test(
            "settings that do not fit are refused, wherever they stand",
            arguments: [
                ("[serve]\nlive-prot = 7401", "live-port"), ("[server]\nlive-port = 7401", "no command [server]"),
                ("colour = 1", "no command has"), ("[serve]\nlive-port = \"many\"", "live-port"),
                ("[adapt]\nqueue = 1", "[adapt] has no setting"), ("[adapt.mpx]\nqeue = 1", "[adapt.mpx] has no"),
                ("[serve.mpx]\na = 1", "[serve] has no setting"), ("[serve\n", "line 1"),
                ("[serve]\nsource = { a = 1 }", "no text"),
            ])
        func badSettings(_ text: String, _ told: String) async throws {
            let folder = try TemporaryFolder()
            let ended = try await StemwireProcess.run(
                "serve", "--source", "synthetic", "--config", try Self.file(text, in: folder))
            #expect(ended.code == 64 && ended.errors.contains(told), "\(ended.errors)")
        }

        @Test(
            "a server from a file: health and metrics by HTTP, JSON logs, and a SIGTERM in mid-scan that loses nothing")
        func server() async throws {
            var configuration = SimulatorConfiguration(source: .selfIdentifying)
            configuration.navShape = [32, 32]
            configuration.mode = .triggered
            configuration.dwellMicroseconds = 500
            (configuration.controlPort, configuration.dataPort, configuration.triggerPort) = (0, 0, 0)
            let detector = try MerlinSimulator(configuration)
            let ports = try detector.start()
            defer { detector.stop() }
            let folder = try TemporaryFolder()
            let path = try Self.file(
                """
                log-format = "json"
                log-level = "info"
                [serve]
                source = "merlin://127.0.0.1:\(ports.control),\(ports.data)"
                control-port = 0
                live-port = 0
                work-port = 0
                http-port = 0
                ring = 64
                json = true
                """, in: folder)
            let server = try StemwireProcess(["serve"], environment: ["STEMWIRE_CONFIG": path])
            let listening = try await server.listening()
            let (http, control) = (try #require(listening["http_port"]), try #require(listening["control_port"]))
            func get(_ name: String) throws -> (Int, String) {
                let answer = try PlainHTTP.get(name, port: http)
                return (answer.status, answer.text)
            }
            #expect(try get("healthz").0 == 200)
            let deadline = ContinuousClock.now + .seconds(20)
            while try get("readyz").0 != 200 { try #require(ContinuousClock.now < deadline, "ready") }
            #expect(try await Serve.ctl(control, "arm").code == 0)
            #expect(try await Serve.ctl(control, "trigger").code == 0)
            while !(try get("metrics").1.contains("stemwire_scan_state{state=\"acquiring\"} 1")) {
                try #require(ContinuousClock.now < deadline, "a scan")
            }
            server.signal(SIGTERM)
            let ended = try await server.ended()
            #expect(ended.code == 0, "\(ended.errors)")
            let logged = ended.errors.split(separator: "\n").map { StemwireProcess.object(String($0)) }
            #expect(!logged.contains { $0 == nil }, "\(ended.errors)")
            let messages = logged.compactMap { $0?["message"] as? String }
            // In the opposite order of the start.
            #expect(
                messages.filter { $0.hasPrefix("stopped ") } == ["stopped viewer", "stopped server"], "\(messages)")
            #expect(
                logged.contains { $0?["message"] as? String == "serving" && $0?["control"] as? String == "\(control)" })
        }

        @Test("doctor says which step fails, and what to do")
        func doctor() async throws {
            let (detector, server, port) = try await Serve.serve()
            func doctor(_ arguments: String...) async throws -> (code: Int32, steps: [String: String], text: String) {
                let ended = try await StemwireProcess(["doctor", "--json"] + arguments).ended()
                let steps = ended.objects.compactMap { object in
                    (object["step"] as? String).map { ($0, object["outcome"] as? String ?? "") }
                }
                return (ended.code, Dictionary(steps) { $1 }, ended.lines.joined(separator: "\n") + ended.errors)
            }
            let well = try await doctor("--connect", "127.0.0.1:\(port)")
            for step in ["libzmq", "live socket", "work socket", "the server's detector"] {
                #expect(well.steps[step] == "ok", "\(step): \(well.text)")
            }
            // Data is left to the server.
            let source = try #require(
                (try await Serve.status(port)["detector"] as? [String: Any])?["source"] as? String)
            let both = try await doctor("--connect", "127.0.0.1:\(port)", "--source", source)
            #expect(
                both.steps["the detector's control"] == "ok" && both.steps["the detector's data"] == "skipped",
                "\(both.text)")
            detector.stop()
            let alone = try await doctor("--source", "merlin://127.0.0.1:1,1")
            #expect(alone.code == 3 && alone.steps["the detector's control"] == "failed", "\(alone.text)")
            #expect(alone.text.contains("remote control") && alone.steps["the detector's data"] == "failed")
            server.signal(SIGTERM)
            #expect(try await server.ended().code == 0)
            let gone = try await doctor("--connect", "127.0.0.1:\(port)")
            #expect(gone.code == 3 && gone.text.contains("stemwire serve"), "\(gone.text)")
        }
    }
}
