import Foundation
import StemwireClient
import StemwireServer
import Testing

extension CommandLineTests {
    @Suite("stemwire keygen, enrol and revoke") struct Keys {
        private static func file(_ text: String, in folder: TemporaryFolder, mode: Int = 0o600) -> String {
            let path = folder.path + "/token-\(UUID().uuidString)"
            let isMade = FileManager.default.createFile(
                atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: mode])
            #expect(isMade)
            return path
        }

        private static func enrol(
            _ name: String, _ role: String, _ keys: String, in folder: TemporaryFolder
        ) async throws -> String {
            let enrolled = try await StemwireProcess.run("enrol", "--keys", keys, "--role", role, "--name", name)
            #expect(enrolled.code == 0 && enrolled.lines.count == 1, "\(enrolled.errors)")
            return file(enrolled.lines.joined(), in: folder)
        }

        @Test("keys are made once, names are given once, and what is wrong is told by its exit code")
        func keys() async throws {
            let folder = try TemporaryFolder()
            let keys = folder.path + "/deep/keys"
            let early = try await StemwireProcess.run("enrol", "--keys", keys, "--role", "viewer", "--name", "anna")
            #expect(early.code == 1 && early.errors.contains("stemwire keygen"))
            let made = try await StemwireProcess.run("keygen", "--keys", keys, "--json")
            let key = try #require(made.objects.first?["public_key"] as? String)
            #expect(made.code == 0 && key.utf8.count == 40)
            #expect(try await StemwireProcess.run("keygen", "--keys", keys).code == 1)
            let enrolled = try await StemwireProcess.run(
                "enrol", "--keys", keys, "--role", "viewer", "--name", "anna", "--json")
            let token = try AccessToken(try #require(enrolled.objects.first?["token"] as? String))
            #expect(token.serverKey.z85 == key)
            #expect(
                try await StemwireProcess.run("enrol", "--keys", keys, "--role", "viewer", "--name", "anna").code == 1)
            #expect(try await StemwireProcess.run("enrol", "--keys", keys, "--role", "boss", "--name", "b").code == 64)
            #expect(
                try await StemwireProcess.run("enrol", "--keys", keys, "--role", "viewer", "--name", "b b").code == 64)
            #expect(try await StemwireProcess.run("revoke", "--keys", keys, "anna").code == 0)
            #expect(try await StemwireProcess.run("revoke", "--keys", keys, "anna").code == 1)
            // Into a file that nobody else reads; where that fails nobody is let in.
            let path = folder.path + "/bert.token"
            func bert() async throws -> Int32 {
                try await StemwireProcess.run(
                    "enrol", "--keys", keys, "--role", "viewer", "--name", "bert", "--output", path
                ).code
            }
            #expect(try await bert() == 0)
            #expect(try AccessToken(contentsOf: path).serverKey.z85 == key)
            #expect(try await StemwireProcess.run("revoke", "--keys", keys, "bert").code == 0)
            #expect(try await bert() == 1)
            #expect(try KeyDirectory(keys).allowList().entries.isEmpty)
        }

        @Test("a web token lets its holder in by HTTP, as what it is, until it is revoked")
        func webTokens() async throws {
            let folder = try TemporaryFolder()
            let keys = folder.path + "/keys"
            func enrol(_ name: String, _ role: String) async throws -> StemwireProcess.Ended {
                try await StemwireProcess.run(
                    "enrol", "--web", "--keys", keys, "--role", role, "--name", name, "--json")
            }
            let early = try await enrol("screen", "viewer")
            #expect(early.code == 1 && early.errors.contains("stemwire keygen"))
            #expect(try await StemwireProcess.run("keygen", "--keys", keys).code == 0)
            #expect(try await enrol("w", "worker").code == 64)
            let screen = try #require(try await enrol("screen", "viewer").objects.first?["token"] as? String)
            #expect(try await enrol("screen", "controller").code == 1)
            _ = try await Self.enrol("anna", "controller", keys, in: folder)
            let listed = try await StemwireProcess.run("enrolled", "--keys", keys, "--json")
            #expect(listed.objects.map { $0["kind"] as? String } == ["key", "web"])
            #expect(listed.objects.last?["name"] as? String == "screen" && !listed.lines.joined().contains(screen))
            let list = try String(contentsOfFile: keys + "/allow.list", encoding: .utf8)
            #expect(list.contains("screen viewer sha256:") && !list.contains(screen))

            let server = try StemwireProcess([
                "serve", "--source", "synthetic", "--nav-shape", "4", "4", "--bind", "127.0.0.2", "--keys", keys,
                "--http-bind", "127.0.0.3", "--json", "--control-port", "0", "--live-port", "0", "--work-port", "0",
                "--http-port", "0", "--ring", "16",
            ])
            let port = try #require(try await server.listening()["http_port"])
            func get(_ path: String, _ token: String?) throws -> Int {
                let headers = token.map { ["Authorization: Bearer \($0)"] } ?? []
                return try PlainHTTP.get(path, host: "127.0.0.3", port: port, headers: headers).status
            }
            for path in ["status", "metrics"] {
                #expect(try get(path, nil) == 401)
                #expect(try get(path, screen) == 200)
            }
            #expect(try get("", nil) == 200)
            #expect(try get("healthz", nil) == 200)
            #expect(try await StemwireProcess.run("revoke", "--keys", keys, "screen").code == 0)
            let deadline = ContinuousClock.now + .seconds(20)
            while try get("status", screen) != 401 { try #require(ContinuousClock.now < deadline) }
            server.signal(SIGTERM)
            let ended = try await server.ended()
            #expect(ended.code == 0 && ended.errors.contains("HTTP is not encrypted"), "\(ended.errors)")
        }

        @Test("serve, ctl and worker with tokens, by file and environment; without one, with a wrong one, and revoked")
        func session() async throws {
            let folder = try TemporaryFolder()
            let keys = folder.path + "/keys"
            #expect(try await StemwireProcess.run("keygen", "--keys", keys).code == 0)
            let viewer = try await Self.enrol("v", "viewer", keys, in: folder)
            let controller = try await Self.enrol("c", "controller", keys, in: folder)
            let server = try StemwireProcess([
                "serve", "--source", "synthetic", "--nav-shape", "4", "4", "--bind", "127.0.0.2", "--keys", keys,
                "--json",
                "--control-port", "0", "--live-port", "0", "--work-port", "0", "--http-port", "0", "--ring", "16",
            ])
            let ports = try await server.listening()
            let (control, work) = (try #require(ports["control_port"]), try #require(ports["work_port"]))
            func ctl(_ arguments: String...) async throws -> StemwireProcess.Ended {
                try await StemwireProcess(["ctl", "--connect", "127.0.0.2:\(control)", "--json"] + arguments).ended()
            }
            let status = try await ctl("--token", viewer, "status")
            #expect(status.code == 0, "\(status.errors)")
            let access = status.objects.first?["access"] as? [String: Any]
            // The page has a key of its own.
            #expect(access?["keysNeeded"] as? Bool == true && access?["enrolled"] as? Int == 3)
            let forbidden = try await ctl("--token", viewer, "arm")
            #expect(forbidden.code == 1 && forbidden.errors.contains("needs the role controller"))
            #expect(try await ctl("--token", controller, "get", "COUNTERDEPTH").code == 0)
            // On a machine that is busy the second in which it is told may not be enough.
            var none = try await ctl("status")
            for _ in 0..<10 where none.code == 3 { none = try await ctl("status") }
            #expect(none.code == 1 && none.errors.contains("stemwire enrol"))
            let text = try AccessToken(contentsOf: viewer).text
            let seen = try await ctl("--token", text, "status")
            #expect(seen.code == 64 && seen.errors.contains("command line"))
            let broken = try await ctl("--token", Self.file(String(text.dropLast(3)), in: folder), "status")
            #expect(broken.code == 64 && broken.errors.contains("no token"))
            let byEnvironment = try await StemwireProcess(
                ["ctl", "--connect", "127.0.0.2:\(control)", "status"], environment: ["STEMWIRE_TOKEN": text]
            ).ended()
            #expect(byEnvironment.code == 0, "\(byEnvironment.errors)")
            // It goes on trying, and is told why.
            let worker = try await StemwireProcess.run(
                "worker", "--connect", "127.0.0.2:\(work)", "--token", controller, "--json", "--connect-timeout", "1")
            #expect(worker.code == 3 && worker.errors.contains("needs the role worker"), "\(worker.errors)")

            #expect(try await StemwireProcess.run("revoke", "--keys", keys, "v").code == 0)
            let deadline = ContinuousClock.now + .seconds(20)
            while case let revoked = try await ctl("--token", viewer, "status"), revoked.code == 0 {
                try #require(ContinuousClock.now < deadline, "\(revoked)")
            }
            let revoked = try await ctl("--token", viewer, "status")
            #expect(revoked.code == 1 && revoked.errors.contains("revoked"))
            server.signal(SIGTERM)
            #expect(try await server.ended().code == 0)
            let open = try await StemwireProcess.run(
                "serve", "--source", "synthetic", "--bind", "127.0.0.2", "--keys", folder.path + "/none")
            #expect(open.code == 1 && open.errors.contains("stemwire keygen"), "\(open)")
            let both = try await StemwireProcess.run(
                "serve", "--source", "synthetic", "--bind", "127.0.0.2", "--keys", keys, "--insecure")
            #expect(both.code == 64)
        }
    }
}
