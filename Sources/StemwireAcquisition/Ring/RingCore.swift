import Glibc
import StemwireSystem
import Synchronization

/// A slot's counters, at an address that never changes: tiles carry it, and it is the hint of the release callback.
struct RingSlot: ~Copyable {
    /// Holders. 0: free. The writer counts as one while it fills the slot, retention as one after that.
    let references = Atomic<Int32>(0)
    /// The next free slot below this one, or -1.
    let nextFree = Atomic<Int32>(-1)
    /// Tiles published in the slot, and the positions they span, for those who look for frames.
    let tileCount = Atomic<Int32>(0)
    let firstPosition = Atomic<Int>(0)
    let endPosition = Atomic<Int>(0)
    let index: Int32
    let core: UnsafeMutablePointer<RingCore>

    init(index: Int32, core: UnsafeMutablePointer<RingCore>) {
        self.index = index
        self.core = core
    }
}

/// What all users of a ring, or of a spool, share: free list, wake-up, memory.
///
/// The free list is a stack linked through the slots (last freed, first used, so that its memory is still in cache).
/// Anybody pushes, only the writer pops; so a slot that the writer sees on top cannot be taken and come back
/// meanwhile, and a plain compare-and-swap is enough.
struct RingCore: ~Copyable {
    let freeTop = Atomic<Int32>(-1)
    let freeCount = Atomic<Int>(0)
    let isWriterWaiting = Atomic<Bool>(false)
    /// Whether the writer waits for all slots, so that those who keep frames for later should let go of them.
    let isToBeEmptied = Atomic<Bool>(false)
    let writerWake = CountingSemaphore()
    let slotBytes: Atomic<Int>
    let slotCount: Atomic<Int>
    let slots: UnsafeMutablePointer<RingSlot>
    let tiles: UnsafeMutablePointer<Tile>
    let tilesPerSlot: Int
    let capacity: Int
    let isSpool: Bool
    let slab: UnsafeMutableRawPointer
    let slabBytes: Int
    /// What the slab is part of, if other processes can map it.
    let shared: SharedSlab?

    init(
        slotBytes: Int, slotCount: Int, tilesPerSlot: Int, isSpool: Bool, slab: UnsafeMutableRawPointer, slabBytes: Int,
        shared: SharedSlab?
    ) {
        self.slotBytes = Atomic(slotBytes)
        self.slotCount = Atomic(slotCount)
        self.tilesPerSlot = tilesPerSlot
        self.capacity = slotCount
        self.isSpool = isSpool
        self.slab = slab
        self.slabBytes = slabBytes
        self.shared = shared
        slots = .allocate(capacity: slotCount)
        tiles = .allocate(capacity: slotCount * tilesPerSlot)
    }

    /// All slots free, at an address that stays. `Tile.holder` and the release callback lead back to it.
    static func make(
        slotBytes: Int, slotCount: Int, tilesPerSlot: Int, isSpool: Bool, slab: UnsafeMutableRawPointer, slabBytes: Int,
        shared: SharedSlab? = nil
    ) -> UnsafeMutablePointer<RingCore> {
        let core = UnsafeMutablePointer<RingCore>.allocate(capacity: 1)
        core.initialize(
            to: RingCore(
                slotBytes: slotBytes, slotCount: slotCount, tilesPerSlot: tilesPerSlot, isSpool: isSpool, slab: slab,
                slabBytes: slabBytes, shared: shared))
        for index in 0..<slotCount {
            (core.pointee.slots + index).initialize(to: RingSlot(index: Int32(index), core: core))
        }
        core.pointee.fillFreeList(count: slotCount)
        return core
    }

    /// Gives back all memory, unless a tile is still held (say, in a message queue): better to leak it than to pull it
    /// away.
    static func destroy(_ core: UnsafeMutablePointer<RingCore>) {
        guard core.pointee.freeCount.load(ordering: .acquiring) == core.pointee.slotCount.load(ordering: .relaxed)
        else { return }
        // Shared memory goes with its last owner.
        if core.pointee.shared == nil { munmap(core.pointee.slab, core.pointee.slabBytes) }
        core.pointee.slots.deinitialize(count: core.pointee.capacity)
        core.pointee.slots.deallocate()
        core.pointee.tiles.deallocate()
        core.deinitialize(count: 1)
        core.deallocate()
    }

    /// Makes all slots free, the first on top.
    func fillFreeList(count: Int) {
        for index in 0..<count {
            slots[index].nextFree.store(index + 1 < count ? Int32(index + 1) : -1, ordering: .relaxed)
        }
        freeTop.store(count > 0 ? 0 : -1, ordering: .releasing)
        freeCount.store(count, ordering: .releasing)
    }

    /// Gives up one hold on a slot; the last one frees it. Any thread, never blocks, takes no lock.
    static func release(_ slot: UnsafeMutablePointer<RingSlot>) {
        let left = slot.pointee.references.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue
        precondition(left >= 0, "slot \(slot.pointee.index) of the frame ring was released more often than held")
        if left == 0 { push(slot) }
    }

    private static func push(_ slot: UnsafeMutablePointer<RingSlot>) {
        let core = slot.pointee.core
        var top = core.pointee.freeTop.load(ordering: .relaxed)
        while true {
            slot.pointee.nextFree.store(top, ordering: .relaxed)
            let (exchanged, original) = core.pointee.freeTop.compareExchange(
                expected: top, desired: slot.pointee.index, ordering: .sequentiallyConsistent)
            if exchanged { break }
            top = original
        }
        core.pointee.freeCount.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if core.pointee.isWriterWaiting.load(ordering: .sequentiallyConsistent),
            core.pointee.isWriterWaiting.exchange(false, ordering: .sequentiallyConsistent)
        {
            core.pointee.writerWake.post()
        }
    }

    /// Takes the slot freed last. Writer only.
    func pop() -> Int32? {
        var top = freeTop.load(ordering: .acquiring)
        while top >= 0 {
            let next = slots[Int(top)].nextFree.load(ordering: .relaxed)
            let (exchanged, original) = freeTop.compareExchange(
                expected: top, desired: next, ordering: .sequentiallyConsistent)
            if exchanged {
                freeCount.wrappingSubtract(1, ordering: .sequentiallyConsistent)
                return top
            }
            top = original
        }
        return nil
    }

    /// Adds a hold to a slot that has one; false if it has none, when its contents may change.
    func tryRetain(_ index: Int) -> Bool {
        var count = slots[index].references.load(ordering: .relaxed)
        while count > 0 {
            let (exchanged, original) = slots[index].references.compareExchange(
                expected: count, desired: count + 1, ordering: .acquiring)
            if exchanged { return true }
            count = original
        }
        return false
    }
}
