import StemwireClient
import StemwireSystem
import StemwireTestSupport
import Testing
import ZeroMQ

@testable import StemwireServer

extension ServerTests {
    @Suite("What is wrong is told apart, within a second") struct ToldApart {
        /// Within this time a client knows what is wrong; what the machine is late is not the client's doing.
        private static let limit = Duration.seconds(1)
        private static let attempts = 3

        /// What came of an attempt, and that it came in time: the fastest of a few, where the machine is busy.
        private static func told<Failure>(
            _ what: String, sourceLocation: SourceLocation = #_sourceLocation, _ attempt: () async throws -> Failure?
        ) async throws -> Failure {
            var fastest = Duration.seconds(3600)
            var failure: Failure?
            for _ in 0..<attempts where fastest > limit {
                let (delay, began) = (try MachineDelay(), ContinuousClock.now)
                failure = try await attempt()
                fastest = min(fastest, ContinuousClock.now - began - delay.sum)
            }
            print("\(what): told after \(fastest)")
            #expect(fastest < limit, "\(what)", sourceLocation: sourceLocation)
            return try #require(failure, "\(what)", sourceLocation: sourceLocation)
        }

        private static func refusal(_ connect: () async throws(ConnectError) -> StemwireConnection) async
            -> ConnectError?
        {
            do throws(ConnectError) {
                await (try connect()).close()
                return nil
            } catch {
                return error
            }
        }

        @Test("wrong keys, and keys where none are wanted")
        func keys() async throws {
            let stranger = try KeyFolder()
            let strangersServer = try stranger.keys.serverKeys().publicKey
            try await Trust.run { closed in
                let good = try closed.token("anna", .viewer)
                await (try closed.connected(good)).close()
                func told(_ what: String, _ token: AccessToken?) async throws -> ConnectError {
                    try await Self.told(what) {
                        await Self.refusal { () throws(ConnectError) in
                            try await closed.connect(token, timeout: .seconds(20))
                        }
                    }
                }
                let none = try await told("no key", nil)
                if case .tokenNeeded = none {} else { Issue.record("\(none)") }
                let unknown = AccessToken(serverKey: good.serverKey, keys: try .generate())
                let notEnrolled = try await told("a key that is not enrolled", unknown)
                if case .keyRefused = notEnrolled {} else { Issue.record("\(notEnrolled)") }
                let other = AccessToken(serverKey: strangersServer, keys: good.keys)
                let wrongServer = try await told("another server's key", other)
                if case .wrongServerKey = wrongServer {} else { Issue.record("\(wrongServer)") }
                let viewer = try await closed.connect(good)
                let status = try await viewer.status()
                let control = try #require(status.access.sockets.first { $0.socket == "control" })
                #expect(control.refusedKeys >= 1 && control.failedHandshakes >= 2)
                let role = try await Self.told("a role that is not enough") {
                    await Trust.code { _ = try await viewer.arm() }
                }
                #expect(role == .forbidden)
                await viewer.close()
            }
            try await Bench.run { bench in
                let token = AccessToken(serverKey: strangersServer, keys: try .generate())
                let notWanted = try await Self.told("a key where none is wanted") {
                    await Self.refusal { () throws(ConnectError) in
                        try await StemwireConnection.connect(
                            to: "127.0.0.1:\(bench.endpoints.controlPort)", timeout: .seconds(10),
                            options: ConnectionOptions(token: token))
                    }
                }
                if case .tokenNotWanted = notWanted {} else { Issue.record("\(notWanted)") }
            }
        }

        @Test("a server that is full is not taken for one with another key, and lets in when there is room")
        func full() async throws {
            try await Trust.run(server: { $0.trust.maximumConnections = 4 }) { closed in
                let good = try closed.token("anna", .viewer)
                var crowd: [StemwireConnection] = []
                for _ in 0..<4 { crowd.append(try await closed.connected(good)) }
                let refusal = await Self.refusal { () throws(ConnectError) in
                    try await closed.connect(good, timeout: .seconds(3))
                }
                let full = try #require(refusal)
                if case .full = full {} else { Issue.record("\(full)") }
                for connection in crowd { await connection.close() }
                await (try await closed.connected(good)).close()
            }
        }

        @Test("wrong addresses, and a detector that sends nothing")
        func addresses() async throws {
            try await Bench.serve(Bench.serverConfiguration(controlPort: 1, dataPort: 1)) { _, endpoints in
                func told(_ what: String, _ port: Int) async throws -> ConnectError {
                    try await Self.told(what) {
                        await Self.refusal { () throws(ConnectError) in
                            // As the command line does.
                            try await StemwireConnection.connect(to: "127.0.0.1:\(port)", timeout: .milliseconds(900))
                        }
                    }
                }
                let nobody = try await told("nobody there", 1)
                if case .nobodyThere = nobody {} else { Issue.record("\(nobody)") }
                let live = try await told("the live socket's port", endpoints.livePort)
                if case .notStemwire = live {} else { Issue.record("\(live)") }
                let client = try await Bench.connect(endpoints, waitsForDetector: false)
                let silence = try await Self.told("nobody sends") {
                    do throws(SubscriptionError) {
                        for try await _ in client.tiles() {}
                        return SubscriptionError?.none
                    } catch {
                        return error
                    }
                }
                if case .nobodySends = silence {} else { Issue.record("\(silence)") }
                let state = try await Self.told("no detector") { await Trust.code { _ = try await client.arm() } }
                #expect(state == .detectorUnreachable)
                await client.close()
            }
        }
    }
}
