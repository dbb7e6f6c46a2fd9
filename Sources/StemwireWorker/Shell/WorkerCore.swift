import Glibc
import StemwireClient
import StemwireProtocol
import StemwireSystem
import StemwireUDF
import ZeroMQ

/// What lives on a worker's reactor: the DEALER to the server and the session that drives it.
///
/// Frames go from the received message's memory straight to the compute threads. Nothing here computes, so that beats go
/// out whatever the UDFs do.
actor WorkerCore {
    private let reactor: Reactor
    private let context: Context
    private let endpoint: WorkEndpoint
    private let aliveFile: AliveFile?
    private var lastTouch = ContinuousClock.now
    private let token: AccessToken?
    private let tell: @Sendable (WorkerEvent) -> Void
    private var session: WorkerSession<WorkOutput>
    private var factory: TileFactory
    private var pool: ComputePool?
    private var link: Link?
    private var alarm: Alarm?
    private var ending: WorkerEnding?
    private var ended: CheckedContinuation<WorkerEnding, Never>?
    private var counts = WorkerCounts()
    private var runs: [Serial: String] = [:]

    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    /// How long what was sent last may still be on its way when the worker goes.
    private static let linger = TimeLimit.milliseconds(500)
    private static let receiveQueue = 4096
    /// A probe looks at whole seconds.
    private static let touchInterval = Duration.milliseconds(500)

    init(
        _ configuration: WorkerConfiguration, endpoint: WorkEndpoint, aliveFile: AliveFile?, udfs: UDFRegistry,
        on reactor: Reactor, in context: Context, tell: @escaping @Sendable (WorkerEvent) -> Void
    ) {
        self.reactor = reactor
        self.context = context
        self.endpoint = endpoint
        self.aliveFile = aliveFile
        token = configuration.token
        self.tell = tell
        factory = TileFactory(verifiesChecksums: configuration.verifiesChecksums ?? !endpoint.isLocal)
        var offer = WireWorkerOffer()
        offer.udfs = udfs.entries.map { entry in
            var udf = WireUdfOffer()
            udf.name = entry.name
            udf.version = UInt32(clamping: entry.version)
            return udf
        }
        offer.threads = UInt32(configuration.threads)
        offer.memoryBytes = UInt64(configuration.memoryBytes)
        offer.host = Machine.hostName
        offer.process = UInt64(getpid())
        var settings = WorkerSession<WorkOutput>.Settings(
            clientID: AcquisitionUUID.random().bytes,
            capacity: WorkerCapacity(items: configuration.items, bytes: configuration.memoryBytes))
        settings.client = configuration.name
        settings.offer = offer
        settings.connectTimeout = configuration.connectTimeout
        session = WorkerSession(settings, now: .now)
    }

    /// Works until the end; to be called once.
    func run(on pool: ComputePool) async -> WorkerEnding {
        self.pool = pool
        alarm = Alarm(on: reactor) { [self] in
            link?.catchUp()
            session.tick(now: .now)
            perform()
        }
        if aliveFile != nil {
            // A worker without a server is as good as any.
            reactor.schedule(every: .seconds(1)) { [self] in if !session.isReady { touch() } }
        }
        session.start(now: .now)
        perform()
        // It may have been told to leave before it began.
        if let ending { return ending }
        return await withCheckedContinuation { ended = $0 }
    }

    /// Finishes what can be finished in time, and goes.
    func leave(within patience: Duration) {
        session.leave(within: patience, now: .now)
        perform()
    }

    /// What a compute thread has done.
    nonisolated func report(_ report: ComputeReport) {
        reactor.submit { [self] in assumeIsolated { $0.take(report) } }
    }

    private func take(_ report: ComputeReport) {
        switch report {
        case .planned(let plan, let answer):
            session.planned(plan, answer)
            tell(
                .planned(
                    run: runs[plan] ?? "", udfs: answer.udfs.map(\.id),
                    failure: answer.failure.isEmpty ? nil : answer.failure))
        case .finished(let item, let result, let output):
            counts.partitions += 1
            counts.frames += Int(clamping: result.frames)
            session.finished(item, result, output)
        case .failed(let item, let udf, let why, let isUDF):
            counts.failures += 1
            tell(.failed(why))
            session.failed(item, udf: udf, why, isUDF: isUDF)
        case .merged(let task, let done, let output):
            session.merged(task, done, output)
        }
        perform()
    }

    // MARK: The connection

    private func connect() {
        link?.close()
        link = nil
        do throws(ZMQError) {
            let link = try Link(
                .dealer, to: endpoint.address, isIPv6: endpoint.isIPv6, in: context, on: reactor,
                token: token, receiveHighWaterMark: Self.receiveQueue,
                handlers: Link.Handlers(
                    message: { [self] in received($0) }, change: { [self] in changed($0) },
                    malformed: { [self] in counts.malformed += 1 }))
            self.link = link
            try link.open()
        } catch {
            session.notUnderstood(error.description, now: .now)
        }
    }

    private func changed(_ change: Link.Change) {
        switch change {
        case .connected: session.connected(now: .now)
        case .lost: session.disconnected(now: .now)
        case .notReached, .putOff: session.notReached()
        case .refused(let why): session.notUnderstood(why.description, now: .now)
        case .reached: break
        }
        perform()
    }

    private func received(_ parts: [ReceivedPart]) {
        guard parts[0].count <= WireLimits.headerBytes,
            let (message, _) = try? ControlCoding.decode(
                WireWorkMessage.self, from: parts[0].bytes, limit: WireLimits.headerBytes)
        else {
            counts.malformed += 1
            return
        }
        let payloads = parts[1...]
        touch()
        session.received(message, payloads: payloads.map(\.count), now: .now)
        perform(payloads)
    }

    private func touch() {
        guard let aliveFile, .now - lastTouch >= Self.touchInterval else { return }
        lastTouch = .now
        aliveFile.touch()
    }

    // MARK: What the session wants

    /// - Parameter payloads: of the message that the session has just received.
    private func perform(_ payloads: ArraySlice<ReceivedPart> = []) {
        while case let actions = session.takeActions(), !actions.isEmpty {
            for action in actions { perform(action, payloads) }
        }
        alarm?.set(session.nextDeadline)
    }

    private func perform(_ action: WorkerSession<WorkOutput>.Action, _ payloads: ArraySlice<ReceivedPart>) {
        switch action {
        case .connect: connect()
        case .send(let message, let output): send(message, output)
        case .prepare(let plan, let wire):
            runs[plan] = wire.run
            pool?.change { $0.prepare(.prepare(plan: plan, wire, parts: Array(payloads)), plan: plan) }
        case .forget(let plan):
            runs[plan] = nil
            pool?.change { $0.forget(plan: plan) }
        case .begin(let item, let id, let plan): pool?.change { $0.begin(item, id, plan: plan) }
        case .take(let item, let tile): take(tile, payloads, for: item)
        case .close(let item): pool?.change { $0.close(item) }
        case .drop(let item): pool?.change { $0.remove(item) }
        case .merge(let task, let plan, let wire):
            pool?.change { $0.merge(.merge(task: task, plan: plan, wire, parts: Array(payloads))) }
        case .tell(.connected(let session, let epoch)):
            tell(.connected(session: hexadecimal(session), epoch: epoch))
        case .tell(.lost(let why)): tell(.lost(why))
        case .tell(.refused(let why)): tell(.refused(why))
        case .end(let ending): end(ending)
        }
    }

    private func take(_ wire: WireTile, _ payloads: ArraySlice<ReceivedPart>, for item: Serial) {
        guard let payload = payloads.first else { return }
        do throws(TileFactory.Refusal) {
            let tile = try factory.make(wire, payload: payload, isFetched: true)
            pool?.change { $0.add(tile, to: item) }
        } catch {
            let why =
                switch error {
                case .malformed(let fault): fault.description
                case .checksum: "the bytes changed on the way: the checksum does not fit"
                }
            pool?.change { $0.remove(item) }
            session.failed(item, udf: "", why, isUDF: false)
        }
    }

    private func send(_ message: WireWorkMessage, _ output: WorkOutput?) {
        guard let body = try? ControlCoding.encode(message, as: .protobuf) else { return }
        let arrays = output?.arrays ?? []
        // An array's memory stays where it is as long as its owner lives.
        link?.send(
            [.copied(body)] + arrays.map { owner in owner.array.withUnsafeBytes { .shared($0, owner: owner) } })
    }

    private func end(_ ending: WorkerEnding) {
        alarm?.set(nil)
        alarm = nil
        link?.close(linger: Self.linger)
        link = nil
        // It refers to this actor by its reports.
        pool = nil
        self.ending = ending
        if case .left(let unfinished) = ending { tell(.left(counts, unfinished: unfinished)) }
        ended.take()?.resume(returning: ending)
    }

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
