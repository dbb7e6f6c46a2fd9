import StemwireAcquisition
import Synchronization

/// How much of the ring the live subscribers' queues hold.
final class LivePins: Sendable {
    let limit: Int
    private let bytes = Atomic<Int>(0)

    init(limit: Int) {
        self.limit = limit
    }

    var pinnedBytes: Int { bytes.load(ordering: .relaxed) }

    /// Counts `count` bytes as held if the limit allows it. One tile always goes.
    func take(_ count: Int) -> Bool {
        let before = bytes.wrappingAdd(count, ordering: .relaxed).oldValue
        if before > 0, before + count > limit {
            bytes.wrappingSubtract(count, ordering: .relaxed)
            return false
        }
        return true
    }

    func giveBack(_ count: Int) { bytes.wrappingSubtract(count, ordering: .relaxed) }
}

/// A tile in the subscribers' queues: libzmq reads the ring's memory, and lets go of this when it is done.
///
/// Let go on libzmq's I/O thread: atomics only, no lock.
final class PinnedTile: Sendable {
    let tile: Tile
    private let ring: FrameRing
    private let pins: LivePins?

    /// Takes over the caller's hold on the tile's slot, and what was counted for it in `pins`.
    init(_ tile: Tile, in ring: FrameRing, countedIn pins: LivePins?) {
        self.tile = tile
        self.ring = ring
        self.pins = pins
    }

    deinit {
        pins?.giveBack(tile.bytes.count)
        ring.release(tile)
    }
}
