import StemwireKernels

/// Sums of frames weighted with masks, for several masks at once: the matrix product frames · masksᵀ.
///
/// Frames are taken in blocks of pixels, so that the masks pass through the cache once for all frames of a tile. The
/// bits of a frame's sums depend on the frame and the masks alone. A value without state, to be used by any number of
/// threads.
struct MaskProduct: Sendable {
    /// Pixels whose products are added up as `float32`; what they sum to is added up as `float64`. Part of the result.
    private static let blockPixels = 2048
    /// Tiles of so many frames pay off for masks that do not stay in the second-level cache.
    private static let worthwhileFrames = 16

    /// [mask, pixel].
    private enum Weights {
        case float32([Float])
        case float64([Double])
    }

    let maskCount: Int
    private let pixelCount: Int
    private let weights: Weights
    /// The blocks in which some mask is not zero.
    private let blocks: [Range<Int>]
    private let dtype: DType
    private let kernels = PixelKernels()

    /// - Parameters:
    ///   - weights: [mask, pixel].
    ///   - isDouble: Whether products are `float64`; otherwise pixels and masks are rounded to `float32`.
    ///   - meta: Says what the pixels are.
    init(_ weights: [Double], maskCount: Int, isDouble: Bool, meta: UDFMeta) {
        let pixelCount = meta.sigShape.pixelCount
        precondition(weights.count == maskCount * pixelCount)
        self.maskCount = maskCount
        self.pixelCount = pixelCount
        dtype = meta.inputDType
        self.weights = isDouble ? .float64(weights) : .float32(weights.map { Float($0) })
        let all = stride(from: 0, to: pixelCount, by: Self.blockPixels).map {
            $0..<min($0 + Self.blockPixels, pixelCount)
        }
        blocks = all.filter { block in
            (0..<maskCount).contains { mask in
                weights[mask * pixelCount + block.lowerBound..<mask * pixelCount + block.upperBound].contains {
                    $0 != 0
                }
            }
        }
    }

    /// The form in which it takes pixels.
    var input: InputType {
        guard case .float32 = weights else { return .native }
        return PixelEncoding(dtype: dtype) != nil ? .stack : dtype == .float32 ? .float32 : .native
    }

    var preferredTileDepth: Int {
        let bytes =
            switch weights {
            case .float32(let values): values.count * DType.float32.byteCount
            case .float64(let values): values.count * DType.float64.byteCount
            }
        return bytes > RunPlan.blockBytes ? Self.worthwhileFrames : 1
    }

    /// sums[frame, mask] = Σ over pixels of the frame's pixel · the mask's.
    func multiply(_ tile: FrameTile, into sums: UnsafeMutableBufferPointer<Double>) throws {
        let used = UnsafeMutableBufferPointer(rebasing: sums[..<(tile.count * maskCount)])
        used.update(repeating: 0)
        switch weights {
        case .float32(let weights): try multiply(tile, weights, used)
        case .float64(let weights): try multiply(tile, weights, used)
        }
    }

    private func multiply(
        _ tile: FrameTile, _ weights: [Float], _ sums: UnsafeMutableBufferPointer<Double>
    ) throws {
        if tile.dtype == .float32 {
            let base = tile.base.assumingMemoryBound(to: Float.self)
            forEachBlock(weights) { block, masks in
                let frames = RowMatrix(
                    base: base + block.lowerBound, stride: tile.frameStride / DType.float32.byteCount,
                    rowCount: tile.count, columnCount: block.count)
                kernels.addProducts(frames, masks, to: sums)
            }
            return
        }
        let isCount = tile.encoding != nil
        try withUnsafeTemporaryAllocation(of: Float.self, capacity: tile.count * Self.blockPixels) { pixels in
            try withUnsafeTemporaryAllocation(of: Double.self, capacity: isCount ? 0 : Self.blockPixels) { doubles in
                guard let start = pixels.baseAddress else { return }
                try forEachBlock(weights) { block, masks in
                    if isCount {
                        kernels.convertToFloat(try tile.stack().pixels(block), into: pixels)
                    } else if let numbers = doubles.baseAddress {
                        for index in 0..<tile.count {
                            try tile[index].copyPixels(block, to: numbers)
                            for pixel in 0..<block.count { start[index * block.count + pixel] = Float(numbers[pixel]) }
                        }
                    }
                    let frames = RowMatrix(
                        base: UnsafePointer(start), stride: block.count, rowCount: tile.count,
                        columnCount: block.count)
                    kernels.addProducts(frames, masks, to: sums)
                }
            }
        }
    }

    private func multiply(
        _ tile: FrameTile, _ weights: [Double], _ sums: UnsafeMutableBufferPointer<Double>
    ) throws {
        try withUnsafeTemporaryAllocation(of: Double.self, capacity: tile.count * Self.blockPixels) { pixels in
            guard let start = pixels.baseAddress else { return }
            try forEachBlock(weights) { block, masks in
                for index in 0..<tile.count {
                    try tile[index].copyPixels(block, to: start + index * block.count)
                }
                let frames = RowMatrix(
                    base: UnsafePointer(start), stride: block.count, rowCount: tile.count, columnCount: block.count)
                kernels.addProducts(frames, masks, to: sums)
            }
        }
    }

    private func forEachBlock<Element>(
        _ weights: [Element], _ body: (Range<Int>, RowMatrix<Element>) throws -> Void
    ) rethrows {
        try weights.withUnsafeBufferPointer { weights in
            guard let base = weights.baseAddress else { return }
            for block in blocks {
                try body(
                    block,
                    RowMatrix(
                        base: base + block.lowerBound, stride: pixelCount, rowCount: maskCount,
                        columnCount: block.count))
            }
        }
    }
}
