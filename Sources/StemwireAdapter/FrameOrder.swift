/// Puts what a lossless subscription delivers of one acquisition into the order of the scan.
///
/// Frames that came out of order, or were lost and are being fetched, are waited for; those that are known not to come are
/// left out. What waits is limited: past the limit the oldest gap is given up, and what comes of it later is dropped.
struct FrameOrder<Stack: Sendable>: Sendable {
    private struct Waiting {
        let positions: Range<Int>
        let stack: Stack
        let bytes: Int
    }

    /// The scan position that is due.
    private(set) var next = 0
    /// Frames that came after their gap had been given up.
    private(set) var late = 0
    private let limit: Int
    private var waiting: [Waiting] = []
    private var absent: [Range<Int>] = []
    private var heldBytes = 0

    /// - Parameter limit: The bytes that may wait for earlier frames.
    init(limit: Int) { self.limit = limit }

    /// Adds a stack of consecutive frames.
    ///
    /// - Returns: The stacks that are due now, in order.
    mutating func add(_ stack: Stack, _ positions: Range<Int>, bytes: Int) -> [Stack] {
        guard positions.lowerBound >= next else {
            late += positions.count
            return []
        }
        let place = waiting.lastIndex { $0.positions.lowerBound < positions.lowerBound }.map { $0 + 1 } ?? 0
        waiting.insert(Waiting(positions: positions, stack: stack, bytes: bytes), at: place)
        heldBytes += bytes
        var due = advance()
        while heldBytes > limit, let first = waiting.first {
            next = first.positions.lowerBound
            due += advance()
        }
        return due
    }

    /// Notes positions whose frames will not come.
    ///
    /// - Returns: The stacks that are due now, in order.
    mutating func skip(_ positions: Range<Int>) -> [Stack] {
        absent.append(positions)
        return advance()
    }

    /// No more will come.
    ///
    /// - Returns: All that waited, in order.
    mutating func finish() -> [Stack] {
        defer { waiting = [] }
        return waiting.map(\.stack)
    }

    private mutating func advance() -> [Stack] {
        var due: [Stack] = []
        while true {
            if let first = waiting.first, first.positions.lowerBound <= next {
                waiting.removeFirst()
                heldBytes -= first.bytes
                next = first.positions.upperBound
                due.append(first.stack)
            } else if let index = absent.firstIndex(where: { $0.contains(next) }) {
                next = absent.remove(at: index).upperBound
            } else {
                absent.removeAll { $0.upperBound <= next }
                return due
            }
        }
    }
}
