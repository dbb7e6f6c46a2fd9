/// A set of scan positions 0 ..< size, kept as one bit each.
public struct PositionSet: Sendable, Hashable {
    /// How many positions there are to choose from.
    public let size: Int
    /// How many are in the set.
    public private(set) var count = 0
    private var words: [UInt64]

    /// The empty set.
    public init(size: Int) {
        precondition(size >= 0)
        self.size = size
        words = Array(repeating: 0, count: (size + 63) / 64)
    }

    /// The positions whose value is true.
    public init(_ selected: some Collection<Bool>) {
        self.init(size: selected.count)
        for (position, isIn) in selected.enumerated() where isIn { insert(position..<position + 1) }
    }

    public var isEmpty: Bool { count == 0 }
    public var isFull: Bool { count == size }

    /// - Precondition: `position` lies in 0 ..< size.
    public func contains(_ position: Int) -> Bool {
        precondition(position >= 0 && position < size)
        return words[position >> 6] & (1 << UInt64(position & 63)) != 0
    }

    /// Adds positions.
    ///
    /// - Returns: How many of them were not in the set before.
    /// - Precondition: `positions` lies in 0 ..< size.
    @discardableResult
    public mutating func insert(_ positions: Range<Int>) -> Int {
        var added = 0
        Self.forEachWord(of: positions, in: size) { word, mask in
            added += (mask & ~words[word]).nonzeroBitCount
            words[word] |= mask
        }
        count += added
        return added
    }

    /// How many of `positions` are in the set.
    public func count(in positions: Range<Int>) -> Int {
        var found = 0
        Self.forEachWord(of: positions, in: size) { word, mask in
            found += (words[word] & mask).nonzeroBitCount
        }
        return found
    }

    /// The positions in both sets.
    public func intersection(_ other: PositionSet) -> PositionSet { combined(with: other) { $0 & $1 } }

    /// The positions of this set that are not in the other.
    public func subtracting(_ other: PositionSet) -> PositionSet { combined(with: other) { $0 & ~$1 } }

    /// The positions that are in one of the sets, or in both.
    public func union(_ other: PositionSet) -> PositionSet { combined(with: other) { $0 | $1 } }

    private func combined(with other: PositionSet, _ body: (UInt64, UInt64) -> UInt64) -> PositionSet {
        precondition(size == other.size)
        var result = self
        result.count = 0
        for index in words.indices {
            result.words[index] = body(words[index], other.words[index])
            result.count += result.words[index].nonzeroBitCount
        }
        return result
    }

    /// The positions of the set as ranges, rising and never touching each other.
    public var ranges: [Range<Int>] { ranges(in: 0..<size) }

    /// The part of the set inside `positions` as ranges, rising and never touching each other.
    public func ranges(in positions: Range<Int>) -> [Range<Int>] { runs(in: positions, of: true) }

    /// The part of `positions` that is not in the set, as ranges, rising and never touching each other.
    public func gaps(in positions: Range<Int>) -> [Range<Int>] { runs(in: positions, of: false) }

    /// The first stretch of `positions` that is wholly in the set (`of` true) or wholly outside it. No allocation.
    func firstRun(in positions: Range<Int>, of wanted: Bool) -> Range<Int>? {
        precondition(positions.lowerBound >= 0 && positions.upperBound <= size)
        let start = next(from: positions.lowerBound, in: wanted, below: positions.upperBound)
        guard start < positions.upperBound else { return nil }
        return start..<next(from: start, in: !wanted, below: positions.upperBound)
    }

    private func runs(in positions: Range<Int>, of wanted: Bool) -> [Range<Int>] {
        var found: [Range<Int>] = []
        var rest = positions
        while let run = firstRun(in: rest, of: wanted) {
            found.append(run)
            rest = run.upperBound..<rest.upperBound
        }
        return found
    }

    /// One `Bool` for each position.
    public var booleans: [Bool] { (0..<size).map { contains($0) } }

    /// The first position from `position` on whose membership is `wanted`, or `end`.
    private func next(from position: Int, in wanted: Bool, below end: Int) -> Int {
        var position = position
        while position < end {
            var word = words[position >> 6]
            if !wanted { word = ~word }
            let rest = word >> UInt64(position & 63)
            if rest != 0 { return min(position + rest.trailingZeroBitCount, end) }
            position = (position | 63) + 1
        }
        return end
    }

    private static func forEachWord(of positions: Range<Int>, in size: Int, _ body: (Int, UInt64) -> Void) {
        precondition(positions.lowerBound >= 0 && positions.upperBound <= size)
        var position = positions.lowerBound
        while position < positions.upperBound {
            let end = min((position | 63) + 1, positions.upperBound)
            let mask = (end - position == 64 ? UInt64.max : (1 << UInt64(end - position)) - 1) << UInt64(position & 63)
            body(position >> 6, mask)
            position = end
        }
    }
}
