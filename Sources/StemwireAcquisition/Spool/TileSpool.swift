import Glibc
import StemwireSystem
import Synchronization

/// The second memory for frames: a bounded file, behind the ring. What lies there is out of the receiver's way.
///
/// Tiles are copied in and held like those of a ring: the same calls release, retain and send them. The file is cut into
/// chunks of one size, filled one tile behind the other; a chunk is free again when all its tiles have been released, in
/// whatever order. So storing and releasing take a fixed number of steps, releasing needs no lock and may be done by a
/// message queue's thread, and free space cannot be split into pieces too small for use; what that costs is that one held
/// tile keeps its chunk. Consecutive tiles, which are done with at about the same time, share one.
public final class TileSpool: Sendable {
    /// The chunks of a spool that is large enough to have many.
    static let usualChunkBytes = 8 << 20
    private static let fewestChunks = 16

    // Reached from all threads; its parts are atomics.
    nonisolated(unsafe) private let core: UnsafeMutablePointer<RingCore>
    private let file: SpoolFile
    private let filling = Locked<Filling?>(nil)
    private let firstFailure = Locked<SpoolError?>(nil)

    /// The chunk that the next tile goes to.
    private struct Filling {
        let chunk: Int
        var usedBytes: Int
    }

    /// Makes the file and reserves all of its space; it has no name any more when this returns.
    ///
    /// - Parameters:
    ///   - bytes: the size of the file, at least a page.
    ///   - directory: where; nil: the temporary directory (`TMPDIR`, or the system's for large files).
    /// - Throws: `SpoolError` when the directory cannot be written to, or has not so much space.
    public convenience init(bytes: Int, directory: String? = nil) throws(SpoolError) {
        try self.init(bytes: bytes, directory: directory, chunkBytes: Self.usualChunkBytes)
    }

    init(bytes: Int, directory: String?, chunkBytes: Int) throws(SpoolError) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let pages = max(1, bytes / page)
        let chunk = max(1, min(chunkBytes / page, pages / Self.fewestChunks)) * page
        file = try SpoolFile(bytes: pages * page, directory: directory)
        core = RingCore.make(
            slotBytes: chunk, slotCount: file.byteCount / chunk, tilesPerSlot: 0, isSpool: true,
            slab: try file.mapped(), slabBytes: file.byteCount)
    }

    deinit {
        endFilling()
        RingCore.destroy(core)
    }

    /// Bytes of the file.
    public var bytesTotal: Int { core.pointee.slabBytes }

    /// Bytes of the chunks in use. A glance while the spool is.
    public var bytesUsed: Int {
        let chunks = core.pointee.slotCount.load(ordering: .relaxed)
        return (chunks - max(0, core.pointee.freeCount.load(ordering: .acquiring)))
            * core.pointee.slotBytes.load(ordering: .relaxed)
    }

    /// Why a tile could not be written, the first time that happened.
    public var failure: SpoolError? { firstFailure.value }

    /// Copies a tile that the caller holds.
    ///
    /// Any thread; the bytes are written outside all locks.
    ///
    /// - Returns: The same tile in the spool, held once for the caller; nil when there is no room for it, or it cannot be
    ///   written: see `failure`. The hold on the old one is not touched.
    public func store(_ tile: Tile) -> Tile? {
        let bytes = tile.bytes
        guard let (holder, offset) = reserve(bytes.count) else { return nil }
        do throws(SpoolError) {
            try file.write(bytes, at: offset)
        } catch {
            firstFailure.withLock { $0 = $0 ?? error }
            RingCore.release(holder)
            return nil
        }
        return Tile(
            generation: tile.generation, firstPosition: tile.firstPosition, count: tile.count,
            partition: tile.partition, stride: tile.stride, dataOffset: tile.dataOffset, holder: holder,
            firstHeader: UnsafeRawPointer(core.pointee.slab) + offset + Tile.prefixBytes)
    }

    /// Gives up the hold on a tile's chunk. Any thread, never blocks.
    public func release(_ tile: Tile) { tile.release() }

    /// Adds a hold on the chunk of a tile that the caller holds.
    public func retain(_ tile: Tile) { tile.retain() }

    // MARK: Room

    /// A chunk with a hold more, and where in the file there is room in it.
    private func reserve(_ count: Int) -> (UnsafeMutablePointer<RingSlot>, offset: Int)? {
        filling.withLock { filling in
            if let open = filling, core.pointee.slots[open.chunk].references.load(ordering: .acquiring) == 1 {
                // Nobody but the filling holds it, and nobody else can begin to.
                filling?.usedBytes = 0
            }
            if filling.map({ $0.usedBytes + count > chunkBytes }) ?? true {
                close(&filling)
                if count > chunkBytes { recut(atLeast: count) }
                guard count <= chunkBytes, let chunk = core.pointee.pop() else { return nil }
                core.pointee.slots[Int(chunk)].references.store(1, ordering: .releasing)
                filling = Filling(chunk: Int(chunk), usedBytes: 0)
            }
            guard let open = filling else { return nil }
            let holder = core.pointee.slots + open.chunk
            holder.pointee.references.wrappingAdd(1, ordering: .relaxed)
            filling?.usedBytes += count
            return (holder, open.chunk * chunkBytes + open.usedBytes)
        }
    }

    private var chunkBytes: Int { core.pointee.slotBytes.load(ordering: .relaxed) }

    private func endFilling() { filling.withLock { close(&$0) } }

    private func close(_ filling: inout Filling?) {
        guard let open = filling else { return }
        filling = nil
        RingCore.release(core.pointee.slots + open.chunk)
    }

    /// Makes larger chunks, for larger frames, if nothing is in the spool.
    private func recut(atLeast bytes: Int) {
        let total = core.pointee.slabBytes
        guard bytes <= total,
            core.pointee.freeCount.load(ordering: .acquiring) == core.pointee.slotCount.load(ordering: .relaxed)
        else { return }
        // Several tiles in a chunk, where there is room for some such chunks.
        let chunk = max(bytes, min(4 * bytes, total / Self.fewestChunks))
        core.pointee.slotBytes.store(chunk, ordering: .relaxed)
        core.pointee.slotCount.store(min(total / chunk, core.pointee.capacity), ordering: .relaxed)
        core.pointee.fillFreeList(count: core.pointee.slotCount.load(ordering: .relaxed))
    }
}
