import StemwireProtocol
import ZeroMQ

/// The reactor's side of a subscription of events.
final class EventSubscriber: LiveSubscriber {
    typealias EventMailbox = Mailbox<EventQueue, SubscriptionError>

    private let mailbox: EventMailbox
    private let counters: LiveCounters
    private var isJoining = true
    /// Told before the subscription had joined: what was over then is no event.
    private var earlyStatus: StatusDigest?
    private var wantsSnapshot = false
    private var newest: UInt64 = 0
    let isDone = false
    let nextDeadline: ContinuousClock.Instant? = nil

    init(mailbox: EventMailbox, counters: LiveCounters) {
        self.mailbox = mailbox
        self.counters = counters
    }

    func topics(source: String) -> [String] {
        [Topic.acquisition(source: source).text, Topic.event(source: source).text]
    }

    func received(
        _ kind: WireLiveHeader.OneOf_Kind, observation: SequenceTracker.Observation, payloads: ArraySlice<ReceivedPart>,
        now: ContinuousClock.Instant
    ) throws(MalformedMessage) {
        change { $0.observe(observation) }
        switch kind {
        case .start(let wire):
            let start = try AcquisitionStart(wire)
            newest = max(newest, start.generation)
            change { $0.started(start) }
        case .end(let wire):
            let end = try AcquisitionEnd(wire)
            change { $0.ended(end) }
        case .event(let event): change { $0.append(event) }
        case .status(let status): change { $0.append(status) }
        case .tile, .update: break
        }
    }

    /// A snapshot tells what runs; its arrays are of no use here.
    var snapshotFilter: ChannelFilter { ChannelFilter() }

    func takeSnapshotWish() -> Bool {
        defer { wantsSnapshot = false }
        return wantsSnapshot
    }

    func received(_ snapshot: ResultSnapshot, isJoining: Bool, now: ContinuousClock.Instant) {
        wantsSnapshot = false
        // What the live socket has begun to tell is told to its end.
        let isOver = snapshot.end != nil && (snapshot.start?.generation ?? 0) > newest
        change { queue in
            if self.isJoining {
                let over =
                    [snapshot.start.map { isOver ? $0.generation : $0.generation &- 1 }]
                    + (earlyStatus?.ends ?? []).map(\.generation).filter { $0 > newest }
                for generation in over.compactMap({ $0 }) { queue.skip(upTo: generation) }
            }
            if let start = snapshot.start { queue.started(start) }
            if let end = snapshot.end { queue.ended(end) }
        }
        newest = max(newest, snapshot.start?.generation ?? 0)
        earlyStatus = nil
        self.isJoining = false
    }

    func received(_ status: StatusDigest, isFirst: Bool, now: ContinuousClock.Instant) {
        guard !isJoining else { return earlyStatus = status }
        change { queue in for end in status.ends { queue.ended(end) } }
        newest = max(newest, status.ends.map(\.generation).max() ?? 0)
        if status.newest > newest { wantsSnapshot = true }
    }

    func serverRestarted(now: ContinuousClock.Instant) {
        isJoining = true
        earlyStatus = nil
        newest = 0
        change { $0.serverRestarted() }
    }

    func tick(now: ContinuousClock.Instant) {}

    func finish(_ error: SubscriptionError?) { mailbox.finish(error) }

    func close() {}

    func released(bytes: Int, now: ContinuousClock.Instant) {}

    private func change(_ body: (inout EventQueue) -> Void) {
        let missed = mailbox.update { queue in
            body(&queue)
            return queue.totalMissed
        }
        counters.change { $0.lostMessages = missed }
    }
}
