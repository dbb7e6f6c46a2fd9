import Testing

@testable import MerlinProtocol

/// The format of a frame with these leading fields; `depth` is the acquisition header's.
func format(
    _ width: Int, _ height: Int, _ type: PixelType, _ layout: String, payload: Int, frameDepth: Int? = nil,
    depth: CounterDepth? = nil, chips: Int = 1, mask: String = "01"
) throws(FrameFormatError) -> FrameFormat {
    let extended = frameDepth.map { ",MQ1A,2024-01-01T00:00:00.000000000Z,1000ns,\($0)," } ?? ""
    let text =
        "MQ1,000001,00384,0\(chips),\(width),\(height),\(type.rawValue),\(layout),\(mask),2024-01-01,0.001,0,0,0\(extended)"
    let result = HeaderSamples.body(text, dataOffset: 384).withUnsafeBytes { bytes in
        Result { () throws(FrameFormatError) in
            try FrameFormat(header: bytes, payloadBytes: payload, acquisitionDepth: depth)
        }
    }
    return try result.get()
}

@Suite struct FrameFormatTests {
    @Test(
        arguments: [
            (PixelType.u08, 1, DecodedPixel.uint8), (.u16, 2, .uint16), (.u32, 4, .uint32), (.u64, 8, .uint64),
        ])
    func processed(type: PixelType, bytes: Int, decoded: DecodedPixel) throws {
        let format = try format(16, 12, type, "1x1", payload: 16 * 12 * bytes)
        #expect(format.sigShape == SigShape(height: 12, width: 16))
        #expect(format.decodedPixel == decoded)
        #expect(format.storedBitsPerPixel == 8 * bytes)
        #expect(format.messageBytes == 384 + 16 * 12 * bytes)
        #expect(format.decodedBytes == 16 * 12 * bytes)
        #expect(format.payloadRows == 12)
        for wrong in [1, 16 * 12 * bytes - 1, 16 * 12 * bytes + 1] {
            #expect(
                throws: FrameFormatError.payloadSize(
                    wrong, expected: 16 * 12 * bytes, pixelType: type, shape: SigShape(height: 12, width: 16))
            ) { try MerlinProtocolTests.format(16, 12, type, "1x1", payload: wrong) }
        }
    }

    /// The table of payload sizes in the protocol's documents.
    @Test(
        arguments: [
            (256, "1x1", 1, 8192, 256, 256), (256, "1x1", 6, 65536, 256, 256), (256, "1x1", 12, 131_072, 256, 256),
            (512, "1x1", 24, 262_144, 256, 256), (1024, "2x2", 1, 32768, 512, 512), (1024, "2x2", 6, 262_144, 512, 512),
            (1024, "2x2", 12, 524_288, 512, 512), (2048, "2x2", 24, 1_048_576, 512, 512),
            (1024, "2x2G", 1, 32768, 514, 514), (1024, "2x2G", 6, 262_144, 514, 514),
            (1024, "2x2G", 12, 524_288, 514, 514), (2048, "2x2G", 24, 1_048_576, 514, 514),
        ])
    func raw(width: Int, layout: String, depth: Int, payload: Int, height: Int, imageWidth: Int) throws {
        let format = try format(width, 256, .r64, layout, payload: payload, frameDepth: depth)
        #expect(format.sigShape == SigShape(height: height, width: imageWidth))
        #expect(format.counterDepth?.rawValue == depth)
        #expect(format.storedBitsPerPixel == [1: 1, 6: 8, 12: 16, 24: 32][depth])
        #expect(format.decodedPixel == [1: .uint8, 6: .uint8, 12: .uint16, 24: .uint32][depth])
        #expect(format.payloadRows == 256)
        #expect(format.headerWidth == width)
    }

    @Test func rawOfTheWrongWidth() {
        #expect(throws: FrameFormatError.rawWidth(512, expected: 256, layout: .single, depth: .six)) {
            try format(512, 256, .r64, "1x1", payload: 131_072, frameDepth: 6)
        }
        #expect(throws: FrameFormatError.rawWidth(512, expected: 1024, layout: .quad, depth: .six)) {
            try format(512, 512, .r64, "2x2", payload: 262_144, frameDepth: 6)
        }
    }

    @Test func rawWithPartOfARowOrTooManyRows() {
        #expect(throws: FrameFormatError.rawRows(65535, bytesPerRow: 256)) {
            try format(256, 256, .r64, "1x1", payload: 65535, frameDepth: 6)
        }
        #expect(throws: FrameFormatError.rawTooManyRows(512, depth: .six)) {
            try format(256, 256, .r64, "1x1", payload: 131_072, frameDepth: 6)
        }
        #expect(throws: FrameFormatError.noPixels) {
            try format(256, 256, .r64, "1x1", payload: 0, frameDepth: 6)
        }
    }

    @Test func badHeaderIsPassedOn() {
        #expect(throws: FrameFormatError.header(.malformed(.counterDepth))) {
            try format(256, 256, .r64, "1x1", payload: 65536, frameDepth: 7)
        }
    }

    @Test func matchesFramesOfTheSameFormatOnly() throws {
        let format = try format(16, 16, .u16, "1x1", payload: 512)
        func fields(_ change: (inout FrameHeaderFields) -> Void) -> FrameHeaderFields {
            var fields = FrameHeaderFields(
                sequenceNumber: 77, sequenceDigits: 6, dataOffset: 384, chipCount: 1, width: 16, height: 16,
                pixelType: .u16, layout: .single, chipSelect: 1)
            change(&fields)
            return fields
        }
        #expect(format.matches(fields { _ in }, bodyBytes: 896))
        #expect(!format.matches(fields { _ in }, bodyBytes: 895))
        #expect(!format.matches(fields { $0.width = 8 }, bodyBytes: 896))
        #expect(!format.matches(fields { $0.height = 8 }, bodyBytes: 896))
        #expect(!format.matches(fields { $0.pixelType = .u08 }, bodyBytes: 896))
        #expect(!format.matches(fields { $0.layout = .quad }, bodyBytes: 896))
        #expect(!format.matches(fields { $0.dataOffset = 128 }, bodyBytes: 896))
        #expect(!format.matches(fields { $0.chipCount = 4 }, bodyBytes: 896))
    }

    @Test(arguments: ["1x1", "2x2", "2x2G", "Nx1", "Nx1G", "4x1"]) func layoutNames(name: String) throws {
        let layout = try #require(SensorLayout(name))
        #expect(layout.description == name)
        #expect(SensorLayout("  \(name.lowercased()) ") == layout)
        #expect(SensorLayout(name.uppercased()) == layout)
    }

    @Test(arguments: ["", "1", "1x", "1x1G", "3x3", "2x2Gx", "2y2", "0x1", "N x1", "２x２"])
    func unknownLayoutNames(name: String) {
        #expect(SensorLayout(name) == nil)
    }

    @Test func prefixWritesAndReads() {
        for bytes in [0, 1, 24, 2048, 131_456, MPXPrefix.maximumBodyBytes] {
            let prefix = MPXPrefix.encoded(bodyBytes: bytes)
            #expect(prefix.count == 15)
            #expect(prefix.withUnsafeBytes { MPXPrefix.bodyBytes($0) } == bytes)
        }
        #expect(MPXPrefix.encoded(bodyBytes: 24) == Array("MPX,0000000025,".utf8))
        #expect(Array("MPX,0000000000,".utf8).withUnsafeBytes { MPXPrefix.bodyBytes($0) } == nil)
        #expect(Array("MPX,0000000025".utf8).withUnsafeBytes { MPXPrefix.bodyBytes($0) } == nil)
    }
}
