import Logging
import StemwireClient
import StemwireProtocol
import StemwireServer
import StemwireSystem
import ZeroMQ

/// The relay's thread: hears the server, keeps its state, passes on, and answers viewers.
///
/// Requests go to the server by a `StemwireConnection`, which sees to reconnection and to ids; live messages come by a
/// socket of the relay's own, so that they can be passed on as they are.
actor RelayService {
    /// The server as it introduced itself last.
    struct Upstream: Sendable {
        let session: [UInt8]
        let server: String
        let directory: WireDirectory

        init?(_ welcome: WireWelcome) {
            session = [UInt8](welcome.session)
            server = welcome.server
            directory = welcome.directory
            guard (1...64).contains(session.count), Topic.isValidSegment(directory.source),
                (1...65535).contains(directory.livePort)
            else { return nil }
        }

        var topics: [String] {
            let source = directory.source
            return [
                Topic.acquisition(source: source), .tile(source: source), .results(source: source),
                .event(source: source),
            ].map(\.text)
        }
    }

    /// Messages that the live socket takes ahead of the reactor.
    private static let receiveHighWaterMark = 64
    private static let reconnectPause = Duration.milliseconds(500)

    let configuration: RelayConfiguration
    let reactor: Reactor
    private let context: Context
    private let session: Locked<[UInt8]>
    private let logger: Logger
    private let viewers: ViewerSocket
    let access: [SocketGuard]
    let subscribers = SubscriberBook()
    private let reportID = AcquisitionUUID.random().bytes
    private let began = ContinuousClock.now

    private(set) var connection: StemwireConnection?
    private(set) var upstream: Upstream?
    private(set) var ports: (control: Int, live: Int) = (0, 0)
    private var controlCounters: ControlService.Counters?
    var cache = RelayCache()
    private var live: Link?
    private var liveTopics: [String] = []
    private var livePort = 0
    private var isSubscribed = false
    private var isStopped = false
    private var isGreeting = false
    private var isAskingSnapshot = false
    private(set) var isPolling = false
    /// Whether something has happened since the status was asked for that it may not tell of.
    private var isOutdated = false
    private(set) var lastPolled: ContinuousClock.Instant?
    private var lastHeard: ContinuousClock.Instant?
    private var alarm: Alarm?
    private var connecting: Task<Void, Never>?
    private var pollTimer: TimerToken?
    private var waiters: [Int: (continuation: CheckedContinuation<Void, Never>, timer: TimerToken)] = [:]
    private var lastWaiter = 0

    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    /// - Parameters:
    ///   - access: whom the control and the live socket let in.
    ///   - session: kept at the server's present session, for the control socket's replies.
    init(
        _ configuration: RelayConfiguration, on reactor: Reactor, in context: Context, access: [SocketGuard],
        session: Locked<[UInt8]>,
        logger: Logger
    ) throws(ZMQError) {
        self.configuration = configuration
        self.reactor = reactor
        self.context = context
        self.access = access
        self.session = session
        self.logger = logger
        viewers = try ViewerSocket(on: reactor, in: context, access: access[1], queueBytes: configuration.queueBytes)
    }

    /// Binds the viewers' socket. Returns the endpoint with its port.
    func open(at endpoint: String) throws(ZMQError) -> String { try viewers.open(at: endpoint) }

    /// Begins to connect to the server.
    func begin(controlPort: Int, livePort: Int, malformed counters: ControlService.Counters) {
        ports = (controlPort, livePort)
        controlCounters = counters
        alarm = Alarm(on: reactor) { [self] in
            live?.catchUp()
            settle()
        }
        pollTimer = reactor.schedule(every: configuration.pollInterval) { [self] in poll() }
        connecting = Task { await connect() }
    }

    func stop() async {
        isStopped = true
        connecting?.cancel()
        alarm?.set(nil)
        alarm = nil
        if let pollTimer { reactor.cancel(pollTimer) }
        closeLive()
        viewers.close()
        changed()
        await connecting?.value
        await connection?.close()
        connection = nil
    }

    // MARK: The server

    private func connect() async {
        var told = ""
        while !isStopped {
            do throws(ConnectError) {
                let options = ConnectionOptions(
                    clientName: "stemwire relay", token: configuration.token)
                let made = try await StemwireConnection.connect(
                    to: configuration.upstream.description, timeout: .seconds(2), options: options)
                connection = made
                logger.info("connected", metadata: ["upstream": "\(configuration.upstream)"])
                return greet()
            } catch {
                if case .cancelled = error { return }
                if error.description != told {
                    told = error.description
                    logger.warning("\(told); trying again")
                }
            }
            try? await Task.sleep(for: Self.reconnectPause)
        }
    }

    /// Asks the server who it is, where something hints that it may be another one than before.
    private func greet() {
        guard !isGreeting, !isStopped, let connection else { return }
        isGreeting = true
        var request = WireRequest()
        request.hello.versionMin = ProtocolVersion.current
        request.hello.versionMax = ProtocolVersion.current
        request.hello.client = "stemwire relay"
        Task { [request] in
            let reply = try? await connection.request(request, deadline: .seconds(2))
            isGreeting = false
            // Without an answer, the next poll asks again.
            guard !isStopped, case .welcome(let welcome)? = reply?.wire.kind, let upstream = Upstream(welcome) else {
                return
            }
            enter(upstream, status: welcome.status)
        }
    }

    private func enter(_ new: Upstream, status: WireStatus) {
        let isRestart = upstream.map { $0.session != new.session } ?? false
        if isRestart { logger.notice("the server was started anew") }
        upstream = new
        session.value = new.session
        lastHeard = .now
        let freed = cache.enter(new.session)
        for parts in freed { received(parts) }
        cache.take(status, now: .now)
        if live == nil || livePort != Int(new.directory.livePort) || liveTopics != new.topics { openLive(new) }
        changed()
        settle()
    }

    private func openLive(_ upstream: Upstream) {
        closeLive()
        livePort = Int(upstream.directory.livePort)
        liveTopics = upstream.topics
        let server = configuration.upstream
        let address = server.address(of: .live, port: livePort)
        do throws(ZMQError) {
            let link = try Link(
                .sub, to: address, isIPv6: server.isIPv6, in: context, on: reactor,
                token: configuration.token, receiveHighWaterMark: Self.receiveHighWaterMark,
                handlers: Link.Handlers(
                    message: { [self] in received($0) }, change: { [self] in liveChanged($0) },
                    malformed: { [self] in cache.noteMalformed() }))
            live = link
            try link.open(subscribingTo: liveTopics)
        } catch {
            logger.error("no live connection to \(address): \(error)")
            closeLive()
        }
    }

    private func closeLive() {
        live?.close(unsubscribingFrom: liveTopics)
        live = nil
        isSubscribed = false
    }

    private func liveChanged(_ change: Link.Change) {
        switch change {
        case .connected:
            isSubscribed = true
            cache.resubscribed()
            // Whoever is there now may be another one.
            greet()
            settle()
        case .lost:
            isSubscribed = false
        case .reached, .notReached, .putOff, .refused: break
        }
    }

    private func received(_ parts: [ReceivedPart]) {
        let now = ContinuousClock.now
        let verdict = cache.take(parts, now: now)
        switch verdict {
        case .malformed: return
        case .unsettled: greet()
        case .tile, .update, .landmark, .other:
            lastHeard = now
            viewers.pass(parts, verdict)
            if verdict == .landmark { outdateStatus() }
            if verdict != .tile { settle() }
        }
    }

    // MARK: Asking

    /// Asks for what the cache misses, once at a time.
    private func settle() {
        guard isSubscribed, !isAskingSnapshot, !isStopped, let connection else {
            alarm?.set(nil)
            return
        }
        if let wanted = cache.takeSnapshotWish(now: .now) {
            alarm?.set(nil)
            return ask(connection, for: wanted)
        }
        alarm?.set(cache.nextDeadline(now: .now))
    }

    private func ask(_ connection: StemwireConnection, for wanted: RelayCache.SnapshotWish) {
        isAskingSnapshot = true
        var request = WireRequest()
        request.snapshot = WireSnapshotRequest()
        request.snapshot.acquisition = .init(wanted.acquisition)
        Task { [request] in
            do throws(ControlFailure) {
                let reply = try await connection.request(request, deadline: .seconds(2))
                if [UInt8](reply.wire.session) != cache.session {
                    cache.failed(wanted, now: .now)
                    greet()
                } else if case .snapshot(let snapshot)? = reply.wire.kind {
                    lastHeard = .now
                    cache.merge(snapshot, payload: reply.payloads, answering: wanted, now: .now)
                }
            } catch {
                if error.code == .notFound { cache.nothingFound(wanted) } else { cache.failed(wanted, now: .now) }
            }
            isAskingSnapshot = false
            changed()
            settle()
        }
    }

    /// Asks for the status, and tells the server what was lost on the way.
    func poll() {
        guard !isPolling, !isStopped, let connection else { return }
        isPolling = true
        lastPolled = .now
        var request = WireRequest()
        request.status.report = report
        Task { [request] in
            let reply = try? await connection.request(request, deadline: configuration.pollInterval * 3)
            isPolling = false
            if let reply, case .status(let status)? = reply.wire.kind {
                if [UInt8](reply.wire.session) == cache.session {
                    lastHeard = .now
                    cache.take(status, now: .now)
                } else {
                    greet()
                }
            }
            if isOutdated {
                isOutdated = false
                poll()
            }
            changed()
            settle()
        }
    }

    /// Has the next viewer who asks get a status that was made after this moment.
    func outdateStatus() {
        lastPolled = nil
        isOutdated = isPolling
    }

    private var report: WireSubscriberReport {
        var report = WireSubscriberReport()
        report.name = "stemwire relay, port \(ports.control)"
        report.clientID = .init(reportID)
        report.messagesReceived = cache.counts.messages
        report.messagesDropped = cache.counts.lostMessages
        report.framesReceived = cache.counts.frames
        return report
    }

    // MARK: What viewers are told

    /// Whether the server has not been heard of for too long.
    var isLost: Bool { lastHeard.map { .now - $0 > configuration.silenceLimit } ?? true }

    /// The newest status that is known, in this relay's words.
    func status() -> WireStatus {
        var own = RelayStatus()
        own.server = "relay of \(configuration.upstream)" + (upstream.map { " (\($0.server))" } ?? "")
        own.live.subscriptions = UInt32(viewers.subscriptionCount)
        own.live.tilesPublished = viewers.counts.tiles
        own.live.tilesDropped = cache.counts.lostTiles + viewers.counts.tilesLeftOut
        own.live.updatesPublished = viewers.counts.updates
        own.live.bytesPinned = UInt64(viewers.queuedBytes)
        own.uptimeMs = UInt64((ContinuousClock.now - began) / .milliseconds(1))
        own.malformedControl = controlCounters?.malformed.load(ordering: .relaxed) ?? 0
        own.malformedLive = viewers.refused + cache.counts.malformed
        own.subscribers = subscribers.wire()
        if isLost { own.reasonLost = "the relay has no connection to \(configuration.upstream)" }
        return own.wire(upstream: cache.status)
    }

    // MARK: Waiting

    /// Waits until `condition` holds, or the deadline has come.
    func wait(until deadline: ContinuousClock.Instant, for condition: () -> Bool) async {
        while !isStopped, !condition(), ContinuousClock.now < deadline {
            await withCheckedContinuation { continuation in
                lastWaiter += 1
                let number = lastWaiter
                let timer = reactor.schedule(at: deadline) { [self] in
                    waiters.removeValue(forKey: number)?.continuation.resume()
                }
                waiters[number] = (continuation, timer)
            }
        }
    }

    /// Something has happened that somebody may wait for.
    private func changed() {
        let waiting = waiters.values
        waiters = [:]
        for waiter in waiting {
            reactor.cancel(waiter.timer)
            waiter.continuation.resume()
        }
    }
}
