import Synchronization

/// An asynchronous sequence of what a server sends, for one consumer.
///
/// It is live from the call that made it, not from the first `for await`. It ends when the loop over it is left, when the
/// consuming task is cancelled, or when it and its iterator are let go: the server then sees the subscription end. It keeps
/// its ``StemwireConnection`` alive. A second iterator of the same subscription is at its end at once.
public struct Subscription<Element: Sendable, Failure: Error>: AsyncSequence, Sendable {
    let source: SubscriptionSource<Element, Failure>
    private let lease: SubscriptionLease

    init(_ source: SubscriptionSource<Element, Failure>) {
        self.source = source
        lease = SubscriptionLease(source.cancel)
    }

    /// Counts of what was received, lost and refused so far.
    public var statistics: SubscriptionStatistics { source.statistics() }

    /// Waits until the server sends to this subscription: what it publishes later is delivered, or told as lost.
    ///
    /// Not needed before a loop. Call it before ``StemwireConnection/arm(navShape:frames:trigger:deadline:)`` when the
    /// very first frames matter and are not repaired.
    public func subscribed() async throws(Failure) { try await source.subscribed().get() }

    public func makeAsyncIterator() -> Iterator { Iterator(source: lease.handOver() ? source : nil) }

    public struct Iterator: AsyncIteratorProtocol {
        private let source: SubscriptionSource<Element, Failure>?
        private let lease: SubscriptionLease?

        init(source: SubscriptionSource<Element, Failure>?) {
            self.source = source
            lease = source.map { SubscriptionLease($0.cancel) }
        }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(Failure) -> Element? {
            guard let source else { return nil }
            return try await source.next().get()
        }
    }
}

/// Tiles, gaps, starts and ends of acquisitions.
public typealias TileStream = Subscription<TileEvent, SubscriptionError>
/// Result updates, starts and ends of acquisitions.
public typealias ResultStream = Subscription<ResultEvent, SubscriptionError>
/// Events, status, starts and ends of acquisitions.
public typealias ServerEventStream = Subscription<ServerEvent, SubscriptionError>
/// Frames of one acquisition, in ascending order, and what the server does not have.
public typealias FrameFetch = Subscription<FetchEvent, FetchError>

/// What a fetch gives.
public enum FetchEvent: Sendable {
    case tile(FrameTile)
    case unavailable(UnavailableFrames)
}

/// What came to a subscription.
public struct SubscriptionStatistics: Sendable, Hashable {
    public var messages = 0
    /// Messages of which no sense could be made, and which were skipped.
    public var malformedMessages = 0
    /// Messages that the server sent and that did not arrive, by their numbers.
    public var lostMessages = 0
    /// Messages that came too late, out of turn, or twice.
    public var staleMessages = 0
    /// Tiles whose bytes changed on the way.
    public var corruptedTiles = 0
    /// Frames handed on (of tile subscriptions and fetches).
    public var frames = 0
    /// Those of them that came by a repair.
    public var repairedFrames = 0
    /// Frames, result updates or events left out because the consumer is slow.
    public var dropped = 0
}

/// What a ``Subscription`` needs of the machinery behind it.
struct SubscriptionSource<Element: Sendable, Failure: Error>: Sendable {
    /// Kept alive as long as somebody may ask.
    let owner: any AnyObject & Sendable
    let next: @Sendable () async -> Result<Element?, Failure>
    let subscribed: @Sendable () async -> Result<Void, Failure>
    let cancel: @Sendable () -> Void
    let statistics: @Sendable () -> SubscriptionStatistics
}

/// Ends a subscription when the last who holds it lets go, unless it was handed over before.
final class SubscriptionLease: Sendable {
    private let cancel: @Sendable () -> Void
    private let isHandedOver = Atomic(false)

    init(_ cancel: @escaping @Sendable () -> Void) { self.cancel = cancel }

    deinit { if !isHandedOver.load(ordering: .relaxed) { cancel() } }

    /// - Returns: false when it was handed over before.
    func handOver() -> Bool { !isHandedOver.exchange(true, ordering: .relaxed) }
}
