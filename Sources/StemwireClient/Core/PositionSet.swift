/// A set of scan positions as sorted, disjoint ranges that do not touch each other.
///
/// Growing at the end, as a stream in order does, costs O(1); anywhere else O(number of ranges) at worst.
struct PositionSet: Sendable, Equatable {
    private(set) var ranges: [Range<Int>] = []
    /// Number of positions.
    private(set) var count = 0

    init() {}

    init(_ ranges: some Sequence<Range<Int>>) {
        for range in ranges { insert(range) }
    }

    var isEmpty: Bool { ranges.isEmpty }

    /// Adds positions; those already there stay.
    mutating func insert(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        // The first range that touches or lies behind the new one, and the first that lies clearly behind it.
        let start = firstIndex { $0.upperBound >= range.lowerBound }
        var end = start
        var merged = range
        while end < ranges.count, ranges[end].lowerBound <= range.upperBound {
            merged = min(merged.lowerBound, ranges[end].lowerBound)..<max(merged.upperBound, ranges[end].upperBound)
            count -= ranges[end].count
            end += 1
        }
        count += merged.count
        ranges.replaceSubrange(start..<end, with: CollectionOfOne(merged))
    }

    mutating func remove(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        let start = firstIndex { $0.upperBound > range.lowerBound }
        var end = start
        var rest: [Range<Int>] = []
        while end < ranges.count, ranges[end].lowerBound < range.upperBound {
            let old = ranges[end]
            count -= old.count
            if old.lowerBound < range.lowerBound { rest.append(old.lowerBound..<range.lowerBound) }
            if old.upperBound > range.upperBound { rest.append(range.upperBound..<old.upperBound) }
            end += 1
        }
        count += rest.reduce(0) { $0 + $1.count }
        ranges.replaceSubrange(start..<end, with: rest)
    }

    mutating func formUnion(_ other: PositionSet) {
        for range in other.ranges { insert(range) }
    }

    mutating func subtract(_ other: PositionSet) {
        for range in other.ranges { remove(range) }
    }

    /// The positions of `range` that are not in the set.
    func gaps(in range: Range<Int>) -> [Range<Int>] {
        var result: [Range<Int>] = []
        var next = range.lowerBound
        var index = firstIndex { $0.upperBound > range.lowerBound }
        while index < ranges.count, ranges[index].lowerBound < range.upperBound {
            if ranges[index].lowerBound > next { result.append(next..<ranges[index].lowerBound) }
            next = ranges[index].upperBound
            index += 1
        }
        if next < range.upperBound { result.append(next..<range.upperBound) }
        return result
    }

    /// The positions of `range` that are in the set.
    func members(in range: Range<Int>) -> [Range<Int>] {
        guard !range.isEmpty else { return [] }
        var result: [Range<Int>] = []
        var index = firstIndex { $0.upperBound > range.lowerBound }
        while index < ranges.count, ranges[index].lowerBound < range.upperBound {
            result.append(ranges[index].clamped(to: range))
            index += 1
        }
        return result
    }

    func contains(_ position: Int) -> Bool {
        let index = firstIndex { $0.upperBound > position }
        return index < ranges.count && ranges[index].contains(position)
    }

    /// Takes out the first positions, at most `limit` of them and all adjacent; nil when the set is empty.
    mutating func popFirst(atMost limit: Int) -> Range<Int>? {
        guard let first = ranges.first else { return nil }
        let taken = first.prefix(limit)
        remove(taken)
        return taken
    }

    /// Binary search; `belongs` is false for a beginning of the ranges and true for the rest.
    private func firstIndex(where belongs: (Range<Int>) -> Bool) -> Int {
        // A stream in order asks for the end.
        if let last = ranges.last, !belongs(last) { return ranges.count }
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if belongs(ranges[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
