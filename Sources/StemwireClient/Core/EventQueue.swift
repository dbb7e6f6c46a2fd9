import StemwireProtocol

/// Events that wait for their consumer: a bounded number, the newest status only, starts and ends told once.
struct EventQueue: ConsumerQueue {
    private var waiting: [ServerEvent] = []
    private var status: WireStatus?
    private var missed = 0
    private(set) var totalMissed = 0
    private var newestStart: UInt64 = 0
    private var newestEnd: UInt64 = 0
    private let limit: Int

    init(limit: Int = 1024) { self.limit = limit }

    mutating func observe(_ observation: SequenceTracker.Observation) {
        if case .jump(let lost) = observation { miss(lost) }
    }

    mutating func append(_ event: WireEvent) { append(.event(OperatorEvent(event))) }

    mutating func append(_ status: WireStatus) { self.status = status }

    mutating func started(_ start: AcquisitionStart) {
        guard start.generation > newestStart else { return }
        newestStart = start.generation
        append(.started(start))
    }

    mutating func ended(_ end: AcquisitionEnd) {
        guard end.generation > newestEnd else { return }
        newestEnd = end.generation
        append(.ended(end))
    }

    /// What was over when the subscription began is no event.
    mutating func skip(upTo generation: UInt64) {
        newestStart = max(newestStart, generation)
        newestEnd = max(newestEnd, generation)
    }

    mutating func serverRestarted() {
        newestStart = 0
        newestEnd = 0
        append(.serverRestarted)
    }

    mutating func take(now: ContinuousClock.Instant) -> TakeResult<ServerEvent> {
        if missed > 0 {
            defer { missed = 0 }
            return .element(.missed(missed))
        }
        if !waiting.isEmpty { return .element(waiting.removeFirst()) }
        if let status {
            self.status = nil
            return .element(.status(status))
        }
        return .nothing
    }

    private mutating func append(_ event: ServerEvent) {
        if waiting.count < limit { waiting.append(event) } else { miss(1) }
    }

    private mutating func miss(_ count: Int) {
        missed += count
        totalMissed += count
    }
}
