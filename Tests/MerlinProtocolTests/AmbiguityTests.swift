import Testing

@testable import MerlinProtocol

/// The twenty questions that sources answer differently, as far as this module answers them: one test for each.
@Suite struct AmbiguityTests {
    @Test func a01RowsStayInTheOrderTheyCome() throws {
        // The payload goes out as the very bytes that came in; the shape is (y, x).
        let frame = Wire.smallFrame(1, pixels: Array(0..<16))
        let found = events(frame)
        guard case .message(.frame, let body, true) = found.first else {
            Issue.record("no frame")
            return
        }
        let format = try body.withUnsafeBytes { try FrameFormat(header: $0, payloadBytes: 16, acquisitionDepth: nil) }
        #expect(Array(body[format.dataOffset...]) == Array(0..<16))
        let rows = try MerlinProtocolTests.format(16, 4, .u08, "1x1", payload: 64).sigShape
        #expect(rows == SigShape(height: 4, width: 16))
    }

    @Test func a02QuadBlocksFillTheWholeImage() throws {
        // Which block goes where is decoding; here, that four blocks of 256 make 2 × 2 chips.
        let quad = try format(1024, 256, .r64, "2x2", payload: 262_144, frameDepth: 6, chips: 4, mask: "0F")
        #expect(quad.sigShape == SigShape(height: 512, width: 512))
        #expect(quad.payloadRows == 256)
    }

    @Test func a03GapIsTwoInRawAndTheHeadersInProcessed() throws {
        #expect(
            try format(1024, 256, .r64, "2x2G", payload: 262_144, frameDepth: 6).sigShape
                == SigShape(height: 514, width: 514))
        for side in [514, 515] {
            let bytes = 2 * side * side
            #expect(
                try format(side, side, .u16, "2x2G", payload: bytes).sigShape == SigShape(height: side, width: side))
        }
    }

    @Test func a04U01IsPackedOrNotByThePayload() throws {
        let packed = try format(256, 256, .u01, "1x1", payload: 8192)
        #expect(packed.storedBitsPerPixel == 1 && packed.decodedPixel == .uint8)
        let bytes = try format(256, 256, .u01, "1x1", payload: 65536)
        #expect(bytes.storedBitsPerPixel == 8 && bytes.decodedPixel == .uint8)
        for payload in [8191, 8193, 65535, 65537] {
            #expect(throws: FrameFormatError.self) { try format(256, 256, .u01, "1x1", payload: payload) }
        }
        // Rows that are no whole bytes cannot be packed.
        #expect(throws: FrameFormatError.self) { try format(4, 4, .u01, "1x1", payload: 2) }
    }

    @Test func a05TwentyFourBitsNeedTheDoubledWidth() throws {
        let single = try format(512, 256, .r64, "1x1", payload: 262_144, frameDepth: 24)
        #expect(single.sigShape == SigShape(height: 256, width: 256))
        #expect(single.decodedPixel == .uint32)
        for payload in [131_072, 262_144] {
            #expect(throws: FrameFormatError.rawPlaneAlone) {
                try format(256, 256, .r64, "1x1", payload: payload, frameDepth: 24)
            }
        }
        #expect(throws: FrameFormatError.rawPlaneAlone) {
            try format(1024, 256, .r64, "2x2", payload: 524_288, frameDepth: 24)
        }
    }

    @Test(arguments: [1, 999_999, 1_000_000, 1_048_576, 42_949_672_950, Int.max])
    func a06SequenceNumbersOfAnyWidth(number: Int) throws {
        let body = Wire.frameBody(
            "MQ1,\(number),00100,01,0004,0004,U08,   1x1,01,", dataOffset: 100, payload: Array(repeating: 0, count: 16))
        let fields = try fields(body)
        #expect(fields.sequenceNumber == UInt64(number))
        #expect(fields.sequenceDigits == String(number).count)
        #expect(fields.dataOffset == 100)
    }

    @Test func a07HeaderInMidStreamIsAMessageAndEqualOnesCanBeTold() throws {
        let first = Wire.acquisitionHeader(frames: 4)
        let second = Wire.acquisitionHeader(frames: 5)
        let found = events(first + Wire.smallFrame(1) + first + Wire.smallFrame(2) + second + Wire.smallFrame(1))
        let headers = try found.compactMap { event -> AcquisitionHeader? in
            guard case .message(.acquisitionHeader, let body, true) = event else { return nil }
            return try acquisitionHeader(body)
        }
        #expect(found.count == 6)
        #expect(headers.count == 3)
        #expect(headers[0] == headers[1])
        #expect(headers[0] != headers[2])
    }

    @Test func a08CodeOneTellsBothMeanings() {
        let text = ControlCode.busyOrUnknown.description
        #expect(text.hasPrefix("1") && text.contains("busy") && text.contains("unknown error"))
        #expect(ControlCode(rawValue: 17).description.contains("17"))
    }

    @Test(arguments: [-1, 0, 1]) func a09LengthsOffByOne(error: Int) {
        let reply = ControlReply(to: .get("IMAGEX"), value: "256")
        let bytes = ControlStreamParserTests.message(reply.description, off: error)
        #expect(ControlStreamParserTests.replies([bytes]) == [reply])
        #expect(ControlStreamParserTests.replies([bytes + bytes + bytes]) == [reply, reply, reply])
    }

    @Test func a10NeedlessZeroIsAcceptedAndNotSent() throws {
        #expect(try ControlRequest.parse("GET,IMAGEX,0".utf8) == ControlRequest.parse("GET,IMAGEX".utf8))
        #expect(try ControlRequest.parse("CMD,ABORT,0".utf8) == .cmd("ABORT"))
        #expect(String(decoding: ControlRequest.get("IMAGEX").encoded(), as: UTF8.self) == "MPX,0000000011,GET,IMAGEX")
        #expect(ControlRequest.cmd("ABORT").description == "CMD,ABORT")
    }

    @Test func a11NULsBeforeMessagesAndInsideText() throws {
        let frame = Wire.smallFrame(1)
        let found = events([0, 0, 0] + frame + [0, 0] + frame)
        #expect(found.count == 4)
        #expect(found[0] == .skipped(3) && found[2] == .skipped(2))
        // Counted by the sender or not, and in the middle of a length.
        let requests = ControlStreamParserTests.requests([
            Array("MPX,0000000012,GET,IMAGEX\0".utf8), Array("MPX,0000000011,GET,IMAGEX\0\0".utf8),
            Array("\0MPX,00000\000011,GET,IMAGEX".utf8), Array("MPX,0000000011,\0GET,IMAGEX".utf8),
        ])
        #expect(requests == Array(repeating: .get("IMAGEX"), count: 4))
        #expect(try ControlReply.parse("GET,IMAGEX,256,0\0".utf8).code == .ok)
    }

    @Test(arguments: [10, 300, 2048, 5000]) func a12AcquisitionHeaderOfAnySize(size: Int) throws {
        let text = "HDR,\t\r\nEnd"
        let body = Array(text.utf8) + Array(repeating: UInt8(ascii: " "), count: max(0, size - text.utf8.count))
        let found = events(Wire.message(body) + Wire.smallFrame(1))
        #expect(found.first == .message(.acquisitionHeader, body, intact: true))
        #expect(try acquisitionHeader(body).text == body)
    }

    @Test func a13UnknownDetectorStatusIsPassedOn() throws {
        let reply = try ControlReply.parse("GET,DETECTORSTATUS,9,0".utf8)
        let status = try DetectorStatus(rawValue: #require(reply.integerValue))
        #expect(status.rawValue == 9 && status.description == "status 9")
        #expect(DetectorStatus(rawValue: 4) == .armed)
    }

    @Test func a14KeysWithoutColonAndVaryingDates() throws {
        // Latin-1 with µ, a key without colon, another order of the date, a line without key.
        let micro: [UInt8] = [0xB5]
        let text =
            Array("HDR, \nTime and Date Stamp (yr, mnth, day, hr, min, s):\t2015/8/27 18:10\n".utf8)
            + Array("Sensor Bias (V, ".utf8) + micro + Array("A)\t120 V, 3:4 ".utf8) + micro
            + Array("A\nno key here\nPlain: value\nEnd\t \n".utf8)
        let header = try acquisitionHeader(text)
        #expect(header["Sensor Bias (V, µA)"] == "120 V, 3:4 µA")
        #expect(header["Time and Date Stamp"] == "2015/8/27 18:10")
        #expect(header["Plain"] == "value")
        #expect(header.warnings.contains { $0.contains("no key here") })
        #expect(header.text == text)
        let utf8 = try acquisitionHeader(Array("HDR,\nSensor Bias (V, µA):\t1 µA\nEnd\n".utf8))
        #expect(utf8["Sensor Bias (V, µA)"] == "1 µA")
    }

    @Test func a15ZeroFramesMeanUntilStopped() throws {
        let endless = try acquisitionHeader(Array(Wire.acquisitionHeader(frames: 0).dropFirst(15)))
        #expect(endless.framesInAcquisition == 0 && endless.isUnbounded)
        let unknown = try acquisitionHeader(Array("HDR,\nEnd\n".utf8))
        #expect(unknown.framesInAcquisition == nil && !unknown.isUnbounded)
    }

    @Test func a16ColourLayersAreToldByTheirHeaders() throws {
        let colour = try header(HeaderSamples.body(HeaderSamples.colour, dataOffset: 384))
        #expect(colour.isColour == true && colour.counter == 0)
        let layer = HeaderSamples.colour.replacing("0.010000,0,1,", with: "0.010000,7,1,")
        #expect(try header(HeaderSamples.body(layer, dataOffset: 384)).counter == 7)
        // Every layer is a frame message of the same format.
        let format = try HeaderSamples.body(HeaderSamples.colour, dataOffset: 384).withUnsafeBytes {
            try FrameFormat(header: $0, payloadBytes: 32768, acquisitionDepth: nil)
        }
        #expect(format.matches(try fields(HeaderSamples.body(layer, dataOffset: 384)), bodyBytes: 384 + 32768))
        #expect(format.sigShape == SigShape(height: 128, width: 128))
    }

    @Test func a17AGapInTheSequenceIsSeenInTheNumbers() throws {
        let numbers = try events(Wire.smallFrame(1) + Wire.smallFrame(2) + Wire.smallFrame(5)).map { event in
            guard case .message(_, let body, true) = event else { return UInt64(0) }
            return try fields(body).sequenceNumber
        }
        #expect(numbers == [1, 2, 5])
    }

    @Test func a18RowsOfRawDataComeFromThePayload() throws {
        #expect(throws: FrameFormatError.rawLayout(.row)) {
            try format(1024, 256, .r64, "Nx1", payload: 262_144, frameDepth: 6)
        }
        #expect(throws: FrameFormatError.rawLayout(.rowWithGap)) {
            try format(1024, 256, .r64, "Nx1G", payload: 262_144, frameDepth: 6)
        }
        #expect(try format(1024, 256, .u08, "Nx1", payload: 262_144).sigShape == SigShape(height: 256, width: 1024))
        // Quad with row ROI, with the header's Y right and not adapted.
        for rows in [32, 64, 128] {
            for headerRows in [rows, 256] {
                let quad = try format(1024, headerRows, .r64, "2x2", payload: 1024 * rows, frameDepth: 6)
                #expect(quad.sigShape == SigShape(height: 2 * rows, width: 512))
                #expect(quad.payloadRows == rows)
                let gap = try format(1024, headerRows, .r64, "2x2G", payload: 2048 * rows, frameDepth: 12)
                #expect(gap.sigShape == SigShape(height: 2 * rows + 2, width: 514))
                #expect(gap.payloadRows == rows)
                let single = try format(256, headerRows, .r64, "1x1", payload: 32 * rows, frameDepth: 1)
                #expect(single.sigShape == SigShape(height: rows, width: 256))
                let deep = try format(512, headerRows, .r64, "1x1", payload: 1024 * rows, frameDepth: 24)
                #expect(deep.sigShape == SigShape(height: rows, width: 256))
                #expect(deep.payloadRows == rows)
            }
        }
        // Chips missing in the mask: by position if the row is whole, else an error.
        #expect(
            try format(1024, 256, .r64, "2x2", payload: 262_144, frameDepth: 6, chips: 2, mask: "03").sigShape.width
                == 512)
        #expect(throws: FrameFormatError.self) {
            try format(512, 256, .r64, "2x2", payload: 131_072, frameDepth: 6, chips: 2, mask: "03")
        }
    }

    @Test func a19DepthWithoutExtendedHeader() throws {
        #expect(try format(256, 256, .r64, "1x1", payload: 65536, depth: .six).counterDepth == .six)
        // The frame's own depth counts before the acquisition header's.
        #expect(try format(256, 256, .r64, "1x1", payload: 8192, frameDepth: 1, depth: .six).counterDepth == .one)
        // Neither tells: the payload's size does.
        #expect(try format(256, 256, .r64, "1x1", payload: 8192).counterDepth == .one)
        #expect(try format(256, 256, .r64, "1x1", payload: 65536).counterDepth == .six)
        #expect(try format(1024, 256, .r64, "2x2", payload: 524_288).counterDepth == .twelve)
        #expect(try format(512, 256, .r64, "1x1", payload: 262_144).counterDepth == .twentyFour)
        #expect(throws: FrameFormatError.counterDepthUnknown) {
            try format(256, 256, .r64, "1x1", payload: 1000)
        }
        #expect(try format(16, 16, .u16, "1x1", payload: 512, depth: .twelve).counterDepth == .twelve)
        #expect(try format(16, 16, .u16, "1x1", payload: 512).counterDepth == nil)
    }

    @Test func a20FramesWithoutAnyAcquisitionHeader() throws {
        let found = events(Wire.smallFrame(1) + Wire.smallFrame(2))
        #expect(found.count == 2)
        guard case .message(.frame, let body, true) = found[0] else {
            Issue.record("no frame")
            return
        }
        let format = try body.withUnsafeBytes { try FrameFormat(header: $0, payloadBytes: 16, acquisitionDepth: nil) }
        #expect(format.sigShape == SigShape(height: 4, width: 4))
        #expect(format.counterDepth == nil && format.decodedPixel == .uint8)
    }
}
