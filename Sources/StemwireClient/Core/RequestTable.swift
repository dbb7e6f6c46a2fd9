/// Which replies are waited for, and how long.
///
/// A request is resolved once: by its reply, by its deadline or by being given up. What comes after that is counted.
struct RequestTable: Sendable {
    private var deadlines: [String: ContinuousClock.Instant] = [:]
    /// Replies that nobody waited for (any more).
    private(set) var late = 0

    var count: Int { deadlines.count }
    var nextDeadline: ContinuousClock.Instant? { deadlines.values.min() }

    /// - Precondition: the id is new.
    mutating func add(_ id: String, deadline: ContinuousClock.Instant) {
        precondition(deadlines.updateValue(deadline, forKey: id) == nil, "request id \(id) is used twice")
    }

    /// A reply has come; false when nobody waits for it.
    mutating func resolve(_ id: String) -> Bool {
        guard deadlines.removeValue(forKey: id) != nil else {
            late += 1
            return false
        }
        return true
    }

    /// The caller waits no more; false when it was resolved before.
    mutating func giveUp(_ id: String) -> Bool { deadlines.removeValue(forKey: id) != nil }

    /// Takes out the requests whose deadline has passed, in the order of their deadlines.
    mutating func expire(now: ContinuousClock.Instant) -> [String] {
        let expired = deadlines.filter { $0.value <= now }.sorted { $0.value < $1.value }.map(\.key)
        for id in expired { deadlines[id] = nil }
        return expired
    }

    /// Takes out all.
    mutating func removeAll() -> [String] {
        defer { deadlines.removeAll() }
        return Array(deadlines.keys)
    }
}
