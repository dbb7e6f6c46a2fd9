import StemwireProtocol
import ZeroMQ

/// The reactor's side of a subscription of results.
final class ResultSubscriber: LiveSubscriber {
    typealias ResultMailbox = Mailbox<ResultFollower, SubscriptionError>

    let snapshotFilter: ChannelFilter
    private let mailbox: ResultMailbox
    private let counters: LiveCounters
    private let verifiesChecksums: Bool
    private var wantsSnapshot = false
    private var isJoining = true
    /// Told before the subscription had joined: what was over then and has no results is not told.
    private var earlyStatus: StatusDigest?
    private var deadline: ContinuousClock.Instant?
    let isDone = false

    init(_ filter: ChannelFilter, verifiesChecksums: Bool, mailbox: ResultMailbox, counters: LiveCounters) {
        snapshotFilter = filter
        self.verifiesChecksums = verifiesChecksums
        self.mailbox = mailbox
        self.counters = counters
    }

    func topics(source: String) -> [String] {
        [Topic.acquisition(source: source).text, snapshotFilter.topic(source: source)]
    }

    func received(
        _ kind: WireLiveHeader.OneOf_Kind, observation: SequenceTracker.Observation, payloads: ArraySlice<ReceivedPart>,
        now: ContinuousClock.Instant
    ) throws(MalformedMessage) {
        change { $0.observe(observation) }
        guard observation != .stale else { return }
        switch kind {
        case .start(let wire):
            let start = try AcquisitionStart(wire)
            change { $0.started(start, now: now) }
        case .end(let wire):
            let end = try AcquisitionEnd(wire)
            change { $0.ended(end, now: now) }
        case .update(let wire):
            guard payloads.count == 2 else { throw MalformedMessage("an update with \(payloads.count) payload parts") }
            let update = try ChannelUpdate(
                wire, array: payloads[payloads.startIndex], mask: payloads[payloads.startIndex + 1],
                verifiesChecksums: verifiesChecksums)
            if snapshotFilter.matches(update.name) { change { $0.update(update, now: now) } }
        case .tile, .event, .status: break
        }
    }

    func takeSnapshotWish() -> Bool {
        defer { wantsSnapshot = false }
        return wantsSnapshot
    }

    func received(_ snapshot: ResultSnapshot, isJoining: Bool, now: ContinuousClock.Instant) {
        wantsSnapshot = false
        let channels = snapshot.channels.filter { snapshotFilter.matches($0.name) }
        let skipped = earlyStatus.take()?.ends.map(\.generation).max() ?? 0
        change { follower in
            follower.snapshot(start: snapshot.start, end: snapshot.end, updates: channels, now: now)
            follower.skip(upTo: skipped)
        }
        self.isJoining = false
    }

    func received(_ status: StatusDigest, isFirst: Bool, now: ContinuousClock.Instant) {
        guard !isJoining else { return earlyStatus = status }
        change { $0.status(newest: status.newest, ends: status.ends, isWorking: status.isWorking, now: now) }
    }

    func serverRestarted(now: ContinuousClock.Instant) {
        isJoining = true
        earlyStatus = nil
        change { $0.serverRestarted() }
    }

    var nextDeadline: ContinuousClock.Instant? { deadline }

    func tick(now: ContinuousClock.Instant) { change { $0.tick(now: now) } }

    func finish(_ error: SubscriptionError?) { mailbox.finish(error) }

    func close() {}

    func released(bytes: Int, now: ContinuousClock.Instant) {}

    private func change(_ body: (inout ResultFollower) -> Void) {
        let (wish, deadline, counts) = mailbox.update { follower in
            body(&follower)
            return (follower.takeSnapshotWish(), follower.nextDeadline, follower.counts)
        }
        wantsSnapshot = wantsSnapshot || wish
        self.deadline = deadline
        counters.change { counters in
            counters.lostMessages = counts.lostMessages
            counters.staleMessages = counts.staleUpdates
            counters.dropped = counts.supersededUpdates
        }
    }
}
