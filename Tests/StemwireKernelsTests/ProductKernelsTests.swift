import StemwireKernels
import StemwireTestSupport
import Testing

/// Products of frames and masks, bit by bit against the order and the rounding that they are said to have.
@Suite struct ProductKernelsTests {
    /// (frames, masks, pixels): around the tiles of frames and masks, the lanes, and what is worked on at once.
    static let sizes = [
        (0, 3, 5), (3, 0, 5), (2, 2, 0), (1, 1, 1), (2, 3, 7), (3, 2, 8), (4, 4, 16), (5, 6, 17), (1, 5, 31),
        (6, 1, 33), (7, 9, 130), (9, 3, 517), (17, 18, 40), (2, 1, 1026),
    ]

    private func random<Element: BinaryFloatingPoint>(
        _ count: Int, _ generator: inout SeededGenerator
    ) -> [Element] {
        (0..<count).map { _ in Element(Double.random(in: -100...100, using: &generator)) }
    }

    /// 0.5 + the products of rows, in the order of the kernels.
    private func plain<Element: BinaryFloatingPoint>(
        _ frame: ArraySlice<Element>, _ mask: ArraySlice<Element>, lanes: Int
    ) -> Double {
        var sums = Array(repeating: Element(0), count: lanes)
        for (index, (pixel, weight)) in zip(frame, mask).enumerated() {
            if Element.self == Float.self {
                sums[index % lanes].addProduct(pixel, weight)
            } else {
                let product = pixel * weight
                sums[index % lanes] += product
            }
        }
        var doubles = sums.map { Double($0) }
        while doubles.count > 1 {
            let half = doubles.count / 2
            doubles = (0..<half).map { doubles[$0] + doubles[$0 + half] }
        }
        return 0.5 + doubles[0]
    }

    private func expectPlain<Element: BinaryFloatingPoint & Sendable>(
        _ type: Element.Type, lanes: Int,
        rows: (RowMatrix<Element>, RowMatrix<Element>, UnsafeMutableBufferPointer<Double>) -> Void,
        packed: (RowMatrix<Element>, PackedMasks<Element>, UnsafeMutableBufferPointer<Double>) -> Void
    ) throws {
        for (index, (frameCount, maskCount, pixelCount)) in Self.sizes.enumerated() {
            var generator = SeededGenerator(seed: UInt64(index))
            // Rows at a distance, not aligned to vectors, nonsense between them.
            let (frameStride, maskStride) = (pixelCount + 3, pixelCount + 1)
            let frames: [Element] = random(1 + frameCount * frameStride, &generator)
            let masks: [Element] = random(1 + maskCount * maskStride, &generator)
            func sums(
                _ body: (RowMatrix<Element>, RowMatrix<Element>, UnsafeMutableBufferPointer<Double>) -> Void
            ) -> [Double]? {
                filled(frameCount * maskCount, with: 0.5, guardedBy: 77) { sums in
                    frames.withUnsafeBufferPointer { frames in
                        masks.withUnsafeBufferPointer { masks in
                            body(
                                RowMatrix(
                                    base: frames.baseAddress! + 1, stride: frameStride, rowCount: frameCount,
                                    columnCount: pixelCount),
                                RowMatrix(
                                    base: masks.baseAddress! + 1, stride: maskStride, rowCount: maskCount,
                                    columnCount: pixelCount), sums)
                        }
                    }
                }
            }
            var expected: [Double] = []
            for frame in 0..<frameCount {
                let row = frames[(1 + frame * frameStride)...].prefix(pixelCount)
                for mask in 0..<maskCount {
                    expected.append(plain(row, masks[(1 + mask * maskStride)...].prefix(pixelCount), lanes: lanes))
                }
            }
            try #require(sums(rows) == expected)
            let together = PackedMasks(maskCount: maskCount, pixelCount: pixelCount) {
                masks[1 + $0 * maskStride + $1]
            }
            try #require(sums { packed($0, together, $2) } == expected)
        }
    }

    @Test(arguments: InstructionSet.supported)
    func productsOfFloat(_ level: InstructionSet) throws {
        let kernels = PixelKernels(level)
        try expectPlain(
            Float.self, lanes: PixelKernels.productLanes, rows: { kernels.addProducts($0, $1, to: $2) },
            packed: { kernels.addProducts($0, $1, to: $2) })
    }

    @Test(arguments: InstructionSet.supported)
    func productsOfDouble(_ level: InstructionSet) throws {
        let kernels = PixelKernels(level)
        try expectPlain(
            Double.self, lanes: PixelKernels.productLanes / 2, rows: { kernels.addProducts($0, $1, to: $2) },
            packed: { kernels.addProducts($0, $1, to: $2) })
    }

    @Test(arguments: InstructionSet.supported, PixelEncoding.allCases)
    func productsOfCounts(_ level: InstructionSet, _ encoding: PixelEncoding) throws {
        for (frameCount, maskCount, pixelCount) in [(1, 1, 5), (3, 5, 77), (18, 2, 37), (2, 1, 530)] {
            let pixels = TestPixels.random(encoding, frames: frameCount, pixels: pixelCount)
            var generator = SeededGenerator(seed: 3)
            let weights: [Float] = random(maskCount * pixelCount, &generator)
            let masks = PackedMasks(maskCount: maskCount, pixelCount: pixelCount) { weights[$0 * pixelCount + $1] }
            let sums = filled(frameCount * maskCount, with: 0.5, guardedBy: 77) {
                PixelKernels(level).addProducts(pixels.stack, masks, to: $0)
            }
            var expected: [Double] = []
            for frame in 0..<frameCount {
                let row = (0..<pixelCount).map { Float(pixels.value(frame, $0)) }
                for mask in 0..<maskCount {
                    expected.append(
                        plain(
                            row[...], weights[(mask * pixelCount)...].prefix(pixelCount),
                            lanes: PixelKernels.productLanes))
                }
            }
            try #require(sums == expected)
        }
    }

    /// a · b + c by the kernels: c is the first pixel of a lane, with weight 1, a the second one.
    private func fused(_ level: InstructionSet, _ a: Float, _ b: Float, _ c: Float) -> Float {
        let lanes = PixelKernels.productLanes
        var frame = Array(repeating: Float(0), count: lanes + 1)
        var mask = frame
        (frame[0], mask[0], frame[lanes], mask[lanes]) = (c, 1, a, b)
        let sums = filled(1, with: 0, guardedBy: 77) { sums in
            frame.withUnsafeBufferPointer { frame in
                mask.withUnsafeBufferPointer { mask in
                    PixelKernels(level).addProducts(row(frame), row(mask), to: sums)
                }
            }
        }
        return Float(sums?[0] ?? 77)
    }

    private func row(_ numbers: UnsafeBufferPointer<Float>) -> RowMatrix<Float> {
        RowMatrix(base: numbers.baseAddress!, stride: numbers.count, rowCount: 1, columnCount: numbers.count)
    }

    @Test(arguments: InstructionSet.supported)
    func productsAreRoundedTogetherWithTheSum(_ level: InstructionSet) throws {
        var generator = SeededGenerator(seed: 5)
        func nearOne() -> Float { 1 + Float(Int.random(in: -9...9, using: &generator)) * 0x1p-23 }
        func any() -> Float { Float(bitPattern: UInt32(truncatingIfNeeded: generator.next())) }
        for round in 0..<6000 {
            var (a, b, c) = (any(), any(), any())
            if round % 3 != 0 {
                // Products that lie close to half of the last bit of the sum, or to a bit far below it.
                let exponent = Int.random(in: round % 3 == 1 ? -26 ... -22 : -60 ... -20, using: &generator)
                let sign: Float = Bool.random(using: &generator) ? 1 : -1
                a = sign * nearOne() * Float(sign: .plus, exponent: exponent, significand: 1)
                b = nearOne()
                c = nearOne()
            }
            let expected = c.addingProduct(a, b)
            let result = fused(level, a, b, c)
            try #require(
                result == expected || (result.isNaN && expected.isNaN), "\(a) · \(b) + \(c) is \(expected)")
        }
        let limits: [(Float, Float, Float)] = [
            (.infinity, 1, 2), (.infinity, 0, 1), (.infinity, 1, -.infinity), (.greatestFiniteMagnitude, 2, 0),
            (.greatestFiniteMagnitude, 1, .greatestFiniteMagnitude), (.leastNonzeroMagnitude, 0.5, 0),
            (.leastNonzeroMagnitude, 0.5, .leastNonzeroMagnitude), (3, .leastNonzeroMagnitude, .leastNormalMagnitude),
        ]
        for (a, b, c) in limits {
            let (expected, result) = (c.addingProduct(a, b), fused(level, a, b, c))
            #expect(result == expected || (result.isNaN && expected.isNaN), "\(a) · \(b) + \(c) is \(expected)")
        }
    }
}
