import StemwireProtocol
import StemwireTestSupport
import Testing
import ZeroMQ

@testable import StemwireClient

/// A malicious or broken server costs a client nothing but counted messages.
@Suite(.timeLimit(.minutes(1))) struct HostileTests {
    /// Random bytes, and real messages with random changes, in random numbers of parts.
    private static func messages(seed: UInt64, count: Int, like samples: [[[UInt8]]]) -> [[[UInt8]]] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in
            var parts = samples.randomElement(using: &generator)!
            switch Int.random(in: 0..<4, using: &generator) {
            case 0:
                parts =
                    [parts[0]]
                    + (0..<Int.random(in: 0..<5, using: &generator)).map { _ in
                        (0..<Int.random(in: 0..<60, using: &generator)).map { _ in
                            .random(in: 0...255, using: &generator)
                        }
                    }
            case 1:
                for _ in 0..<3 {
                    let part = Int.random(in: 0..<parts.count, using: &generator)
                    guard !parts[part].isEmpty else { continue }
                    parts[part][Int.random(in: 0..<parts[part].count, using: &generator)] =
                        .random(in: 0...255, using: &generator)
                }
            case 2: parts.append([1, 2, 3])
            default: parts.removeLast(Int.random(in: 0..<parts.count, using: &generator))
            }
            return parts.isEmpty ? [[]] : parts
        }
    }

    private static func live(_ kind: WireLiveHeader.OneOf_Kind, _ topic: Topic, _ payloads: [[UInt8]], session: [UInt8])
        -> [[UInt8]]
    {
        var header = WireLiveHeader()
        header.session = .init(session)
        header.sequence = 5
        header.kind = kind
        return [Array(topic.text.utf8), try! ControlCoding.encode(header, as: .protobuf)] + payloads
    }

    @Test func tenThousandOnTheLiveSocket() async throws {
        try await withServer { server, client in
            let tiles = client.tiles(options: .init(buffering: .newest(4)))
            let results = client.updates()
            let events = client.events()
            try await tiles.subscribed()
            try await results.subscribed()
            try await events.subscribed()
            let scan = TestAcquisition()
            let session = await server.session
            let samples = [
                Self.live(
                    .tile(TestFrames.wire(0..<2, of: scan)), .tile(source: "merlin"), [TestFrames.payload(0..<2)],
                    session: session),
                Self.live(
                    .update(TestResult().wire(of: scan)),
                    .result(source: "merlin", run: "r1", udf: "sum", channel: "intensity"),
                    [TestResult().array(of: scan), TestResult().mask(of: scan)], session: session),
                Self.live(.start(scan.wireStart), .acquisition(source: "merlin"), [], session: session),
                Self.live(.end(scan.wireEnd()), .acquisition(source: "merlin"), [], session: session),
                Self.live(.status(await server.status), .event(source: "merlin"), [], session: session),
            ]
            for message in Self.messages(seed: 1, count: 10_000, like: samples) {
                await server.publish(parts: message)
            }
            // Whatever was believed of it, the next server is followed.
            let marker = WireEvent.with(code: "marker")
            await server.publish(parts: Self.live(.event(marker), .event(source: "merlin"), [], session: session))
            for try await event in events {
                if case .event(let event) = event, event.code == "marker" { break }
            }
            #expect(try await client.status().state == "idle")
            #expect(tiles.statistics.malformedMessages > 500)
            #expect(results.statistics.malformedMessages > 100)
        }
    }

    @Test func tenThousandFromTheWorkSocket() async throws {
        try await withServer { server, client in
            let scan = TestAcquisition()
            await server.change { server in
                server.begin(scan)
                server.tile(0..<128)
                server.finish()
                server.isWorkPaused = true
            }
            async let fetched = client.fetchAll(
                acquisition: scan.id, first: 0, count: 128, patience: .seconds(50))
            await server.until { !$0.fetched.isEmpty }
            var tile = WireWorkMessage()
            tile.tile.request = 99
            tile.tile.tile = TestFrames.wire(0..<2, of: scan)
            var end = WireWorkMessage()
            end.fetchEnd.request = 99
            let samples = [
                [try ControlCoding.encode(tile, as: .protobuf), TestFrames.payload(0..<2)],
                [try ControlCoding.encode(end, as: .protobuf)],
            ]
            for message in Self.messages(seed: 3, count: 10_000, like: samples) {
                await server.sendToWorkPeers(message)
            }
            await server.resumeWork()
            let (tiles, unavailable) = try await fetched
            #expect(unavailable.isEmpty)
            #expect(PositionSet(tiles.map(\.positions)).ranges == [0..<128])
            for tile in tiles {
                let pixels = try tile.decodedFrames(as: UInt16.self)
                #expect(pixels == tile.positions.flatMap(TestFrames.pixels))
            }
        }
    }

    @Test func tenThousandReplies() async throws {
        let context = try Context()
        let reactor = try Reactor("malicious")
        let malicious = try MaliciousControl(on: reactor, in: context)
        let port = try await malicious.open()
        let client = try await StemwireConnection.connect(
            to: "127.0.0.1:\(port)", timeout: .seconds(60), options: quickOptions)
        var reply = WireReply()
        reply.id = "somebody's"
        reply.status.state = "idle"
        let sample = try ControlCoding.encode(reply, as: .protobuf)
        for message in Self.messages(seed: 2, count: 10_000, like: [[sample], [[], sample], [sample, [1], [2]]]) {
            await malicious.send(message)
        }
        #expect(try await client.status().state == "idle", "an honest reply is still heard")
        let statistics = await client.statistics
        #expect(statistics.malformedMessages + statistics.lateReplies > 9_000)
        await client.close()
        await malicious.close()
        reactor.stop()
    }
}

extension WireEvent {
    fileprivate static func with(code: String) -> WireEvent {
        var event = WireEvent()
        event.code = code
        return event
    }
}

/// A ROUTER that answers honestly, and sends what it is told to its last client.
private actor MaliciousControl {
    nonisolated let reactor: Reactor
    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }
    private let socket: Socket
    private var client: ReceivedPart?

    init(on reactor: Reactor, in context: Context) throws(ZMQError) {
        self.reactor = reactor
        socket = try Socket(.router, in: context) {
            $0.linger = .zero
            $0.sendHighWaterMark = 0
        }
    }

    func open() throws(ZMQError) -> Int {
        let endpoint = try socket.bind("tcp://127.0.0.1:*")
        reactor.watch(socket) { [self] _ in answer() }
        return Int(endpoint.split(separator: ":").last ?? "") ?? 0
    }

    private func answer() {
        while let parts = try? socket.tryReceive() {
            client = parts[0]
            guard let request = try? ControlCoding.decode(WireRequest.self, from: parts[1].bytes).0 else { continue }
            var reply = WireReply()
            reply.id = request.id
            reply.session = .init([7])
            if case .hello = request.kind {
                reply.welcome.version = 1
                reply.welcome.session = .init([7])
                reply.welcome.directory.source = "merlin"
                reply.welcome.directory.livePort = 1
                reply.welcome.directory.workPort = 1
            } else {
                reply.status.state = "idle"
            }
            send([try! ControlCoding.encode(reply, as: .protobuf)])
        }
    }

    func send(_ parts: [[UInt8]]) {
        guard let client else { return }
        var message = Multipart()
        message.append(client)
        for part in parts { message.append(copying: part) }
        _ = try? socket.trySend(&message)
    }

    func close() { socket.close() }
}
