import MerlinProtocol
import Testing

@testable import MerlinSimulator

@Suite struct HeaderTextTests {
    private let single = try! DetectorFormat(
        layout: .single, sigShape: SigShape(height: 256, width: 256), counterDepth: .twelve, pixelType: .u16)
    private let quad = try! DetectorFormat(
        layout: .quadWithGap, sigShape: SigShape(height: 514, width: 514), counterDepth: .six, pixelType: .r64)
    /// 2021-04-15 14:03:32.852759401 UTC, an hour earlier than local time.
    private let time = CivilTime(nanoseconds: 1_618_495_412_852_759_401, localOffset: 3600)

    private func header(_ text: FrameHeaderText, number: UInt64) -> [UInt8] {
        let template = text.template()
        var bytes = [UInt8](repeating: 0xEE, count: template.bytes.count)
        bytes.withUnsafeMutableBytes { template.write(sequenceNumber: number, time: time, into: $0) }
        return bytes
    }

    @Test func singleHeaderIsARealOnesTwin() throws {
        let bytes = header(FrameHeaderText(single), number: 1)
        let expected =
            "MQ1,000001,00384,01,0256,0256,U16,   1x1,01,2021-04-15 15:03:32.852759,0.001000,0,0,0,"
            + "2.000000E+0,5.110000E+2,0.000000E+0,0.000000E+0,0.000000E+0,0.000000E+0,0.000000E+0,0.000000E+0,3RX,"
            + "011,511,000,000,000,000,000,000,175,010,200,125,100,100,093,100,099,030,128,004,255,140,128,191,179,511,"
            + "511,MQ1A,2021-04-15T14:03:32.852759401Z,1000000ns,12,"
        #expect(bytes.count == 384)
        #expect(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) == expected)
        #expect(bytes[294..<298].elementsEqual("MQ1A".utf8))
        #expect(bytes.dropFirst(expected.utf8.count).allSatisfy { $0 == 0 })
    }

    @Test func quadHeaderHasFourChipsAndTheRawGeometry() throws {
        let bytes = header(FrameHeaderText(quad), number: 42)
        #expect(bytes.count == 768)
        #expect(bytes.starts(with: "MQ1,000042,00768,04,1024,0256,R64,  2x2G,0F,".utf8))
        #expect(bytes[630..<634].elementsEqual("MQ1A".utf8))
        let parsed = try bytes.withUnsafeBytes { try FrameHeader.parse($0) }
        #expect(parsed.fields.sequenceNumber == 42)
        #expect(parsed.chips.count == 4)
        #expect(parsed.extended?.counterDepth == .six)
    }

    @Test func oldSoftwareLeavesChipSettingsAndExtensionOut() throws {
        var text = FrameHeaderText(single)
        text.hasChipSettings = false
        #expect(String(decoding: header(text, number: 1), as: UTF8.self).contains(",0,0,0,,MQ1A,2021"))
        text.hasExtension = false
        let bytes = header(text, number: 1)
        #expect(try bytes.withUnsafeBytes { try FrameHeader.parse($0) }.extended == nil)
    }

    /// A6: a seventh digit moves the text and leaves data offset and size alone.
    @Test(arguments: [1, 999_999, 1_000_000, 12_345_678, 4_294_967_296] as [UInt64])
    func numbersOfAnyWidthKeepTheSize(number: UInt64) throws {
        let reference = header(FrameHeaderText(single), number: 1)
        var bytes = reference
        let renumbered = bytes.withUnsafeMutableBytes { FrameHeaderText.renumber($0, to: number) }
        #expect(renumbered)
        #expect(bytes == header(FrameHeaderText(single), number: number))
        let fields = try bytes.withUnsafeBytes { try FrameHeaderFields.parse($0) }
        #expect(fields.sequenceNumber == number)
        #expect(fields.dataOffset == 384)
        #expect(fields.sequenceDigits == max(6, String(number).count))
        #expect(bytes.withUnsafeMutableBytes { FrameHeaderText.renumber($0, to: 1) })
        #expect(bytes == reference)
    }

    @Test func headersWithoutRoomAreLeftAlone() {
        let text = "MQ1,000001,00044,01,0016,0016,U08,   1x1,01\n"
        var bytes = Array(text.utf8)
        #expect(bytes.withUnsafeMutableBytes { FrameHeaderText.renumber($0, to: 999_999) })
        #expect(!bytes.withUnsafeMutableBytes { FrameHeaderText.renumber($0, to: 1_000_000) })
        #expect(String(decoding: bytes, as: UTF8.self) == text.replacing("000001", with: "999999"))
        var junk = Array("HDR,".utf8)
        #expect(!junk.withUnsafeMutableBytes { FrameHeaderText.renumber($0, to: 1) })
    }

    @Test func acquisitionHeaderIsAsLongAsARealOne() throws {
        for format in [single, quad] {
            var text = AcquisitionHeaderText(format: format, frames: 16384, framesPerTrigger: 128, time: time)
            text.scan = (64, 256)
            let bytes = text.encoded()
            #expect(bytes.count == 2048)
            let start = "HDR,\t\r\nTime and Date Stamp (day, mnth, yr, hr, min, s):\t15/04/2021 15:03:32\r\n"
            #expect(bytes.starts(with: start.utf8))
            let parsed = try bytes.withUnsafeBytes { try AcquisitionHeader.parse($0) }
            #expect(parsed.framesInAcquisition == 16384)
            #expect(parsed.framesPerTrigger == 128)
            #expect(parsed.scanX == 256)
            #expect(parsed.scanY == 64)
            #expect(parsed.counterDepth == format.counterDepth)
            #expect(parsed.sensorLayout == format.layout)
            #expect(parsed.warnings.isEmpty)
        }
    }

    @Test func recordedValuesAreReplacedWithinTheSize() throws {
        let text = AcquisitionHeaderText(format: single, frames: 9, framesPerTrigger: 1, time: time)
        let bytes = text.encoded()
        let changed = AcquisitionHeaderText.replacing("Frames in Acquisition", with: "1048576", in: bytes)
        #expect(changed.count == 2048)
        let parsed = try changed.withUnsafeBytes { try AcquisitionHeader.parse($0) }
        #expect(parsed.framesInAcquisition == 1_048_576)
        #expect(parsed.framesPerTrigger == 1)
        #expect(AcquisitionHeaderText.replacing("Frames in Acquisition", with: "9", in: changed) == bytes)
        #expect(AcquisitionHeaderText.replacing("No such key", with: "9", in: bytes) == bytes)
    }

    @Test func numbersAreWrittenAsTheDetectorWritesThem() {
        #expect(scientific(511) == "5.110000E+2")
        #expect(scientific(0) == "0.000000E+0")
        #expect(scientific(9.99999999) == "1.000000E+1")
        #expect(scientific(0.02) == "2.000000E-2")
        #expect(sixDecimals(0.41227) == "0.412270")
        #expect(sixDecimals(1) == "1.000000")
    }
}
