import StemwireProtocol
import StemwireTestSupport
import Synchronization
import Testing
import ZeroMQ

@testable import StemwireClient

/// A small acquisition server with real sockets, whose state and faults the test decides.
actor FakeServer {
    nonisolated let reactor: Reactor
    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }
    private let control: Socket
    private let live: Socket
    private let work: Socket
    private(set) var controlPort = 0
    private(set) var livePort = 0
    private(set) var workPort = 0

    private(set) var session = AcquisitionUUID.random().bytes
    private var sequences: [String: UInt64] = [:]

    // What the server says.
    var status = WireStatus()
    var scan: TestAcquisition?
    var end: WireEnd?
    var results: [TestResult] = []
    /// Answers that are not given.
    var isMute = false
    /// Answers of its own instead of the regular ones; nil for the regular one.
    var answer: (@Sendable (WireRequest) -> WireReply?)?

    // What the work socket has.
    private(set) var held = PositionSet()
    var isWorkMute = false
    /// Greets, but sends no frames.
    var isWorkPaused = false
    private var peers: [[UInt8]: Peer] = [:]

    // What was seen.
    private(set) var requests: [WireRequest] = []
    private(set) var topics: Set<String> = []
    private(set) var fetched: [Range<Int>] = []
    private(set) var goodbyes = 0
    private var sightings = Sightings()

    private struct Peer {
        var items = 0
        var bytes = 0
        var fetches: [WireFetch] = []
        var asked: [Range<Int>] = []
    }

    /// Each server that gives its port up for a while has an address of its own, so that no other test takes it.
    nonisolated let host: String
    private static let hosts = Atomic<Int>(2)
    static func ownHost() -> String { "127.0.0.\(hosts.wrappingAdd(1, ordering: .relaxed).newValue)" }

    private init(host: String, reactor: Reactor, context: Context) throws(ZMQError) {
        self.host = host
        self.reactor = reactor
        control = try Socket(.router, in: context) { $0.linger = .zero }
        live = try Socket(.xpub, in: context) {
            $0.linger = .zero
            $0.sendHighWaterMark = 100_000
        }
        work = try Socket(.router, in: context) {
            $0.linger = .zero
            $0.sendHighWaterMark = 0
        }
        status.state = "idle"
        status.detector.dataConnected = true
        status.detector.source = "merlin://test"
    }

    /// - Parameter controlPort: 0 for a free one.
    static func start(host: String = "127.0.0.1", controlPort: Int = 0) async throws -> FakeServer {
        let server = try FakeServer(host: host, reactor: try Reactor("fake-server"), context: try Context())
        // The library gives the port of a server that has stopped back on a thread of its own.
        return try await eventually("a port that is given back") { () async throws -> FakeServer? in
            do throws(ZMQError) {
                try await server.open(controlPort)
                return server
            } catch {
                guard error.code == .addressInUse, controlPort != 0 else { throw error }
                return nil
            }
        }
    }

    private func open(_ port: Int) throws(ZMQError) {
        controlPort = try bind(control, port)
        livePort = try bind(live, 0)
        workPort = try bind(work, 0)
        reactor.watch(control) { [self] _ in receiveRequests() }
        reactor.watch(work) { [self] _ in receiveWork() }
        reactor.watchSubscriptions(of: live) { [self] change, _ in
            switch change {
            case .subscribed(let topic): topics.insert(String(decoding: topic, as: UTF8.self))
            case .unsubscribed(let topic): topics.remove(String(decoding: topic, as: UTF8.self))
            case .message: break
            }
            sightings.check()
        }
    }

    private func bind(_ socket: borrowing Socket, _ port: Int) throws(ZMQError) -> Int {
        let endpoint = try socket.bind("tcp://\(host):\(port == 0 ? "*" : String(port))")
        return Int(endpoint.split(separator: ":").last ?? "") ?? 0
    }

    nonisolated func stop() async {
        await close()
        reactor.stop()
    }

    private func close() {
        control.close()
        live.close()
        work.close()
    }

    nonisolated var endpoint: String { get async { "tcp://\(host):\(await controlPort)" } }

    /// Changes the server's state in one go.
    func change(_ body: @Sendable (isolated FakeServer) -> Void) { body(self) }

    /// Waits until something was seen; that it never is, is an issue of the test, which then goes on.
    func until(
        sourceLocation: SourceLocation = #_sourceLocation,
        _ isMet: @escaping @Sendable (isolated FakeServer) -> Bool
    ) async {
        if isMet(self) { return }
        let token = sightings.makeToken()
        let limit = reactor.schedule(after: Sightings.limit) { [self] in
            guard sightings.giveUp(token) else { return }
            Issue.record("it did not come within \(Sightings.limit)", sourceLocation: sourceLocation)
        }
        await withCheckedContinuation { continuation in
            sightings.wait(token, for: continuation) { [self] in assumeIsolated { isMet($0) } }
        }
        reactor.cancel(limit)
    }

    // MARK: Control

    private func receiveRequests() {
        while let parts = try? control.tryReceive() {
            guard let body = parts.last, parts.count == 2,
                let request = try? ControlCoding.decode(WireRequest.self, from: body.bytes).0
            else { continue }
            requests.append(request)
            sightings.check()
            if isMute { continue }
            var (reply, payloads) = regularReply(to: request)
            if let special = answer?(request) { (reply, payloads) = (special, []) }
            reply.id = request.id
            reply.session = .init(session)
            reply.stateBefore = status.state
            reply.stateAfter = status.state
            send(reply, payloads, to: parts[0])
        }
    }

    private func send(_ reply: WireReply, _ payloads: [[UInt8]], to peer: ReceivedPart) {
        var message = Multipart()
        message.append(peer)
        message.append(copying: try! ControlCoding.encode(reply, as: .protobuf))
        for payload in payloads { message.append(copying: payload) }
        _ = try? control.trySend(&message)
    }

    private func regularReply(to request: WireRequest) -> (WireReply, [[UInt8]]) {
        var reply = WireReply()
        var payloads: [[UInt8]] = []
        switch request.kind {
        case .hello:
            reply.welcome.version = 1
            reply.welcome.server = "fake 1"
            reply.welcome.session = .init(session)
            reply.welcome.directory.source = "merlin"
            reply.welcome.directory.controlPort = UInt32(controlPort)
            reply.welcome.directory.livePort = UInt32(livePort)
            reply.welcome.directory.workPort = UInt32(workPort)
            reply.welcome.directory.udfs = ["sum"]
            reply.welcome.status = status
        case .status: reply.status = status
        case .directory: reply.directory.source = "merlin"
        case .snapshot(let wanted):
            guard let scan else {
                reply.failure.code = "notFound"
                break
            }
            reply.snapshot.start = scan.wireStart
            if let end { reply.snapshot.end = end }
            for result in results where wanted.udf.isEmpty || wanted.udf == result.udf {
                reply.snapshot.channels.append(result.wire(of: scan))
                payloads += [result.array(of: scan), result.mask(of: scan)]
            }
        case .detector(let detector): reply.detector.value = detector.get
        case .startRun: reply.runStarted.run = "r1"
        case .listRuns: reply.runList.runs = [WireRunStatus()]
        case nil: reply.failure.code = "unknownRequest"
        default: reply.done.framesPlaced = 5
        }
        return (reply, payloads)
    }

    // MARK: Live

    /// Publishes one message.
    ///
    /// - Parameter isLost: its number is used up, but it is not sent.
    func publish(
        _ kind: WireLiveHeader.OneOf_Kind, to topic: Topic, payloads: [[UInt8]] = [], isLost: Bool = false
    ) {
        sequences[topic.text, default: 0] += 1
        if isLost { return }
        var header = WireLiveHeader()
        header.session = .init(session)
        header.sequence = sequences[topic.text]!
        header.kind = kind
        publish(parts: [Array(topic.text.utf8), try! ControlCoding.encode(header, as: .protobuf)] + payloads)
    }

    func publish(parts: [[UInt8]]) {
        var message = Multipart()
        for part in parts { message.append(copying: part) }
        _ = try? live.trySend(&message)
    }

    /// Begins an acquisition; its frames are held for FETCH as they are published.
    func begin(_ scan: TestAcquisition, isLost: Bool = false) {
        self.scan = scan
        end = nil
        results = []
        held = PositionSet()
        status.state = "acquiring"
        if status.hasAcquisition { status.previousAcquisition = status.acquisition }
        status.acquisition = scan.wireStatus
        publish(.start(scan.wireStart), to: .acquisition(source: "merlin"), isLost: isLost)
    }

    func tile(_ positions: Range<Int>, isLost: Bool = false, spoil: @Sendable (inout [UInt8]) -> Void = { _ in }) {
        guard let scan else { return }
        held.insert(positions)
        var payload = TestFrames.payload(positions)
        spoil(&payload)
        publish(
            .tile(TestFrames.wire(positions, of: scan)), to: .tile(source: "merlin"), payloads: [payload],
            isLost: isLost)
    }

    func update(_ result: TestResult, isLost: Bool = false) {
        guard let scan else { return }
        results.removeAll { $0.udf == result.udf && $0.channel == result.channel && $0.run == result.run }
        results.append(result)
        publish(
            .update(result.wire(of: scan)),
            to: .result(source: "merlin", run: result.run, udf: result.udf, channel: result.channel),
            payloads: [result.array(of: scan), result.mask(of: scan)], isLost: isLost)
    }

    func finish(_ reason: String = "complete", isLost: Bool = false) {
        guard let scan else { return }
        end = scan.wireEnd(reason)
        status.state = "idle"
        status.acquisition.endReason = reason
        publish(.end(scan.wireEnd(reason)), to: .acquisition(source: "merlin"), isLost: isLost)
    }

    /// The memory of these positions is needed for other frames.
    func release(_ positions: Range<Int>) { held.remove(positions) }

    // MARK: Work

    private func receiveWork() {
        while let parts = try? work.tryReceive() {
            guard parts.count == 2,
                let message = try? ControlCoding.decode(WireWorkMessage.self, from: parts[1].bytes).0
            else { continue }
            let id = parts[0].bytes
            switch message.kind {
            case .hello(let hello):
                peers[id] = Peer(items: Int(hello.credit.items), bytes: Int(hello.credit.bytes))
                var welcome = WireWorkMessage()
                welcome.welcome.version = 1
                welcome.welcome.beatIntervalMs = 50
                if !isWorkMute { send(welcome, to: id) }
            case .credit(let credit):
                peers[id]?.items += Int(credit.items)
                peers[id]?.bytes += Int(credit.bytes)
            case .fetch(let fetch):
                let range = Int(fetch.first)..<Int(fetch.first + fetch.count)
                fetched.append(range)
                peers[id]?.fetches.append(fetch)
                peers[id]?.asked.append(range)
            case .bye: goodbyes += 1
            default: break
            }
            if !isWorkMute, !isWorkPaused { serve(id) }
            sightings.check()
        }
    }

    private func serve(_ id: [UInt8]) {
        while let peer = peers[id], let fetch = peer.fetches.first, let scan {
            let range = Int(fetch.first)..<Int(fetch.first + fetch.count)
            guard let run = held.members(in: range).first else {
                var end = WireWorkMessage()
                end.fetchEnd.request = fetch.request
                let absent = PositionSet(scan.missing)
                for gap in held.gaps(in: peer.asked[0]) {
                    var item = WireUnavailableRange()
                    item.range.first = UInt64(gap.lowerBound)
                    item.range.count = UInt64(gap.count)
                    item.reason = absent.gaps(in: gap).isEmpty ? "missing" : self.end == nil ? "pending" : "released"
                    end.fetchEnd.unavailable.append(item)
                }
                peers[id]?.fetches.removeFirst()
                peers[id]?.asked.removeFirst()
                send(end, to: id)
                continue
            }
            let positions = run.prefix(8)
            let size = positions.count * TestFrames.stride
            guard peer.items > 0, peer.bytes >= size else { return }
            peers[id]?.items -= 1
            peers[id]?.bytes -= size
            peers[id]?.fetches[0].count -= UInt64(positions.upperBound) - fetch.first
            peers[id]?.fetches[0].first = UInt64(positions.upperBound)
            var tile = WireWorkMessage()
            tile.tile.request = fetch.request
            tile.tile.tile = TestFrames.wire(positions, of: scan)
            send(tile, to: id, payload: TestFrames.payload(positions))
        }
    }

    private func send(_ message: WireWorkMessage, to id: [UInt8], payload: [UInt8]? = nil) {
        send(parts: [id, try! ControlCoding.encode(message, as: .protobuf)] + (payload.map { [$0] } ?? []))
    }

    private func send(parts: [[UInt8]]) {
        var message = Multipart()
        for part in parts { message.append(copying: part) }
        _ = try? work.trySend(&message)
    }

    func resumeWork() {
        isWorkPaused = false
        for id in peers.keys { serve(id) }
    }

    // MARK: Malice

    /// Sends arbitrary parts to everybody who has ever asked for work, or for control.
    func sendToWorkPeers(_ parts: [[UInt8]]) { for id in peers.keys { send(parts: [id] + parts) } }
}

/// Settings under which faults show soon.
let quickOptions = ConnectionOptions(
    clientName: "test", lossTimeout: .seconds(30), pollInterval: .milliseconds(50))

/// As ``quickOptions``, for tests in which the server goes away.
let impatientOptions = ConnectionOptions(
    clientName: "test", lossTimeout: .milliseconds(600), pollInterval: .milliseconds(50))

extension Subscription {
    /// The next element; fails the test when the sequence has ended.
    static func take(_ iterator: inout Iterator, _ location: SourceLocation = #_sourceLocation) async throws -> Element
    {
        try #require(try await iterator.next(isolation: nil), "the sequence has ended", sourceLocation: location)
    }
}

/// Runs `body` against a server and a client, and leaves neither behind.
func withServer(
    host: String = "127.0.0.1", options: ConnectionOptions = quickOptions,
    _ body: (FakeServer, StemwireConnection) async throws -> Void
) async throws {
    let server = try await FakeServer.start(host: host)
    let client: StemwireConnection
    do {
        client = try await StemwireConnection.connect(
            to: await server.endpoint, timeout: .seconds(5), options: options)
    } catch {
        await server.stop()
        throw error
    }
    do {
        try await body(server, client)
    } catch {
        await client.close()
        await server.stop()
        throw error
    }
    await client.close()
    await server.stop()
}
