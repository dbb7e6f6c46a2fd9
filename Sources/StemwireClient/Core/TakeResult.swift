/// What a queue has for its consumer at a moment.
enum TakeResult<Element: Sendable>: Sendable {
    case element(Element)
    /// Something, but not before this time.
    case later(ContinuousClock.Instant)
    case nothing
}

/// A bounded queue between a subscription and its consumer; holds no lock, tells no time.
protocol ConsumerQueue<Element>: Sendable {
    associatedtype Element: Sendable
    mutating func take(now: ContinuousClock.Instant) -> TakeResult<Element>
}
