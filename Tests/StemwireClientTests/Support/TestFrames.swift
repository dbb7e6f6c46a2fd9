import StemwireProtocol
import ZeroMQ

@testable import StemwireClient

/// Frames that say where they belong: every pixel of position *p* is *p* · 8 plus its index, as big-endian U16.
enum TestFrames {
    static let prefixBytes = 15
    static let dataOffset = 384
    static let height = 2
    static let width = 4
    static var pixelBytes: Int { height * width * 2 }
    static var stride: Int { prefixBytes + dataOffset + pixelBytes }

    static var format: WireFrameFormat {
        var format = WireFrameFormat()
        format.pixelType = "U16"
        format.counterDepth = 12
        format.layout = "1x1"
        format.headerWidth = UInt32(width)
        format.headerHeight = UInt32(height)
        format.chipCount = 1
        format.dataOffset = UInt32(dataOffset)
        format.payloadBytes = UInt64(pixelBytes)
        format.sigShape = [UInt32(height), UInt32(width)]
        format.dtype = "uint16"
        return format
    }

    static func pixels(at position: Int) -> [UInt16] {
        (0..<height * width).map { UInt16(truncatingIfNeeded: position * 8 + $0) }
    }

    static func payload(_ positions: Range<Int>) -> [UInt8] {
        var bytes: [UInt8] = []
        for position in positions {
            bytes += Array("MPX,0000000401,".utf8)
            var header = "MQ1,\(digits(position + 1, 6)),00384,01,0004,0002,U16,   1x1,01,2026-11-23 10:00:00.000000,"
            header += "0.001000,0,0,0,1.2E1,"
            bytes += Array(header.utf8) + [UInt8](repeating: 0x20, count: dataOffset - header.utf8.count)
            for pixel in pixels(at: position) { bytes += [UInt8(pixel >> 8), UInt8(pixel & 255)] }
        }
        return bytes
    }

    static func digits(_ number: Int, _ count: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, count - text.count)) + text
    }

    /// A tile's header for `payload(positions)`.
    static func wire(
        _ positions: Range<Int>, of acquisition: TestAcquisition, hasChecksum: Bool = true
    ) -> WireTile {
        var tile = WireTile()
        tile.acquisition = .init(acquisition.id.bytes)
        tile.generation = acquisition.generation
        tile.firstPosition = UInt64(positions.lowerBound)
        tile.count = UInt32(positions.count)
        tile.format = format
        tile.stride = UInt64(stride)
        tile.headerOffset = UInt64(prefixBytes)
        tile.pixelOffset = UInt64(prefixBytes + dataOffset)
        tile.payloadBytes = UInt64(stride * positions.count)
        tile.navShape = acquisition.navShape.map { UInt32($0) }
        if hasChecksum { tile.checksum = payload(positions).withUnsafeBytes(Checksum.xxh3) }
        return tile
    }

    static func tile(
        _ positions: Range<Int>, of acquisition: TestAcquisition, isFetched: Bool = false
    ) throws -> FrameTile {
        try FrameTile(
            wire(positions, of: acquisition, hasChecksum: false), payload: part(payload(positions)),
            decoding: TileDecoding(format), isFetched: isFetched)
    }

    static func part(_ bytes: [UInt8]) -> ReceivedPart { ReceivedPart(Message(copying: bytes)) }
}

/// An acquisition as a fake server has it.
struct TestAcquisition: Sendable {
    var id = AcquisitionUUID.random()
    var generation: UInt64 = 1
    var navShape = [8, 16]
    /// Positions that the detector never sent.
    var missing: [Range<Int>] = []

    var positions: Int { navShape.reduce(1, *) }
    var placed: Int { positions - missing.reduce(0) { $0 + $1.count } }

    var wireStart: WireStart {
        var start = WireStart()
        start.acquisition = .init(id.bytes)
        start.generation = generation
        start.navShape = navShape.map { UInt32($0) }
        start.framesExpected = UInt64(positions)
        start.format = TestFrames.format
        start.framesPerPartition = 32
        start.acquisitionHeader = .init(Array("HDR,test".utf8))
        start.startedAt = 1_700_000_000_000_000_000
        return start
    }

    var wireAccounting: WireAccounting {
        var accounting = WireAccounting()
        accounting.expected = UInt64(positions)
        accounting.placed = UInt64(placed)
        accounting.missing = UInt64(positions - placed)
        accounting.missingRanges = missing.map { range in
            var wire = WirePositionRange()
            wire.first = UInt64(range.lowerBound)
            wire.count = UInt64(range.count)
            return wire
        }
        return accounting
    }

    func wireEnd(_ reason: String = "complete") -> WireEnd {
        var end = WireEnd()
        end.acquisition = .init(id.bytes)
        end.generation = generation
        end.reason = reason
        end.accounting = wireAccounting
        end.navShape = navShape.map { UInt32($0) }
        end.seconds = 1.5
        return end
    }

    var wireStatus: WireAcquisitionStatus {
        var status = WireAcquisitionStatus()
        status.acquisition = .init(id.bytes)
        status.generation = generation
        status.accounting = wireAccounting
        status.navShape = navShape.map { UInt32($0) }
        return status
    }

    func start() throws -> AcquisitionStart { try AcquisitionStart(wireStart) }
    func end(_ reason: String = "complete") throws -> AcquisitionEnd { try AcquisitionEnd(wireEnd(reason)) }
}

/// Results as a fake server has them: one UInt64 a position, the version in each.
struct TestResult: Sendable {
    var run = "r1"
    var udf = "sum"
    var channel = "intensity"
    var version: UInt64 = 1
    var isFinal = false

    func wire(of acquisition: TestAcquisition) -> WireUpdate {
        var update = WireUpdate()
        update.acquisition = .init(acquisition.id.bytes)
        update.generation = acquisition.generation
        update.run = run
        update.udf = udf
        update.channel = channel
        update.version = version
        update.kind = "nav"
        update.dtype = "uint64"
        update.shape = acquisition.navShape.map { UInt32($0) }
        update.navShape = update.shape
        update.sigShape = [2, 4]
        update.positionsProcessed = UInt64(acquisition.positions)
        update.positionsExpected = UInt64(acquisition.positions)
        update.final = isFinal
        update.checksum = array(of: acquisition).withUnsafeBytes(Checksum.xxh3)
        update.maskChecksum = mask(of: acquisition).withUnsafeBytes(Checksum.xxh3)
        return update
    }

    func array(of acquisition: TestAcquisition) -> [UInt8] {
        (0..<acquisition.positions).flatMap { _ in withUnsafeBytes(of: version.littleEndian) { Array($0) } }
    }

    func mask(of acquisition: TestAcquisition) -> [UInt8] {
        [UInt8](repeating: 0xFF, count: (acquisition.positions + 7) / 8)
    }

    func update(of acquisition: TestAcquisition) throws -> ChannelUpdate {
        try ChannelUpdate(
            wire(of: acquisition), array: TestFrames.part(array(of: acquisition)),
            mask: TestFrames.part(mask(of: acquisition)), verifiesChecksums: true)
    }
}
