import Synchronization

/// A stack of consecutive frames of one partition, in the memory of a ring or a spool, as the detector sent them.
///
/// Each frame is its MPX prefix (15 bytes), header (`dataOffset` bytes) and pixels; the next one begins `stride` bytes
/// later. The memory stays as it is while the tile's slot is held: see `release()`. Nothing checks that it is.
public struct Tile: @unchecked Sendable {
    // Unchecked for the pointer: its memory is written before the tile is published and not while the slot is held.

    /// The acquisition's generation.
    public let generation: UInt64
    /// The scan position of the first frame; the others follow.
    public let firstPosition: Int
    /// Number of frames, at least 1.
    public let count: Int
    /// The partition that all frames belong to.
    public let partition: Int
    /// Bytes from one frame to the next: 15 + header + pixels.
    public let stride: Int
    /// Bytes from a frame's header to its pixels.
    public let dataOffset: Int
    /// The slot that holds the frames: the address of its counters, whether it belongs to a ring or a spool.
    let holder: UnsafeMutablePointer<RingSlot>
    /// The first frame's header (`MQ1`); its MPX prefix lies 15 bytes before.
    public let firstHeader: UnsafeRawPointer

    /// Bytes of the MPX prefix before each header.
    public static let prefixBytes = 15

    init(
        generation: UInt64, firstPosition: Int, count: Int, partition: Int, stride: Int, dataOffset: Int,
        holder: UnsafeMutablePointer<RingSlot>, firstHeader: UnsafeRawPointer
    ) {
        self.generation = generation
        self.firstPosition = firstPosition
        self.count = count
        self.partition = partition
        self.stride = stride
        self.dataOffset = dataOffset
        self.holder = holder
        self.firstHeader = firstHeader
    }

    /// The positions of the frames.
    @inlinable
    public var positions: Range<Int> { firstPosition..<firstPosition + count }

    /// All bytes, from the first frame's MPX prefix to the last frame's last pixel: `count * stride`.
    @inlinable
    public var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: firstHeader - Tile.prefixBytes, count: count * stride)
    }

    /// The first pixel of the first frame; that of frame `i` lies `i * stride` bytes later.
    @inlinable
    public var firstPixel: UnsafeRawPointer { firstHeader + dataOffset }

    /// Header and pixels of frame `index` (0 ..< count), without the MPX prefix.
    @inlinable
    public func message(_ index: Int) -> UnsafeRawBufferPointer {
        precondition(index >= 0 && index < count, "the tile has \(count) frames")
        return UnsafeRawBufferPointer(start: firstHeader + index * stride, count: stride - Tile.prefixBytes)
    }

    /// The pixels of frame `index` (0 ..< count) as sent.
    @inlinable
    public func payload(_ index: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: message(index)[dataOffset...])
    }

    /// Part of the tile: the frames at `positions`, which must lie in it. Shares the tile's hold on the slot.
    public func part(_ positions: Range<Int>) -> Tile {
        precondition(
            !positions.isEmpty && positions.clamped(to: self.positions) == positions,
            "positions \(positions) do not lie in the tile's \(self.positions)")
        return Tile(
            generation: generation, firstPosition: positions.lowerBound, count: positions.count, partition: partition,
            stride: stride, dataOffset: dataOffset, holder: holder,
            firstHeader: firstHeader + (positions.lowerBound - firstPosition) * stride)
    }

    /// The tile with so many more frames, which must lie right behind it.
    func extended(by frames: Int) -> Tile {
        Tile(
            generation: generation, firstPosition: firstPosition, count: count + frames, partition: partition,
            stride: stride, dataOffset: dataOffset, holder: holder, firstHeader: firstHeader)
    }

    // MARK: Holding and releasing

    /// The index of the slot in its ring or spool.
    public var slot: Int { Int(holder.pointee.index) }

    /// Whether the frames lie in a spool, and not in a ring.
    public var isSpooled: Bool { holder.pointee.core.pointee.isSpool }

    /// Gives up one hold on the tile's slot. Any thread, never blocks, takes no lock.
    public func release() { RingCore.release(holder) }

    /// Adds a hold on the slot of a tile that the caller holds. Any thread, never blocks.
    public func retain() {
        let before = holder.pointee.references.wrappingAdd(1, ordering: .relaxed).oldValue
        precondition(before > 0, "a tile that nobody holds cannot be retained")
    }

    /// The pointer that `FrameRing.releaseCallback` takes to give up the hold on the tile's slot. It stays valid while
    /// the tile is held, even if ring or spool goes first.
    public var releaseHint: UnsafeMutableRawPointer { UnsafeMutableRawPointer(holder) }
}
