import Foundation
import Glibc
import StemwireClient
import StemwireProtocol
import StemwireSystem
import Testing
import ZeroMQ

/// Malformed connections in all, and twice as many subscriptions; `STEMWIRE_TEST_SCALE=100000` for the long way.
private let scale = ProcessInfo.processInfo.environment["STEMWIRE_TEST_SCALE"].flatMap { Int($0) } ?? 1500

extension CommandLineTests {
    @Suite("hostile peers on each port of a server with keys") struct Hostile {
        private static let host = "127.0.0.2"

        /// A server process with keys, a simulated detector in it, and a token for each role that is asked for.
        private final class Victim {
            let server: StemwireProcess
            let ports: [String: Int]
            let folder: TemporaryFolder
            let viewer: AccessToken
            private let controller: String

            init(_ options: [String] = [], shell: String? = nil) async throws {
                folder = try TemporaryFolder()
                let keys = folder.path + "/keys"
                _ = try await StemwireProcess.run("keygen", "--keys", keys)
                func enrol(_ role: String) async throws -> String {
                    try await StemwireProcess.run("enrol", "--keys", keys, "--role", role, "--name", role).lines
                        .joined()
                }
                viewer = try AccessToken(try await enrol("viewer"))
                controller = try await enrol("controller")
                server = try StemwireProcess(
                    [
                        "serve", "--source", "synthetic", "--nav-shape", "16", "16", "--bind", Hostile.host, "--keys",
                        keys,
                        "--json", "--control-port", "0", "--live-port", "0", "--work-port", "0", "--http-port", "0",
                        "--ring", "16", "--log-level", "critical", "--idle-limit", "30",
                    ] + options, shell: shell)
                ports = try await server.listening()
            }

            func port(_ name: String) throws -> Int { try #require(ports["\(name)_port"]) }

            func connect() async throws -> StemwireConnection {
                try await StemwireConnection.connect(
                    to: "\(Hostile.host):\(try port("control"))", timeout: .seconds(20),
                    options: ConnectionOptions(token: try AccessToken(controller)))
            }

            var residentBytes: Int {
                let text = (try? String(contentsOfFile: "/proc/\(server.processID)/statm", encoding: .utf8)) ?? ""
                return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096
            }

            /// Seconds of processor time that the server has used.
            var processorSeconds: Double {
                let text = (try? String(contentsOfFile: "/proc/\(server.processID)/stat", encoding: .utf8)) ?? ""
                let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
                guard fields.count > 12 else { return 0 }
                return ((Double(fields[11]) ?? 0) + (Double(fields[12]) ?? 0)) / Double(sysconf(Int32(_SC_CLK_TCK)))
            }
        }

        /// Scans again and again until `isOver`, and gives how many there were, all of them complete.
        private static func scan(_ client: StemwireConnection, until isOver: Locked<Bool>) async throws -> Int {
            var scans = 0
            while !isOver.value || scans < 2 {
                let generation = try await client.status().previousAcquisition.generation
                do throws(ControlFailure) {
                    _ = try await client.arm()
                    _ = try await client.trigger()
                } catch {
                    // The detector has not got over the scan before.
                    guard error.code == .detectorRefused || error.code == .wrongState else { throw error }
                    continue
                }
                let deadline = ContinuousClock.now + .seconds(60)
                while true {
                    let last = try await client.status().previousAcquisition
                    if last.generation > generation {
                        #expect(last.endReason == "complete" && last.accounting.placed == 256, "\(last)")
                        break
                    }
                    try #require(ContinuousClock.now < deadline, "scan \(scans) ends")
                }
                scans += 1
            }
            return scans
        }

        private static func onThread(_ body: @escaping @Sendable () throws -> Void) async throws {
            try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
                Thread.detachNewThread { done.resume(with: Result { try body() }) }
            }
        }

        private static func dealer(_ token: AccessToken, port: Int) throws -> Socket {
            let (keys, server) = (token.keys, token.serverKey)
            let socket = try Socket(.dealer, in: Context()) {
                $0.curve = .client(keys, server: server)
                $0.linger = .zero
                $0.sendTimeout = .seconds(20)
                $0.receiveTimeout = .seconds(20)
            }
            try socket.connect("tcp://\(host):\(port)")
            return socket
        }

        @Test("garbage, floods, giants and requests without the role: no scan loses a frame, and all is counted")
        func attack() async throws {
            let victim = try await Victim()
            let doors = try ["control", "live", "work"].map { try victim.port($0) }
            let client = try await victim.connect()
            let deadline = ContinuousClock.now + .seconds(20)
            while try await !client.status().detector.dataConnected { try #require(ContinuousClock.now < deadline) }
            let isOver = Locked(false)
            let warmUp = try await Self.scan(client, until: Locked(true))
            let before = victim.residentBytes
            let viewer = victim.viewer
            async let scans = Self.scan(client, until: isOver)
            do {
                defer { isOver.value = true }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for port in doors { group.addTask { try await Self.onThread { try Self.sendGarbage(to: port) } } }
                    group.addTask { try await Self.onThread { try Self.subscribe(viewer, port: doors[1]) } }
                    group.addTask { try await Self.onThread { try Self.overreach(viewer, port: doors[0]) } }
                    group.addTask {
                        try await Self.onThread { try Self.sendGiants(viewer, ports: [doors[0], doors[2]]) }
                    }
                    group.addTask { try await Self.onThread { try Self.stayHalfWay(doors) } }
                    try await group.waitForAll()
                }
            }
            let count = try await scans
            let status = try await client.status()
            print(
                "\(scale) malformed connections, \(count) scans meanwhile, memory +\((victim.residentBytes - before) >> 20) MiB"
            )
            #expect(victim.residentBytes - before < 64 << 20)
            #expect(status.acquisitions == UInt64(count + warmUp))
            let sockets = Dictionary(status.access.sockets.map { ($0.socket, $0) }) { $1 }
            for name in ["control", "live", "work"] {
                #expect((sockets[name]?.failedHandshakes ?? 0) >= UInt64(scale / 6), "\(name)")
            }
            #expect(sockets["control"]?.refusedRequests == UInt64(scale / 10))
            #expect((sockets["live"]?.cutConnections ?? 0) >= 1)
            // It comes to rest, and lets go of what the peers had.
            try await Self.rests(victim)
            await client.close()
            victim.server.signal(SIGTERM)
            #expect(try await victim.server.ended().code == 0)
        }

        /// Waits until the server uses less than half a processor for a second.
        private static func rests(_ victim: Victim) async throws {
            let deadline = ContinuousClock.now + .seconds(30)
            while true {
                let (used, began) = (victim.processorSeconds, ContinuousClock.now)
                try await Task.sleep(for: .seconds(1))
                let share = (victim.processorSeconds - used) / ((ContinuousClock.now - began) / .seconds(1))
                if share < 0.5 { return }
                try #require(ContinuousClock.now < deadline, "the server turns on the spot: \(share) of a processor")
            }
        }

        private static func sendGarbage(to port: Int) throws {
            var random = SystemRandomNumberGenerator()
            for _ in 0..<scale / 3 {
                let connection = try TCPConnection.connect(host: host, port: port, timeout: .seconds(20))
                let bytes = (0..<Int.random(in: 1..<200)).map { _ in UInt8.random(in: .min ... .max, using: &random) }
                _ = try? bytes.withUnsafeBytes { try connection.send($0) }
                if Bool.random() { connection.resetOnClose() }
            }
        }

        private static func subscribe(_ token: AccessToken, port: Int) throws {
            let (keys, server) = (token.keys, token.serverKey)
            var left = 2 * scale
            while left > 0 {
                let socket = try Socket(.sub, in: Context()) {
                    $0.curve = .client(keys, server: server)
                    $0.linger = .zero
                    // Else libzmq leaves out those beyond a thousand.
                    $0.sendHighWaterMark = 0
                }
                let monitor = try SocketMonitor(socket)
                // Enough for the server to have had enough of it.
                for _ in 0..<2048 {
                    try socket.subscribe((0..<Int.random(in: 1..<100)).map { _ in UInt8.random(in: 33..<126) })
                }
                try socket.connect("tcp://\(host):\(port)")
                try waitForCut(monitor, limit: .seconds(20))
                left -= 2048
            }
        }

        /// Waits until the server has ended the connection.
        private static func waitForCut(_ monitor: borrowing SocketMonitor, limit: TimeLimit) throws {
            while true {
                if case .disconnected = try monitor.next(timeout: limit) { return }
            }
        }

        private static func overreach(_ token: AccessToken, port: Int) throws {
            let socket = try dealer(token, port: port)
            var request = WireRequest()
            request.arm = WireArmRequest()
            for number in 0..<scale / 10 {
                request.id = "\(number)"
                try socket.send(copying: try request.serializedBytes())
                let reply = try WireReply(serializedBytes: try socket.receive()[0].bytes)
                try #require(reply.failure.code == "forbidden" && reply.id == "\(number)", "\(reply)")
            }
        }

        private static func sendGiants(_ token: AccessToken, ports: [Int]) throws {
            let giants = [WireLimits.controlArrayBytes + (1 << 20), WireLimits.resultPartBytes + (1 << 20)]
            for (port, size) in zip(ports, giants) {
                for _ in 0..<2 {
                    let socket = try dealer(token, port: port)
                    let monitor = try SocketMonitor(socket)
                    try socket.send(Message(size: size) { $0.initializeMemory(as: UInt8.self, repeating: 1) })
                    try waitForCut(monitor, limit: .seconds(60))
                }
            }
        }

        /// Connections that begin a handshake and never go on: the server ends them.
        private static func stayHalfWay(_ ports: [Int]) throws {
            let connections = try (0..<60).map { number in
                let connection = try TCPConnection.connect(
                    host: host, port: ports[number % ports.count], timeout: .seconds(20))
                let greeting: [UInt8] = [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3]
                _ = try? greeting[..<(1 + number % greeting.count)].withUnsafeBytes { try connection.send($0) }
                connection.setReceiveTimeout(.seconds(30))
                return connection
            }
            for connection in connections {
                var buffer = [UInt8](repeating: 0, count: 100)
                while true {
                    let received = buffer.withUnsafeMutableBytes { connection.receive(into: $0) }
                    if case .bytes = received { continue }
                    try #require(received != .timedOut, "the server waits for ever for a handshake")
                    break
                }
            }
        }

        @Test("where descriptors run out, new peers are refused and the others served, without turning on the spot")
        func descriptors() async throws {
            // As many as the server needs for itself, and some for peers.
            let victim = try await Victim(shell: "ulimit -n 256")
            let doors = try ["control", "live", "work"].map { try victim.port($0) }
            let client = try await victim.connect()
            let deadline = ContinuousClock.now + .seconds(20)
            while try await !client.status().detector.dataConnected { try #require(ContinuousClock.now < deadline) }
            let crowd = try (0..<360).map { number in
                try TCPConnection.connect(host: Self.host, port: doors[number % 3], timeout: .seconds(20))
            }
            _ = try await Self.scan(client, until: Locked(true))
            while try await client.status().access.sockets.contains(where: { $0.refusedConnections == 0 }) {
                try #require(ContinuousClock.now < deadline + .seconds(20), "refused connections")
            }
            try await Self.rests(victim)
            let late = try await victim.connect()
            await late.close()
            withExtendedLifetime(crowd) {}
            await client.close()
            victim.server.signal(SIGTERM)
            #expect(try await victim.server.ended().code == 0)
        }
    }
}
