import MerlinProtocol
import StemwireSystem

/// Who reads the pixels of frames that are in a file or in memory.
public enum PixelReading: Sendable, Hashable {
    /// The source, into the ring: a tile is complete when it is handed on.
    case bySource
    /// The consumer that works on a tile, on its own thread, by a `TileReader`. Several threads then read at the same time,
    /// each into memory that it has in its cache. Frames are small enough to be read by the source in any case, at times:
    /// `AcquisitionDescription.unread` tells.
    case byConsumers

    /// Frames with fewer bytes of pixels cost less to read than to note down for later.
    static let leastBytes = 32 << 10
    private static let mostFramesInSlot = 128
    private static let (fewestFrames, mostFrames) = (1024, 8192)
    private static let (fewestSlots, mostBytes) = (16, 4 << 30)

    /// A ring that suits frames that consumers read: for so many that each consumer has a partition to work on, in slots
    /// that make large tiles. It takes little of the memory it reserves, since nothing between the headers is touched.
    ///
    /// - Parameters:
    ///   - framesPerPartition: nil: usual ones.
    ///   - consumers: the threads that share the partitions.
    /// - Returns: nil for frames so small that the source reads them.
    public static func ring(
        format: FrameFormat, framesPerPartition: Int?, consumers: Int
    ) -> FrameRing.Configuration? {
        ring(
            messageBytes: format.messageBytes, payloadBytes: format.payloadBytes,
            framesPerPartition: framesPerPartition, consumers: consumers)
    }

    static func ring(
        messageBytes: Int, payloadBytes: Int, framesPerPartition: Int?, consumers: Int
    ) -> FrameRing.Configuration? {
        guard payloadBytes >= leastBytes else { return nil }
        let stride = messageBytes + Tile.prefixBytes
        // Two partitions more, so that the next ones are there when one is done.
        let partitions = (consumers + 2).multipliedReportingOverflow(by: framesPerPartition ?? 512)
        let wanted = partitions.overflow ? mostFrames : max(fewestFrames, min(partitions.partialValue, mostFrames))
        let framesInSlot = max(1, min(mostFramesInSlot, mostBytes / fewestSlots / stride))
        let slots = max(FrameRing.minimumSlots, min(wanted, mostBytes / stride) / framesInSlot)
        // The prefix of the frame behind, and one moved from the slot before.
        let slotBytes = framesInSlot * stride + 2 * Tile.prefixBytes
        return FrameRing.Configuration(totalBytes: slots * (slotBytes + 4096), slotBytes: slotBytes)
    }
}

/// Frames whose places are known, but whose pixels are still where they come from.
///
/// A tile of such frames has their headers. In the place of the pixels of each is its index in the source.
public final class UnreadFrames: Sendable {
    /// Writes frames of the source, header and pixels of each, to places that are `stride` bytes apart.
    typealias Read = (_ frames: Range<Int>, _ first: UnsafeMutableRawPointer, _ stride: Int) throws -> Void

    let messageBytes: Int
    /// Makes what one thread reads with.
    let makeRead: @Sendable () -> Read
    private let firstFailure = Locked<(any Error)?>(nil)

    init(messageBytes: Int, makeRead: @escaping @Sendable () -> Read) {
        self.messageBytes = messageBytes
        self.makeRead = makeRead
    }

    /// Why frames could not be read, if one of the consumers could not.
    public var failure: (any Error)? { firstFailure.value }

    func check() throws {
        if let failure { throw failure }
    }

    func failed(_ error: any Error) { firstFailure.withLock { $0 = $0 ?? error } }

    static func mark(_ pixels: UnsafeMutableRawBufferPointer, with index: Int) {
        pixels.storeBytes(of: index, as: Int.self)
    }

    static func index(of frame: Int, in tile: Tile) -> Int {
        (tile.firstPixel + frame * tile.stride).loadUnaligned(as: Int.self)
    }
}

/// Reads the pixels of tiles that came without them, into memory of its own. For one thread.
public final class TileReader {
    /// What is read at once: little enough to be still in the processor's own cache when it is worked on.
    private static let usualBytes = 9 << 18

    private let frames: UnreadFrames
    private let read: UnreadFrames.Read
    private let capacity: Int
    private let stride: Int
    private let memory: UnsafeMutableRawPointer

    public init(_ frames: UnreadFrames) {
        self.frames = frames
        read = frames.makeRead()
        stride = frames.messageBytes + Tile.prefixBytes
        // A power of two, at borders of which tiles are cut as the work on them is.
        var capacity = 1
        while 2 * capacity * stride <= Self.usualBytes { capacity *= 2 }
        self.capacity = capacity
        memory = .allocate(byteCount: capacity * stride, alignment: 4096)
        let prefix = MPXPrefix.encoded(bodyBytes: frames.messageBytes)
        for index in 0..<capacity { (memory + index * stride).copyMemory(from: prefix, byteCount: prefix.count) }
    }

    deinit { memory.deallocate() }

    /// Reads a tile part by part. Each part is good until `body` returns, and must not be retained or released.
    ///
    /// When frames cannot be read, the source is told, and the rest of the tile is left out.
    public func forEachPart(of tile: Tile, _ body: (Tile) -> Void) {
        var rest = tile.positions
        while let first = rest.first {
            var end = min(rest.upperBound, (first / capacity + 1) * capacity)
            let source = UnreadFrames.index(of: first - tile.firstPosition, in: tile)
            // They lie in the source as they do in the tile, but for frames that were left out between them.
            let isNext = { UnreadFrames.index(of: $0 - tile.firstPosition, in: tile) == source + $0 - first }
            end = (first + 1..<end).first { !isNext($0) } ?? end
            do {
                try read(source..<source + end - first, memory + Tile.prefixBytes, stride)
            } catch {
                return frames.failed(error)
            }
            body(
                Tile(
                    generation: tile.generation, firstPosition: first, count: end - first, partition: tile.partition,
                    stride: stride, dataOffset: tile.dataOffset, holder: tile.holder,
                    firstHeader: UnsafeRawPointer(memory) + Tile.prefixBytes))
            rest = end..<rest.upperBound
        }
    }
}
