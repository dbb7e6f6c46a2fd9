import StemwireClient
import StemwireProtocol

/// What the viewer knows of the acquisition server: its newest state, never a queue.
///
/// No input or output: events and times go in, the state is read out.
struct LiveState: Sendable {
    enum Link: Sendable, Equatable {
        case connecting(since: ContinuousClock.Instant)
        case connected
        /// Why there is none, and since when.
        case lost(String, since: ContinuousClock.Instant)
    }

    /// The newest state of one channel.
    struct Channel: Sendable {
        /// Another one for each state of any channel, never used again.
        var version: UInt64
        /// Counts the states of this channel in this acquisition, from 1.
        var number: UInt64
        var content: any ChannelContent
        /// Its numbers for pages, made once for all of them.
        var page = PageArrayCache()
        var pictures = PictureCache()
        var receivedAt: ContinuousClock.Instant
    }

    /// An acquisition as far as it was told.
    struct Acquisition: Sendable {
        var id: AcquisitionUUID
        var generation: UInt64
        var start: AcquisitionStart?
        var end: AcquisitionEnd?
    }

    /// Something that operators are told, with the viewer's own counting.
    struct Notice: Sendable {
        var number: UInt64
        var severity: OperatorEvent.Severity
        var code: String
        var text: String
    }

    /// An acquisition that another one has followed, with its results as far as they are kept.
    struct Past: Sendable {
        var id: AcquisitionUUID
        var start: AcquisitionStart?
        var end: AcquisitionEnd?
        var generation: UInt64
        var channels: [ChannelName: Channel] = [:]
    }

    private static let keptNotices = 20
    static let keptPast = 12
    /// Memory for the results of past acquisitions; the oldest go first.
    static let keptPastBytes = 128 << 20

    private(set) var link: Link
    private(set) var server: String = ""
    private(set) var source: String = ""
    /// The server's control endpoint, as the viewer reaches it.
    private(set) var endpoint: String = ""
    /// What the server lets the viewer do; nil while that is not known.
    private(set) var role: PeerRole?
    private(set) var status: WireStatus?
    private(set) var statusAt: ContinuousClock.Instant?
    private(set) var acquisition: Acquisition?
    private(set) var channels: [ChannelName: Channel] = [:]
    /// The newest first.
    private(set) var past: [Past] = []
    /// Grows with every change of `past`.
    private(set) var pastVersion: UInt64 = 1
    /// Messages that did not arrive from the server, or were left out since more came than could be taken.
    private(set) var missed: UInt64 = 0
    private(set) var notices: [Notice] = []
    /// Grows with every change, of whatever it be.
    private(set) var version: UInt64 = 0
    /// Result updates that came from the server.
    private(set) var updates: UInt64 = 0
    private var noticeCount: UInt64 = 0
    private var versions: UInt64 = 0

    init(now: ContinuousClock.Instant) { link = .connecting(since: now) }

    // MARK: The connection

    mutating func connected(
        server: String, source: String, endpoint: String, role: PeerRole? = nil, status: WireStatus,
        now: ContinuousClock.Instant
    ) {
        self.role = role
        self.endpoint = endpoint
        self.server = server
        self.source = source
        link = .connected
        take(status, now: now)
        version += 1
    }

    /// The pictures stay; what they are worth is told by the link.
    mutating func lost(_ reason: String, now: ContinuousClock.Instant) {
        if case .lost(_, let since) = link {
            link = .lost(reason, since: since)
        } else {
            link = .lost(reason, since: now)
        }
        version += 1
    }

    // MARK: Events

    mutating func take(_ event: ResultEvent, now: ContinuousClock.Instant) {
        switch event {
        case .started(let start): began(start.acquisition, start.generation) { $0.start = start }
        case .update(let update): take(update, acquisition: update.acquisition, now: now)
        case .ended(let end): began(end.acquisition, end.generation) { $0.end = end }
        }
        version += 1
    }

    /// Takes the results of the newest acquisition, of which nothing newer has come yet on this connection, or those of
    /// one before it.
    mutating func take(_ snapshot: ResultSnapshot, now: ContinuousClock.Instant) {
        if let start = snapshot.start, let index = past.firstIndex(where: { $0.id == start.acquisition }) {
            (past[index].start, past[index].end) = (start, snapshot.end ?? past[index].end)
        } else {
            if let start = snapshot.start { began(start.acquisition, start.generation) { $0.start = start } }
            if let end = snapshot.end { began(end.acquisition, end.generation) { $0.end = end } }
        }
        for channel in snapshot.channels { take(channel, acquisition: channel.acquisition, now: now) }
        version += 1
    }

    mutating func take(_ event: ServerEvent, now: ContinuousClock.Instant) {
        switch event {
        case .event(let event): notice(event.severity, event.code, event.text)
        case .status(let status): take(status, now: now)
        case .started(let start): began(start.acquisition, start.generation) { $0.start = $0.start ?? start }
        case .ended(let end): began(end.acquisition, end.generation) { $0.end = $0.end ?? end }
        case .missed(let count): missed += UInt64(count)
        case .serverRestarted: notice(.warning, "server.restarted", "the acquisition server was restarted")
        }
        version += 1
    }

    mutating func take(_ status: WireStatus, now: ContinuousClock.Instant) {
        self.status = status
        statusAt = now
        server = status.server.isEmpty ? server : status.server
        let ended = status.earlierAcquisitions + (status.hasPreviousAcquisition ? [status.previousAcquisition] : [])
        let newest = status.hasAcquisition ? status.acquisition.generation : ended.map(\.generation).max() ?? 0
        for wire in ended where wire.generation < newest {
            // Of an acquisition that ended while nobody was connected the account is all there is.
            guard let id = AcquisitionUUID(Array(wire.acquisition)), id != acquisition?.id,
                !past.contains(where: { $0.id == id }), let end = try? AcquisitionEnd(wire)
            else { continue }
            keep(Past(id: id, start: nil, end: end, generation: end.generation))
        }
        version += 1
    }

    /// Takes the newest state of a channel. States of an acquisition that is not the newest are not shown any more.
    mutating func take(
        _ content: some ChannelContent, acquisition id: AcquisitionUUID, now: ContinuousClock.Instant
    ) {
        versions += 1
        updates += 1
        if let index = past.firstIndex(where: { $0.id == id }) {
            // The last state of an acquisition may come when the next one has begun.
            past[index].channels[content.name] = Channel(
                version: versions, number: 1, content: content, receivedAt: now)
            limitPast()
            return
        }
        guard began(id, content.generation, { _ in }) else { return }
        let number = (channels[content.name]?.number ?? 0) + 1
        channels[content.name] = Channel(version: versions, number: number, content: content, receivedAt: now)
        version += 1
    }

    mutating func notice(_ severity: OperatorEvent.Severity, _ code: String, _ text: String) {
        noticeCount += 1
        notices.append(Notice(number: noticeCount, severity: severity, code: code, text: text))
        if notices.count > Self.keptNotices { notices.removeFirst() }
        version += 1
    }

    /// Another server process counts its acquisitions anew.
    mutating func serverRestarted() {
        retire()
        status = nil
        version += 1
    }

    /// - Returns: false when it is not the newest acquisition.
    @discardableResult
    private mutating func began(
        _ id: AcquisitionUUID, _ generation: UInt64, _ change: (inout Acquisition) -> Void
    ) -> Bool {
        if acquisition?.id != id {
            guard generation > acquisition?.generation ?? 0 else { return false }
            retire()
            acquisition = Acquisition(id: id, generation: generation)
        }
        if var acquisition {
            change(&acquisition)
            self.acquisition = acquisition
        }
        return true
    }

    /// The present acquisition becomes a past one.
    private mutating func retire() {
        if let acquisition {
            keep(
                Past(
                    id: acquisition.id, start: acquisition.start, end: acquisition.end,
                    generation: acquisition.generation, channels: channels))
        }
        acquisition = nil
        channels = [:]
    }

    private mutating func keep(_ ended: Past) {
        // Those that are learned of later than they ended stand among their contemporaries.
        let place = ended.channels.isEmpty ? past.firstIndex { $0.generation < ended.generation } ?? past.count : 0
        past.insert(ended, at: place)
        if past.count > Self.keptPast { past.removeLast(past.count - Self.keptPast) }
        limitPast()
    }

    private mutating func limitPast() {
        var bytes = 0
        for index in past.indices {
            bytes += past[index].channels.values.reduce(0) { $0 + $1.content.withData { $0.count } }
            if bytes > Self.keptPastBytes { past[index].channels = [:] }
        }
        pastVersion += 1
        version += 1
    }

    // MARK: Readings

    /// What is known of the positions of the acquisition that a state belongs to.
    func account(of content: some ChannelContent) -> Coverage.Account {
        let isPresent = content.generation == acquisition?.generation
        let end = isPresent ? acquisition?.end : past.first { $0.generation == content.generation }?.end
        var account = Coverage.Account(isOver: !isPresent || end != nil)
        account.missing = end?.accounting.missingRanges ?? []
        account.rejected = end?.accounting.rejectedRanges ?? []
        account.duplicate = end?.accounting.duplicateRanges ?? []
        account.hasFailures =
            isPresent && status?.runs.contains { $0.run == content.name.run && $0.framesFailed > 0 } == true
        return account
    }

    /// The wire's account of the newest acquisition, while it runs.
    var runningStatus: WireAcquisitionStatus? {
        guard let status, status.hasAcquisition, status.acquisition.generation == acquisition?.generation else {
            return nil
        }
        return status.acquisition
    }

    var isOver: Bool { acquisition?.end != nil }
}
