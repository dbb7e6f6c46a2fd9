import MerlinProtocol
import StemwireClient
import StemwireKernels
import StemwireProtocol
import StemwireUDF

@testable import StemwireWorker

/// A scan as a server has it: big-endian U16 frames of 3 × 4 pixels that look random and say where they belong.
struct TestScan: Sendable {
    var id = AcquisitionUUID.random()
    var navShape = [6, 10]
    var framesPerPartition = 8
    /// Positions that the detector never sent.
    var missing: Set<Int> = []

    static let prefixBytes = 15
    static let dataOffset = 384
    static let sigShape = SigShape(height: 3, width: 4)
    static let pixelBytes = 24
    static let stride = prefixBytes + dataOffset + pixelBytes

    var positionCount: Int { navShape.reduce(1, *) }

    static var format: WireFrameFormat {
        var format = WireFrameFormat()
        format.pixelType = "U16"
        format.counterDepth = 12
        format.layout = "1x1"
        format.headerWidth = 4
        format.headerHeight = 3
        format.chipCount = 1
        format.dataOffset = UInt32(dataOffset)
        format.payloadBytes = UInt64(pixelBytes)
        format.sigShape = [3, 4]
        format.dtype = "uint16"
        return format
    }

    static func pixels(at position: Int) -> [UInt16] {
        (0..<12).map { UInt16(truncatingIfNeeded: (position &* 7919 &+ $0 &* 104_729) % 4093) }
    }

    /// Frame messages as the detector sends them, one right behind the other.
    static func payload(_ positions: Range<Int>) -> [UInt8] {
        var bytes: [UInt8] = []
        for position in positions {
            let number = String(position + 1)
            let padded = String(repeating: "0", count: 6 - number.count) + number
            var header = "MQ1,\(padded),00384,01,0004,0003,U16,   1x1,01,2026-11-23 10:00:00.000000,"
            header += "0.001000,0,0,0,1.2E1,"
            bytes += Array("MPX,0000000409,".utf8) + Array(header.utf8)
            bytes += [UInt8](repeating: 0x20, count: dataOffset - header.utf8.count)
            for pixel in pixels(at: position) { bytes += [UInt8(pixel >> 8), UInt8(pixel & 255)] }
        }
        return bytes
    }

    func tile(_ positions: Range<Int>) -> WireTile {
        var tile = WireTile()
        tile.acquisition = .init(id.bytes)
        tile.generation = 1
        tile.firstPosition = UInt64(positions.lowerBound)
        tile.count = UInt32(positions.count)
        tile.partition = UInt32(positions.lowerBound / framesPerPartition)
        tile.format = Self.format
        tile.stride = UInt64(Self.stride)
        tile.headerOffset = UInt64(Self.prefixBytes)
        tile.pixelOffset = UInt64(Self.prefixBytes + Self.dataOffset)
        tile.payloadBytes = UInt64(Self.stride * positions.count)
        tile.checksum = Self.payload(positions).withUnsafeBytes(Checksum.xxh3)
        tile.navShape = navShape.map { UInt32($0) }
        return tile
    }

    var start: WireStart {
        var start = WireStart()
        start.acquisition = .init(id.bytes)
        start.generation = 1
        start.navShape = navShape.map { UInt32($0) }
        start.framesExpected = UInt64(positionCount)
        start.format = Self.format
        start.framesPerPartition = UInt32(framesPerPartition)
        return start
    }

    func meta(roi: PositionSet? = nil) throws -> UDFMeta {
        try UDFMeta(
            navShape: navShape, sigShape: Self.sigShape, inputDType: .uint16, framesPerPartition: framesPerPartition,
            roi: roi)
    }

    /// The tiles of a partition: stretches of at most `length` frames without a missing one.
    func tiles(of positions: Range<Int>, length: Int) -> [Range<Int>] {
        var tiles: [Range<Int>] = []
        for position in positions where !missing.contains(position) {
            if let last = tiles.last, last.upperBound == position, last.count < length {
                tiles[tiles.count - 1] = last.lowerBound..<position + 1
            } else {
                tiles.append(position..<position + 1)
            }
        }
        return tiles
    }

    /// What one thread without any network makes of the scan.
    func undisturbed(_ plan: RunPlan) throws -> ResultMerger {
        var merger = ResultMerger(plan)
        let lane = try UDFLane(plan, decoder: NativeStackDecoder(dtype: .uint16, sigShape: Self.sigShape))
        for partition in 0..<plan.meta.partitionCount {
            let task = try lane.begin(partition: partition)
            for tile in tiles(of: task.positions, length: 3) {
                let pixels = tile.flatMap { Self.pixels(at: $0) }
                try pixels.withUnsafeBytes { bytes in
                    _ = try task.process(
                        bytes.baseAddress!, stride: Self.pixelBytes, count: tile.count, firstPosition: tile.lowerBound)
                }
            }
            try merger.merge(task.finish())
        }
        return merger
    }
}
