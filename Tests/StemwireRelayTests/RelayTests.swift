import MerlinSimulator
import StemwireClient
import StemwireProtocol
import StemwireServer
import Testing
import ZeroMQ

@testable import StemwireRelay

extension RelayTests {
    @Suite("With a server") struct WithServer {
        @Test("server, relay and relay of the relay give the same frames, results and ends, bit by bit")
        func sameEverywhere() async throws {
            try await RelayBench.run(nav: [16, 16], dwell: 500) { bench in
                let clients = try await bench.connectEverywhere()
                let tiles = clients.map { $0.tiles(options: .init(untilEnd: true)) }
                let results = clients.map { $0.updates() }
                for stream in tiles { try await stream.subscribed() }
                for stream in results { try await stream.subscribed() }
                // Armed and triggered from the far end.
                try await clients[2].startScan()
                var seen: [Seen] = []
                for stream in tiles { seen.append(try await Seen.tiles(stream)) }
                var final: [FinalResults] = []
                for stream in results { final.append(try await FinalResults.follow(stream)) }
                #expect(seen[0].frames.count == 256 && seen[0].end?.reason == .complete && seen[0].start != nil)
                #expect(seen[1] == seen[0] && seen[2] == seen[0])
                #expect(Set(final[0].channels.keys.map(\.udf)) == ["sum", "sumsig"] && final[0].starts == 1)
                #expect(final[1] == final[0] && final[2] == final[0])
                for client in clients { await client.close() }
            }
        }

        @Test("who joins late gets start, state and end from the cache, and the server is not asked")
        func lateJoiner() async throws {
            try await RelayBench.run { bench in
                let clients = try await bench.connectEverywhere()
                let stream = clients[1].updates()
                try await stream.subscribed()
                try await clients[0].startScan()
                let first = try await FinalResults.follow(stream)
                for port in [bench.relayPort, bench.farPort] {
                    let late = try await RelayBench.connect(port)
                    let results = try await FinalResults.follow(late.updates())
                    #expect(results == first)
                    let wanted = try #require(first.end).acquisition
                    let snapshot = try await late.snapshot(udf: "sum", acquisition: wanted)
                    #expect(snapshot.start?.navShape == [8, 8] && snapshot.end == first.end)
                    #expect(snapshot.channels.map(\.name.udf) == ["sum"])
                    let none = try await late.snapshot(run: "nobody").channels
                    #expect(none.isEmpty)
                    let unknown = await #expect(throws: ControlFailure.self) {
                        _ = try await late.snapshot(acquisition: AcquisitionUUID.random())
                    }
                    #expect(unknown?.code == .notFound)
                    await late.close()
                }
                for client in clients { await client.close() }
            }
        }

        @Test("a relay that comes during a scan, and a client that comes after it, have the whole state")
        func lateRelay() async throws {
            try await RelayBench.run(nav: [16, 16], dwell: 2000) { bench in
                let client = try await RelayBench.connect(bench.serverPort)
                let stream = client.updates()
                try await stream.subscribed()
                try await client.startScan()
                try await eventually("some frames") {
                    try await client.status().acquisition.accounting.placed >= 40 ? () : nil
                }
                try await RelayBench.withRelay(of: bench.serverPort) { _, port in
                    let late = try await StemwireConnection.connect(to: "127.0.0.1:\(port)", timeout: .seconds(5))
                    let joined = late.updates()
                    let snapshot = try await late.snapshot()
                    #expect(snapshot.start?.navShape == [16, 16] && snapshot.end == nil)
                    let final = try await FinalResults.follow(joined)
                    let direct = try await FinalResults.follow(stream)
                    #expect(final == direct)
                    await late.close()
                }
                await client.close()
            }
        }

        @Test("commands go to the server, once for an id; what a relay cannot do it refuses in words")
        func commands() async throws {
            try await RelayBench.run { bench in
                let clients = try await bench.connectEverywhere()
                let far = clients[2]
                try await far.detectorSet("COUNTERDEPTH", to: "12")
                let depths = [
                    try await far.detectorGet("COUNTERDEPTH"), try await clients[0].detectorGet("COUNTERDEPTH"),
                ]
                #expect(depths[0] == depths[1])
                let refused = await #expect(throws: ControlFailure.self) { _ = try await far.detectorGet("NOTHING") }
                #expect(refused?.code == .detectorRefused && refused?.detectorCode != nil)

                var request = WireRequest()
                request.id = "the same"
                request.startRun.run = "twice"
                request.startRun.udfs = [WireUdfRequest()]
                request.startRun.udfs[0].name = "sum"
                for client in [far, clients[1], clients[0]] {
                    // A second run of that name would be refused: it is the first answer that comes.
                    guard case .runStarted(let run)? = try await client.request(request).wire.kind else {
                        Issue.record("the run was not started")
                        continue
                    }
                    #expect(run.run == "twice")
                }
                for client in clients {
                    let runs = try await client.listRuns().map(\.run)
                    #expect(runs.filter { $0 == "twice" }.count == 1)
                }
                try await far.stopRun("twice")
                let left = try await clients[0].listRuns().map(\.run)
                #expect(!left.contains("twice"))

                let stream = far.tiles(options: .init(untilEnd: true))
                try await stream.subscribed()
                try await far.startScan()
                let end = try #require(try await Seen.tiles(stream).end)
                let fetch = await #expect(throws: FetchError.self) {
                    _ = try await far.fetchAll(acquisition: end.acquisition, first: 0, count: 1)
                }
                #expect(fetch?.description.contains("relay") == true)
                for client in clients { await client.close() }
            }
        }

        @Test("status and directory are the server's, in the relay's words")
        func words() async throws {
            try await RelayBench.run { bench in
                let clients = try await bench.connectEverywhere()
                let far = try await clients[2].status()
                #expect(far.server.hasPrefix("relay of tcp://127.0.0.1:\(bench.relayPort)"))
                let detector = try await clients[0].status().detector
                #expect(far.state == "idle" && far.detector == detector)
                let directory = try await clients[2].directory()
                #expect(directory.source == "merlin" && directory.workPort == 0)
                #expect(directory.endpoints.map(\.service) == ["control", "live"])
                #expect(directory.endpoints.first?.address == "tcp://127.0.0.1:\(bench.farPort)")
                #expect(Int(directory.controlPort) == bench.farPort && clients[2].server.workPort == 0)
                let udfs = try await clients[0].directory().udfs
                #expect(directory.udfs == udfs && !udfs.isEmpty)
                #expect(Set(clients.map(\.server.session)).count == 1)
                try await eventually("the relay among the server's subscribers") {
                    let subscribers = try await clients[0].status().subscribers
                    return subscribers.contains { $0.report.name.contains("relay") } ? () : nil
                }
                for client in clients { await client.close() }
            }
        }

        @Test("twenty subscribers that never read do not keep frames and results from one who does")
        func deafSubscribers() async throws {
            try await RelayBench.run(nav: [32, 32], sig: 64, dwell: 500) { bench in
                let client = try await RelayBench.connect(bench.relayPort)
                let deaf = try Deaf(20, at: client.server.livePort)
                for _ in 0..<2 {
                    let (seen, results) = try await Self.scan(client)
                    #expect(seen.frames.count == 1024 && seen.lostFrames == 0 && seen.end?.reason == .complete)
                    #expect(results.channels.count == 2 && results.end == seen.end)
                }
                let live = try await client.status().live
                #expect(live.subscriptions > 0 && live.tilesPublished > 0 && live.tilesDropped == 0)
                #expect(live.bytesPinned > 0, "they do not hold anything up")
                deaf.close()
                await client.close()
            }
        }

        @Test("when they hold all that they may, tiles are left out and counted, and start, end and results still come")
        func fullQueues() async throws {
            // Frames so large that sixteen of them are too much.
            try await RelayBench.run(sig: 256, dwell: 2000) { bench in
                try await RelayBench.withRelay(of: bench.serverPort, set: { $0.queueBytes = 1 << 20 }) { _, port in
                    try await RelayBench.withRelay(of: port) { _, farPort in
                        let clients = [try await RelayBench.connect(port), try await RelayBench.connect(farPort)]
                        let deaf = try Deaf(20, at: clients[0].server.livePort)
                        // The system's own buffers are filled first. The numbers are the server's, so that the next relay,
                        // and who is behind it, see the jumps.
                        try await eventually("a scan of which both lost something") {
                            let stream = clients[1].tiles(options: .init(untilEnd: true))
                            try await stream.subscribed()
                            let (near, results) = try await Self.scan(clients[0])
                            let far = try await Seen.tiles(stream)
                            for seen in [near, far] {
                                #expect(seen.start != nil && seen.end?.reason == .complete)
                                #expect(seen.frames.count + seen.lostFrames == 64)
                            }
                            #expect(results.channels.count == 2 && results.end == near.end)
                            return near.lostFrames > 0 && far.lostFrames > 0 ? () : nil
                        }
                        let live = try await clients[0].status().live
                        #expect(live.tilesDropped > 0 && live.bytesPinned <= 1 << 20)
                        deaf.close()
                        // The first tile that comes through shows how many before it did not.
                        try await eventually("the next relay's report of its losses") {
                            _ = try await Self.scan(clients[0])
                            let subscribers = try await clients[0].status().subscribers
                            let report = subscribers.first { $0.report.name.contains("relay") }?.report
                            return (report?.messagesDropped ?? 0) > 0 ? () : nil
                        }
                        let lost = try await clients[1].status().live.tilesDropped
                        #expect(lost > 0)
                        for client in clients { await client.close() }
                    }
                }
            }
        }

        private static func scan(_ client: StemwireConnection) async throws -> (Seen, FinalResults) {
            let tiles = client.tiles(options: .init(untilEnd: true))
            try await tiles.subscribed()
            try await client.startScan()
            let seen = try await Seen.tiles(tiles)
            return (seen, try await FinalResults.follow(client.updates()))
        }
    }

    @Suite("Restarts") struct Restarts {
        @Test("a relay waits for its server; after the server's restart viewers see the new one, and its results")
        func upstreamRestart() async throws {
            let simulator = try MerlinSimulator(RelayBench.simulatorConfiguration(nav: [8, 8], dwell: nil))
            let detector = try simulator.start()
            defer { simulator.stop() }
            var settings = RelayBench.serverConfiguration(detector)
            let ports = try freePorts(3)
            (settings.controlPort, settings.livePort, settings.workPort) = (ports[0], ports[1], ports[2])
            let configuration = settings
            // The relay is there first.
            try await RelayBench.withRelay(of: ports[0]) { relay, port in
                try await RelayBench.withRelay(of: port) { _, farPort in
                    let first = try await Self.start(configuration)
                    let client = try await RelayBench.connect(farPort)
                    let events = client.updates()
                    try await events.subscribed()
                    try await client.startScan()
                    let before = try await FinalResults.follow(events)
                    let session = try await client.request(Self.statusRequest).wire.session
                    await first.stop()

                    let second = try await Self.start(configuration)
                    try await eventually("the new session at the far relay") {
                        let reply = try? await client.request(Self.statusRequest)
                        guard let reply, reply.wire.session != session, case .status(let status)? = reply.wire.kind
                        else { return Void?.none }
                        return status.detector.dataConnected ? () : nil
                    }
                    let again = client.updates()
                    try await again.subscribed()
                    try await client.startScan()
                    let after = try await FinalResults.follow(again)
                    #expect(after.channels.count == 2 && after.end?.reason == .complete)
                    #expect(after.end?.generation == 1 && after.end?.acquisition != before.end?.acquisition)
                    let restarts = await client.statistics.serverRestarts
                    #expect(restarts == 1)
                    await client.close()
                    await second.stop()
                }
            }
        }

        @Test("a relay without its server says so, and what it would have to do is refused")
        func serverGone() async throws {
            try await RelayBench.run { bench in
                try await RelayBench.withRelay(
                    of: bench.serverPort,
                    set: {
                        $0.silenceLimit = .milliseconds(300); $0.pollInterval = .milliseconds(50)
                    }
                ) { _, port in
                    let client = try await RelayBench.connect(port)
                    await bench.server.stop()
                    let status = try await eventually("the loss") {
                        let status = try await client.status()
                        return status.state == "disconnected" ? status : nil
                    }
                    #expect(status.detector.reason.contains("relay"))
                    let refused = await #expect(throws: ControlFailure.self) { try await client.arm() }
                    #expect(refused?.code == .detectorUnreachable)
                    await client.close()
                }
            }
        }

        /// Starts a server on ports that libzmq's own thread may still have to give back.
        private static func start(_ configuration: ServerConfiguration) async throws -> AcquisitionServer {
            try await eventually("free ports") {
                let server = try AcquisitionServer(configuration, logger: RelayBench.logger)
                return (try? await server.start()).map { _ in server }
            }
        }

        private static var statusRequest: WireRequest {
            var request = WireRequest()
            request.status = WireStatusRequest()
            return request
        }
    }

    @Suite("Settings") struct Settings {
        @Test("an address that others reach needs a word of consent; a port in use is told")
        func settings() async throws {
            var open = RelayConfiguration(upstream: try ServerEndpoint("127.0.0.1:7400"))
            open.bindHost = "0.0.0.0"
            let refused = #expect(throws: RelayError.self) { _ = try Relay(open) }
            #expect(refused?.description.contains("--insecure") == true)

            try await RelayBench.withRelay(of: 1) { relay, port in
                var same = RelayConfiguration(upstream: try ServerEndpoint("127.0.0.1:1"))
                (same.controlPort, same.livePort) = (port, 0)
                let second = try Relay(same, logger: RelayBench.logger)
                let taken = await #expect(throws: RelayError.self) { _ = try await second.start() }
                #expect(taken?.description.contains("\(port)") == true)
            }
        }
    }
}

/// Sockets that subscribe to everything and never read.
private final class Deaf: Sendable {
    private let sockets: [Handoff<Socket>]

    init(_ count: Int, at port: Int) throws {
        let context = try Context()
        sockets = try (0..<count).map { _ in
            let socket = try Socket(.sub, in: context) { options in
                options.receiveHighWaterMark = 1
                options.receiveBuffer = 4096
                options.linger = .zero
            }
            try socket.subscribe("")
            try socket.connect("tcp://127.0.0.1:\(port)")
            return Handoff(socket)
        }
    }

    func close() { for socket in sockets { _ = socket.take() } }
}
