import MerlinProtocol
import MerlinSimulator
import Testing

/// Encoders against bytes written by hand from the format's description.
@Suite struct FrameEncoderTests {
    private func format(
        _ layout: SensorLayout, _ height: Int, _ width: Int, _ depth: CounterDepth, _ type: PixelType
    ) throws -> DetectorFormat {
        try DetectorFormat(
            layout: layout, sigShape: SigShape(height: height, width: width), counterDepth: depth, pixelType: type)
    }

    /// A chip row of zeros but for some pixels.
    private func image(_ height: Int, _ width: Int, _ pixels: [(y: Int, x: Int, count: UInt32)]) -> [UInt32] {
        var image = [UInt32](repeating: 0, count: height * width)
        for pixel in pixels { image[pixel.y * width + pixel.x] = pixel.count }
        return image
    }

    @Test func integersAreBigEndianRows() throws {
        let image: [UInt32] = [1, 2, 3, 0x0F0E]
        let u16 = FrameEncoder(try format(.single, 2, 2, .twelve, .u16)).encoded(image)
        #expect(u16 == [0, 1, 0, 2, 0, 3, 0x0F, 0x0E])
        let u32 = FrameEncoder(try format(.single, 1, 2, .twentyFour, .u32)).encoded([0x01_0203, 4] as [UInt32])
        #expect(u32 == [0, 1, 2, 3, 0, 0, 0, 4])
        let u64 = FrameEncoder(try format(.single, 1, 1, .twentyFour, .u64))
            .encoded([0x0102_0304_0506_0708] as [UInt64])
        #expect(u64 == [1, 2, 3, 4, 5, 6, 7, 8])
        #expect(try FrameEncoder(format(.row, 1, 3, .six, .u08)).encoded([7, 8, 9] as [UInt8]) == [7, 8, 9])
    }

    @Test func packedBitsBeginAtTheHighestBit() throws {
        let encoder = FrameEncoder(try format(.single, 2, 8, .one, .u01))
        #expect(encoder.encoded([1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1] as [UInt8]) == [0x82, 0x41])
    }

    @Test func countsStopAtTheCountersLimitAndAreCounted() throws {
        let encoder = FrameEncoder(try format(.single, 1, 4, .six, .u08))
        let counts: [UInt32] = [62, 63, 64, 1000]
        var payload = [UInt8](repeating: 0, count: 4)
        let saturated = counts.withUnsafeBufferPointer { image in
            payload.withUnsafeMutableBytes { encoder.encode(image, into: $0) }
        }
        #expect(payload == [62, 63, 63, 63])
        #expect(saturated == 2)
    }

    @Test func rawGroupsRunFromTheLastByteBack() throws {
        let row = image(1, 256, [(0, 0, 1), (0, 1, 2), (0, 7, 8), (0, 8, 9)])
        let six = try FrameEncoder(format(.single, 1, 256, .six, .r64)).encoded(row)
        #expect(six.count == 256)
        #expect(six.prefix(16) == [8, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 9])

        let twelve = try FrameEncoder(format(.single, 1, 256, .twelve, .r64))
            .encoded(image(1, 256, [(0, 0, 0x123), (0, 3, 0x456), (0, 4, 0x789)]))
        #expect(twelve.count == 512)
        #expect(twelve.prefix(16) == [4, 0x56, 0, 0, 0, 0, 1, 0x23, 0, 0, 0, 0, 0, 0, 7, 0x89])

        let one = try FrameEncoder(format(.single, 1, 256, .one, .r64))
            .encoded(image(1, 256, [(0, 0, 1), (0, 9, 1), (0, 63, 1), (0, 64, 1)]))
        #expect(one.count == 32)
        #expect(one.prefix(16) == [0x80, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 1])
    }

    @Test func twentyFourBitsAreTwoPlanes() throws {
        let encoder = FrameEncoder(try format(.single, 2, 256, .twentyFour, .r64))
        let payload = encoder.encoded(image(2, 256, [(0, 0, 0xABC_DEF), (1, 3, 0x001_002)]))
        #expect(payload.count == 2 * 2 * 512)
        #expect(Array(payload[6..<8]) == [0x0A, 0xBC])
        #expect(Array(payload[512..<514]) == [0, 1])
        #expect(Array(payload[(1024 + 6)..<(1024 + 8)]) == [0x0D, 0xEF])
        #expect(Array(payload[(1024 + 512)..<(1024 + 514)]) == [0, 2])
        #expect(encoder.format.headerShape == SigShape(height: 2, width: 512))
    }

    /// [chip 4 | chip 3 | chip 2 | chip 1] with chips 3 and 4 turned by 180°.
    @Test(arguments: [0, 2]) func quadRowsHoldFourChips(gap: Int) throws {
        let layout = gap == 0 ? SensorLayout.quad : .quadWithGap
        let side = 512 + gap
        // Two rows of each chip, as with a row ROI.
        let encoder = FrameEncoder(try format(layout, 4 + gap, side, .six, .r64))
        let bottom = 3 + gap
        let payload = encoder.encoded(
            image(
                4 + gap, side,
                [
                    (0, 0, 11), (0, 255, 12),  // chip 1: top left
                    (0, 256 + gap, 21), (0, side - 1, 22),  // chip 2: top right
                    (bottom, 255, 31), (bottom, 0, 32),  // chip 3: bottom left
                    (bottom, side - 1, 41), (bottom, 256 + gap, 42),  // chip 4: bottom right
                    (1, 0, 13), (bottom - 1, side - 1, 43),
                ]))
        #expect(payload.count == 2 * 1024)
        #expect(encoder.format.headerShape == SigShape(height: 2, width: 1024))
        // First pixel of a chip row: the last byte of its first group; last pixel: the first byte of its last group.
        for (block, first, last) in [(0, UInt8(41), UInt8(42)), (1, 31, 32), (2, 21, 22), (3, 11, 12)] {
            #expect(payload[block * 256 + 7] == first)
            #expect(payload[block * 256 + 248] == last)
        }
        #expect(payload[1024 + 7] == 43)
        #expect(payload[1024 + 3 * 256 + 7] == 13)
        let sum = payload.reduce(0) { $0 + Int($1) }
        #expect(sum == 268)
    }

    @Test(arguments: [(CounterDepth.one, 8192), (.six, 65536), (.twelve, 131_072), (.twentyFour, 262_144)])
    func rawSizesAreTheDetectors(depth: CounterDepth, bytes: Int) throws {
        #expect(try format(.single, 256, 256, depth, .r64).payloadBytes == bytes)
        #expect(try format(.quad, 512, 512, depth, .r64).payloadBytes == 4 * bytes)
        #expect(try format(.quadWithGap, 514, 514, depth, .r64).payloadBytes == 4 * bytes)
    }

    @Test func impossibleDetectorsAreRefused() {
        #expect(throws: DetectorFormatError.rawLayout(.row)) { try format(.row, 256, 1024, .six, .r64) }
        #expect(throws: DetectorFormatError.self) { try format(.single, 256, 255, .six, .r64) }
        #expect(throws: DetectorFormatError.self) { try format(.quad, 511, 512, .six, .r64) }
        #expect(throws: DetectorFormatError.tooDeep(.twelve, .u08)) { try format(.single, 8, 8, .twelve, .u08) }
        #expect(throws: DetectorFormatError.packedWidth(9)) { try format(.single, 9, 9, .one, .u01) }
        #expect(throws: DetectorFormatError.self) { try format(.single, 0, 8, .one, .u08) }
    }
}
