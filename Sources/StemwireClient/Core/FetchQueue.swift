/// What was fetched and waits for the consumer. Bounded by the credit that the server was given.
struct FetchQueue: ConsumerQueue {
    private var waiting: [FetchEvent] = []
    private var head = 0

    mutating func append(_ event: FetchEvent) { waiting.append(event) }

    mutating func take(now: ContinuousClock.Instant) -> TakeResult<FetchEvent> {
        guard head < waiting.count else { return .nothing }
        let event = waiting[head]
        head += 1
        if head == waiting.count {
            waiting.removeAll(keepingCapacity: true)
            head = 0
        } else if case .tile(let tile) = event {
            // A taken entry must not keep its message's memory.
            waiting[head - 1] = .unavailable(
                UnavailableFrames(acquisition: tile.acquisition, positions: tile.positions, reason: .released))
        }
        return .element(event)
    }
}
