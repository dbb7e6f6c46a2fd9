/// A reduction whose order depends on the number of leaves alone: (0, 1), (2, 3), … pairwise, then these pairwise, and so on.
///
/// Leaves may come in any order. What is complete is combined at once, so few values are kept when they come nearly in
/// order. A leaf that never comes counts as nothing: its sibling takes the pair's place.
struct PairwiseTree<Value: Sendable>: Sendable {
    private let leafCount: Int
    private var arrived: PositionSet
    /// For each level, by index, the values whose siblings are not complete.
    private var levels: [[Int: Value]]

    init(leafCount: Int) {
        self.leafCount = leafCount
        arrived = PositionSet(size: leafCount)
        var depth = 0
        while 1 << depth < leafCount { depth += 1 }
        levels = Array(repeating: [:], count: depth + 1)
    }

    /// Whether the leaf has come.
    func contains(_ leaf: Int) -> Bool { arrived.contains(leaf) }

    /// The number of values that are kept.
    var keptCount: Int { levels.reduce(0) { $0 + $1.count } }

    /// Adds a leaf that has not come yet.
    ///
    /// - Parameter combine: Takes the right value into the left one.
    mutating func insert<Failure: Error>(
        _ value: Value, at leaf: Int, combine: (inout Value, Value) throws(Failure) -> Void
    ) throws(Failure) {
        arrived.insert(leaf..<leaf + 1)
        var value = value
        var index = leaf
        for level in levels.indices.dropLast() {
            let sibling = index ^ 1
            if let other = levels[level].removeValue(forKey: sibling) {
                if sibling < index {
                    var left = other
                    try combine(&left, value)
                    value = left
                } else {
                    try combine(&value, other)
                }
            } else if sibling << level < leafCount {
                levels[level][index] = value
                return
            }
            index >>= 1
        }
        levels[levels.count - 1][index] = value
    }

    /// The value of all leaves that have come; nil when none has.
    func root<Failure: Error>(combine: (inout Value, Value) throws(Failure) -> Void) throws(Failure) -> Value? {
        try value(levels.count - 1, 0, combine)
    }

    private func value<Failure: Error>(
        _ level: Int, _ index: Int, _ combine: (inout Value, Value) throws(Failure) -> Void
    ) throws(Failure) -> Value? {
        let first = index << level
        guard first < leafCount else { return nil }
        guard arrived.count(in: first..<min((index + 1) << level, leafCount)) > 0 else { return nil }
        if let kept = levels[level][index] { return kept }
        guard level > 0 else { return nil }
        var left = try value(level - 1, 2 * index, combine)
        guard let right = try value(level - 1, 2 * index + 1, combine) else { return left }
        guard left != nil else { return right }
        try combine(&left!, right)
        return left
    }
}
