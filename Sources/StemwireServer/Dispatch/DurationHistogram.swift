/// How long things take, in classes of equal ratio: bounded memory, O(1) to add.
///
/// Follows changes: when it is full, what it has counted so far counts half.
struct DurationHistogram: Sendable {
    /// Classes for a doubling of the duration; an estimate is at most 1/4 too large.
    private static let classesPerDoubling = 4
    private static let full = 4096
    /// From 1 µs; the last class takes all that is longer, 2³² µs being more than an hour.
    private var counts = [UInt16](repeating: 0, count: 33 * classesPerDoubling)
    private(set) var count = 0

    /// Adds a duration.
    mutating func add(_ duration: Duration) {
        counts[Self.index(of: duration)] += 1
        count += 1
        guard count >= Self.full else { return }
        for index in counts.indices { counts[index] /= 2 }
        count = counts.reduce(0) { $0 + Int($1) }
    }

    /// The upper end of the class with which `percent` of all durations are reached; nil without any.
    func quantile(percent: Int) -> Duration? {
        guard count > 0 else { return nil }
        let rank = max(1, (count * percent + 99) / 100)
        var sum = 0
        for (index, number) in counts.enumerated() {
            sum += Int(number)
            if sum >= rank { return Self.upperEnd(ofClass: index) }
        }
        return Self.upperEnd(ofClass: counts.count - 1)
    }

    private static func index(of duration: Duration) -> Int {
        let (seconds, attoseconds) = duration.components
        let microseconds = min(max(seconds, 0), 1 << 32) &* 1_000_000 &+ max(attoseconds, 0) / 1_000_000_000_000
        let value = UInt64(max(microseconds, 1))
        let doublings = 63 - value.leadingZeroBitCount
        // The two bits below the leading one.
        let part = doublings >= 2 ? Int(value >> UInt64(doublings - 2)) & 3 : Int(value << UInt64(2 - doublings)) & 3
        return min(doublings, 32) * classesPerDoubling + (doublings > 32 ? 3 : part)
    }

    private static func upperEnd(ofClass index: Int) -> Duration {
        let doublings = index / classesPerDoubling
        let parts = Int64(index % classesPerDoubling + 1)
        let unit = Int64(1) << Int64(doublings)
        return .microseconds(unit + (unit * parts + 3) / 4)
    }
}
