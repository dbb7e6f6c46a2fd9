import MerlinProtocol
import StemwireTestSupport
import Testing

@testable import StemwireKernels

@Suite struct FrameDecoderTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var level: InstructionSet
        var layout: String
        var depth: CounterDepth
        var rows: Int
        var testDescription: String { "\(level) \(layout) depth \(depth.rawValue) rows \(rows)" }
    }

    static let rawCases = InstructionSet.supported.flatMap { level in
        ["1x1", "2x2", "2x2G"].flatMap { layout in
            CounterDepth.allCases.flatMap { depth in
                [1, 2, 32].map { Case(level: level, layout: layout, depth: depth, rows: $0) }
            }
        }
    }

    /// Decodes two payloads that lie at odd addresses, with a header's worth of bytes between them, into memory that is
    /// not clean, and tells whether the images are the expected ones. (To print how whole images differ takes minutes.)
    private func decodesPair(_ decoder: FrameDecoder, _ payloads: [[UInt8]], to expected: [UInt64]) -> Bool {
        let stride = payloads[0].count + 399
        var wire = [UInt8](repeating: 0xee, count: 2 * stride)
        for (index, payload) in payloads.enumerated() {
            wire.replaceSubrange(index * stride + 7..<index * stride + 7 + payload.count, with: payload)
        }
        let images = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * decoder.imageBytes, alignment: 8)
        defer { images.deallocate() }
        images.initializeMemory(as: UInt8.self, repeating: 0xaa)
        wire.withUnsafeBytes {
            decoder.decodeStack(frames: $0.baseAddress! + 7, stride: stride, count: 2, into: images)
        }
        return nativeValues(UnsafeRawBufferPointer(images), decoder.encoding) == expected
    }

    @Test(arguments: rawCases)
    func decodesRawFrames(_ test: Case) throws {
        let layout = try #require(SensorLayout(test.layout))
        let gap = layout.hasGap ? 2 : 0
        let shape =
            layout.isSingle
            ? SigShape(height: test.rows, width: 256) : SigShape(height: 2 * test.rows + gap, width: 512 + gap)
        var generator = SeededGenerator(seed: UInt64(test.rows))
        let images = (0..<2).map { _ in
            (0..<shape.pixelCount).map { pixel -> UInt32 in
                let (y, x) = (pixel / shape.width, pixel % shape.width)
                guard RawEncoder.source(y: y, x: x, rows: test.rows, layout: layout) != nil else { return 0 }
                let bits = test.depth == .six ? 6 : test.depth.rawValue
                return UInt32(truncatingIfNeeded: generator.next()) >> UInt32(32 - bits)
            }
        }
        let payloads = images.map {
            RawEncoder.payload($0, rows: test.rows, layout: layout, depth: test.depth)
        }
        let rawWidth = (layout.isSingle ? 256 : 1024) * (test.depth == .twentyFour ? 2 : 1)
        let format = try RawEncoder.format(
            .r64, layout: test.layout, width: rawWidth, height: test.rows, depth: test.depth,
            payloadBytes: payloads[0].count)
        #expect(format.sigShape == shape)
        let decoder = try FrameDecoder(format, instructionSet: test.level)
        #expect(!decoder.isIdentity)
        #expect(decodesPair(decoder, payloads, to: images.joined().map { UInt64($0) }))
    }

    @Test(arguments: InstructionSet.supported)
    func decodesProcessedFrames(_ level: InstructionSet) throws {
        let types: [(PixelType, Int)] = [(.u08, 1), (.u01, 1), (.u16, 2), (.u32, 4), (.u64, 8)]
        let shape = SigShape(height: 3, width: 514)
        for (pixelType, bytes) in types {
            var generator = SeededGenerator(seed: UInt64(bytes))
            let payloads = (0..<2).map { _ in
                (0..<shape.pixelCount * bytes).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            }
            let format = try RawEncoder.format(
                pixelType, layout: "2x2G", width: shape.width, height: shape.height, depth: nil,
                payloadBytes: payloads[0].count)
            let decoder = try FrameDecoder(format, instructionSet: level)
            #expect(decoder.isIdentity == (bytes == 1))
            let stream = Array(payloads.joined())
            var expected = [UInt64](repeating: 0, count: stream.count / bytes)
            for (index, byte) in stream.enumerated() {
                expected[index / bytes] = expected[index / bytes] << 8 | UInt64(byte)
            }
            #expect(decodesPair(decoder, payloads, to: expected))
            #expect(decoder.undecodedStack(frames: UnsafeRawPointer(bitPattern: 16)!, stride: 1, count: 2) != nil)
        }
    }

    @Test(arguments: InstructionSet.supported)
    func decodesPackedBits(_ level: InstructionSet) throws {
        for (height, width) in [(1, 8), (3, 24), (2, 256), (5, 72)] {
            let pixels = height * width
            var generator = SeededGenerator(seed: UInt64(pixels))
            var images: [[UInt8]] = []
            for _ in 0..<2 { images.append((0..<pixels).map { _ in UInt8.random(in: 0...1, using: &generator) }) }
            var payloads: [[UInt8]] = []
            for image in images {
                var payload = [UInt8](repeating: 0, count: pixels / 8)
                for (pixel, bit) in image.enumerated() { payload[pixel / 8] |= bit << UInt8(7 - pixel % 8) }
                payloads.append(payload)
            }
            let format = try RawEncoder.format(
                .u01, layout: "1x1", width: width, height: height, depth: .one, payloadBytes: payloads[0].count)
            let decoder = try FrameDecoder(format, instructionSet: level)
            #expect(!decoder.isIdentity)
            #expect(decodesPair(decoder, payloads, to: images.joined().map { UInt64($0) }))
            #expect(decoder.undecodedStack(frames: UnsafeRawPointer(bitPattern: 16)!, stride: 1, count: 2) == nil)
        }
    }

    @Test func decodesNoFramesIntoNothing() throws {
        let format = try RawEncoder.format(
            .u16, layout: "1x1", width: 4, height: 4, depth: .twelve, payloadBytes: 32)
        let decoder = try FrameDecoder(format)
        decoder.decodeStack(
            frames: UnsafeRawPointer(bitPattern: 1)!, stride: 32, count: 0, into: .init(start: nil, count: 0))
        #expect(decoder.imageBytes == 32)
    }

    @Test func rawFramesOfARowOfChipsAreRefused() throws {
        for text in ["Nx1", "Nx1G", "4x1"] {
            let layout = try #require(SensorLayout(text))
            #expect(throws: DecodeError.rawLayout(layout)) { try RawGeometry(layout: layout, rows: 256) }
            #expect(DecodeError.rawLayout(layout).description.contains("FILEFORMAT"))
        }
    }
}
