import Glibc
import StemwireSystem
import Synchronization

/// The slab of a ring that other processes can map. In front of it stands a counter for each slot, which changes before
/// the slot is filled anew: a reader that finds it unchanged behind its reading has read what it was told of.
struct SharedSlab {
    let memory: SharedMemory
    private let tableBytes: Int
    let slotCount: Int

    init(slabBytes: Int, slotCount: Int) throws(SystemError) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        tableBytes = (slotCount * MemoryLayout<UInt64>.stride + page - 1) / page * page
        memory = try SharedMemory(name: "stemwire-frames", byteCount: tableBytes + slabBytes)
        self.slotCount = slotCount
        for slot in 0..<slotCount { (counters + slot).initialize(to: Atomic(0)) }
    }

    var slab: UnsafeMutableRawPointer { memory.base + tableBytes }

    private var counters: UnsafeMutablePointer<Atomic<UInt64>> {
        memory.base.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// What a slot's counter is.
    func filling(_ slot: Int) -> UInt64 { counters[slot].load(ordering: .relaxed) }

    /// To be called before a slot's memory changes. Writer only.
    func willFill(_ slot: Int) {
        counters[slot].wrappingAdd(1, ordering: .relaxed)
        // No write to the slot may be seen before this one.
        atomicMemoryFence(ordering: .acquiringAndReleasing)
    }
}

/// Where a tile lies in the memory that a ring shares.
public struct FramePlace: Sendable, Hashable {
    /// From the start of the memory to the first frame's MPX prefix.
    public let offset: Int
    public let slot: Int
    /// What the slot's counter is as long as the frames are there.
    public let filling: UInt64
}

extension FrameRing {
    /// The memory that other processes can map; nil for a ring that is not shared. It begins with a 64-bit counter for
    /// each of `slots` slots.
    public var shared: (memory: SharedMemory, slots: Int)? {
        core.pointee.shared.map { ($0.memory, $0.slotCount) }
    }

    /// Where other processes find a tile that the caller holds; nil for one of a spool, or a ring that is not shared.
    public func place(of tile: Tile) -> FramePlace? {
        guard !tile.isSpooled, let shared = core.pointee.shared, let start = tile.bytes.baseAddress else { return nil }
        return FramePlace(
            offset: start - UnsafeRawPointer(shared.memory.base), slot: tile.slot, filling: shared.filling(tile.slot))
    }
}
