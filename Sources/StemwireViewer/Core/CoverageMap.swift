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
    /// Its frame never came, or could not be read.
    case missing = 2
    /// Frames behind it are in the result, its own is not: late, not processed by this run, or lost.
    case passedOver = 3

    /// The map of a channel.
    ///
    /// - Parameters:
    ///   - mask: position *p* in bit *p* mod 8 of byte *p* div 8: 1 where the frame was processed.
    ///   - positions: how many there are.
    ///   - missing: positions whose frame never came, once that is known.
    ///   - isOver: whether no frame will come any more.
    static func map(
        mask: UnsafeRawBufferPointer, positions: Int, missing: [Range<Int>], isOver: Bool
    ) -> [UInt8] {
        var map = [UInt8](repeating: Coverage.pending.rawValue, count: positions)
        var front = 0
        for position in 0..<min(positions, mask.count * 8) where mask[position >> 3] >> (position & 7) & 1 == 1 {
            map[position] = Coverage.processed.rawValue
            front = position
        }
        let end = isOver ? positions : front
        for position in 0..<end where map[position] == Coverage.pending.rawValue {
            map[position] = Coverage.passedOver.rawValue
        }
        for range in missing {
            for position in range.clamped(to: 0..<positions) where map[position] != Coverage.processed.rawValue {
                map[position] = Coverage.missing.rawValue
            }
        }
        return map
    }
}
