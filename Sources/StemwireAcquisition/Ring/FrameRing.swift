import Glibc
import StemwireSystem
import Synchronization

/// The fixed memory that frames are received into and handed on from, without a copy.
///
/// The memory is a slab of slots. One `RingWriter` fills slots with the verbatim stream and publishes parts of them as
/// tiles; whoever gets a tile holds its slot until it releases it. A slot without holders is free and is the next to be
/// filled. All methods may be called from any thread; none blocks or takes a lock.
public final class FrameRing: Sendable {
    public struct Configuration: Sendable, Hashable {
        /// Memory for frames.
        public var totalBytes: Int
        /// Memory of one slot; at least one message. A ring makes its slots larger by itself when it must.
        public var slotBytes: Int
        /// Memory that may be kept filled for later look-ups by `lookup(generation:position:)`; given up when needed.
        public var retainedBytes: Int
        /// Tiles in a slot, at most; at least two.
        public var tilesPerSlot: Int
        /// Whether other processes of this machine and user can map the memory for reading, where the system can do that.
        public var isShared: Bool

        public init(
            totalBytes: Int = 256 << 20, slotBytes: Int = FrameRing.usualSlotBytes, retainedBytes: Int = 0,
            tilesPerSlot: Int = 64, isShared: Bool = false
        ) {
            self.totalBytes = totalBytes
            self.slotBytes = slotBytes
            self.retainedBytes = retainedBytes
            self.tilesPerSlot = tilesPerSlot
            self.isShared = isShared
        }
    }

    /// A little more than 1 MiB: sides of frames are powers of two, mostly, and so many frames with their headers fill a slot.
    public static let usualSlotBytes = (1 << 20) + (32 << 10)
    /// The smallest number of slots: one being filled while the one before is read.
    public static let minimumSlots = 2

    public let configuration: Configuration
    // Reached from all threads; its parts are atomics, or written by one thread before they are published by one.
    nonisolated(unsafe) let core: UnsafeMutablePointer<RingCore>
    private let hasWriter = Atomic<Bool>(false)

    /// Reserves the memory; it is taken from the system when it is first written to.
    ///
    /// - Throws: `SystemError` when there is not so much memory.
    public init(_ configuration: Configuration = Configuration()) throws(SystemError) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let slotBytes = (max(configuration.slotBytes, page) + page - 1) / page * page
        let slotCount = max(Self.minimumSlots, configuration.totalBytes / slotBytes)
        let slabBytes = slotCount * slotBytes
        let tilesPerSlot = max(2, configuration.tilesPerSlot)
        // Where memory cannot be shared, frames are sent.
        let shared = configuration.isShared ? try? SharedSlab(slabBytes: slabBytes, slotCount: slotCount) : nil
        guard slotCount <= Int(Int32.max), let slab = shared?.slab ?? Self.privateMemory(slabBytes)
        else { throw SystemError(operation: "reserve \(slabBytes >> 20) MiB for frames") }
        self.configuration = configuration
        core = RingCore.make(
            slotBytes: slotBytes, slotCount: slotCount, tilesPerSlot: tilesPerSlot, isSpool: false, slab: slab,
            slabBytes: slabBytes, shared: shared)
    }

    private static func privateMemory(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        let memory = mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, -1, 0)
        return memory == MAP_FAILED ? nil : memory
    }

    deinit { RingCore.destroy(core) }

    /// Slots, filled or free.
    public var slotCount: Int { core.pointee.slotCount.load(ordering: .relaxed) }
    public var slotBytes: Int { core.pointee.slotBytes.load(ordering: .relaxed) }
    /// Slots that nobody holds. A glance while the ring is in use.
    public var freeSlots: Int { max(0, core.pointee.freeCount.load(ordering: .acquiring)) }
    /// Slots that the writer, retention or a consumer holds. A glance while the ring is in use.
    public var heldSlots: Int {
        (0..<slotCount).count { core.pointee.slots[$0].references.load(ordering: .relaxed) > 0 }
    }
    /// Tiles that can be in flight at once.
    public var maximumTiles: Int { core.pointee.capacity * core.pointee.tilesPerSlot }

    /// Whether the writer waits for all slots, to cut the ring anew for larger frames.
    var isToBeEmptied: Bool { core.pointee.isToBeEmptied.load(ordering: .acquiring) }

    /// The ring's one writer. To be asked for once at a time: the writer before must be gone.
    public func makeWriter() -> RingWriter {
        precondition(!hasWriter.exchange(true, ordering: .acquiringAndReleasing), "a frame ring has one writer")
        return RingWriter(ring: self)
    }

    func writerIsGone() { hasWriter.store(false, ordering: .releasing) }

    // MARK: Holding and releasing

    /// Gives up the hold on a tile's slot. Once for every tile event taken from a queue, and every tile looked up.
    public func release(_ tile: Tile) {
        tile.release()
    }

    /// Adds a hold on the slot of a tile that the caller holds.
    public func retain(_ tile: Tile) {
        tile.retain()
    }

    /// The pointer that `releaseCallback` takes to give up the hold on a tile's slot. It stays valid while the tile is
    /// held, even if the ring goes first.
    public func releaseHint(_ tile: Tile) -> UnsafeMutableRawPointer {
        tile.releaseHint
    }

    /// Releases a tile by its hint; has the form of libzmq's free callback (data, hint). Any thread, never blocks.
    public static let releaseCallback: @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) -> Void = {
        _, hint in
        guard let hint else { return }
        RingCore.release(hint.assumingMemoryBound(to: RingSlot.self))
    }

    /// Finds a frame that is still in the ring.
    ///
    /// - Returns: the tile that contains it, held for the caller, who must release it; nil if it is not there, or in a
    ///   tile that has not been published yet.
    /// - Complexity: linear in the number of slots, a few nanoseconds each.
    public func lookup(generation: UInt64, position: Int) -> Tile? {
        firstTile(in: position..<position + 1, generation: generation)
    }

    /// The first of `positions` whose frame is still in the ring; nil when none is.
    ///
    /// - Complexity: linear in the number of slots.
    public func firstPosition(in positions: Range<Int>, generation: UInt64) -> Int? {
        guard let tile = firstTile(in: positions, generation: generation) else { return nil }
        defer { release(tile) }
        return max(tile.firstPosition, positions.lowerBound)
    }

    /// The tile, held for the caller, that has the first of `positions` whose frame is in the ring.
    private func firstTile(in positions: Range<Int>, generation: UInt64) -> Tile? {
        let core = core
        var best: Tile?
        for index in 0..<slotCount {
            let slot = core.pointee.slots + index
            let wanted = positions.lowerBound..<(best?.firstPosition ?? positions.upperBound)
            guard slot.pointee.tileCount.load(ordering: .acquiring) > 0,
                slot.pointee.firstPosition.load(ordering: .relaxed) < wanted.upperBound,
                slot.pointee.endPosition.load(ordering: .relaxed) > wanted.lowerBound,
                core.pointee.tryRetain(index)
            else { continue }
            // Held now, so that what the table says stays true.
            let count = Int(slot.pointee.tileCount.load(ordering: .acquiring))
            let tiles = UnsafeBufferPointer(start: core.pointee.tiles + index * core.pointee.tilesPerSlot, count: count)
            let found = tiles.filter { $0.generation == generation && $0.positions.overlaps(positions) }
                .min { $0.firstPosition < $1.firstPosition }
            guard let found, best.map({ found.firstPosition < $0.firstPosition }) ?? true else {
                RingCore.release(slot)
                continue
            }
            if let best { release(best) }
            best = found
            if found.firstPosition <= positions.lowerBound { break }
        }
        return best
    }
}
