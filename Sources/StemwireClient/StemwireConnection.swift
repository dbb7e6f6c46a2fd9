import StemwireProtocol
import StemwireSystem
import ZeroMQ

/// A connection to an acquisition server: control, live tiles, results and events, and frames on demand.
///
/// ```swift
/// let server = try await StemwireConnection.connect(to: "merlin-server")
/// for try await event in server.tiles(options: .init(repair: true, untilEnd: true)) {
///     switch event {
///     case .started(let start): print("scan of", start.navShape)
///     case .tile(let tile): show(try tile.decodedFrames(as: UInt16.self), at: tile.positions)
///     case .gap(let gap): print("lost, being fetched:", gap.positions)
///     case .unavailable(let frames): print(frames)
///     case .ended(let end): print(end.reason, end.accounting.placed)
///     }
/// }
/// ```
///
/// **When the connection breaks.** It is made anew by itself. Requests under way are sent again under the same id,
/// which the server does once; after a restart of the server only those that change nothing, the others fail with
/// `noReply`. Subscriptions go on: after a short break what was lost shows as gaps; after a restart of the server, whose
/// acquisitions then end with the reason `serverRestarted`, counting begins anew and the new server's state is taken by a
/// snapshot. When the server is not heard of for ``ConnectionOptions/lossTimeout``, subscriptions end with
/// ``SubscriptionError/connectionLost(_:after:)``; the connection itself stays usable.
///
/// **Threading.** Any task on any thread. One thread of its own does all ZeroMQ work; nothing here blocks the caller's
/// thread, except that the last release of a connection, or ``close()``, waits for that thread to end, which takes
/// microseconds as it never blocks either.
///
/// **Memory.** Messages live in the C library's memory; with glibc, connecting has the process keep up to 64 MiB of
/// freed memory for the next ones.
public final class StemwireConnection: Sendable {
    /// The server's control endpoint.
    public let endpoint: ServerEndpoint
    /// The server as it introduced itself when the connection was made.
    public let server: ServerInfo
    let core: ClientCore

    private static let freedBytesKept = 64 << 20

    private init(core: ClientCore, server: ServerInfo) {
        self.core = core
        endpoint = core.endpoint
        self.server = server
    }

    deinit { Self.shutDown(core) }

    /// Connects to the server at `endpoint` and agrees on the version of the protocol.
    ///
    /// - Parameters:
    ///   - endpoint: control endpoint: `tcp://host:7400`, `stemwire://host[:port]` or `host[:port]`.
    ///   - timeout: how long to try; a server that is just being started is found within it.
    ///   - clientName: name and version of the calling program, for the server's log.
    /// - Throws: ``ConnectError``, at once when waiting is of no use, else when the time is over.
    public static func connect(
        to endpoint: String, timeout: Duration = .seconds(1), clientName: String = "stemwire-swift"
    ) async throws(ConnectError) -> StemwireConnection {
        try await connect(to: endpoint, timeout: timeout, options: ConnectionOptions(clientName: clientName))
    }

    /// Connects with other than the standard settings.
    public static func connect(
        to endpoint: String, timeout: Duration = .seconds(1), options: ConnectionOptions
    ) async throws(ConnectError) -> StemwireConnection {
        let core: ClientCore
        let parsed = try ServerEndpoint(endpoint)
        ProcessMemory.keepFreed(upTo: freedBytesKept)
        do throws(ZMQError) {
            core = ClientCore(parsed, options: options, context: try Context(), reactor: try Reactor("sw-client"))
        } catch {
            throw .system(error.description)
        }
        switch await core.open(timeout: timeout) {
        case .success(let server): return StemwireConnection(core: core, server: server)
        case .failure(let error):
            shutDown(core)
            throw error
        }
    }

    /// Ends subscriptions and requests, which fail with `closed`, and closes all sockets. Closing twice does nothing.
    public func close() async {
        await core.close()
        core.reactor.stop()
    }

    private static func shutDown(_ core: ClientCore) {
        core.submit { $0.close() }
        core.reactor.stop()
    }

    /// Counts of the connection's control traffic.
    public var statistics: ClientStatistics { get async { await core.statistics() } }

    // MARK: Subscriptions

    /// Subscribes to tiles, beginning now.
    ///
    /// An acquisition that runs is joined: what was published before is told as a gap, and fetched with
    /// ``TileOptions/repair``. See ``TileEvent`` for the order of events, ``SubscriptionError`` for how it may fail:
    /// without ``TileOptions/waitsForDetector`` within a second when nobody sends.
    public func tiles(options: TileOptions = TileOptions()) -> TileStream {
        let mailbox = TileSubscriber.TileMailbox(TileQueue(options.buffering))
        let verifies = options.verifiesChecksums ?? core.verifiesTiles
        return subscribe(
            mailbox,
            credit: { event in
                if case .tile(let tile) = event, tile.carriesCredit { tile.messageBytes } else { nil }
            }
        ) { core, counters in
            TileSubscriber(options, verifiesChecksums: verifies, mailbox: mailbox, counters: counters) {
                handlers throws(ZMQError) in
                try core.openWork(
                    window: FetchPeer.Window(items: 64, bytes: max(1, options.repairBytes)), patience: .seconds(5),
                    verifiesChecksums: verifies, handlers: handlers)
            }
        }
    }

    /// Subscribes to results: the newest state of each channel, beginning with the present one.
    ///
    /// An acquisition that is over when the subscription begins is delivered too: its start, final states and end.
    ///
    /// - Parameters:
    ///   - run: only this run; nil: all. `udf` and `channel` alike.
    ///   - maximumRate: updates a second and channel at most; what is newer takes the place of what waits. Final states
    ///     do not wait.
    public func updates(
        run: String? = nil, udf: String? = nil, channel: String? = nil, maximumRate: Double? = nil
    ) -> ResultStream {
        var options = ResultFollower.Options()
        if let maximumRate, maximumRate > 0 { options.interval = .seconds(1 / maximumRate) }
        options.pollInterval = core.options.pollInterval
        let filter = ChannelFilter(run: run, udf: udf, channel: channel)
        options.filter = filter
        let mailbox = ResultSubscriber.ResultMailbox(ResultFollower(options))
        if let name = filter.impossibleName { mailbox.finish(.badName(name)) }
        let verifies = core.verifiesResults
        return subscribe(mailbox) { _, counters in
            ResultSubscriber(filter, verifiesChecksums: verifies, mailbox: mailbox, counters: counters)
        }
    }

    /// Subscribes to events, status, and starts and ends of acquisitions.
    public func events() -> ServerEventStream {
        let mailbox = EventSubscriber.EventMailbox(EventQueue())
        return subscribe(mailbox) { _, counters in EventSubscriber(mailbox: mailbox, counters: counters) }
    }

    private func subscribe<Queue: ConsumerQueue>(
        _ mailbox: Mailbox<Queue, SubscriptionError>,
        credit: @escaping @Sendable (Queue.Element) -> Int? = { _ in nil },
        make: @escaping @Sendable (isolated ClientCore, LiveCounters) -> any LiveSubscriber
    ) -> Subscription<Queue.Element, SubscriptionError> {
        let counters = LiveCounters()
        let number = core.numbers.next()
        mailbox.connect(
            hooks(
                mailbox,
                taken: { [core] element in
                    guard let bytes = credit(element) else { return }
                    core.submit { $0.released(channel: number, bytes: bytes) }
                },
                cancelled: { [core] in core.submit { $0.end(channel: number, nil) } }))
        if !mailbox.isFinished {
            core.submit { core in
                core.add(LiveChannel(number: number, subscriber: make(core, counters), counters: counters))
            }
        }
        return Subscription(
            SubscriptionSource(
                owner: self, next: { await mailbox.next() },
                subscribed: { [core] in await core.joined(number) },
                cancel: { mailbox.cancel() },
                statistics: { counters.current }))
    }

    /// Fetches frames that the server holds, without loss: it sends what the consumer has room for.
    ///
    /// - Parameters:
    ///   - first: position of the first frame, slow axis first.
    ///   - count: number of positions.
    ///   - patience: how long nothing may come before the fetch fails with ``FetchError/noProgress(_:after:)``; time
    ///     that the consumer takes does not count.
    public func fetch(
        acquisition: AcquisitionUUID, first: Int, count: Int, patience: Duration = .seconds(5)
    ) -> FrameFetch {
        let counters = LiveCounters()
        let number = core.numbers.next()
        let mailbox = Mailbox<FetchQueue, FetchError>(FetchQueue())
        mailbox.connect(
            hooks(
                mailbox,
                taken: { [core] event in
                    guard case .tile(let tile) = event else { return }
                    core.submit { $0.released(fetch: number, bytes: tile.messageBytes) }
                },
                cancelled: { [core] in core.submit { $0.end(fetch: number, nil) } }))
        let (end, overflow) = first.addingReportingOverflow(count)
        if first < 0 || count < 0 || overflow || UInt64(max(0, end)) > ClientLimits.positions {
            mailbox.finish(.invalidRange(first: first, count: count))
        } else if count == 0 {
            mailbox.finish()
        } else {
            core.submit { core in
                core.startFetch(
                    number: number, acquisition: acquisition, positions: first..<end, patience: patience,
                    mailbox: mailbox, counters: counters)
            }
        }
        return FrameFetch(
            SubscriptionSource(
                owner: self, next: { await mailbox.next() },
                subscribed: { .success(()) },
                cancel: { mailbox.cancel() },
                statistics: { counters.current }))
    }

    /// Fetches frames and waits for all of them; their messages stay in memory until the tiles are let go.
    ///
    /// - Returns: the tiles in ascending order, and what the server does not have.
    public func fetchAll(
        acquisition: AcquisitionUUID, first: Int, count: Int, patience: Duration = .seconds(5)
    ) async throws(FetchError) -> (tiles: [FrameTile], unavailable: [UnavailableFrames]) {
        var tiles: [FrameTile] = []
        var unavailable: [UnavailableFrames] = []
        var frames = fetch(acquisition: acquisition, first: first, count: count, patience: patience).makeAsyncIterator()
        while let event = try await frames.next(isolation: nil) {
            switch event {
            case .tile(let tile): tiles.append(tile)
            case .unavailable(let range): unavailable.append(range)
            }
        }
        return (tiles, unavailable)
    }

    private func hooks<Queue: ConsumerQueue, Failure: Error>(
        _ mailbox: Mailbox<Queue, Failure>, taken: @escaping @Sendable (Queue.Element) -> Void,
        cancelled: @escaping @Sendable () -> Void
    ) -> Mailbox<Queue, Failure>.Hooks {
        Mailbox<Queue, Failure>.Hooks(
            taken: taken,
            wake: { [core] instant in
                core.submit { core in
                    core.reactor.schedule(at: instant) { [weak mailbox] in mailbox?.poke() }
                }
            },
            cancelled: cancelled)
    }
}
