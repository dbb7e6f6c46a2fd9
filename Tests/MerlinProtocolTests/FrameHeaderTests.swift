import StemwireTestSupport
import Testing

@testable import MerlinProtocol

func fields(_ body: [UInt8]) throws(FrameHeaderError) -> FrameHeaderFields {
    let result = body.withUnsafeBytes { bytes in
        Result { () throws(FrameHeaderError) in try FrameHeaderFields.parse(bytes) }
    }
    return try result.get()
}

func header(_ body: [UInt8]) throws(FrameHeaderError) -> FrameHeader {
    let result = body.withUnsafeBytes { bytes in
        Result { () throws(FrameHeaderError) in try FrameHeader.parse(bytes) }
    }
    return try result.get()
}

@Suite struct FrameHeaderTests {
    @Test func quadWithGapProcessed() throws {
        let header = try header(HeaderSamples.body(HeaderSamples.gapProcessed, dataOffset: 768))
        #expect(
            header.fields
                == FrameHeaderFields(
                    sequenceNumber: 1, sequenceDigits: 6, dataOffset: 768, chipCount: 4, width: 514, height: 514,
                    pixelType: .u16, layout: .quadWithGap, chipSelect: 15))
        #expect(header.localTime == "2024-06-14 11:31:30.060732")
        #expect(header.shutterSeconds == 0.001)
        #expect(header.counter == 0)
        #expect(header.isColour == false)
        #expect(header.gain == .superLow)
        #expect(header.thresholds == [35, 511, 0, 0, 0, 0, 0, 0])
        #expect(header.chips.count == 4)
        #expect(header.chips.allSatisfy { $0.chipType == "3RX" && $0.dacs.count == 27 && $0.dacs[1] == 511 })
        #expect(header.optionalBlock.isEmpty)
        let extended = try #require(header.extended)
        #expect(extended.utcTime == "2024-06-14T09:31:30.060732344Z")
        #expect(extended.shutterNanoseconds == 1_000_000)
        #expect(extended.counterDepth == .twelve)
    }

    @Test func rawAndRowSamples() throws {
        let gap = try header(HeaderSamples.body(HeaderSamples.gapRaw, dataOffset: 768))
        #expect(gap.fields.pixelType == .r64 && gap.fields.width == 1024 && gap.fields.height == 256)
        #expect(gap.extended?.counterDepth == .six)
        let row = try header(HeaderSamples.body(HeaderSamples.rowProcessed, dataOffset: 768))
        #expect(row.fields.layout == .row && row.fields.layout.isRow)
        #expect(row.thresholds.first == 20)
        let quad = try header(HeaderSamples.body(HeaderSamples.quadRaw, dataOffset: 768))
        #expect(quad.extended?.shutterNanoseconds == 416_010)
    }

    @Test(arguments: [1, 6, 12, 24]) func headerWithoutThresholdsAndDACs(depth: Int) throws {
        let sample = try #require(HeaderSamples.bareRaw[depth])
        let header = try header(HeaderSamples.body(sample, dataOffset: 384))
        #expect(header.thresholds.isEmpty && header.chips.isEmpty)
        #expect(header.extended?.counterDepth == CounterDepth(rawValue: depth))
        #expect(header.extended?.shutterNanoseconds == 5_000_000)
        #expect(header.fields.width == (depth == 24 ? 512 : 256))
    }

    @Test func colourModeWithOldUnit() throws {
        let header = try header(HeaderSamples.body(HeaderSamples.colour, dataOffset: 384))
        #expect(header.isColour == true)
        #expect(header.extended?.shutterNanoseconds == 10_000_000)
        #expect(header.extended?.counterDepth == .twelve)
        #expect(header.fields.width == 128 && header.fields.height == 128)
        #expect(header.fields.layout == .quad && header.fields.chipSelect == 1)
    }

    @Test func optionalBlockBetweenThresholdsAndDACs() throws {
        let text = HeaderSamples.gapProcessed.replacing(",3RX", with: ",OPT1,12.5,on,END1,3RX", maxReplacements: 1)
        let header = try header(HeaderSamples.body(text, dataOffset: 768))
        #expect(header.optionalBlock == ["12.5", "on"])
        #expect(header.thresholds.count == 8)
        #expect(header.chips.count == 4)
        #expect(header.extended?.counterDepth == .twelve)
    }

    @Test func headerWithoutExtendedPart() throws {
        let end = try #require(HeaderSamples.quadRaw.firstRange(of: ",MQ1A"))
        let header = try header(HeaderSamples.body(String(HeaderSamples.quadRaw[..<end.lowerBound]), dataOffset: 768))
        #expect(header.extended == nil)
        #expect(header.chips.count == 4)
    }

    @Test func depthBeforeCommaNULOrNewline() throws {
        let text = String(HeaderSamples.gapProcessed.dropLast())
        for tail in ["", ",", "\n", "\r\n", " ,", ",\n"] {
            let header = try header(HeaderSamples.body(text + tail, dataOffset: 768))
            #expect(header.extended?.counterDepth == .twelve, "\(tail.debugDescription)")
        }
    }

    @Test func headerThatEndsInANewlineAtItsOffset() throws {
        // As simulators' mock data have it: 340 bytes, no NUL.
        let text = "MQ1,000001,00340,01,0016,0016,U08,   1x1,01,2024-01-01 00:00:00.000000,0.001,0,0,0,1.0E+0"
        let padded = text + String(repeating: " ", count: 339 - text.utf8.count) + "\n"
        let header = try header(Array(padded.utf8) + [UInt8](repeating: 44, count: 256))
        #expect(header.fields.dataOffset == 340)
        #expect(header.thresholds == [1])
        #expect(header.extended == nil)
    }

    @Test func unpaddedLayoutOfOldSoftware() throws {
        let text = HeaderSamples.quadRaw.replacing("   2x2", with: "2x2")
        #expect(try fields(HeaderSamples.body(text, dataOffset: 768)).layout == .quad)
    }

    @Test func otherKindsAreNamed() throws {
        #expect(throws: FrameHeaderError.olderThanMQ1) {
            try fields(HeaderSamples.body(HeaderSamples.olderThanMQ1, dataOffset: 256))
        }
        #expect("\(FrameHeaderError.olderThanMQ1)".contains("before MQ1"))
        #expect(throws: FrameHeaderError.profile) { try fields(Array("PR1,000001,".utf8)) }
        for text in ["", "M", "MQ", "MQ1", "MQ2,", "HDR,", "99B,", "B,", "MQ1A,000001"] {
            #expect(throws: FrameHeaderError.notAFrame) { try fields(Array(text.utf8)) }
        }
    }

    @Test func everyCutOfAHeaderIsAnError() {
        let body = Array(HeaderSamples.quadRaw.utf8)
        for count in 0..<body.count {
            #expect(throws: FrameHeaderError.self) { try fields(Array(body.prefix(count))) }
        }
    }

    @Test(
        arguments: [
            ("000001", "", FrameHeaderError.malformed(.sequenceNumber)),
            ("000001", "-00001", .malformed(.sequenceNumber)),
            ("000001", "٠٠٠١", .malformed(.sequenceNumber)),
            ("000001", "18446744073709551616", .malformed(.sequenceNumber)),
            ("000001", String(repeating: "9", count: 900), .malformed(.sequenceNumber)),
            ("000001", String(repeating: "9", count: 2000), .endsBefore(.sequenceNumber)),
            ("00768", "99999999999999999999", .malformed(.dataOffset)),
            ("00768", "9223372036854775808", .outOfRange(.dataOffset)),
            ("00768", "00010", .dataOffset(10, textBytes: 44, bodyBytes: 768)),
            ("00768", "00769", .dataOffset(769, textBytes: 44, bodyBytes: 768)),
            (",04,", ",00,", .outOfRange(.chipCount)),
            (",04,", ",33,", .outOfRange(.chipCount)),
            ("1024", "0000", .outOfRange(.width)),
            ("1024", "1048577", .outOfRange(.width)),
            ("1024", "4294967296", .outOfRange(.width)),
            ("0256", "0000", .outOfRange(.height)),
            ("0256", "0x10", .malformed(.height)),
            ("R64", "R65", .malformed(.pixelType)),
            ("R64", "", .malformed(.pixelType)),
            ("R64", "U016", .malformed(.pixelType)),
            ("   2x2", "   3x3", .malformed(.layout)),
            ("   2x2", "", .malformed(.layout)),
            (",0F,", ",0G,", .malformed(.chipSelect)),
            (",0F,", ",,", .endsBefore(.chipSelect)),
            (",0F,", ",1FFFFFFFF,", .malformed(.chipSelect)),
        ])
    func badField(field: String, replacement: String, error: FrameHeaderError) throws {
        let text = HeaderSamples.quadRaw.replacing(field, with: replacement, maxReplacements: 1)
        let padding = max(0, 768 - text.utf8.count)
        #expect(throws: error) { try fields(Array(text.utf8) + [UInt8](repeating: 0, count: padding)) }
    }

    @Test(
        arguments: [
            (",0.000416,", ",abc,", FrameHeaderError.malformed(.shutterTime)),
            (",0.000416,", ",inf,", .malformed(.shutterTime)),
            ("416,0,0,0,", "416,0,0,9,", .outOfRange(.gain)),
            ("416,0,0,0,", "416,999,0,0,", .outOfRange(.counter)),
            ("416,0,0,0,", "416,0,x,0,", .malformed(.colourMode)),
            (",6,", ",7,", .malformed(.counterDepth)),
            (",6,", ",18446744073709551615,", .malformed(.counterDepth)),
        ])
    func badLaterField(field: String, replacement: String, error: FrameHeaderError) throws {
        let text = HeaderSamples.quadRaw.replacing(field, with: replacement, maxReplacements: 1)
        #expect(throws: error) { try header(HeaderSamples.body(text, dataOffset: 768)) }
    }

    @Test func mutatedHeadersNeverTrap() {
        var generator = SeededGenerator(seed: 17)
        let samples = [
            HeaderSamples.gapProcessed, HeaderSamples.gapRaw, HeaderSamples.colour, HeaderSamples.bareRaw[24]!,
            HeaderSamples.olderThanMQ1,
        ].map { Array($0.utf8) }
        let alphabet = Array("0123456789,,,-+.EMQ1A UR64xG\0\n\u{ff}".utf8)
        var accepted = 0
        for _ in 0..<12_000 {
            var body = samples.randomElement(using: &generator)!
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let index = Int.random(in: 0..<min(body.count, 400), using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: body[index] = alphabet.randomElement(using: &generator)!
                case 1: body.insert(alphabet.randomElement(using: &generator)!, at: index)
                default: body.remove(at: index)
                }
            }
            body += [UInt8](repeating: 0, count: 200)
            if let fields = try? fields(body) {
                accepted += 1
                #expect(fields.dataOffset <= body.count && fields.width >= 1 && fields.chipCount >= 1)
            }
            _ = try? header(body)
            body.withUnsafeBytes { bytes in
                for payload in [0, 1, 65536, 131_072, Int.max] {
                    _ = try? FrameFormat(header: bytes, payloadBytes: payload, acquisitionDepth: .six)
                }
            }
        }
        #expect(accepted > 100)
    }
}
