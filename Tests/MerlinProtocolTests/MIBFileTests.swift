import Glibc
import Testing

@testable import MerlinProtocol

@Suite struct MIBFileTests {
    /// U08 frames of 8 × 4 pixels with sequence numbers from `first` on; each pixel of a frame is its number.
    static func frames(_ numbers: ClosedRange<Int>, width: Int = 8, dataOffset: Int = 384) -> [UInt8] {
        numbers.flatMap { number -> [UInt8] in
            let digits = String(number)
            let sequence = String(repeating: "0", count: max(0, 6 - digits.count)) + digits
            let text = "MQ1,\(sequence),00\(dataOffset),01,000\(width),0004,U08,   1x1,01,2024-01-01,0.001,0,0,0,"
            let pixels = Array(repeating: UInt8(truncatingIfNeeded: number), count: 4 * width)
            return Wire.frameBody(text, dataOffset: dataOffset, payload: pixels)
        }
    }

    static let hdr = Array(
        "HDR,\t\r\nFrames in Acquisition (Number):\t9\r\nFrames per Trigger (Number):\t3\r\nEnd\t  ".utf8)

    @Test func framesAndTrailingRest() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("scan.mib", Self.frames(1...5) + [1, 2, 3])
        let file = try MIBFile(path: path)
        #expect(file.frameCount == 5 && file.trailingBytes == 3)
        #expect(file.frameBytes == 384 + 32)
        #expect(file.firstFrame.sequenceNumber == 1)
        #expect(try file.pixels(ofFrame: 4) == Array(repeating: 5, count: 32))
        #expect(try file.header(ofFrame: 3).fields.sequenceNumber == 4)
        #expect(try file.headerBytes(ofFrame: 0).count == 384)
        var both = [UInt8](repeating: 0, count: 2 * file.frameBytes)
        try both.withUnsafeMutableBytes { try file.readFrames(1..<3, into: $0) }
        #expect(both == Self.frames(2...3))
    }

    @Test func errorsNameTheFile() throws {
        let folder = try TemporaryFolder()
        let older = try folder.write("older.mib", HeaderSamples.body(HeaderSamples.olderThanMQ1, dataOffset: 256))
        #expect(throws: MIBError.frameHeader(path: older, .olderThanMQ1)) { try MIBFile(path: older) }
        let empty = try folder.write("empty.mib", [])
        #expect(throws: MIBError.frameHeader(path: empty, .notAFrame)) { try MIBFile(path: empty) }
        let short = try folder.write("short.mib", Array(Self.frames(1...1).dropLast()))
        #expect(throws: MIBError.noWholeFrame(path: short, bytes: 415, frameBytes: 416)) { try MIBFile(path: short) }
        #expect(throws: MIBError.system(path: folder.path + "/no.mib", operation: "open", code: 2)) {
            try MIBFile(path: folder.path + "/no.mib")
        }
        #expect(throws: MIBError.self) { try MIBFile(path: folder.path) }
        #expect(throws: MIBError.fileExtension(path: "scan.txt")) { try MIBFileSet(path: "scan.txt") }
        #expect(throws: MIBError.fileExtension(path: "/")) { try MIBFileSet(path: "/") }
        let text = try folder.write("text.hdr", Array("hello".utf8))
        #expect(throws: MIBError.acquisitionHeader(path: text, .notAHeader)) { try MIBFileSet(path: text) }
        let alone = try folder.write("alone.hdr", Self.hdr)
        #expect(throws: MIBError.noFrames(path: alone)) { try MIBFileSet(path: alone) }
        #expect("\(MIBError.noFrames(path: alone))".contains("alone.hdr"))
    }

    @Test func aSetInOrderOfSequenceNumbers() throws {
        let folder = try TemporaryFolder()
        let header = try folder.write("scan.hdr", Self.hdr)
        try folder.write("scan1.mib", Self.frames(4...6))
        try folder.write("scan2.mib", Self.frames(1...3))
        try folder.write("scan10.mib", Self.frames(7...9) + [0])
        try folder.write("scanner.mib", Self.frames(1...3))
        try folder.write("notes.txt", [1])
        for path in [header, folder.path + "/scan10.mib"] {
            let set = try MIBFileSet(path: path)
            let names = ["scan2.mib", "scan1.mib", "scan10.mib"]
            #expect(set.members.map { $0.path } == names.map { folder.path + "/" + $0 })
            #expect(set.members.map { $0.firstSequenceNumber } == [1, 4, 7])
            #expect(set.frameCount == 9)
            #expect(set.acquisitionHeader?.framesInAcquisition == 9)
            #expect(set.warnings.count == 1 && set.ignored.isEmpty)
            let reader = MIBReader(set)
            for index in 0..<9 { #expect(try reader.pixels(ofFrame: index).first == UInt8(index + 1)) }
            #expect(try reader.pixels(ofFrame: 0).first == 1)
            var all = [UInt8](repeating: 0, count: 7 * set.format.messageBytes)
            try all.withUnsafeMutableBytes { try reader.readFrames(1..<8, into: $0) }
            #expect(all == Self.frames(2...8))
        }
        let alone = try MIBFileSet(path: folder.path + "/scan10.mib", onlyNamedFile: true)
        #expect(alone.frameCount == 3 && alone.members.count == 1)
    }

    @Test func aNumberedSetWithSeparator() throws {
        let folder = try TemporaryFolder()
        let header = try folder.write("a_scan.hdr", Self.hdr)
        try folder.write("a_scan_001.mib", Self.frames(1...3))
        try folder.write("a_scan_002.mib", Self.frames(4...6))
        try folder.write("a_scan_b.mib", Self.frames(7...9))
        #expect(try MIBFileSet(path: header).frameCount == 6)
        let set = try MIBFileSet(path: folder.path + "/a_scan_002.mib")
        #expect(set.frameCount == 6)
        #expect(set.acquisitionHeader != nil)
    }

    @Test func aHeaderTakesWhatBeginsWithItsNameIfThereIsNothingCloser() throws {
        let folder = try TemporaryFolder()
        let header = try folder.write("scan.hdr", Self.hdr)
        try folder.write("scan_data.mib", Self.frames(1...3))
        try folder.write("other.mib", Self.frames(4...6))
        #expect(try MIBFileSet(path: header).frameCount == 3)
    }

    @Test func filesOfOtherAcquisitionsAreLeftOut() throws {
        let folder = try TemporaryFolder()
        let named = try folder.write("x2.mib", Self.frames(1...3))
        try folder.write("x1.mib", Self.frames(2...4))
        try folder.write("x3.mib", Self.frames(4...5, width: 4))
        try folder.write("x4.mib", Self.frames(4...6))
        try folder.write("x5.mib", [])
        let set = try MIBFileSet(path: named)
        #expect(set.members.map { $0.firstSequenceNumber } == [1, 4])
        #expect(set.ignored.map { String($0.path.suffix(6)) }.sorted() == ["x1.mib", "x3.mib", "x5.mib"])
        #expect(set.warnings.count == 3)
    }

    @Test func synchronisationOffset() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("scan.mib", Self.frames(1...5))
        let skipped = try MIBFileSet(path: path, synchronisationOffset: 2)
        #expect(skipped.frameCount == 3)
        #expect(try MIBReader(skipped).pixels(ofFrame: 0).first == 3)
        let blank = try MIBFileSet(path: path, synchronisationOffset: -2)
        #expect(blank.frameCount == 7)
        let reader = MIBReader(blank)
        #expect(blank.location(ofFrame: 1) == nil)
        #expect(try reader.pixels(ofFrame: 1) == Array(repeating: 0, count: 32))
        #expect(try reader.pixels(ofFrame: 2).first == 1)
        var frames = [UInt8](repeating: 9, count: 3 * 416)
        try frames.withUnsafeMutableBytes { try reader.readFrames(0..<3, into: $0) }
        #expect(frames[0] == UInt8(ascii: "M") && frames[384..<416].allSatisfy { $0 == 0 })
        #expect(Array(frames[832...]) == Self.frames(1...1))
        for offset in [5, 6, Int.min, Int.max] {
            #expect(throws: MIBError.synchronisationOffset(offset, frames: 5)) {
                try MIBFileSet(path: path, synchronisationOffset: offset)
            }
        }
    }

    @Test func frameSizesThatTheHeaderLeavesOpen() throws {
        let folder = try TemporaryFolder()
        // U01, packed and not.
        for (name, bytes) in [("packed", 2), ("bytes", 16)] {
            let text = "MQ1,000001,00384,01,0008,0002,U01,   1x1,01,2024-01-01,"
            let frame = Wire.frameBody(text, dataOffset: 384, payload: Array(repeating: 1, count: bytes))
            let file = try MIBFile(path: folder.write("\(name).mib", frame + frame + frame))
            #expect(file.frameCount == 3 && file.format.payloadBytes == bytes)
        }
        // R64 without counter depth.
        for (depth, bytes) in [(1, 32), (6, 256), (12, 512)] {
            let text = "MQ1,000001,00384,01,0256,0001,R64,   1x1,01,2024-01-01,"
            let frame = Wire.frameBody(text, dataOffset: 384, payload: Array(repeating: 1, count: bytes))
            let path = try folder.write("raw-\(depth).mib", frame + frame)
            let file = try MIBFile(path: path)
            #expect(file.frameCount == 2 && file.format.counterDepth?.rawValue == depth)
            #expect(try MIBFile(path: path, acquisitionDepth: .six).format.counterDepth == .six)
        }
    }

    @Test func aPipeIsRefused() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/pipe.mib"
        try #require(mkfifo(path, 0o600) == 0)
        #expect(throws: MIBError.self) { try MIBFile(path: path) }
    }
}
