import StemwireProtocol
import Synchronization
import ZeroMQ

/// What lives on a connection's reactor: the control socket with its requests, the subscriptions and the fetches.
///
/// All sockets of a connection are owned by this actor's thread. Callers await it; nothing here blocks.
actor ClientCore {
    nonisolated let reactor: Reactor
    nonisolated let endpoint: ServerEndpoint
    nonisolated let options: ConnectionOptions
    let context: Context
    /// Numbers subscriptions and fetches.
    nonisolated let numbers = NumberSource()
    nonisolated var verifiesTiles: Bool { options.verifiesChecksums ?? !endpoint.isLoopback }
    nonisolated var verifiesResults: Bool { options.verifiesChecksums ?? true }
    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    var control: Link?
    var requests = RequestTable()
    var pending: [String: PendingRequest] = [:]
    var requestAlarm: Alarm?
    /// The server as it introduced itself last.
    var server: ServerInfo?
    /// Whether the server was greeted on the present connection.
    var isReady = false
    var isClosed = false
    var attempt: ConnectAttempt?
    var greeted: CheckedContinuation<Result<ServerInfo, ConnectError>, Never>?

    var channels: [UInt64: LiveChannel] = [:]
    var fetches: [UInt64: FetchTask] = [:]
    var idlePeers: [WorkChannel] = []
    var pollAlarm: Alarm?
    /// Names this connection in its reports to the server.
    let reportID = AcquisitionUUID.random().bytes
    var isPolling = false
    var lastHeard: ContinuousClock.Instant = .now
    var lastPoll: ContinuousClock.Instant = .now
    var lastForcedGreeting: ContinuousClock.Instant = .now - .seconds(3600)
    var counts = ClientStatistics()

    init(_ endpoint: ServerEndpoint, options: ConnectionOptions, context: Context, reactor: Reactor) {
        self.endpoint = endpoint
        self.options = options
        self.context = context
        self.reactor = reactor
    }

    /// Connects and greets, unless the calling task is cancelled.
    func open(timeout: Duration) async -> Result<ServerInfo, ConnectError> {
        // Within the actor, so that a cancellation, which is submitted to it, comes after the beginning.
        await withTaskCancellationHandler {
            await connect(timeout: timeout)
        } onCancel: {
            submit { $0.finishGreeting(.failure(.cancelled)) }
        }
    }

    private func connect(timeout: Duration) async -> Result<ServerInfo, ConnectError> {
        requestAlarm = Alarm(on: reactor) { [self] in expireRequests() }
        pollAlarm = Alarm(on: reactor) { [self] in poll() }
        attempt = ConnectAttempt(endpoint, hasToken: options.token != nil)
        return await withCheckedContinuation { continuation in
            greeted = continuation
            reactor.schedule(after: timeout) { [self] in
                guard let attempt else { return }
                finishGreeting(.failure(attempt.timedOut(after: timeout)))
            }
            do throws(ZMQError) {
                let link = try Link(
                    .dealer, to: endpoint.controlAddress, isIPv6: endpoint.isIPv6, in: context, on: reactor,
                    token: options.token, receiveHighWaterMark: 256,
                    handlers: Link.Handlers(
                        message: { [self] in receivedReply($0) }, change: { [self] in controlChanged($0) },
                        malformed: { [self] in counts.malformedMessages += 1 }))
                control = link
                try link.open()
            } catch {
                finishGreeting(.failure(.system(error.description)))
            }
        }
    }

    func finishGreeting(_ result: Result<ServerInfo, ConnectError>) {
        attempt = nil
        greeted.take()?.resume(returning: result)
    }

    /// Ends everything; what waits fails with `closed`.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        finishGreeting(.failure(.cancelled))
        for id in requests.removeAll() {
            pending.removeValue(forKey: id)?.completion(.failure(ControlFailure(.closed, "the connection was closed")))
        }
        for number in channels.keys { end(channel: number, .closed) }
        for number in fetches.keys { end(fetch: number, .closed) }
        for peer in idlePeers { peer.close() }
        idlePeers.removeAll()
        requestAlarm?.set(nil)
        pollAlarm?.set(nil)
        requestAlarm = nil
        pollAlarm = nil
        control?.close()
        control = nil
    }

    /// Has the reactor's thread do `body`, after what it was asked before.
    nonisolated func submit(_ body: @escaping @Sendable (isolated ClientCore) -> Void) {
        reactor.submit { [self] in assumeIsolated { body($0) } }
    }

    func statistics() -> ClientStatistics {
        var result = counts
        result.lateReplies = requests.late
        return result
    }
}

/// Gives out numbers, each once, from a random start: a late message for another's request is not taken for one's own.
final class NumberSource: Sendable {
    private let last = Atomic<UInt64>(.random(in: 1 << 40..<1 << 60))

    func next() -> UInt64 { last.wrappingAdd(1, ordering: .relaxed).newValue }
}

/// Settings of a connection; the defaults are meant to be right.
public struct ConnectionOptions: Sendable, Hashable {
    /// Name and version of the calling program, for the server's log.
    public var clientName: String
    /// For how long the server may be silent, or away for a restart, before subscriptions end with an error.
    public var lossTimeout: Duration
    /// How often the server is asked for its status while there are subscriptions: what was lost on the way is
    /// noticed after this time at the latest.
    public var pollInterval: Duration
    /// Whether tiles and results are compared with their checksums. nil: results are, and tiles unless the server is on
    /// this machine, where no network changes them and the comparison costs a tenth of the rate and more.
    public var verifiesChecksums: Bool?
    /// What proves who the client is, and tells the server by its key; nil for a server that asks nobody.
    public var token: AccessToken?

    public init(
        clientName: String = "stemwire-swift", lossTimeout: Duration = .seconds(10),
        pollInterval: Duration = .seconds(1), verifiesChecksums: Bool? = nil, token: AccessToken? = nil
    ) {
        self.clientName = clientName
        self.lossTimeout = lossTimeout
        self.pollInterval = pollInterval
        self.verifiesChecksums = verifiesChecksums
        self.token = token
    }
}

/// Counts of a connection's control traffic.
public struct ClientStatistics: Sendable, Hashable {
    /// Messages of which no sense could be made, and which were skipped.
    public var malformedMessages = 0
    /// Replies that came after their deadline, or to nobody's question.
    public var lateReplies = 0
    /// How often the server was greeted again: after a broken connection or a restart.
    public var reconnections = 0
    /// How often another server process had taken the old one's place.
    public var serverRestarts = 0
}
