import StemwireClient
import StemwireKernels
import StemwireProtocol
import StemwireSystem
import StemwireTestSupport
import StemwireUDF
import Testing
import ZeroMQ

@testable import StemwireWorker

/// A small server with a real ROUTER that gives out the partitions of one run, by credit, and merges what comes back.
actor FakeWorkServer {
    nonisolated let reactor: Reactor
    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }
    private let socket: Socket
    private(set) var endpoint = ""

    struct Peer {
        let routingID: ReceivedPart
        let hello: WireWorkHello
        var items: Int
        var bytes: Int
        var hasPlan = false
        /// Bytes of frames that it holds for each item.
        var held: [WorkItemID: Int] = [:]
    }

    let session = AcquisitionUUID.random().bytes
    private(set) var peers: [[UInt8]: Peer] = [:]
    let beatInterval = Duration.milliseconds(50)
    var isSilent = false
    // Long, so that a busy machine is not taken for a dead one.
    let silenceLimit = Duration.seconds(20)

    // What the test decides.
    var acknowledges = true
    /// Partitions of which it sends one frame less than it says.
    var losesFramesOf: Set<UInt32> = []
    /// Partitions whose pixels change on the way.
    var corrupts: Set<UInt32> = []
    var tileLength = 3

    // The run.
    private var scan: TestScan?
    private var wirePlan = WireWorkPlan()
    private var planParts: [[UInt8]] = []
    private var plan: RunPlan?
    private var waiting: [UInt32] = []
    private var attempts: [UInt32: UInt32] = [:]
    private(set) var merger: ResultMerger?

    // What was seen.
    private(set) var hellos: [WireWorkHello] = []
    private(set) var planned: [WirePlanned] = []
    private(set) var results: [WireWorkResult] = []
    private(set) var failures: [WireWorkFailed] = []
    private(set) var mergeAnswers: [(WireMergeTaskDone, [ResultArray?])] = []
    private(set) var goodbyes = 0
    private(set) var beats = 0
    private(set) var overruns = 0
    private(set) var faults: [String] = []
    private var sightings = Sightings()

    private init(_ reactor: Reactor, _ context: Context) throws(ZMQError) {
        self.reactor = reactor
        socket = try Socket(.router, in: context) {
            $0.linger = .zero
            $0.sendHighWaterMark = 0
            $0.routerMandatory = true
        }
    }

    static func start(at endpoint: String = "tcp://127.0.0.1:*") async throws -> FakeWorkServer {
        let server = try FakeWorkServer(try Reactor("fake-server"), try Context())
        // The library gives the port of a server that has stopped back on a thread of its own.
        for _ in 0..<200 {
            do throws(ZMQError) {
                try await server.open(endpoint)
                return server
            } catch {
                guard error.code == .addressInUse else { throw error }
                try await Task.sleep(for: .milliseconds(10))
            }
        }
        throw ZMQError(.addressInUse, "bind", subject: endpoint)
    }

    private func open(_ endpoint: String) throws(ZMQError) {
        self.endpoint = try socket.bind(endpoint)
        reactor.watch(socket) { [self] _ in
            while let parts = try? socket.tryReceive(limit: 256) { take(parts) }
        }
        reactor.schedule(every: beatInterval) { [self] in
            if !isSilent { for key in Array(peers.keys) { send(to: key) { $0.beat = WireBeat() } } }
        }
    }

    nonisolated func stop() async {
        await close()
        reactor.stop()
    }

    private func close() { socket.close() }

    func change(_ body: @Sendable (isolated FakeWorkServer) -> Void) { body(self) }

    /// Waits until something was seen; that it never is, is an issue of the test, which then goes on.
    func until(
        sourceLocation: SourceLocation = #_sourceLocation,
        _ isMet: @escaping @Sendable (isolated FakeWorkServer) -> Bool
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

    // MARK: The run

    /// Begins a run; its partitions go to whoever has credit.
    func begin(
        _ requests: [UDFRequest], on scan: TestScan, registry: UDFRegistry, roi: PositionSet? = nil,
        arrays: [(WireArrayHeader, [UInt8])] = [], corrections: Corrections? = nil, number: UInt32 = 1
    ) throws {
        self.scan = scan
        let plan = try RunPlan(requests, registry: registry, meta: scan.meta(roi: roi), corrections: corrections)
        self.plan = plan
        merger = ResultMerger(plan)
        begin(requests, on: scan, arrays: arrays, number: number)
        waiting = (0..<UInt32(plan.meta.partitionCount)).map { $0 }
        for key in Array(peers.keys) { dispatch(to: key) }
    }

    /// Tells a plan, and gives no partitions out.
    func begin(
        _ requests: [UDFRequest], on scan: TestScan, arrays: [(WireArrayHeader, [UInt8])] = [], number: UInt32 = 1
    ) {
        self.scan = scan
        wirePlan = WireWorkPlan()
        wirePlan.plan = number
        wirePlan.run = "test"
        wirePlan.start = scan.start
        wirePlan.arrays = arrays.map(\.0)
        planParts = arrays.map(\.1)
        wirePlan.udfs = requests.map { request in
            var udf = WireUdfRequest()
            (udf.id, udf.name) = (request.id, request.name)
            udf.parameters = request.parameters.mapValues { if case .text(let text) = $0 { text } else { $0.json } }
            return udf
        }
        for key in Array(peers.keys) {
            peers[key]?.hasPlan = false
            tellPlan(to: key)
        }
    }

    private func tellPlan(to key: [UInt8]) {
        guard scan != nil, peers[key]?.hasPlan == false else { return }
        peers[key]?.hasPlan = true
        send(to: key, parts: planParts) { $0.plan = wirePlan }
    }

    private func dispatch(to key: [UInt8]) {
        tellPlan(to: key)
        while let peer = peers[key], let plan, let scan, let partition = waiting.first, peer.items > 0 {
            let positions = plan.meta.positions(ofPartition: Int(partition))
            let bytes = positions.count * TestScan.stride
            guard peer.bytes >= bytes || peer.held.isEmpty else { return }
            waiting.removeFirst()
            attempts[partition, default: 0] += 1
            var wire = WireWorkItem()
            (wire.plan, wire.partition, wire.attempt) = (wirePlan.plan, partition, attempts[partition] ?? 0)
            let id = WorkItemID(wire)
            peers[key]?.items -= 1
            peers[key]?.held[id] = 0
            var tiles = scan.tiles(of: positions, length: tileLength)
            let frames = tiles.reduce(0) { $0 + $1.count }
            if losesFramesOf.remove(partition) != nil { tiles.removeLast() }
            let isCorrupt = corrupts.remove(partition) != nil
            for tile in tiles {
                var payload = TestScan.payload(tile)
                if isCorrupt { payload[payload.count - 1] ^= 1 }
                peers[key]?.bytes -= payload.count
                peers[key]?.held[id]? += payload.count
                send(to: key, parts: [payload]) {
                    $0.work.item = wire
                    $0.work.tile = scan.tile(tile)
                }
            }
            send(to: key) {
                $0.closed.item = wire
                $0.closed.frames = UInt64(frames)
            }
        }
    }

    /// Takes what a peer holds back, as if it were dead.
    func forget(_ key: [UInt8]) {
        guard let peer = peers.removeValue(forKey: key) else { return }
        let done = Set(results.map(\.item.partition))
        waiting = peer.held.keys.map(\.partition).filter { !done.contains($0) }.sorted() + waiting
        for other in Array(peers.keys) { dispatch(to: other) }
    }

    func forgetAll() { for key in Array(peers.keys) { forget(key) } }

    func overPlan() {
        for key in Array(peers.keys) { send(to: key) { $0.planOver.plan = wirePlan.plan } }
    }

    func askToMerge(_ task: WireMergeTask, parts: [[UInt8]]) {
        for key in peers.keys.prefix(1) { send(to: key, parts: parts) { $0.mergeTask = task } }
    }

    // MARK: Messages

    private func take(_ parts: [ReceivedPart]) {
        defer { sightings.check() }
        let key = parts[0].bytes
        guard parts.count >= 2, let message = try? WireWorkMessage(serializedBytes: parts[1].bytes) else { return }
        if case .hello(let hello) = message.kind {
            hellos.append(hello)
            // A new connection of the same process takes the place of the old one.
            for (old, peer) in peers where peer.hello.clientID == hello.clientID { forget(old) }
            peers[key] = Peer(
                routingID: parts[0], hello: hello, items: Int(hello.credit.items), bytes: Int(hello.credit.bytes))
            send(to: key) {
                $0.welcome.version = 1
                $0.welcome.session = .init(session)
                $0.welcome.beatIntervalMs = UInt32(beatInterval / .milliseconds(1))
                $0.welcome.silenceLimitMs = UInt32(silenceLimit / .milliseconds(1))
            }
            return dispatch(to: key)
        }
        guard let peer = peers[key] else {
            return send(to: parts[0]) {
                $0.failure.code = "wrongState"
                $0.failure.message = "say hello first"
            }
        }
        switch message.kind {
        case .credit(let credit):
            peers[key]?.items = Int(credit.items) - peer.held.count
            peers[key]?.bytes = Int(credit.bytes) - peer.held.values.reduce(0, +)
        case .holding(let holding):
            guard !holding.isWhole else { break }
            free(WorkItemID(holding.item), key)
            waiting.append(holding.item.partition)
        case .planned(let answer): planned.append(answer)
        case .result(let result):
            free(WorkItemID(result.item), key)
            merge(result, Array(parts.dropFirst(2)))
            if acknowledges { send(to: key) { $0.ack.item = result.item } }
        case .failed(let failed):
            free(WorkItemID(failed.item), key)
            failures.append(failed)
            if !failed.udfError { waiting.append(failed.item.partition) }
            send(to: key) { $0.ack.item = failed.item }
        case .mergeTaskDone(let done):
            mergeAnswers.append(
                (done, zip(done.arrays, parts.dropFirst(2)).map { header, part in Self.array(header, part) }))
        case .beat: beats += 1
        case .bye:
            goodbyes += 1
            forget(key)
        default: faults.append("unexpected \(message)")
        }
        dispatch(to: key)
    }

    private func free(_ id: WorkItemID, _ key: [UInt8]) {
        guard let bytes = peers[key]?.held.removeValue(forKey: id) else { return }
        peers[key]?.items += 1
        peers[key]?.bytes += bytes
    }

    private func merge(_ result: WireWorkResult, _ parts: [ReceivedPart]) {
        results.append(result)
        guard let plan, merger != nil else { return }
        let headers = result.sections.flatMap(\.buffers)
        guard headers.count == parts.count else { return faults.append("\(parts.count) of \(headers.count) buffers") }
        for (header, part) in zip(headers, parts)
        where part.withUnsafeBytes(Checksum.xxh3) != header.checksum { faults.append("checksum of \(header.name)") }
        let sections = result.sections.map { section in
            PartitionResult.Section(
                udf: section.udf, contentHash: section.contentHash,
                positions: section.positions.map { Int($0.first)..<Int($0.first + $0.count) },
                buffers: section.buffers.map {
                    .init(name: $0.name, dtype: DType(rawValue: $0.dtype) ?? .bool, shape: $0.shape.map(Int.init))
                })
        }
        do {
            let partition = try PartitionResult(
                plan: plan, partition: Int(result.item.partition), generation: result.parameterGeneration,
                isFinal: true, sections: sections,
                payloads: parts.map { $0.withUnsafeBytes { $0 } })
            _ = try merger?.merge(partition)
        } catch {
            faults.append("\(error)")
        }
        withExtendedLifetime(parts) {}
    }

    private static func array(_ header: WireArrayHeader, _ part: ReceivedPart) -> ResultArray? {
        guard let dtype = DType(rawValue: header.dtype) else {
            return ResultArray(part.bytes, shape: [part.count])
        }
        return part.withUnsafeBytes { try? ResultArray(dtype: dtype, shape: header.shape.map(Int.init), bytes: $0) }
    }

    private func send(to key: [UInt8], parts: [[UInt8]] = [], _ fill: (inout WireWorkMessage) -> Void) {
        guard let peer = peers[key] else { return }
        send(to: peer.routingID, parts: parts, fill)
    }

    private func send(to routingID: ReceivedPart, parts: [[UInt8]] = [], _ fill: (inout WireWorkMessage) -> Void) {
        var message = WireWorkMessage()
        fill(&message)
        guard let body: [UInt8] = try? message.serializedBytes() else { return }
        var multipart = Multipart()
        multipart.append(routingID)
        multipart.append(copying: body)
        for part in parts { multipart.append(copying: part) }
        _ = try? socket.trySend(&multipart)
    }
}
