import StemwireProtocol
import ZeroMQ

/// The reactor's side of one subscription: what becomes of messages, snapshots and statuses.
///
/// Threading: the reactor's thread only.
protocol LiveSubscriber: AnyObject {
    /// What is subscribed to.
    func topics(source: String) -> [String]
    /// A message of the server's present session.
    func received(
        _ kind: WireLiveHeader.OneOf_Kind, observation: SequenceTracker.Observation, payloads: ArraySlice<ReceivedPart>,
        now: ContinuousClock.Instant
    ) throws(MalformedMessage)
    /// Which snapshot this subscription needs to begin with, and whenever ``takeSnapshotWish()`` says so.
    var snapshotFilter: ChannelFilter { get }
    func takeSnapshotWish() -> Bool
    /// A snapshot was taken; `isJoining` for the first one of a connection, taken after the subscription stood.
    func received(_ snapshot: ResultSnapshot, isJoining: Bool, now: ContinuousClock.Instant)
    func received(_ status: StatusDigest, isFirst: Bool, now: ContinuousClock.Instant)
    func serverRestarted(now: ContinuousClock.Instant)
    var nextDeadline: ContinuousClock.Instant? { get }
    func tick(now: ContinuousClock.Instant)
    /// Ends the consumer's sequence; nil for a regular end.
    func finish(_ error: SubscriptionError?)
    /// Lets go of what the subscriber owns besides its subscription.
    func close()
    /// The consumer has taken a fetched tile of so many bytes.
    func released(bytes: Int, now: ContinuousClock.Instant)
    /// Whether the subscription is over of itself.
    var isDone: Bool { get }
}

/// One SUB socket with its subscriber, and how far it is in joining.
final class LiveChannel {
    let number: UInt64
    let subscriber: any LiveSubscriber
    var link: Link?
    var topics: [String] = []
    var sessions = SessionTracker()
    /// Since when the live socket is not connected; nil while it is.
    var unreachableSince: ContinuousClock.Instant?
    var snapshotIsUnderWay = false
    /// Whether the state at joining is known.
    var hasJoined = false
    var hasStatus = false
    var joinWaiters: [CheckedContinuation<Result<Void, SubscriptionError>, Never>] = []
    var alarm: Alarm?
    /// Read from other threads too.
    let counters: LiveCounters

    init(number: UInt64, subscriber: any LiveSubscriber, counters: LiveCounters) {
        self.number = number
        self.subscriber = subscriber
        self.counters = counters
    }

    /// Whether a part of a message is small enough to be a header, and reads as one.
    static func header(_ part: ReceivedPart) -> WireLiveHeader? {
        guard part.count <= WireLimits.headerBytes else { return nil }
        return try? ControlCoding.decode(WireLiveHeader.self, from: part.bytes, limit: WireLimits.headerBytes).0
    }
}
