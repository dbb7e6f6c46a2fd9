import MerlinSimulator
import StemwireClient
import StemwireProtocol
import StemwireSystem
import Testing

extension ServerTests {
    @Suite("Every call ends in time, and says why") struct Deadlines {
        typealias Call = @Sendable (StemwireConnection, Duration) async throws -> Void

        static let calls: [(name: String, call: Call)] = [
            ("status", { _ = try await $0.status(deadline: $1) }),
            ("directory", { _ = try await $0.directory(deadline: $1) }),
            ("snapshot", { _ = try await $0.snapshot(deadline: $1) }),
            ("get", { _ = try await $0.detectorGet("GAIN", deadline: $1) }),
            ("set", { try await $0.detectorSet("GAIN", to: "1", deadline: $1) }),
            ("cmd", { try await $0.detectorCommand("SOFTTRIGGER", deadline: $1) }),
            ("configure", { _ = try await $0.configure([("GAIN", "1")], deadline: $1) }),
            ("commandFile", { _ = try await $0.runCommandFile("GET,GAIN", deadline: $1) }),
            ("check", { _ = try await $0.check(deadline: $1) }),
            ("arm", { _ = try await $0.arm(ArmSettings(), deadline: $1) }),
            ("trigger", { _ = try await $0.trigger(deadline: $1) }),
            ("stop", { _ = try await $0.stop(deadline: $1) }),
            ("abort", { _ = try await $0.abort(deadline: $1) }),
            ("scan", { _ = try await $0.scan(deadline: $1) }),
            ("wait", { _ = try await $0.waitForEnd(deadline: $1) }),
            ("image", { _ = try await $0.image(deadline: $1) }),
            ("frame", { _ = try await $0.frame(at: 0, deadline: $1) }),
            ("history", { _ = try await $0.history(deadline: $1) }),
            ("startRun", { _ = try await $0.startRun([UDFSelection("sum")], deadline: $1) }),
            ("changeRun", { _ = try await $0.changeRun("default", to: [], deadline: $1) }),
            ("stopRun", { _ = try await $0.stopRun("none", deadline: $1) }),
            ("listRuns", { _ = try await $0.listRuns(deadline: $1) }),
        ]

        /// Makes all calls at once, with 300 ms; each must fail in time, for this reason.
        static func expectSilence(
            _ client: StemwireConnection, _ reason: String, sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let delay = try MachineDelay()
            await withTaskGroup(of: Void.self) { group in
                for (name, call) in calls {
                    group.addTask {
                        let began = ContinuousClock.now
                        var failure: ControlFailure?
                        do { try await call(client, .milliseconds(300)) } catch { failure = error as? ControlFailure }
                        #expect(
                            ContinuousClock.now - began <= .milliseconds(400) + delay.sum, "\(name)",
                            sourceLocation: sourceLocation)
                        #expect(
                            failure?.code == .noReply && failure?.message.contains(reason) == true,
                            "\(name): \(failure?.description ?? "no failure")", sourceLocation: sourceLocation)
                    }
                }
            }
        }

        /// Runs `body` with a client that reaches its server through a network that can fail.
        static func run(_ body: (StemwireConnection, TCPRelay) async throws -> Void) async throws {
            try await Bench.run { bench in
                let network = try TCPRelay(to: bench.endpoints.controlPort)
                defer { network.stop() }
                let client = try await StemwireConnection.connect(
                    to: "127.0.0.1:\(network.port)", timeout: .seconds(10))
                try await body(client, network)
                await client.close()
            }
        }

        @Test("a server that is stopped: each call is back at its deadline; when it goes on, so does the client")
        func stoppedServer() async throws {
            try await Self.run { client, network in
                network.become(.hold)
                try await Self.expectSilence(client, "stopped")
                let delay = try MachineDelay()
                let began = ContinuousClock.now
                await #expect {
                    _ = try await StemwireConnection.connect(to: "127.0.0.1:\(network.port)", timeout: .seconds(1))
                } throws: {
                    if case .silent? = $0 as? ConnectError { true } else { false }
                }
                #expect(ContinuousClock.now - began <= .milliseconds(1100) + delay.sum)
                network.become(.pass)
                _ = try await client.status(deadline: .seconds(10))
            }
        }

        @Test("a server that is dead: each call is back at its deadline; when it is back, so is the client")
        func deadServer() async throws {
            try await Self.run { client, network in
                network.become(.cut)
                try await Self.expectSilence(client, "was ended, or the network cut")
                network.become(.pass)
                _ = try await client.status(deadline: .seconds(10))
            }
        }

        @Test("a slow server: what it answers in time counts, what it does not is given up at the deadline")
        func slowServer() async throws {
            try await Self.run { client, network in
                network.become(.hold)
                let patient = Task { try await client.status(deadline: .seconds(10)) }
                let delay = try MachineDelay()
                let began = ContinuousClock.now
                await #expect { _ = try await client.status(deadline: .milliseconds(200)) } throws: {
                    ($0 as? ControlFailure)?.code == .noReply
                }
                #expect(ContinuousClock.now - began <= .milliseconds(300) + delay.sum)
                network.become(.pass)
                #expect(try await patient.value.state == "idle")
            }
        }
    }
}
