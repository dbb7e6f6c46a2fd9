/// A set of frame indices 0 ..< capacity, one bit each.
public struct FrameSet: Sendable, Hashable {
    public let capacity: Int
    /// Number of frames in the set.
    public private(set) var count = 0
    private var words: [UInt64]

    /// An empty set. Takes `capacity / 8` bytes.
    public init(capacity: Int) {
        self.capacity = capacity
        words = [UInt64](repeating: 0, count: (capacity + 63) / 64)
    }

    /// Whether frame `index` is in the set; false outside the capacity.
    public func contains(_ index: Int) -> Bool {
        guard index >= 0, index < capacity else { return false }
        return words[index >> 6] & (1 << UInt64(index & 63)) != 0
    }

    /// Adds frame `index`, which must lie below the capacity; false if it was there. O(1), no allocation.
    @discardableResult
    public mutating func insert(_ index: Int) -> Bool {
        let bit: UInt64 = 1 << UInt64(index & 63)
        guard words[index >> 6] & bit == 0 else { return false }
        words[index >> 6] |= bit
        count += 1
        return true
    }

    /// Takes frame `index` out; false if it was not there.
    @discardableResult
    public mutating func remove(_ index: Int) -> Bool {
        guard contains(index) else { return false }
        words[index >> 6] &= ~(1 << UInt64(index & 63))
        count -= 1
        return true
    }

    /// The lowest frame ≥ `index` that is in the set, or that is not in it; nil if there is none. Skips 64 at a time.
    public func first(from index: Int, inSet: Bool) -> Int? {
        guard index < capacity else { return nil }
        var word = index >> 6
        var bits = (inSet ? words[word] : ~words[word]) & (~0 << UInt64(index & 63))
        while bits == 0 {
            word += 1
            guard word < words.count else { return nil }
            bits = inSet ? words[word] : ~words[word]
        }
        let found = word << 6 + bits.trailingZeroBitCount
        return found < capacity ? found : nil
    }
}
