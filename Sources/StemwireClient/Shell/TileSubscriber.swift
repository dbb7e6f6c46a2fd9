import StemwireProtocol
import ZeroMQ

/// Settings of a tile subscription.
public struct TileOptions: Sendable, Hashable {
    /// Whether frames that the live stream lost are fetched over the work socket.
    public var repair: Bool
    /// Whether the sequence ends with the first acquisition that ends.
    public var untilEnd: Bool
    /// What waits for a slow consumer at most.
    public var buffering: TileBuffering
    /// What to do when the server has no detector that could send: fail at once, or wait for it.
    public var waitsForDetector: Bool
    /// Whether tiles are compared with their checksums; nil: as the connection does.
    public var verifiesChecksums: Bool?
    /// Bytes of fetched tiles that may wait for the consumer.
    public var repairBytes: Int

    public init(
        repair: Bool = false, untilEnd: Bool = false, buffering: TileBuffering = .standard,
        waitsForDetector: Bool = false, verifiesChecksums: Bool? = nil, repairBytes: Int = 64 << 20
    ) {
        self.repair = repair
        self.untilEnd = untilEnd
        self.buffering = buffering
        self.waitsForDetector = waitsForDetector
        self.verifiesChecksums = verifiesChecksums
        self.repairBytes = repairBytes
    }
}

/// The reactor's side of a tile subscription.
final class TileSubscriber: LiveSubscriber {
    typealias TileMailbox = Mailbox<TileQueue, SubscriptionError>

    private let options: TileOptions
    private let mailbox: TileMailbox
    private let counters: LiveCounters
    private let makeWork: (WorkChannel.Handlers) throws(ZMQError) -> WorkChannel
    private var follower: TileFollower
    private var factory: TileFactory
    private var work: WorkChannel?
    private var wantsSnapshot = false
    private var isJoining = true
    /// Told before the subscription had joined.
    private var earlyStatus: StatusDigest?
    private(set) var isDone = false

    /// - Parameter makeWork: opens a connection to the work socket, when there is something to repair.
    init(
        _ options: TileOptions, verifiesChecksums: Bool, mailbox: TileMailbox, counters: LiveCounters,
        makeWork: @escaping (WorkChannel.Handlers) throws(ZMQError) -> WorkChannel
    ) {
        self.options = options
        self.mailbox = mailbox
        self.counters = counters
        self.makeWork = makeWork
        follower = TileFollower(.init(repairs: options.repair, endsWithAcquisition: options.untilEnd))
        factory = TileFactory(verifiesChecksums: options.verifiesChecksums ?? verifiesChecksums)
    }

    func topics(source: String) -> [String] {
        [Topic.acquisition(source: source).text, Topic.tile(source: source).text]
    }

    // MARK: What is heard

    func received(
        _ kind: WireLiveHeader.OneOf_Kind, observation: SequenceTracker.Observation, payloads: ArraySlice<ReceivedPart>,
        now: ContinuousClock.Instant
    ) throws(MalformedMessage) {
        defer { perform(now: now) }
        switch kind {
        case .start(let start): follower.started(try AcquisitionStart(start), isLive: true, now: now)
        case .end(let end): follower.ended(try AcquisitionEnd(end), now: now)
        case .tile(let wire):
            guard payloads.count == 1 else { throw MalformedMessage("a tile with \(payloads.count) payload parts") }
            do throws(TileFactory.Refusal) {
                let tile = try factory.make(wire, payload: payloads[payloads.startIndex], isFetched: false)
                follower.tile(tile, observation: observation, now: now)
            } catch {
                switch error {
                case .malformed(let reason): throw reason
                case .checksum(let acquisition, let generation, let positions):
                    follower.corrupted(
                        acquisition: acquisition, generation: generation, positions: positions, now: now)
                }
            }
        case .update, .event, .status: break
        }
    }

    /// Of a snapshot, only the acquisition's start and end matter here; the protocol has no way to leave the arrays out.
    var snapshotFilter: ChannelFilter { ChannelFilter() }

    func takeSnapshotWish() -> Bool {
        defer { wantsSnapshot = false }
        return wantsSnapshot
    }

    func received(_ snapshot: ResultSnapshot, isJoining: Bool, now: ContinuousClock.Instant) {
        wantsSnapshot = false
        if let start = snapshot.start {
            if let end = snapshot.end {
                if self.isJoining {
                    follower.isOver(end, now: now)
                } else {
                    follower.started(start, isLive: true, now: now)
                    follower.ended(end, isLive: false, now: now)
                }
            } else {
                follower.started(start, isLive: !self.isJoining, now: now)
            }
        }
        self.isJoining = false
        follower.snapshotTaken(now: now)
        if let status = earlyStatus.take() {
            for end in status.ends { follower.isOver(end, now: now) }
        }
        perform(now: now)
    }

    func received(_ status: StatusDigest, isFirst: Bool, now: ContinuousClock.Instant) {
        if isFirst, !options.waitsForDetector, status.nobodySends {
            isDone = true
            return mailbox.finish(.nobodySends(source: status.source, reason: status.reason))
        }
        guard !isJoining else { return earlyStatus = status }
        follower.status(newest: status.newest, ends: status.ends, now: now)
        perform(now: now)
    }

    func serverRestarted(now: ContinuousClock.Instant) {
        isJoining = true
        earlyStatus = nil
        wantsSnapshot = false
        work?.close()
        work = nil
        follower.serverRestarted(now: now)
        perform(now: now)
    }

    // MARK: Time and end

    var nextDeadline: ContinuousClock.Instant? { follower.nextDeadline }

    func tick(now: ContinuousClock.Instant) {
        follower.tick(now: now)
        perform(now: now)
    }

    func finish(_ error: SubscriptionError?) { mailbox.finish(error) }

    func close() {
        work?.close()
        work = nil
    }

    func released(bytes: Int, now: ContinuousClock.Instant) {
        work?.released(items: 1, bytes: bytes, now: now)
    }

    // MARK: What is done

    private func perform(now: ContinuousClock.Instant) {
        while true {
            let actions = follower.takeActions()
            if actions.isEmpty { break }
            for action in actions { perform(action, now: now) }
        }
        counters.change { counters in
            let counts = follower.counts
            counters.lostMessages = counts.lostMessages
            counters.staleMessages = counts.staleTiles + counts.duplicateTiles
            counters.corruptedTiles = counts.corruptedTiles
            counters.frames = counts.frames
            counters.repairedFrames = counts.repairedFrames
            counters.dropped = counts.droppedFrames
        }
    }

    private func perform(_ action: TileFollower.Action, now: ContinuousClock.Instant) {
        switch action {
        case .event(let event):
            let dropped = mailbox.update { $0.append(event) }
            let byChoice = if case .newest = options.buffering { true } else { false }
            for tile in dropped { follower.dropped(tile, byChoice: byChoice, now: now) }
        case .fetch(let request, let acquisition, let positions):
            fetch(request: request, acquisition: acquisition, positions: positions, now: now)
        case .refresh: wantsSnapshot = true
        case .finish: isDone = true
        }
    }

    private func fetch(
        request: UInt64, acquisition: AcquisitionUUID, positions: Range<Int>, now: ContinuousClock.Instant
    ) {
        do throws(ZMQError) {
            if work == nil { work = try makeWork(workHandlers) }
            work?.fetch(request: request, acquisition: acquisition, positions: positions, now: now)
        } catch {
            follower.fetchFailed(request: request, why: error.description, now: now)
        }
    }

    private var workHandlers: WorkChannel.Handlers {
        WorkChannel.Handlers(
            tile: { [self] _, tile, now in
                // Credit comes back when the consumer takes the tile; what of it was there already is given back now.
                let before = follower.counts.frames
                follower.fetched(tile, now: now)
                let fresh = follower.counts.frames - before
                perform(now: now)
                if fresh == 0 { work?.released(items: 1, bytes: tile.messageBytes, now: now) }
            },
            ended: { [self] request, unavailable, now in
                follower.fetchEnded(request: request, unavailable: unavailable, now: now)
                perform(now: now)
            },
            failed: { [self] request, error, now in
                follower.fetchFailed(request: request, why: error.description, now: now)
                perform(now: now)
            })
    }
}
