import MerlinProtocol
import Testing

@testable import StemwireAcquisition

/// A ring with its writer, for tiles of frames that tell their generation and position in the words at their two ends.
final class TileMaker {
    static let dataOffset = 8
    let ring: FrameRing
    let writer: RingWriter

    init(slots: Int, slotBytes: Int = 16 << 10) throws {
        ring = try FrameRing(.init(totalBytes: slots * slotBytes, slotBytes: slotBytes))
        writer = ring.makeWriter()
    }

    /// A tile in a slot of its own, held once; nil when the ring is full.
    func tile(_ positions: Range<Int>, generation: UInt64 = 1, partition: Int = 0, frameBytes: Int = 100) -> Tile? {
        guard let slot = writer.takeSlot() else { return nil }
        defer { writer.close(slot) }
        let memory = writer.memory(slot)
        let stride = frameBytes + Tile.prefixBytes
        precondition(positions.count * stride <= memory.count)
        let tile = Tile(
            generation: generation, firstPosition: positions.lowerBound, count: positions.count, partition: partition,
            stride: stride, dataOffset: Self.dataOffset, holder: writer.holder(slot),
            firstHeader: UnsafeRawPointer(memory.baseAddress! + Tile.prefixBytes))
        for position in positions {
            let header = memory.baseAddress! + (position - positions.lowerBound) * stride + Tile.prefixBytes
            for word in [0, frameBytes / 8 - 1] {
                header.storeBytes(
                    of: Self.word(generation, position, word), toByteOffset: 8 * word, as: UInt64.self)
            }
        }
        writer.publish(tile, holders: 1)
        return tile
    }

    private static func word(_ generation: UInt64, _ position: Int, _ word: Int) -> UInt64 {
        generation &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(position) &* 1_000_003 &+ UInt64(word)
    }

    /// Whether the bytes of a tile are still those of its positions.
    static func isSound(_ tile: Tile) -> Bool {
        (0..<tile.count).allSatisfy { frame in
            let bytes = tile.message(frame)
            return [0, bytes.count / 8 - 1].allSatisfy { word in
                bytes.loadUnaligned(fromByteOffset: 8 * word, as: UInt64.self)
                    == Self.word(tile.generation, tile.firstPosition + frame, word)
            }
        }
    }

    static func start(_ generation: UInt64, positions: Int, framesPerPartition: Int) throws -> AcquisitionEvent {
        let format = try TestFrames.body(1).withUnsafeBytes { body in
            try FrameFormat(header: body, payloadBytes: TestFrames.payloadBytes, acquisitionDepth: nil)
        }
        let geometry = try ScanGeometry(navShape: NavShape([positions]))
        return .started(
            AcquisitionDescription(
                id: .random(), generation: generation,
                scan: ResolvedScan(geometry: geometry, rule: .argument, frameCount: positions), format: format,
                framesPerPartition: framesPerPartition, header: nil, firstSequenceNumber: 1, startedAt: 0))
    }

    static func end(_ generation: UInt64) -> AcquisitionEvent {
        .ended(
            AcquisitionSummary(
                id: .random(), generation: generation, reason: .complete, accounting: Accounting(), hasStarted: true,
                duration: .zero))
    }
}
