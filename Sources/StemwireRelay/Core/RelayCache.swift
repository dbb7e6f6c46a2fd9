import StemwireClient
import StemwireProtocol
import ZeroMQ

/// What a relay knows of its server: the newest state of the present acquisition and the one before, and what was lost.
///
/// No input or output: live messages, snapshots, statuses and times go in; what to pass on and what to ask for comes out.
/// Messages are counted by the server's own numbers, in the server's own session.
struct RelayCache: Sendable {
    /// What a live message is to whoever passes it on.
    enum Verdict: Sendable, Equatable {
        case tile
        case update
        /// A start or an end, which nobody should miss.
        case landmark
        case other
        /// Of a session that is not known yet: kept until the server has introduced itself.
        case unsettled
        case malformed
    }

    struct Counts: Sendable, Hashable {
        var messages: UInt64 = 0
        /// Messages of any topic that were lost between the server and this relay, and the tiles among them.
        var lostMessages: UInt64 = 0
        var lostTiles: UInt64 = 0
        var frames: UInt64 = 0
        var malformed: UInt64 = 0
    }

    /// How long after an end the final states may be on their way before they are asked for, and how often then.
    static let settling = Duration.milliseconds(250)
    static let pause = Duration.milliseconds(500)
    static let leastPause = Duration.milliseconds(100)
    /// After how long without any change what is missing is given up.
    static let patience = Duration.seconds(10)
    private static let acquisitionLimit = 2
    private static let unsettledLimit = 64

    /// The server process whose state this is; empty before the first.
    private(set) var session: [UInt8] = []
    private(set) var status: WireStatus?
    private(set) var counts = Counts()
    private var acquisitions: [RelayedAcquisition] = []
    private var topics = SessionTracker()
    private var unsettled: [(session: [UInt8], parts: [ReceivedPart])] = []
    private var wantsNewest = false
    /// Whether a snapshot was merged since the subscription stands, and none is needed to know of the newest acquisition.
    private var isPrimed = false
    private var notBefore: ContinuousClock.Instant?
    /// The newest acquisition that a status told of, and up to which upstream was asked.
    private var told: UInt64 = 0
    private var confirmed: UInt64 = 0

    /// Whether a snapshot made now is as good as the server's.
    var isCurrent: Bool {
        guard isPrimed, !session.isEmpty else { return false }
        return acquisitions.last.map { $0.start != nil || $0.nextLook == nil } ?? true
    }

    // MARK: Sessions

    /// The server has introduced itself. Returns what came of its session before that, to be taken now.
    mutating func enter(_ session: [UInt8]) -> [[ReceivedPart]] {
        guard session != self.session else {
            // What waited was of a session that is over.
            unsettled = []
            return []
        }
        self.session = session
        acquisitions = []
        status = nil
        (told, confirmed) = (0, 0)
        _ = topics.enter(session)
        resubscribed()
        let freed = unsettled.filter { $0.session == session }.map(\.parts)
        unsettled = []
        return freed
    }

    /// The live connection was made, or made anew: what came meanwhile is to be learnt by a snapshot.
    mutating func resubscribed() {
        isPrimed = false
        wantsNewest = true
        notBefore = nil
    }

    // MARK: What is heard

    /// Takes a live message: topic, header, payload.
    mutating func take(_ parts: [ReceivedPart], now: ContinuousClock.Instant) -> Verdict {
        guard parts.count >= 2, parts[0].count <= WireLimits.subscriptionBytes, let topic = parts[0].text,
            parts[1].count <= WireLimits.headerBytes,
            let header = try? WireLiveHeader(serializedBytes: parts[1].bytes),
            (1...64).contains(header.session.count), header.sequence > 0
        else {
            counts.malformed += 1
            return .malformed
        }
        let session = [UInt8](header.session)
        guard session == self.session else {
            if unsettled.count < Self.unsettledLimit { unsettled.append((session, parts)) }
            return .unsettled
        }
        counts.messages += 1
        let lost: Int
        if case .jump(let count) = topics.observe(topic: topic, sequence: header.sequence) {
            lost = count
        } else {
            lost = 0
        }
        counts.lostMessages += UInt64(lost)
        return take(header.kind, parts[2...], lost: lost, now: now)
    }

    /// A message had more parts than any has.
    mutating func noteMalformed() { counts.malformed += 1 }

    private mutating func take(
        _ kind: WireLiveHeader.OneOf_Kind?, _ payload: ArraySlice<ReceivedPart>, lost: Int, now: ContinuousClock.Instant
    ) -> Verdict {
        switch kind {
        case .tile(let tile):
            counts.lostTiles += UInt64(lost)
            counts.frames += UInt64(tile.count)
            return .tile
        case .start(let start):
            if lost > 0 { resubscribed() }
            begin(start, now: now)
            return .landmark
        case .end(let end):
            if lost > 0 { resubscribed() }
            finish(end, now: now)
            return .landmark
        case .update(let update):
            if lost > 0 { wantsNewest = true }
            take(update, payload, now: now)
            return .update
        case .status(let status):
            take(status, now: now)
            return .other
        case .event, nil:
            return .other
        }
    }

    private mutating func begin(_ start: WireStart, now: ContinuousClock.Instant) {
        guard let index = follow([UInt8](start.acquisition), start.generation, now: now) else { return }
        if acquisitions[index].start == nil { acquisitions[index].start = start }
        look(after: index, now: now)
    }

    private mutating func finish(_ end: WireEnd, now: ContinuousClock.Instant) {
        guard let index = follow([UInt8](end.acquisition), end.generation, now: now) else { return }
        acquisitions[index].finish(end, now: now)
        look(after: index, now: now)
    }

    private mutating func take(_ update: WireUpdate, _ payload: ArraySlice<ReceivedPart>, now: ContinuousClock.Instant)
    {
        guard let channel = RelayedChannel(update, payload: payload) else {
            counts.malformed += 1
            wantsNewest = true
            return
        }
        guard let index = follow([UInt8](update.acquisition), update.generation, now: now) else { return }
        acquisitions[index].offer(channel, now: now)
        look(after: index, now: now)
    }

    /// The server's status, by whichever way it came.
    mutating func take(_ status: WireStatus, now: ContinuousClock.Instant) {
        self.status = status
        for acquisition in [status.previousAcquisition, status.acquisition] { told = max(told, acquisition.generation) }
        if told > max(confirmed, acquisitions.last?.generation ?? 0) {
            isPrimed = false
            wantsNewest = true
        }
        for index in acquisitions.indices where acquisitions[index].end == nil && acquisitions[index].nextLook == nil {
            let generation = acquisitions[index].generation
            let isOver = generation < told || status.previousAcquisition.generation == generation
            if isOver, now - acquisitions[index].lastChange < Self.patience {
                acquisitions[index].nextLook = now + Self.settling
            }
        }
    }

    /// A snapshot of the server, with two payload parts a channel.
    mutating func merge(
        _ snapshot: WireSnapshot, payload: [ReceivedPart], answering wanted: SnapshotWish, now: ContinuousClock.Instant
    ) {
        guard snapshot.hasStart, payload.count == 2 * snapshot.channels.count else {
            counts.malformed += 1
            return failed(wanted, now: now)
        }
        begin(snapshot.start, now: now)
        if snapshot.hasEnd { finish(snapshot.end, now: now) }
        for (number, update) in snapshot.channels.enumerated() {
            take(update, payload[2 * number..<2 * number + 2], now: now)
        }
        answered(wanted)
    }

    /// The server has no such acquisition, or none at all.
    mutating func nothingFound(_ wanted: SnapshotWish) {
        for index in acquisitions.indices where acquisitions[index].id == wanted.acquisition {
            acquisitions[index].nextLook = nil
        }
        answered(wanted)
    }

    private mutating func answered(_ wanted: SnapshotWish) {
        guard wanted.acquisition.isEmpty else { return }
        confirmed = max(confirmed, wanted.told)
        if told <= max(confirmed, acquisitions.last?.generation ?? 0) { isPrimed = true } else { wantsNewest = true }
    }

    /// The server did not answer; it is asked again a little later.
    mutating func failed(_ wanted: SnapshotWish, now: ContinuousClock.Instant) {
        if wanted.acquisition.isEmpty { wantsNewest = true }
        notBefore = now + Self.pause
    }

    // MARK: What is missing

    /// A snapshot that is to be asked for.
    struct SnapshotWish: Sendable, Equatable {
        /// Empty: the newest acquisition.
        let acquisition: [UInt8]
        /// The newest acquisition that was known of when it was asked for.
        let told: UInt64
    }

    /// What to ask upstream for now; asking is noted.
    mutating func takeSnapshotWish(now: ContinuousClock.Instant) -> SnapshotWish? {
        if let notBefore, now < notBefore { return nil }
        if wantsNewest {
            wantsNewest = false
            // Where much is lost, not for each loss.
            notBefore = now + Self.leastPause
            return SnapshotWish(acquisition: [], told: told)
        }
        for index in acquisitions.indices {
            guard let due = acquisitions[index].nextLook, due <= now else { continue }
            let isHopeless = now - acquisitions[index].lastChange >= Self.patience
            acquisitions[index].nextLook = isHopeless ? nil : now + Self.pause
            if !isHopeless { return SnapshotWish(acquisition: acquisitions[index].id, told: told) }
        }
        return nil
    }

    /// When ``takeSnapshotWish(now:)`` is to be asked next.
    func nextDeadline(now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        let due = acquisitions.compactMap(\.nextLook).min()
        guard wantsNewest || due != nil else { return nil }
        return max(notBefore ?? now, wantsNewest ? now : due ?? now)
    }

    private mutating func follow(_ id: [UInt8], _ generation: UInt64, now: ContinuousClock.Instant) -> Int? {
        if let index = acquisitions.firstIndex(where: { $0.generation == generation && $0.id == id }) { return index }
        guard generation > acquisitions.last?.generation ?? 0 else { return nil }
        if acquisitions.count == Self.acquisitionLimit { acquisitions.removeFirst() }
        acquisitions.append(RelayedAcquisition(id: id, generation: generation, now: now))
        return acquisitions.count - 1
    }

    private mutating func look(after index: Int, now: ContinuousClock.Instant) {
        let acquisition = acquisitions[index]
        if acquisition.isWhole {
            acquisitions[index].nextLook = nil
        } else if acquisition.nextLook == nil {
            acquisitions[index].nextLook = acquisition.start == nil ? now : now + Self.settling
        }
    }

    // MARK: Snapshots

    /// The snapshot that the server would give, with two payload parts a channel; nil when there is no such acquisition.
    func snapshot(_ wanted: WireSnapshotRequest) -> (snapshot: WireSnapshot, payload: [ReceivedPart])? {
        let id = [UInt8](wanted.acquisition)
        guard let acquisition = acquisitions.last(where: { $0.start != nil && (id.isEmpty || $0.id == id) }),
            let start = acquisition.start
        else { return nil }
        var snapshot = WireSnapshot()
        snapshot.start = start
        if let end = acquisition.end { snapshot.end = end }
        var payload: [ReceivedPart] = []
        for channel in acquisition.channels
        where (wanted.run.isEmpty || channel.update.run == wanted.run)
            && (wanted.udf.isEmpty || channel.update.udf == wanted.udf)
            && (wanted.channel.isEmpty || channel.update.channel == wanted.channel)
        {
            guard payload.count + 2 < WireLimits.parts else { break }
            snapshot.channels.append(channel.update)
            payload += [channel.array, channel.mask]
        }
        return (snapshot, payload)
    }
}
