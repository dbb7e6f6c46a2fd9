import MerlinProtocol
import StemwireKernels
import StemwireTestSupport
import Testing

@Suite struct RunLengthMaskTests {
    static let shape = SigShape(height: 23, width: 37)

    /// Masks, each with the rule that it stands for.
    static let masks: [(RunLengthMask, @Sendable (Int, Int) -> Bool)] = {
        @Sendable func squaredDistance(_ y: Int, _ x: Int, _ cy: Double, _ cx: Double) -> Double {
            (Double(y) - cy) * (Double(y) - cy) + (Double(x) - cx) * (Double(x) - cx)
        }
        @Sendable func isOnStripe(_ y: Int, _ x: Int) -> Bool { (x + y) % 3 == 0 }
        var masks: [(RunLengthMask, @Sendable (Int, Int) -> Bool)] = [
            (.full(shape), { _, _ in true }),
            (.rectangle(shape, y: -3..<5, x: 30..<99), { y, x in y < 5 && x >= 30 }),
            (.rectangle(shape, y: 7..<8, x: 9..<10), { y, x in y == 7 && x == 9 }),
            (.rectangle(shape, y: 40..<50, x: 0..<5), { _, _ in false }),
            (RunLengthMask(sigShape: shape, where: isOnStripe), isOnStripe),
            (.disk(shape, cy: 11, cx: 18, radius: .infinity), { _, _ in true }),
            (.disk(shape, cy: 11, cx: 18, radius: -1), { _, _ in false }),
        ]
        for (cy, cx) in [(11.0, 18.0), (11.5, 17.25), (-4, 40), (22, 0)] {
            for radius in [0, 1, 5, 7.5, 10, 13, 60] {
                masks.append(
                    (
                        .disk(shape, cy: cy, cx: cx, radius: radius),
                        { y, x in squaredDistance(y, x, cy, cx) <= radius * radius }
                    ))
                masks.append(
                    (
                        .ring(shape, cy: cy, cx: cx, innerRadius: radius / 2, outerRadius: radius),
                        { y, x in
                            let squared = squaredDistance(y, x, cy, cx)
                            return squared <= radius * radius && !(squared <= radius * radius / 4)
                        }
                    ))
            }
        }
        return masks
    }()

    @Test func holdsThePixelsOfItsRule() {
        for (mask, rule) in Self.masks {
            #expect(mask == RunLengthMask(sigShape: Self.shape, where: rule))
        }
    }

    @Test func countsPixelsAndRows() {
        for (mask, rule) in Self.masks {
            let rows = (0..<Self.shape.height).filter { y in (0..<Self.shape.width).contains { rule(y, $0) } }
            let pixels = rows.reduce(0) { sum, y in sum + (0..<Self.shape.width).count { rule(y, $0) } }
            #expect(mask.pixelCount == pixels)
            #expect(mask.rows == (rows.isEmpty ? 0..<0 : rows.first!..<rows.last! + 1))
        }
    }

    @Test func anArrayIsItsNonzeroElements() {
        for (mask, rule) in Self.masks {
            var elements: [UInt8] = []
            for y in 0..<Self.shape.height {
                for x in 0..<Self.shape.width { elements.append(rule(y, x) ? UInt8(1 + (x + y) % 255) : 0) }
            }
            #expect(mask == RunLengthMask(sigShape: Self.shape, nonzero: elements))
        }
    }

    @Test(arguments: PixelKernelsTests.cases)
    func sumsAndMomentsAreThoseOfItsPixels(_ test: PixelKernelsTests.Case) throws {
        let shape = Self.shape
        let input = TestPixels.random(test.encoding, frames: 2, pixels: shape.pixelCount)
        let kernels = PixelKernels(test.level)
        var sumsOfAll: [[UInt64]] = []
        for (mask, rule) in Self.masks {
            var expected = [PixelMoments](repeating: PixelMoments(), count: 2)
            for frame in 0..<2 {
                for y in 0..<shape.height {
                    for x in 0..<shape.width where rule(y, x) {
                        let value = input.value(frame, y * shape.width + x)
                        expected[frame].sum &+= value
                        expected[frame].y &+= UInt64(y) &* value
                        expected[frame].x &+= UInt64(x) &* value
                    }
                }
            }
            let moments = filled(2, with: PixelMoments(), guardedBy: PixelMoments(sum: 77)) {
                kernels.moments(input.stack, over: mask, into: $0)
            }
            try #require(moments == expected)
            let sums = filled(2, with: UInt64(1), guardedBy: 77) { kernels.maskedSums(input.stack, mask, into: $0) }
            try #require(sums == expected.map(\.sum))
            sumsOfAll.append(expected.map(\.sum))
        }
        let together = filled(2 * Self.masks.count, with: UInt64(1), guardedBy: 77) {
            kernels.maskedSums(input.stack, RunLengthMaskSet(Self.masks.map(\.0)), into: $0)
        }
        #expect(together == sumsOfAll.map { $0[0] } + sumsOfAll.map { $0[1] })
    }

    /// More masks, and more ways for them to overlap, than fit into one pass.
    @Test(arguments: [1, 7, 130])
    func setsOfAnyNumberOfMasks(_ count: Int) {
        var generator = SeededGenerator(seed: UInt64(count))
        let masks = (0..<count).map { _ in
            let elements = (0..<Self.shape.pixelCount).map { _ in UInt8.random(in: 0...1, using: &generator) }
            return RunLengthMask(sigShape: Self.shape, nonzero: elements)
        }
        let input = TestPixels.random(.uint16BigEndian, frames: 3, pixels: Self.shape.pixelCount)
        let kernels = PixelKernels()
        let sums = filled(3 * count, with: UInt64(1), guardedBy: 77) {
            kernels.maskedSums(input.stack, RunLengthMaskSet(masks), into: $0)
        }
        for (index, mask) in masks.enumerated() {
            let alone = filled(3, with: UInt64(1), guardedBy: 77) { kernels.maskedSums(input.stack, mask, into: $0) }
            #expect(alone == (0..<3).map { frame in sums?[frame * count + index] ?? 0 })
        }
    }

    @Test func setsOfEmptyMasksSumToZero() {
        let empty = RunLengthMask.rectangle(Self.shape, y: 0..<0, x: 0..<5)
        let input = TestPixels.random(.uint8, frames: 2, pixels: Self.shape.pixelCount)
        let sums = filled(4, with: UInt64(1), guardedBy: 77) {
            PixelKernels().maskedSums(input.stack, RunLengthMaskSet([empty, empty]), into: $0)
        }
        #expect(sums == [0, 0, 0, 0])
    }
}
