import MerlinSimulator
import StemwireClient
import StemwireProtocol
import StemwireSystem
import Testing

@testable import StemwireServer

extension ServerTests {
    @Suite("Control, as a stranger speaks it") struct Control {
        static func request(_ id: String, _ kind: WireRequest.OneOf_Kind) -> WireRequest {
            var request = WireRequest()
            request.id = id
            request.kind = kind
            return request
        }

        @Test("REQ and DEALER, with and without a delimiter, in protobuf and JSON")
        func shapesOfRequests() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                try await onThread { [bench] in
                    let port = bench.endpoints.controlPort
                    let status = Self.request("s", .status(.init()))
                    let req = try Stranger(.req, port: port)
                    #expect(try req.ask(status).status.state == "idle")
                    let dealer = try Stranger(.dealer, port: port)
                    let reply = try dealer.ask(status)
                    #expect(reply.id == "s" && reply.session.count == 16 && reply.stateBefore == "idle")
                    try dealer.send(status, delimited: true)
                    let parts = try dealer.receive()
                    #expect(parts.count == 2 && parts[0].isEmpty)
                    #expect(try WireReply(serializedBytes: parts[1]).status.detector.dataConnected)

                    try req.send(Array(#"{"id":"j1","status":{},"fieldOfTheFuture":[1,2]}"#.utf8))
                    let text = String(decoding: try req.receive()[0], as: UTF8.self)
                    #expect(text.hasPrefix("{") && text.contains(#""id":"j1""#) && text.contains(#""state":"idle""#))
                    let json = try WireReply(jsonString: text)
                    #expect(json.status.detector.dataConnected && json.stateAfter == "idle")

                    // Many at once: each answered under its own id.
                    for number in 0..<20 { try dealer.send(Self.request("\(number)", .directory(.init()))) }
                    let ids = try (0..<20).map { _ in try dealer.reply().id }
                    #expect(Set(ids) == Set((0..<20).map(String.init)))

                    var hello = WireHello()
                    (hello.versionMin, hello.versionMax) = (1, 3)
                    let welcome = try req.ask(Self.request("h", .hello(hello))).welcome
                    #expect(welcome.version == 1 && welcome.directory.livePort == UInt32(bench.endpoints.livePort))
                    #expect(welcome.directory.workPort == UInt32(bench.endpoints.workPort))
                    #expect(welcome.directory.controlPort == UInt32(port) && welcome.directory.udfs.contains("sum"))
                }
                await client.close()
            }
        }

        @Test("a request that changes something is done once for its id, whoever repeats it")
        func atMostOnce() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                try await onThread { [bench] in
                    let first = try Stranger(.dealer, port: bench.endpoints.controlPort)
                    let second = try Stranger(.req, port: bench.endpoints.controlPort)
                    let arm = Self.request("the-same-id", .arm(.init()))
                    try first.send(arm)
                    try first.send(arm)
                    let answers = [try first.reply(), try first.reply(), try second.ask(arm)]
                    // Done twice, the detector would have answered "busy".
                    for answer in answers {
                        guard case .done? = answer.kind else { throw Stranger.Unexpected() }
                        #expect(answer.id == "the-same-id")
                    }
                    let again = try second.ask(Self.request("another-id", .arm(.init())))
                    #expect(again.failure.code == "detectorRefused" && again.failure.detectorCode == 1)
                    #expect(again.stateBefore == "armed" && again.stateAfter == "armed")
                    // Without an id, nothing is remembered.
                    let nameless = try (0..<2).map { _ in try second.ask(Self.request("", .arm(.init()))).failure.code }
                    #expect(nameless == ["detectorRefused", "detectorRefused"])
                }
                #expect(bench.simulator.statistics.refusedRequests == 3)
                await client.close()
            }
        }

        @Test("what cannot be read, is too large or unknown is refused by name, and counted")
        func unreadableRequests() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                try await onThread { [bench] in
                    let port = bench.endpoints.controlPort
                    let peer = try Stranger(.dealer, port: port)
                    #expect(try peer.failure(of: [0xFF, 0xFF, 0xFF, 0xFF]) == "malformed")
                    #expect(try peer.failure(of: Array("{\"status\":".utf8)) == "malformed")
                    let deep = String(repeating: #"{"status":"#, count: 5000)
                    #expect(try peer.failure(of: Array(deep.utf8)) == "malformed")
                    #expect(
                        try peer.failure(of: [UInt8](repeating: 32, count: WireLimits.controlRequestBytes + 1))
                            == "malformed")
                    try peer.send([1], [2], [3])
                    #expect(try peer.reply().failure.code == "malformed")
                    let longID = String(repeating: "x", count: WireLimits.identifierBytes + 1)
                    #expect(try peer.ask(Self.request(longID, .status(.init()))).failure.code == "malformed")
                    #expect(try client.malformed(port) == 6)

                    // Kinds of the future: field 500, or none at all.
                    #expect(try peer.failure(of: [0xA2, 0x1F, 0]) == "unknownRequest")
                    #expect(try peer.failure(of: Array("{}".utf8)) == "unknownRequest")
                    var request = Self.request("v", .status(.init()))
                    request.version = 2
                    #expect(try peer.ask(request).failure.code == "unsupportedVersion")
                    var hello = WireHello()
                    (hello.versionMin, hello.versionMax) = (2, 3)
                    let failure = try peer.ask(Self.request("h", .hello(hello))).failure
                    #expect(failure.code == "unsupportedVersion" && failure.message.contains("2 to 3"))

                    // Far too large: the peer is cut off, nobody else.
                    let giant = try Stranger(.dealer, port: port, patience: .milliseconds(300))
                    try giant.send([UInt8](repeating: 1, count: 2 * WireLimits.controlArrayBytes))
                    #expect(throws: (any Error).self) { try giant.receive() }
                    #expect(try peer.ask(Self.request("s", .status(.init()))).status.state == "idle")
                }
                await client.close()
            }
        }

        @Test("values that cannot be are refused with what is allowed")
        func invalidArguments() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                func code(_ body: () async throws -> Void) async -> ControlFailure.Code? {
                    do { try await body() } catch { return (error as? ControlFailure)?.code }
                    return nil
                }
                #expect(await code { _ = try await client.snapshot() } == .notFound)
                #expect(await code { _ = try await client.stopRun("nobody") } == .notFound)
                #expect(await code { _ = try await client.startRun([]) } == .invalidArgument)
                #expect(await code { _ = try await client.startRun([UDFSelection("no-such-udf")]) } == .invalidArgument)
                #expect(
                    await code { _ = try await client.startRun([UDFSelection("sum")], run: "a/b") } == .invalidArgument)
                #expect(
                    await code { _ = try await client.startRun([UDFSelection("sum"), UDFSelection("sum")]) }
                        == .invalidArgument)
                #expect(
                    await code { _ = try await client.startRun([UDFSelection("disk", parameters: ["radius": "3"])]) }
                        == .invalidArgument)
                let many = (0...WireLimits.udfsPerRun).map { UDFSelection("sum", id: "s\($0)") }
                #expect(await code { _ = try await client.startRun(many) } == .invalidArgument)
                #expect(await code { _ = try await client.arm(navShape: [3, 5], frames: 14, trigger: .soft) } == nil)
                try await client.abort()
                #expect(await code { _ = try await client.arm(navShape: [-1, 5], frames: 14) } == .invalidArgument)
                #expect(await code { _ = try await client.arm(navShape: [-1, -1, -1], frames: 8) } == .invalidArgument)
                var arm = WireRequest()
                arm.arm.trigger = "loud"
                let request = arm
                #expect(await code { _ = try await client.request(request) } == .invalidArgument)
                await client.close()
            }
        }

        @Test("the detector's own refusals come with their codes")
        func detectorCodes() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                func code(_ body: () async throws -> Void) async -> Int? {
                    do { try await body() } catch {
                        let failure = error as? ControlFailure
                        return failure?.code == .detectorRefused ? failure?.detectorCode : -1
                    }
                    return nil
                }
                #expect(try await client.detectorGet("COUNTERDEPTH") == "12")
                try await client.detectorSet("THRESHOLD0", to: "7.5")
                #expect(try await client.detectorGet("THRESHOLD0") == "7.500000")
                #expect(await code { _ = try await client.detectorGet("NOSUCHTHING") } == 2)
                #expect(await code { try await client.detectorSet("SOFTWAREVERSION", to: "1") } == 2)
                #expect(await code { try await client.detectorCommand("NOSUCHCOMMAND") } == 2)
                #expect(await code { try await client.detectorSet("COUNTERDEPTH", to: "7") } == 3)
                #expect(await code { try await client.detectorSet("NUMFRAMESTOACQUIRE", to: "-1") } == 3)
                try await client.arm()
                #expect(await code { try await client.detectorSet("GAIN", to: "1") } == 1)
                #expect(await code { try await client.detectorCommand("STARTACQUISITION") } == 1)
                try await client.abort()
                try await client.detectorSet("GAIN", to: "1")
                await client.close()
            }
        }
    }
}

extension StemwireConnection {
    /// What the server says it has refused on its control socket, asked by a socket of its own.
    fileprivate func malformed(_ port: Int) throws -> UInt64 {
        let peer = try Stranger(.req, port: port)
        return try peer.ask(ServerTests.Control.request("", .status(.init()))).status.malformedControl
    }
}
