import StemwireKernels
import Testing

/// Every kernel of every instruction set level that this machine runs, against plain loops.
@Suite struct PixelKernelsTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var level: InstructionSet
        var encoding: PixelEncoding
        var testDescription: String { "\(level) \(encoding)" }
    }

    static let cases = InstructionSet.supported.flatMap { level in
        PixelEncoding.allCases.map { Case(level: level, encoding: $0) }
    }

    /// (frames, pixels): around the widths of vectors and the groups of frames, and none at all.
    static let sizes = [
        (0, 5), (1, 0), (1, 1), (2, 2), (3, 7), (4, 8), (5, 9), (6, 15), (7, 17), (4, 31), (8, 33), (1, 63), (2, 65),
        (9, 130), (3, 517),
    ]

    private func forEachInput(_ test: Case, _ body: (TestPixels) throws -> Void) rethrows {
        for (index, (frames, pixels)) in Self.sizes.enumerated() {
            let input = TestPixels.random(
                test.encoding, frames: frames, pixels: pixels, offset: index % 5, seed: UInt64(index))
            try body(input)
        }
    }

    @Test(arguments: cases)
    func addsFramesInto32Bits(_ test: Case) throws {
        try forEachInput(test) { input in
            let sums = filled(input.pixelCount, with: UInt32.max - 3, guardedBy: 77) {
                PixelKernels(test.level).addFrames(input.stack, to: $0)
            }
            let expected = (0..<input.pixelCount).map { pixel in
                (0..<input.frameCount).reduce(UInt32.max - 3) { sum, frame in
                    sum &+ UInt32(truncatingIfNeeded: input.value(frame, pixel))
                }
            }
            try #require(sums == expected)
        }
    }

    @Test(arguments: cases)
    func addsFramesInto64Bits(_ test: Case) throws {
        try forEachInput(test) { input in
            let sums = filled(input.pixelCount, with: UInt64(5), guardedBy: 77) {
                PixelKernels(test.level).addFrames(input.stack, to: $0)
            }
            let expected = (0..<input.pixelCount).map { pixel in
                (0..<input.frameCount).reduce(UInt64(5)) { $0 &+ input.value($1, pixel) }
            }
            try #require(sums == expected)
        }
    }

    @Test(arguments: cases)
    func addsSquares(_ test: Case) throws {
        try forEachInput(test) { input in
            var squares: [UInt64]?
            let sums = filled(input.pixelCount, with: UInt64(1), guardedBy: 77) { sums in
                squares = filled(input.pixelCount, with: UInt64(2), guardedBy: 78) { squares in
                    PixelKernels(test.level).addFrames(input.stack, to: sums, squares: squares)
                }
            }
            var expectedSums = [UInt64](repeating: 1, count: input.pixelCount)
            var expectedSquares = [UInt64](repeating: 2, count: input.pixelCount)
            for frame in 0..<input.frameCount {
                for pixel in 0..<input.pixelCount {
                    let value = input.value(frame, pixel)
                    expectedSums[pixel] &+= value
                    expectedSquares[pixel] &+= value &* value
                }
            }
            try #require(sums == expectedSums)
            try #require(squares == expectedSquares)
        }
    }

    @Test(arguments: cases)
    func takesTheMaximum(_ test: Case) throws {
        try forEachInput(test) { input in
            let start = input.encoding.largestPixel / 2
            let bytes = input.pixelCount * input.encoding.bytesPerPixel
            let maxima = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 8)
            defer { maxima.deallocate() }
            for byte in 0..<bytes {
                let shift = UInt64(byte % input.encoding.bytesPerPixel * 8)
                maxima[byte] = UInt8(truncatingIfNeeded: start >> shift)
            }
            PixelKernels(test.level).maximum(input.stack, into: maxima)
            let expected = (0..<input.pixelCount).map { pixel in
                (0..<input.frameCount).reduce(start) { max($0, input.value($1, pixel)) }
            }
            try #require(nativeValues(UnsafeRawBufferPointer(maxima), input.encoding) == expected)
        }
    }

    @Test(arguments: cases)
    func sumsFrames(_ test: Case) throws {
        try forEachInput(test) { input in
            let sums = filled(input.frameCount, with: UInt64(9), guardedBy: 77) {
                PixelKernels(test.level).frameSums(input.stack, into: $0)
            }
            let expected = (0..<input.frameCount).map { frame in
                (0..<input.pixelCount).reduce(UInt64(0)) { $0 &+ input.value(frame, $1) }
            }
            try #require(sums == expected)
        }
    }

    @Test(arguments: cases)
    func convertsToFloat(_ test: Case) throws {
        try forEachInput(test) { input in
            let floats = filled(input.values.count, with: Float(-1), guardedBy: -2) {
                PixelKernels(test.level).convertToFloat(input.stack, into: $0)
            }
            try #require(floats == input.values.map { Float($0) })
        }
    }

    @Test(arguments: cases)
    func convertsToNative(_ test: Case) throws {
        try forEachInput(test) { input in
            let bytes = input.values.count * input.encoding.bytesPerPixel
            let pixels = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 8)
            defer { pixels.deallocate() }
            PixelKernels(test.level).convertToNative(input.stack, into: pixels)
            try #require(nativeValues(UnsafeRawBufferPointer(pixels), input.encoding) == input.values)
        }
    }

    @Test(arguments: InstructionSet.supported)
    func drainsIntoWideSums(_ level: InstructionSet) {
        for count in [0, 1, 7, 8, 65] {
            var narrow = (0..<count).map { UInt32.max - UInt32($0) }
            var wide = (0..<count).map { UInt64(UInt32.max) + UInt64($0) }
            narrow.withUnsafeMutableBufferPointer { narrow in
                wide.withUnsafeMutableBufferPointer { PixelKernels(level).drain(narrow, into: $0) }
            }
            #expect(narrow.allSatisfy { $0 == 0 })
            #expect(wide.allSatisfy { $0 == 2 * UInt64(UInt32.max) })
        }
    }

    /// Frames of nothing but the largest value, in rows longer than what kernels add up before they widen.
    @Test(arguments: cases)
    func doesNotOverflow(_ test: Case) {
        let shape = (height: 2, width: 9001)
        let pixels = shape.height * shape.width
        let largest = test.encoding.largestPixel
        let input = TestPixels(test.encoding, frames: 1, pixels: pixels) { _, _ in largest }
        let kernels = PixelKernels(test.level)
        let sums = filled(1, with: UInt64(0), guardedBy: 77) { kernels.frameSums(input.stack, into: $0) }
        #expect(sums == [largest &* UInt64(pixels)])

        let mask = RunLengthMask.full(.init(height: shape.height, width: shape.width))
        let moments = filled(1, with: PixelMoments(), guardedBy: PixelMoments(sum: 77)) {
            kernels.moments(input.stack, over: mask, into: $0)
        }
        let width = UInt64(shape.width)
        let expected = PixelMoments(
            sum: largest &* UInt64(pixels), y: largest &* width, x: largest &* (width * (width - 1)))
        #expect(moments == [expected])
    }

    @Test func partsOfAStackAreTheirPixels() {
        let input = TestPixels.random(.uint16BigEndian, frames: 5, pixels: 40)
        let part = input.stack.frames(2..<4).pixels(11..<31)
        let sums = filled(2, with: UInt64(0), guardedBy: 77) { PixelKernels().frameSums(part, into: $0) }
        let expected = (2..<4).map { frame in (11..<31).reduce(UInt64(0)) { $0 + input.value(frame, $1) } }
        #expect(sums == expected)
    }

    @Test func aBufferHoldsAsManyFramesAsFit() {
        var bytes = [UInt8](repeating: 1, count: 27)
        bytes.withUnsafeMutableBytes { buffer in
            let stack = PixelStack(UnsafeRawBufferPointer(buffer), pixelCount: 4, encoding: .uint16)
            #expect(stack.frameCount == 3)
            #expect(stack.stride == 8)
        }
    }
}
