import StemwireKernels
import Testing

/// Products of frames and masks, bit by bit against the order that they are said to have.
@Suite struct ProductKernelsTests {
    /// (frames, masks, pixels): around the tiles of frames and masks, and the lanes.
    static let sizes = [
        (0, 3, 5), (3, 0, 5), (2, 2, 0), (1, 1, 1), (2, 3, 7), (3, 2, 8), (4, 4, 16), (5, 6, 17), (1, 5, 31),
        (6, 1, 33),
        (7, 9, 130), (9, 3, 517),
    ]

    private func expectPlain<Element: BinaryFloatingPoint>(
        _ type: Element.Type, lanes: Int,
        _ product: (RowMatrix<Element>, RowMatrix<Element>, UnsafeMutableBufferPointer<Double>) -> Void
    ) throws {
        for (index, (frameCount, maskCount, pixelCount)) in Self.sizes.enumerated() {
            var generator = SeededGenerator(seed: UInt64(index))
            // Rows at a distance, not aligned to vectors, nonsense between them.
            let (frameStride, maskStride) = (pixelCount + 3, pixelCount + 1)
            func random(_ count: Int) -> [Element] {
                (0..<count).map { _ in Element(Double.random(in: -100...100, using: &generator)) }
            }
            let frames = random(1 + frameCount * frameStride)
            let masks = random(1 + maskCount * maskStride)
            let sums = filled(frameCount * maskCount, with: 0.5, guardedBy: 77) { sums in
                frames.withUnsafeBufferPointer { frames in
                    masks.withUnsafeBufferPointer { masks in
                        product(
                            RowMatrix(
                                base: frames.baseAddress! + 1, stride: frameStride, rowCount: frameCount,
                                columnCount: pixelCount),
                            RowMatrix(
                                base: masks.baseAddress! + 1, stride: maskStride, rowCount: maskCount,
                                columnCount: pixelCount), sums)
                    }
                }
            }
            var expected: [Double] = []
            for frame in 0..<frameCount {
                for mask in 0..<maskCount {
                    var partial = Array(repeating: Element(0), count: lanes)
                    for pixel in 0..<pixelCount {
                        let product = frames[1 + frame * frameStride + pixel] * masks[1 + mask * maskStride + pixel]
                        partial[pixel % lanes] += product
                    }
                    expected.append(0.5 + partial.reduce(0.0) { $0 + Double($1) })
                }
            }
            try #require(sums == expected)
        }
    }

    @Test(arguments: InstructionSet.supported)
    func productsOfFloat(_ level: InstructionSet) throws {
        try expectPlain(Float.self, lanes: PixelKernels.productLanes) {
            PixelKernels(level).addProducts($0, $1, to: $2)
        }
    }

    @Test(arguments: InstructionSet.supported)
    func productsOfDouble(_ level: InstructionSet) throws {
        try expectPlain(Double.self, lanes: PixelKernels.productLanes / 2) {
            PixelKernels(level).addProducts($0, $1, to: $2)
        }
    }
}
