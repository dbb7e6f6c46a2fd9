/// A reduction that takes each leaf into what all lower ones have become: (((0, 1), 2), 3), and so on.
///
/// Leaves may come in any order; those behind a gap are kept until it is closed. A leaf that never comes counts as nothing.
struct RisingFold<Value: Sendable>: Sendable {
    /// All leaves below this one have come, and are in `folded`.
    private var next = 0
    private var folded: Value?
    /// The leaves behind the gap.
    private var waiting: [Int: Value] = [:]
    /// What the value would be if the gap stayed, and the highest leaf in it: made when it is asked for.
    private var provisional: (value: Value, last: Int)?

    /// The number of values that are kept.
    var keptCount: Int { waiting.count + (folded == nil ? 0 : 1) + (provisional == nil ? 0 : 1) }

    /// Adds a leaf that has not come yet.
    ///
    /// - Parameter combine: Takes the right value into the left one.
    mutating func insert<Failure: Error>(
        _ value: Value, at leaf: Int, combine: (inout Value, Value) throws(Failure) -> Void
    ) throws(Failure) {
        if let last = provisional?.last, leaf < last { provisional = nil }
        waiting[leaf] = value
        while let value = waiting.removeValue(forKey: next) {
            provisional = nil
            try take(value, &folded, combine)
            next += 1
        }
    }

    /// The value of all leaves that have come; nil when none has.
    mutating func root<Failure: Error>(
        combine: (inout Value, Value) throws(Failure) -> Void
    ) throws(Failure) -> Value? {
        guard !waiting.isEmpty else { return folded }
        var value = provisional?.value ?? folded
        let known = provisional?.last ?? -1
        for leaf in waiting.keys.sorted() where leaf > known {
            guard let other = waiting[leaf] else { continue }
            try take(other, &value, combine)
            provisional = value.map { ($0, leaf) }
        }
        return value
    }

    private func take<Failure: Error>(
        _ value: Value, _ destination: inout Value?, _ combine: (inout Value, Value) throws(Failure) -> Void
    ) throws(Failure) {
        guard var present = destination.take() else {
            destination = value
            return
        }
        defer { destination = present }
        try combine(&present, value)
    }
}

/// A reduction whose order depends on the indices of the leaves alone, not on when they come.
enum FixedReduction<Value: Sendable>: Sendable {
    case tree(PairwiseTree<Value>)
    case sequence(RisingFold<Value>)

    /// Adds a leaf that has not come yet.
    ///
    /// - Parameter combine: Takes the right value into the left one.
    mutating func insert<Failure: Error>(
        _ value: Value, at leaf: Int, combine: (inout Value, Value) throws(Failure) -> Void
    ) throws(Failure) {
        switch self {
        case .tree(var tree):
            self = .sequence(RisingFold())
            defer { self = .tree(tree) }
            try tree.insert(value, at: leaf, combine: combine)
        case .sequence(var fold):
            self = .sequence(RisingFold())
            defer { self = .sequence(fold) }
            try fold.insert(value, at: leaf, combine: combine)
        }
    }

    /// The value of all leaves that have come; nil when none has.
    mutating func root<Failure: Error>(
        combine: (inout Value, Value) throws(Failure) -> Void
    ) throws(Failure) -> Value? {
        switch self {
        case .tree(let tree): return try tree.root(combine: combine)
        case .sequence(var fold):
            self = .sequence(RisingFold())
            defer { self = .sequence(fold) }
            return try fold.root(combine: combine)
        }
    }
}
