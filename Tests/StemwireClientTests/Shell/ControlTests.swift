import StemwireProtocol
import Testing

@testable import StemwireClient

@Suite(.timeLimit(.minutes(1))) struct ControlTests {
    @Test func eachRequestSaysWhatItShould() async throws {
        try await withServer { server, client in
            #expect(try await client.status().state == "idle")
            #expect(try await client.directory().source == "merlin")
            #expect(try await client.detectorGet("COUNTERDEPTH") == "COUNTERDEPTH")
            try await client.detectorSet("HVBIAS", to: "120")
            try await client.detectorCommand("RESET")
            let armed = try await client.arm(navShape: [16, -1], frames: 256, trigger: .soft)
            #expect(armed.framesPlaced == 5)
            #expect(armed.stateBefore == .idle && armed.stateAfter == .idle)
            try await client.trigger()
            try await client.stop()
            try await client.abort()
            let disk = UDFSelection("disk", id: "bf", parameters: ["r": "30"])
            #expect(try await client.startRun([disk], acquisitions: 2, joinCurrent: true) == "r1")
            try await client.stopRun("r1")
            #expect(try await client.listRuns().count == 1)

            let requests = await server.requests.dropFirst()
            #expect(Set(requests.map(\.id)).count == requests.count)
            // The server gives up a little earlier, so that its own word still comes in time.
            #expect(requests.allSatisfy { $0.version == 1 && (4000..<5000).contains($0.deadlineMs) })
            let arm = requests.first { $0.arm.frames > 0 }?.arm
            #expect(arm?.navShape == [16, -1] && arm?.frames == 256 && arm?.trigger == "soft")
            let run = requests.first { !$0.startRun.udfs.isEmpty }?.startRun
            #expect(run?.udfs.first?.id == "bf" && run?.udfs.first?.parameters == ["r": "30"])
            #expect(run?.acquisitions == 2 && run?.joinCurrent == true)
        }
    }

    @Test func aRefusalIsTyped() async throws {
        try await withServer { server, client in
            await server.change { server in
                server.answer = { request in
                    guard case .detector = request.kind else { return nil }
                    var reply = WireReply()
                    reply.failure.code = "detectorRefused"
                    reply.failure.message = "out of range"
                    reply.failure.detectorCode = 3
                    return reply
                }
            }
            await #expect { try await client.detectorSet("HVBIAS", to: "9999") } throws: { error in
                guard let failure = error as? ControlFailure else { return false }
                return failure.code == .detectorRefused && failure.detectorCode == 3 && failure.stateAfter == .idle
                    && failure.message == "out of range"
            }
            await #expect { try await client.snapshot() } throws: { ($0 as? ControlFailure)?.code == .notFound }
        }
    }

    @Test func whatCannotBeIsNotSent() async throws {
        try await withServer { server, client in
            let before = await server.requests.count
            for shape in [[0], [-2], [Int.max]] {
                await #expect { try await client.arm(navShape: shape) } throws: {
                    ($0 as? ControlFailure)?.code == .invalidArgument
                }
            }
            await #expect { try await client.arm(frames: 0) } throws: {
                ($0 as? ControlFailure)?.code == .invalidArgument
            }
            await #expect { try await client.detectorGet(String(repeating: "x", count: 70_000)) } throws: {
                ($0 as? ControlFailure)?.code == .invalidArgument
            }
            #expect(await server.requests.count == before)
        }
    }

    @Test func aSilentServerCostsADeadlineAndNoMore() async throws {
        try await withServer { server, client in
            await server.change { $0.isMute = true }
            let began = ContinuousClock.now
            await #expect { try await client.status(deadline: .milliseconds(100)) } throws: {
                ($0 as? ControlFailure)?.code == .noReply
            }
            #expect(ContinuousClock.now - began < .seconds(10))
            await server.change { $0.isMute = false }
            let status = try await client.status()
            #expect(status.state == "idle", "the next one works")
        }
    }

    @Test func repliesMayComeInAnyOrderAndToNobody() async throws {
        try await withServer { server, client in
            try await withThrowingTaskGroup(of: String.self) { group in
                for number in 0..<50 {
                    group.addTask { try await client.detectorGet("N\(number)") }
                }
                var seen = Set<String>()
                for try await value in group { seen.insert(value) }
                #expect(seen.count == 50)
            }
        }
    }

    @Test func aReplyOfAnotherKindIsAnError() async throws {
        try await withServer { server, client in
            await server.change { server in
                server.answer = { request in
                    guard case .status = request.kind else { return WireReply() }
                    var reply = WireReply()
                    reply.done.framesPlaced = 1
                    return reply
                }
            }
            await #expect { try await client.status() } throws: { ($0 as? ControlFailure)?.code == .unexpectedReply }
            await #expect { try await client.directory() } throws: { ($0 as? ControlFailure)?.code == .unexpectedReply }
        }
    }

    @Test func cancellationEndsARequest() async throws {
        try await withServer { server, client in
            await server.change { $0.isMute = true }
            let task = Task { try await client.status(deadline: .seconds(600)) }
            await server.until { server in
                server.requests.contains { if case .status = $0.kind { true } else { false } }
            }
            task.cancel()
            await #expect { try await task.value } throws: { ($0 as? ControlFailure)?.code == .cancelled }
        }
    }

    @Test func anIdIsUsedOnceAtATime() async throws {
        try await withServer { server, client in
            await server.change { $0.isMute = true }
            var request = WireRequest()
            request.id = "mine"
            request.status = WireStatusRequest()
            let first = Task { [request] in try await client.request(request, deadline: .seconds(600)) }
            await server.until { server in server.requests.contains { $0.id == "mine" } }
            await #expect { try await client.request(request) } throws: {
                ($0 as? ControlFailure)?.code == .invalidArgument
            }
            first.cancel()
            _ = await first.result
        }
    }

    /// A request that changes something is sent again to the same server only.
    @Test func aRestartedServerIsNotAskedToDoThingsAgain() async throws {
        try await withServer(host: FakeServer.ownHost()) { server, client in
            await server.change { $0.isMute = true }
            let arm = Task { try await client.arm(deadline: .seconds(600)) }
            let get = Task { try await client.detectorGet("X", deadline: .seconds(600)) }
            await server.until { $0.requests.count >= 3 }
            let port = await server.controlPort
            await server.stop()
            let second = try await FakeServer.start(host: server.host, controlPort: port)
            await #expect { try await arm.value } throws: { ($0 as? ControlFailure)?.code == .noReply }
            #expect(try await get.value == "X")
            #expect(await second.requests.contains { if case .arm = $0.kind { true } else { false } } == false)
            #expect(await client.statistics.serverRestarts == 1)
            await second.stop()
        }
    }
}
