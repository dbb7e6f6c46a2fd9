/// Which positions of one acquisition are to be fetched, in which portions, and when again.
struct RepairPlan: Sendable {
    /// Positions asked for at a time: few enough that a failure costs little.
    static let portion = 4096
    /// Requests under way at a time.
    static let limit = 2
    /// How often positions are asked for again that the server says are still to come.
    static let attempts = 20

    private var wanted = PositionSet()
    private var underWay: [UInt64: Range<Int>] = [:]
    private var postponed: [(until: ContinuousClock.Instant, positions: Range<Int>)] = []
    private var attempts = 0

    var isIdle: Bool { wanted.isEmpty && underWay.isEmpty && postponed.isEmpty }
    var nextDeadline: ContinuousClock.Instant? { postponed.map(\.until).min() }

    /// Whether positions may be postponed once more.
    var isPatient: Bool { attempts < Self.attempts }

    mutating func want(_ positions: Range<Int>) {
        var fresh = PositionSet(CollectionOfOne(positions))
        for range in underWay.values { fresh.remove(range) }
        wanted.formUnion(fresh)
    }

    /// They came another way.
    mutating func forget(_ positions: Range<Int>) { wanted.remove(positions) }

    /// The next portion to be asked for under `request`; nil when there is none or enough are under way.
    mutating func next(request: UInt64, now: ContinuousClock.Instant) -> Range<Int>? {
        let due = postponed.filter { $0.until <= now }
        if !due.isEmpty {
            postponed.removeAll { $0.until <= now }
            for item in due { wanted.insert(item.positions) }
        }
        guard underWay.count < Self.limit, let range = wanted.popFirst(atMost: Self.portion) else { return nil }
        underWay[request] = range
        return range
    }

    /// The positions that `request` was about; nil when it is not under way.
    mutating func finish(request: UInt64) -> Range<Int>? { underWay.removeValue(forKey: request) }

    /// Asks for `positions` again, later.
    mutating func postpone(_ positions: Range<Int>, until: ContinuousClock.Instant) {
        attempts += 1
        postponed.append((until, positions))
    }

    /// Gives up all that is not under way, and says what that was.
    mutating func abandon() -> [Range<Int>] {
        for item in postponed { wanted.insert(item.positions) }
        postponed.removeAll()
        defer { wanted = PositionSet() }
        return wanted.ranges
    }
}
