import MerlinProtocol
import StemwireKernels
import Testing

/// Several computations in one pass: each gives what it gives alone, and what plain loops give.
@Suite struct PixelWorkTests {
    /// (frames, height, width): around the frames that go through a pass together, and the rows of a band.
    static let sizes = [
        (0, 3, 5), (1, 1, 1), (3, 7, 9), (7, 4, 67), (9, 9, 131), (17, 3, 40), (3, 2, 1100), (2, 300, 4),
    ]

    /// Memory for the results of all works.
    private final class Results {
        let narrow: UnsafeMutableBufferPointer<UInt32>
        let sums: UnsafeMutableBufferPointer<UInt64>
        let sumsBeside: UnsafeMutableBufferPointer<UInt64>
        let squares: UnsafeMutableBufferPointer<UInt64>
        let maxima: UnsafeMutableBufferPointer<UInt64>
        let frameSums: UnsafeMutableBufferPointer<UInt64>
        let maskSums: [UnsafeMutableBufferPointer<UInt64>]
        let moments: [UnsafeMutableBufferPointer<PixelMoments>]

        init(frames: Int, pixels: Int, masks: Int) {
            func filled<Element>(_ count: Int, _ element: Element) -> UnsafeMutableBufferPointer<Element> {
                let elements = UnsafeMutableBufferPointer<Element>.allocate(capacity: count)
                elements.initialize(repeating: element)
                return elements
            }
            narrow = filled(pixels, 3)
            sums = filled(pixels, 0)
            sumsBeside = filled(pixels, 1)
            squares = filled(pixels, 2)
            maxima = filled(pixels, 0)
            frameSums = filled(frames, 9)
            maskSums = (0..<masks).map { _ in filled(frames, 9) }
            moments = (0..<masks).map { _ in filled(frames, PixelMoments(sum: 9)) }
        }

        deinit {
            narrow.deallocate()
            for numbers in numbers { numbers.deallocate() }
            for numbers in moments { numbers.deallocate() }
        }

        func works(_ masks: [RunLengthMask]) -> [PixelWork] {
            var works: [PixelWork] = [
                .addFrames(to: narrow), .frameSums(into: frameSums), .addFrames(to: sums),
                .addFrames(to: sumsBeside, squares: squares), .maximum(into: UnsafeMutableRawBufferPointer(maxima)),
            ]
            for (index, mask) in masks.enumerated() {
                works.append(.moments(over: mask, into: moments[index]))
                works.append(.maskedSums(mask, into: maskSums[index]))
            }
            return works
        }

        func equals(_ other: Results) -> Bool {
            narrow.elementsEqual(other.narrow)
                && zip(numbers, other.numbers).allSatisfy { $0.elementsEqual($1) }
                && zip(moments, other.moments).allSatisfy { $0.elementsEqual($1) }
        }

        private var numbers: [UnsafeMutableBufferPointer<UInt64>] {
            [sums, sumsBeside, squares, maxima, frameSums] + maskSums
        }
    }

    private func masks(_ shape: SigShape) -> [RunLengthMask] {
        [
            .disk(shape, cy: Double(shape.height) / 2, cx: Double(shape.width) / 2, radius: 30),
            .ring(shape, cy: 2, cx: Double(shape.width) / 2, innerRadius: 3, outerRadius: 50), .full(shape),
            RunLengthMask(sigShape: shape) { y, x in (x + y) % 5 == 1 }, .rectangle(shape, y: 1..<2, x: 0..<3),
            .rectangle(shape, y: 0..<0, x: 0..<0),
        ]
    }

    @Test(arguments: PixelKernelsTests.cases)
    func onePassGivesWhatEachWorkGives(_ test: PixelKernelsTests.Case) throws {
        let kernels = PixelKernels(test.level)
        for (index, (frames, height, width)) in Self.sizes.enumerated() {
            let shape = SigShape(height: height, width: width)
            let input = TestPixels.random(
                test.encoding, frames: frames, pixels: shape.pixelCount, offset: index % 3, seed: UInt64(index))
            let masks = masks(shape)
            let together = Results(frames: frames, pixels: shape.pixelCount, masks: masks.count)
            together.works(masks).withUnsafeBufferPointer { kernels.perform($0, on: input.stack) }
            let alone = Results(frames: frames, pixels: shape.pixelCount, masks: masks.count)
            for work in alone.works(masks) { kernels.perform(work, on: input.stack) }
            try #require(together.equals(alone))
        }
    }

    @Test(arguments: PixelKernelsTests.cases)
    func sumsAreThoseOfPlainLoops(_ test: PixelKernelsTests.Case) throws {
        let shape = SigShape(height: 9, width: 131)
        let input = TestPixels.random(test.encoding, frames: 5, pixels: shape.pixelCount)
        let masks = masks(shape)
        let results = Results(frames: 5, pixels: shape.pixelCount, masks: masks.count)
        results.works(masks).withUnsafeBufferPointer { PixelKernels(test.level).perform($0, on: input.stack) }
        for pixel in 0..<shape.pixelCount {
            let sum = (0..<5).reduce(UInt64(0)) { $0 &+ input.value($1, pixel) }
            try #require(results.narrow[pixel] == 3 &+ UInt32(truncatingIfNeeded: sum))
            try #require(results.sums[pixel] == sum)
        }
        for frame in 0..<5 {
            try #require(
                results.frameSums[frame] == (0..<shape.pixelCount).reduce(0) { $0 &+ input.value(frame, $1) })
            for (index, mask) in masks.enumerated() {
                var expected = PixelMoments()
                for pixel in mask.pixelRanges.joined() {
                    let value = input.value(frame, pixel)
                    expected.sum &+= value
                    expected.y &+= value &* UInt64(pixel / shape.width)
                    expected.x &+= value &* UInt64(pixel % shape.width)
                }
                try #require(results.moments[index][frame] == expected)
                try #require(results.maskSums[index][frame] == expected.sum)
            }
        }
    }

    /// Nothing but the largest value, in more rows and longer ones than what is added up in narrow sums.
    @Test(arguments: PixelKernelsTests.cases)
    func doesNotOverflow(_ test: PixelKernelsTests.Case) throws {
        let (largest, pixels) = (test.encoding.largestPixel, 9001)
        let input = TestPixels(test.encoding, frames: 2, pixels: pixels) { _, _ in largest }
        let results = Results(frames: 2, pixels: pixels, masks: 1)
        let works = results.works([.full(SigShape(height: 1, width: pixels))])
        works.withUnsafeBufferPointer { PixelKernels(test.level).perform($0, on: input.stack) }
        #expect(results.frameSums.allSatisfy { $0 == largest &* UInt64(pixels) })
        #expect(results.narrow.allSatisfy { $0 == UInt32(truncatingIfNeeded: 2 &* largest &+ 3) })
        #expect(results.moments[0].allSatisfy { $0.sum == largest &* UInt64(pixels) })
    }
}
