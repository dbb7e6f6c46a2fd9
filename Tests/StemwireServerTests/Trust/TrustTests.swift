import Foundation
import Logging
import StemwireClient
import StemwireProtocol
import StemwireSystem
import StemwireWorker
import Testing
import ZeroMQ

@testable import StemwireServer

extension ServerTests {
    /// An address of this machine that is treated as a foreign one.
    static let foreignHost = "127.0.0.2"

    @Suite("Who may come in") struct Trust {
        /// A server with keys at a foreign address, and tokens for its peers.
        struct Closed: Sendable {
            let bench: Bench
            let keys: KeyDirectory
            private let folder: Locked<KeyFolder>

            init(_ bench: Bench, _ folder: KeyFolder) {
                self.bench = bench
                keys = folder.keys
                self.folder = Locked(folder)
            }

            func token(_ name: String, _ role: PeerRole) throws -> AccessToken {
                let pair = try folder.withLock { try $0.enrol(name, role) }
                return AccessToken(serverKey: try keys.serverKeys().publicKey, keys: pair)
            }

            func revoke(_ name: String) throws { try folder.withLock { try $0.revoke(name) } }

            func connect(
                _ token: AccessToken?, timeout: Duration = .seconds(10)
            ) async throws(ConnectError) -> StemwireConnection {
                try await StemwireConnection.connect(
                    to: "\(ServerTests.foreignHost):\(bench.endpoints.controlPort)", timeout: timeout,
                    options: ConnectionOptions(token: token))
            }

            /// Connects as soon as the server has heeded the list.
            func connected(_ token: AccessToken) async throws -> StemwireConnection {
                try await eventually("a connection with a new key") {
                    do throws(ConnectError) {
                        return try await connect(token)
                    } catch {
                        guard case .keyRefused = error else { throw error }
                        return nil
                    }
                }
            }
        }

        static func run(
            nav: [Int] = [8, 8], dwell: Double? = nil,
            server set: (inout ServerConfiguration) -> Void = { _ in }, _ body: (Closed) async throws -> Void
        ) async throws {
            let folder = try KeyFolder()
            try await Bench.run(nav: nav) {
                $0.dwellMicroseconds = dwell
            } server: {
                $0.bindHost = ServerTests.foreignHost
                $0.trust.keys = folder.keys
                set(&$0)
            } _: { bench in
                try await body(Closed(bench, folder))
            }
        }

        static func code(_ body: () async throws -> Void) async -> ControlFailure.Code? {
            do {
                try await body()
                return nil
            } catch {
                return (error as? ControlFailure)?.code
            }
        }

        @Test("each role may do what it may, checked at the server")
        func roles() async throws {
            try await Self.run { closed in
                var clients: [PeerRole: StemwireConnection] = [:]
                for role in PeerRole.allCases {
                    let client = try await closed.connected(try closed.token("\(role)", role))
                    #expect(client.server.role == role && client.server.peer == "\(role)")
                    clients[role] = client
                }
                let viewer = try #require(clients[.viewer])
                try await eventually("a detector") { try await viewer.status().detector.dataConnected ? () : nil }
                let before = try await viewer.status()
                #expect(before.access.keysNeeded && before.access.enrolled == 4)
                let endpoints = try await viewer.directory().endpoints
                #expect(endpoints.map(\.service) == ["control", "live", "work"])
                let key = try closed.keys.serverKeys().publicKey.z85
                #expect(endpoints.allSatisfy { $0.needsKey && $0.publicKey == key })
                #expect(
                    endpoints[0].address == "tcp://\(ServerTests.foreignHost):\(closed.bench.endpoints.controlPort)")

                _ = try await viewer.detectorGet("COUNTERDEPTH")
                for attempt: () async throws -> Void in [
                    { _ = try await viewer.arm() }, { _ = try await viewer.trigger() }, { _ = try await viewer.stop() },
                    { _ = try await viewer.abort() }, { try await viewer.detectorSet("COUNTERDEPTH", to: "6") },
                    { try await viewer.detectorCommand("RESET") },
                    { _ = try await viewer.startRun([UDFSelection("sum")]) },
                    { _ = try await viewer.stopRun("default") },
                ] {
                    #expect(await Self.code(attempt) == .forbidden)
                }
                let controller = try #require(clients[.controller])
                let record = UDFSelection("record", parameters: ["filename": "/nowhere/x.npy"])
                #expect(await Self.code { _ = try await controller.startRun([record]) } == .forbidden)
                let after = try await viewer.status()
                #expect(after.access.sockets.first { $0.socket == "control" }?.refusedRequests == 9)
                #expect(after.state == "idle")

                // Viewers see all frames that a controller starts, and fetch them.
                let stream = viewer.tiles(options: .init(repair: true, untilEnd: true))
                try await stream.subscribed()
                try await controller.startScan()
                let seen = try #require(try await Seen.follow(stream, closed.bench.pattern).first)
                expectComplete(seen, frames: 64)
                let end = try #require(seen.end)
                let fetched = try await viewer.fetchAll(acquisition: end.acquisition, first: 0, count: 64)
                #expect(fetched.tiles.reduce(0) { $0 + $1.positions.count } == 64)
                for client in clients.values { await client.close() }
            }
        }

        @Test("only workers may work")
        func workers() async throws {
            try await Self.run { closed in
                var told: [PeerRole: String] = [:]
                for role in [PeerRole.controller, .worker] {
                    var configuration = WorkerConfiguration(
                        endpoint: "tcp://\(ServerTests.foreignHost):\(closed.bench.endpoints.workPort)")
                    configuration.token = try closed.token("\(role)", role)
                    configuration.threads = 1
                    let client = try await closed.connected(try #require(configuration.token))
                    await client.close()
                    let worker = try Worker(configuration)
                    let first = AsyncStream.makeStream(of: WorkerEvent.self)
                    let running = Task { try await worker.run { first.continuation.yield($0) } }
                    told[role] = try await within("a word of the server") {
                        for await event in first.stream { return "\(event)" }
                        return ""
                    }
                    running.cancel()
                    _ = try? await running.value
                }
                #expect(told[.controller]?.contains("needs the role worker") == true, "\(told)")
                #expect(told[.worker]?.contains("refused") == false, "\(told)")
            }
        }

        @Test("a revoked peer is cut off on every socket, and nobody else notices")
        func revoke() async throws {
            try await Self.run { closed in
                let good = try closed.token("good", .controller)
                let bad = try closed.token("bad", .viewer)
                let (stays, goes) = (try await closed.connected(good), try await closed.connected(bad))
                let stream = goes.tiles(options: .init(waitsForDetector: true))
                try await stream.subscribed()
                let other = stays.tiles(options: .init(repair: true, untilEnd: true, waitsForDetector: true))
                try await other.subscribed()
                // As bare as can be: no client of ours that would go by itself.
                let (heard, spoke) = try await onThread {
                    (
                        try Bare(.sub, closed, port: closed.bench.endpoints.livePort, bad),
                        try Bare(.dealer, closed, port: closed.bench.endpoints.workPort, bad)
                    )
                }
                try await onThread {
                    try heard.socket.withLock { try $0.subscribe("") }
                    try spoke.say(.beat(.init()))
                    _ = try spoke.receive()
                }
                try await eventually("two subscribers") {
                    try await stays.status().access.sockets.first { $0.socket == "live" }?.connections == 3 ? () : nil
                }

                let (delay, began) = (try MachineDelay(), ContinuousClock.now)
                try closed.revoke("bad")
                let reason = await within0("the end of the stream") {
                    do throws(SubscriptionError) {
                        for try await _ in stream {}
                        return "ended"
                    } catch {
                        return "\(error)"
                    }
                }
                #expect(ContinuousClock.now - began < .seconds(1) + delay.sum)
                #expect(reason.contains("revoked"), "\(reason)")
                let code = await Self.code { _ = try await goes.status() }
                #expect(code == .forbidden || code == .noReply)
                await goes.close()

                // Nothing comes any more to who had subscribed, or asks.
                try await eventually("three connections cut") {
                    let sockets = try await stays.status().access.sockets
                    return sockets.reduce(0) { $0 + $1.cutConnections } >= 4 ? () : nil
                }
                try await onThread { heard.drain() }
                try await stays.startScan()
                let seen = try #require(try await Seen.follow(other, closed.bench.pattern).first)
                expectComplete(seen, frames: 64)
                #expect(seen.gaps.isEmpty)
                let after = try await onThread {
                    (heard.drain(), (try? spoke.say(.beat(.init()))).map { spoke.drain() })
                }
                #expect(after.0 == 0 && (after.1 ?? 0) == 0)
                #expect(await stays.statistics.reconnections == 0)
                await #expect {
                    try await closed.connect(bad)
                } throws: { error in
                    if case .keyRefused? = error as? ConnectError { true } else { false }
                }
                await stays.close()
            }
        }

        /// Plain libzmq with a key.
        final class Bare: Sendable {
            let socket: Locked<Socket0>

            init(_ kind: Socket.Kind, _ closed: Closed, port: Int, _ token: AccessToken) throws {
                var options = SocketOptions()
                options.curve = .client(token.keys, server: token.serverKey)
                options.receiveTimeout = .milliseconds(10_000)
                // Who was refused has nowhere to send to.
                options.sendTimeout = .milliseconds(1000)
                options.linger = .zero
                let socket = try Socket(kind, in: Context(), options: options)
                try socket.connect("tcp://\(ServerTests.foreignHost):\(port)")
                self.socket = Locked(Socket0(socket))
            }

            func say(_ kind: WireWorkMessage.OneOf_Kind) throws {
                var message = WireWorkMessage()
                message.kind = kind
                let bytes: [UInt8] = try message.serializedBytes()
                try socket.withLock { try $0.socket.send(copying: bytes) }
            }

            func receive() throws -> [ReceivedPart] { try socket.withLock { try $0.socket.receive() } }

            /// How many messages have come.
            func drain() -> Int {
                socket.withLock { box in
                    var count = 0
                    while (try? box.socket.tryReceive()) != nil { count += 1 }
                    return count
                }
            }
        }

        /// Lets a lock own a socket.
        final class Socket0 {
            let socket: Socket
            init(_ socket: consuming Socket) { self.socket = socket }
            func subscribe(_ topic: String) throws { try socket.subscribe(topic) }
        }

        @Test("a port scan: who shows no key gets not a byte of data from any port")
        func portScan() async throws {
            try await Self.run(nav: [16, 16], dwell: 1000) { closed in
                let controller = try await closed.connected(try closed.token("c", .controller))
                try await eventually("a detector") { try await controller.status().detector.dataConnected ? () : nil }
                let ends = closed.bench.endpoints
                try await controller.startScan()
                let answers = try await onThread {
                    let ways = ["SUB", "XSUB", "DEALER", "REQ", "HTTP", "mute"]
                    let doors = [ends.controlPort, ends.livePort, ends.workPort].flatMap { port in
                        ways.map { (port, $0) }
                    }
                    // All at once: the silent ones wait for the handshake's deadline.
                    let knocks = try doors.map { try Knock(port: $0, as: $1) }
                    return knocks.map { $0.answer() }
                }
                // The greeting of ZMTP has 64 bytes, and tells nothing but the mechanism.
                for bytes in answers { #expect(bytes.count <= 64, "\(bytes)") }
                // From afar the server is at no other address.
                #expect(throws: SystemError.self) {
                    try TCPConnection.connect(host: "127.0.0.1", port: ends.controlPort, timeout: .seconds(5))
                }
                let status = try await controller.status()
                #expect(status.access.sockets.allSatisfy { $0.failedHandshakes >= 4 })
                await controller.close()
            }
        }

        /// What a port says to who speaks ZMTP without a key, or nothing, or something else.
        struct Knock {
            private let connection: TCPConnection

            init(port: Int, as way: String) throws {
                let connection = try TCPConnection.connect(
                    host: ServerTests.foreignHost, port: port, timeout: .seconds(5))
                self.connection = connection
                connection.setReceiveTimeout(.seconds(5))
                func send(_ bytes: [UInt8]) { _ = try? bytes.withUnsafeBytes { try connection.send($0) } }
                switch way {
                case "mute": break
                case "HTTP": send(Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
                default:
                    let mechanism = Array("NULL".utf8) + [UInt8](repeating: 0, count: 16)
                    send([0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 0] + mechanism + [UInt8](repeating: 0, count: 32))
                    let type = Array(way.utf8)
                    let ready =
                        [5] + Array("READY".utf8) + [11] + Array("Socket-Type".utf8) + [0, 0, 0, UInt8(type.count)]
                        + type
                    send([4, UInt8(ready.count)] + ready)
                    // A subscription to everything; a request.
                    send([0, 1, 1])
                    send([0, 2, UInt8(ascii: "{"), UInt8(ascii: "}")])
                }
            }

            func answer() -> [UInt8] {
                var answer: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 4096)
                // Until the server has had enough: at the handshake's end, or its deadline.
                while case .bytes(let count) = buffer.withUnsafeMutableBytes({ connection.receive(into: $0) }) {
                    answer += buffer[..<count]
                }
                return answer
            }
        }

        @Test("programs of the machine come in by ipc, where the folder lets them")
        func ipc() async throws {
            let folder = "/tmp/stemwire-ipc-\(UInt32.random(in: .min ... .max))"
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try await Self.run {
                $0.trust.ipcDirectory = folder
            } _: { closed in
                let mode = try FileManager.default.attributesOfItem(atPath: folder)[.posixPermissions] as? Int
                #expect(mode == 0o700)
                let client = try await StemwireConnection.connect(to: "ipc://\(folder)", timeout: .seconds(10))
                #expect(client.server.role == .admin && client.server.peer == "local")
                try await eventually("a detector") { try await client.status().detector.dataConnected ? () : nil }
                let stream = client.tiles(options: .init(repair: true, untilEnd: true))
                try await stream.subscribed()
                try await client.startScan()
                let seen = try #require(try await Seen.follow(stream, closed.bench.pattern).first)
                expectComplete(seen, frames: 64)
                let end = try #require(seen.end)
                let fetched = try await client.fetchAll(acquisition: end.acquisition, first: 0, count: 8)
                #expect(fetched.tiles.reduce(0) { $0 + $1.positions.count } == 8)
                await client.close()
            }
            try FileManager.default.setAttributes([.posixPermissions: 0o707], ofItemAtPath: folder)
            let server = try AcquisitionServer(
                {
                    var configuration = Bench.serverConfiguration(controlPort: 1, dataPort: 1)
                    configuration.trust.ipcDirectory = folder
                    return configuration
                }())
            let refused = await #expect(throws: ServerError.self) { try await server.start() }
            #expect(refused?.description.contains("chmod") == true)
        }

        @Test("connections beyond the limit are ended, those that stand are not")
        func connectionCap() async throws {
            try await Bench.run(server: { $0.trust.maximumConnections = 8 }) { bench in
                let client = try await bench.connect()
                let mute = try await onThread {
                    try (0..<24).map { _ in
                        try TCPConnection.connect(
                            host: "127.0.0.1", port: bench.endpoints.controlPort, timeout: .seconds(5))
                    }
                }
                try await eventually("refused connections") {
                    let control = try await client.status().access.sockets.first { $0.socket == "control" }
                    return (control?.refusedConnections ?? 0) >= 16 ? () : nil
                }
                #expect(await client.statistics.reconnections == 0)
                for connection in mute { connection.shutdown() }
                try await eventually("room again") {
                    try await client.status().access.sockets.first { $0.socket == "control" }?.connections == 1
                        ? () : nil
                }
                let late = try await bench.connect()
                await late.close()
                await client.close()
            }
        }

        @Test("a list that is away lets nobody new in, and cuts nobody off; one with a bad line lets in the good ones")
        func listIsAway() async throws {
            try await Self.run { closed in
                let (anna, bert) = (try closed.token("anna", .viewer), try closed.token("bert", .viewer))
                let client = try await closed.connected(anna)
                let path = closed.keys.path + "/allow.list"
                let text = try PrivateFile.read(path)
                try FileManager.default.removeItem(atPath: path)
                // Refused for now: the client goes on trying, until its time is over.
                try await eventually("no way in") {
                    (try? await closed.connect(bert, timeout: .milliseconds(700))) == nil ? () : nil
                }
                _ = try await client.status()
                try PrivateFile.write("what is this?\n" + text, to: path)
                await (try closed.connected(bert)).close()
                _ = try await client.status()
                #expect(await client.statistics.reconnections == 0)
                await client.close()
            }
        }

        @Test("without its gatekeeper a socket lets nobody in")
        func gatekeeperIsGone() async throws {
            let folder = try KeyFolder()
            let pair = try folder.enrol("anna", .viewer)
            var configuration = TrustConfiguration()
            configuration.keys = folder.keys
            let context = try Context()
            let reactor = try Reactor("trust")
            var logger = Logger(label: "test")
            logger.logLevel = .critical
            let gatekeeper = try #require(
                try Gatekeeper(configuration, on: reactor, in: context, logger: logger))
            try await gatekeeper.start()
            let access = SocketGuard("control", gatekeeper: gatekeeper, configuration: configuration)
            let server = try folder.keys.serverKeys().publicKey
            try await onThread {
                let socket = try Socket(.rep, in: context) { $0.receiveTimeout = .seconds(10) }
                let endpoint = try access.bind(socket, at: "tcp://127.0.0.1:*")
                func knock(_ patience: Duration) throws -> Bool {
                    let client = try Socket(.req, in: context) {
                        $0.curve = .client(pair, server: server)
                        $0.linger = .zero
                        $0.sendTimeout = TimeLimit(patience)
                        $0.immediate = true
                    }
                    try client.connect(endpoint)
                    return (try? client.send(copying: "hello")) != nil
                }
                #expect(try knock(.seconds(10)))
                let parts = try socket.receive()
                #expect(access.sender(of: parts[0]) == KnownPeer(name: "anna", role: .viewer))
                let stopped = DispatchSemaphore(value: 0)
                Task {
                    await gatekeeper.stop()
                    stopped.signal()
                }
                stopped.wait()
                #expect(try !knock(.milliseconds(500)))
            }
            reactor.stop()
        }

        @Test("settings that cannot be are refused with what to do")
        func badSettings() {
            func problem(_ change: (inout ServerConfiguration) -> Void) -> String? {
                var configuration = ServerConfiguration()
                change(&configuration)
                do throws(ServerError) {
                    _ = try AcquisitionServer(configuration)
                    return nil
                } catch {
                    return error.description
                }
            }
            #expect(problem { $0.bindHost = "0.0.0.0" }?.contains("stemwire keygen") == true)
            #expect(problem { $0.bindHost = ServerTests.foreignHost }?.contains("--insecure") == true)
            #expect(problem { ($0.trust.keys, $0.allowsInsecure) = (KeyDirectory("x"), true) } != nil)
            #expect(problem { $0.trust.maximumConnections = 0 } != nil)
            #expect(problem { $0.trust.ipcDirectory = String(repeating: "x", count: 100) } != nil)
            #expect(problem { $0.trust.keys = KeyDirectory("x") } == nil)
        }
    }
}

/// As `within`, for what does not throw.
private func within0(_ what: String, _ body: @escaping @Sendable () async -> String) async -> String {
    (try? await within(what) { await body() }) ?? "\(what) did not come"
}
