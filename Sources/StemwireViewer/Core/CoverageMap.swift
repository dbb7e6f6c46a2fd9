import StemwireClient

/// What became of each scan position, as one byte a position.
///
/// While a scan runs nobody knows yet whether a frame that was passed over is late or lost; once it has ended, the
/// accounting names those that never came.
enum Coverage: UInt8, Sendable, CaseIterable {
    /// Its frame is still to come.
    case pending = 0
    /// Its frame is in the result.
    case processed = 1
    /// Its frame never came.
    case missing = 2
    /// Frames behind it are in the result, its own is not: late, not processed by this run, or lost.
    case passedOver = 3
    /// Only damaged frames came for it.
    case rejected = 4
    /// Its frame came, and a UDF failed on it.
    case failed = 5
    /// Its frame is in the result, and came more than once; the first copy counts.
    case duplicate = 6

    /// What is known of positions by the acquisition's account.
    struct Account: Sendable {
        var missing: [Range<Int>] = []
        var rejected: [Range<Int>] = []
        var duplicate: [Range<Int>] = []
        /// Whether no frame will come any more.
        var isOver = false
        /// Whether the run has told that frames failed.
        var hasFailures = false
    }

    /// The map of a channel.
    ///
    /// - Parameters:
    ///   - mask: position *p* in bit *p* mod 8 of byte *p* div 8: 1 where the frame was processed.
    ///   - positions: how many there are.
    static func map(mask: UnsafeRawBufferPointer, positions: Int, account: Account) -> [UInt8] {
        var map = [UInt8](repeating: Coverage.pending.rawValue, count: positions)
        var front = 0
        for position in 0..<min(positions, mask.count * 8) where mask[position >> 3] >> (position & 7) & 1 == 1 {
            map[position] = Coverage.processed.rawValue
            front = position
        }
        let passed: Coverage = account.isOver && account.hasFailures ? .failed : .passedOver
        for position in 0..<(account.isOver ? positions : front) where map[position] == Coverage.pending.rawValue {
            map[position] = passed.rawValue
        }
        func mark(_ ranges: [Range<Int>], _ code: Coverage, inResult: Bool) {
            for range in ranges {
                for position in range.clamped(to: 0..<positions)
                where (map[position] == Coverage.processed.rawValue) == inResult {
                    map[position] = code.rawValue
                }
            }
        }
        mark(account.missing, .missing, inResult: false)
        mark(account.rejected, .rejected, inResult: false)
        mark(account.duplicate, .duplicate, inResult: true)
        return map
    }
}
