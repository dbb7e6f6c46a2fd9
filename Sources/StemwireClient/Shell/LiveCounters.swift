import StemwireSystem

/// Counts that the reactor writes and a consumer reads.
final class LiveCounters: Sendable {
    private let values = Locked(SubscriptionStatistics())

    func change(_ body: (inout SubscriptionStatistics) -> Void) { values.withLock { body(&$0) } }

    var current: SubscriptionStatistics { values.withLock { $0 } }
}
