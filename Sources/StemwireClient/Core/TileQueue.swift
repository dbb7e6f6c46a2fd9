import StemwireProtocol

/// Tile events that wait for the consumer: bounded by bytes or by tiles, the rest counted and told as gaps.
///
/// Fetched tiles are never left out: their number is bounded by the credit given for them.
struct TileQueue: ConsumerQueue {
    private let buffering: TileBuffering
    /// Entries from `head` on wait; those before were taken.
    private var entries: [TileEvent] = []
    private var head = 0
    private var liveTiles = 0
    private var liveBytes = 0
    /// Events other than tiles that wait at most; a server that sends more without being listened to is not in its
    /// right mind.
    static let eventLimit = 16384
    private(set) var refusedEvents = 0

    init(_ buffering: TileBuffering) { self.buffering = buffering }

    var count: Int { entries.count - head }

    /// Adds an event.
    ///
    /// - Returns: the tiles that were left out, the new one or older ones; told in the queue as a gap.
    mutating func append(_ event: TileEvent) -> [FrameTile] {
        guard case .tile(let tile) = event, !tile.isFetched else {
            appendOther(event)
            return []
        }
        switch buffering {
        case .oldest(let limit):
            // One tile always fits, or a small limit would let none through.
            guard liveTiles == 0 || liveBytes + tile.messageBytes <= limit else {
                appendOther(.gap(Self.gap(for: tile)))
                return [tile]
            }
            append(tile)
            return []
        case .newest(let limit):
            append(tile)
            return liveTiles > max(1, limit) ? leaveOutFirst() : []
        }
    }

    mutating func take(now: ContinuousClock.Instant) -> TakeResult<TileEvent> {
        guard head < entries.count else { return .nothing }
        let event = entries[head]
        head += 1
        // Taken entries keep their tiles' memory until they are cut off.
        if head >= 32 || head == entries.count {
            entries.removeFirst(head)
            head = 0
        } else if case .tile(let tile) = event {
            entries[head - 1] = .gap(Self.gap(for: tile))
        }
        if case .tile(let tile) = event, !tile.isFetched { forget(tile) }
        return .element(event)
    }

    private mutating func append(_ tile: FrameTile) {
        entries.append(.tile(tile))
        liveTiles += 1
        liveBytes += tile.messageBytes
    }

    private mutating func appendOther(_ event: TileEvent) {
        if case .gap(let gap) = event, head < entries.count, case .gap(let last) = entries[entries.count - 1],
            let merged = last.merged(with: gap)
        {
            entries[entries.count - 1] = .gap(merged)
        } else if entries.count - head - liveTiles < Self.eventLimit {
            entries.append(event)
        } else {
            refusedEvents += 1
        }
    }

    /// Puts a gap in the place of the first live tile, merged with a gap before it.
    private mutating func leaveOutFirst() -> [FrameTile] {
        for index in head..<entries.count {
            guard case .tile(let tile) = entries[index], !tile.isFetched else { continue }
            forget(tile)
            let gap = Self.gap(for: tile)
            if index > head, case .gap(let before) = entries[index - 1], let merged = before.merged(with: gap) {
                entries[index - 1] = .gap(merged)
                entries.remove(at: index)
            } else {
                entries[index] = .gap(gap)
            }
            return [tile]
        }
        return []
    }

    private mutating func forget(_ tile: FrameTile) {
        liveTiles -= 1
        liveBytes -= tile.messageBytes
    }

    private static func gap(for tile: FrameTile) -> TileGap {
        TileGap(
            acquisition: tile.acquisition, generation: tile.generation, positions: [tile.positions],
            cause: .bufferFull)
    }
}
