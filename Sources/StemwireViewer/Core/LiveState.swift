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

    private static let keptNotices = 20

    private(set) var link: Link
    private(set) var server: String = ""
    private(set) var source: String = ""
    /// The server's control endpoint, as the viewer reaches it.
    private(set) var endpoint: String = ""
    private(set) var status: WireStatus?
    private(set) var statusAt: ContinuousClock.Instant?
    private(set) var acquisition: Acquisition?
    private(set) var channels: [ChannelName: Channel] = [:]
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
        server: String, source: String, endpoint: String, status: WireStatus, now: ContinuousClock.Instant
    ) {
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

    mutating func take(_ event: ServerEvent, now: ContinuousClock.Instant) {
        switch event {
        case .event(let event): notice(event.severity, event.code, event.text)
        case .status(let status): take(status, now: now)
        case .started(let start): began(start.acquisition, start.generation) { $0.start = $0.start ?? start }
        case .ended(let end): began(end.acquisition, end.generation) { $0.end = $0.end ?? end }
        case .missed: break
        case .serverRestarted: notice(.warning, "server.restarted", "the acquisition server was restarted")
        }
        version += 1
    }

    mutating func take(_ status: WireStatus, now: ContinuousClock.Instant) {
        self.status = status
        statusAt = now
        server = status.server.isEmpty ? server : status.server
        version += 1
    }

    /// Takes the newest state of a channel. States of an acquisition that is not the newest are not shown any more.
    mutating func take(
        _ content: some ChannelContent, acquisition id: AcquisitionUUID, now: ContinuousClock.Instant
    ) {
        guard began(id, content.generation, { _ in }) else { return }
        versions += 1
        updates += 1
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
        acquisition = nil
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
            acquisition = Acquisition(id: id, generation: generation)
            channels = [:]
        }
        if var acquisition {
            change(&acquisition)
            self.acquisition = acquisition
        }
        return true
    }

    // MARK: Readings

    /// The wire's account of the newest acquisition, while it runs.
    var runningStatus: WireAcquisitionStatus? {
        guard let status, status.hasAcquisition, status.acquisition.generation == acquisition?.generation else {
            return nil
        }
        return status.acquisition
    }

    var isOver: Bool { acquisition?.end != nil }

    var missingRanges: [Range<Int>] { acquisition?.end?.accounting.missingRanges ?? [] }
}
