import StemwireAcquisition
import Synchronization

/// How much of the ring one socket's queues hold, and at most may hold.
///
/// Counted in slots: the smallest tile keeps its whole slot from being used again; one in the spool keeps nothing of the
/// ring. One thread takes; any thread gives back, by atomics only.
final class TilePins: Sendable {
    /// Tiles that are held in one slot.
    private final class Holds: Sendable {
        let count = Atomic<Int>(0)
    }

    private let ring: FrameRing
    private let limit: Int
    private let holds: [Holds]
    private let slots = Atomic<Int>(0)
    private let tileCount = Atomic<Int>(0)

    /// - Parameter limit: in bytes. One slot may be held in any case.
    init(of ring: FrameRing, limit: Int) {
        self.ring = ring
        self.limit = limit
        // A ring that is cut anew has fewer and larger slots, never more.
        holds = (0..<ring.slotCount).map { _ in Holds() }
    }

    var pinnedBytes: Int { slots.load(ordering: .relaxed) * ring.slotBytes }

    /// Tiles that wait in the queues.
    var tiles: Int { tileCount.load(ordering: .relaxed) }

    /// Counts a tile as held, if the limit allows it.
    func take(_ tile: Tile) -> Bool {
        tileCount.wrappingAdd(1, ordering: .relaxed)
        guard !tile.isSpooled, holds[tile.slot].count.wrappingAdd(1, ordering: .relaxed).oldValue == 0 else {
            return true
        }
        let others = slots.wrappingAdd(1, ordering: .relaxed).oldValue
        guard others == 0 || (others + 1) * ring.slotBytes <= limit else {
            giveBack(tile)
            return false
        }
        return true
    }

    func giveBack(_ tile: Tile) {
        tileCount.wrappingSubtract(1, ordering: .relaxed)
        guard !tile.isSpooled, holds[tile.slot].count.wrappingSubtract(1, ordering: .relaxed).newValue == 0 else {
            return
        }
        slots.wrappingSubtract(1, ordering: .relaxed)
    }
}

/// A tile in a socket's queues: libzmq reads the ring's memory, and lets go of this when it is done.
///
/// Let go on libzmq's I/O thread: atomics only, no lock.
final class PinnedTile: Sendable {
    let tile: Tile
    private let ring: FrameRing
    private let pins: TilePins

    /// Takes over the caller's hold on the tile's slot, and what was counted for it in `pins`.
    init(_ tile: Tile, in ring: FrameRing, countedIn pins: TilePins) {
        self.tile = tile
        self.ring = ring
        self.pins = pins
    }

    deinit {
        pins.giveBack(tile)
        ring.release(tile)
    }
}
