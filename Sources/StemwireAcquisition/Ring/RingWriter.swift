import StemwireSystem
import Synchronization

/// The one that fills a ring's slots: used by one thread at a time.
public final class RingWriter {
    public let ring: FrameRing
    private let core: UnsafeMutablePointer<RingCore>
    /// Filled slots kept for look-ups, oldest first: a queue in a fixed buffer.
    private var retained: [Int]
    private var retainedFirst = 0
    private var retainedCount = 0

    init(ring: FrameRing) {
        self.ring = ring
        core = ring.core
        retained = [Int](repeating: 0, count: core.pointee.capacity)
    }

    deinit {
        while giveUpOldest() {}
        ring.writerIsGone()
    }

    public var slotBytes: Int { core.pointee.slotBytes.load(ordering: .relaxed) }
    /// The largest message that a ring of this size can be made to hold.
    public var maximumMessageBytes: Int { core.pointee.slabBytes / FrameRing.minimumSlots - 2 * Tile.prefixBytes }

    private var maximumRetained: Int { min(ring.configuration.retainedBytes / slotBytes, core.pointee.capacity) }

    /// The memory of a slot that the writer holds.
    public func memory(_ slot: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: core.pointee.slab + slot * slotBytes, count: slotBytes)
    }

    /// The counters of a slot, for its tiles.
    func holder(_ slot: Int) -> UnsafeMutablePointer<RingSlot> { core.pointee.slots + slot }

    /// Takes the slot freed last, else gives up retained slots until one is free; nil if consumers hold all.
    public func takeSlot() -> Int? {
        while true {
            if let index = core.pointee.pop() {
                let slot = core.pointee.slots + Int(index)
                core.pointee.shared?.willFill(Int(index))
                // Before the first hold: whoever retains the slot from now on sees no old tiles.
                slot.pointee.tileCount.store(0, ordering: .relaxed)
                slot.pointee.firstPosition.store(.max, ordering: .relaxed)
                slot.pointee.endPosition.store(.min, ordering: .relaxed)
                slot.pointee.references.store(1, ordering: .releasing)
                return Int(index)
            }
            guard giveUpOldest() else { return nil }
        }
    }

    /// Waits until a slot may be free, at most `timeout`.
    public func waitForSlot(timeout: Duration) {
        core.pointee.isWriterWaiting.store(true, ordering: .sequentiallyConsistent)
        if core.pointee.freeTop.load(ordering: .sequentiallyConsistent) < 0 {
            _ = core.pointee.writerWake.wait(timeout: timeout)
        }
        core.pointee.isWriterWaiting.store(false, ordering: .sequentiallyConsistent)
    }

    /// The number of tiles that the slot's table still has room for.
    public func roomForTiles(_ slot: Int) -> Int {
        core.pointee.tilesPerSlot - Int(core.pointee.slots[slot].tileCount.load(ordering: .relaxed))
    }

    /// Makes a tile known and gives `holders` holds on its slot, one for each consumer it is about to be handed to.
    public func publish(_ tile: Tile, holders: Int) {
        let slot = tile.holder
        let count = Int(slot.pointee.tileCount.load(ordering: .relaxed))
        precondition(count < core.pointee.tilesPerSlot, "slot \(tile.slot) has no room for another tile")
        (core.pointee.tiles + tile.slot * core.pointee.tilesPerSlot + count).initialize(to: tile)
        let first = min(slot.pointee.firstPosition.load(ordering: .relaxed), tile.firstPosition)
        let end = max(slot.pointee.endPosition.load(ordering: .relaxed), tile.firstPosition + tile.count)
        slot.pointee.firstPosition.store(first, ordering: .relaxed)
        slot.pointee.endPosition.store(end, ordering: .relaxed)
        slot.pointee.references.wrappingAdd(Int32(holders), ordering: .relaxed)
        slot.pointee.tileCount.store(Int32(count + 1), ordering: .releasing)
    }

    /// Ends the filling of a slot: it is retained for look-ups, or freed when its consumers are done.
    public func close(_ slot: Int) {
        let maximum = maximumRetained
        guard maximum > 0, core.pointee.slots[slot].tileCount.load(ordering: .relaxed) > 0 else {
            RingCore.release(core.pointee.slots + slot)
            return
        }
        while retainedCount >= maximum { _ = giveUpOldest() }
        retained[(retainedFirst + retainedCount) % retained.count] = slot
        retainedCount += 1
    }

    private func giveUpOldest() -> Bool {
        guard retainedCount > 0 else { return false }
        let slot = retained[retainedFirst]
        retainedFirst = (retainedFirst + 1) % retained.count
        retainedCount -= 1
        RingCore.release(core.pointee.slots + slot)
        return true
    }

    /// Whether nobody holds a slot but the writer `held` of them; gives up retained slots.
    public func isQuiet(holding held: Int) -> Bool {
        while giveUpOldest() {}
        return core.pointee.freeCount.load(ordering: .sequentiallyConsistent)
            == core.pointee.slotCount.load(ordering: .relaxed) - held
    }

    /// Waits until `isQuiet(holding:)` may have become true, at most `timeout`.
    public func waitUntilQuiet(holding held: Int = 0, timeout: Duration) {
        core.pointee.isToBeEmptied.store(true, ordering: .releasing)
        core.pointee.isWriterWaiting.store(true, ordering: .sequentiallyConsistent)
        if !isQuiet(holding: held) { _ = core.pointee.writerWake.wait(timeout: timeout) }
        core.pointee.isWriterWaiting.store(false, ordering: .sequentiallyConsistent)
        core.pointee.isToBeEmptied.store(false, ordering: .releasing)
    }

    /// Cuts the memory into slots of at least `slotBytes`. All slots must be free.
    public func reshape(slotBytes: Int) {
        precondition(isQuiet(holding: 0), "a ring in use cannot be cut anew")
        let page = 4096
        let rounded = (slotBytes + page - 1) / page * page
        let bytes = core.pointee.slabBytes / FrameRing.minimumSlots < rounded ? slotBytes : rounded
        let count = min(core.pointee.slabBytes / bytes, core.pointee.capacity)
        precondition(count >= FrameRing.minimumSlots, "the ring is too small for messages of \(slotBytes) bytes")
        for slot in 0..<core.pointee.slotCount.load(ordering: .relaxed) { core.pointee.shared?.willFill(slot) }
        core.pointee.slotBytes.store(bytes, ordering: .relaxed)
        core.pointee.slotCount.store(count, ordering: .relaxed)
        core.pointee.fillFreeList(count: count)
    }
}
