import StemwireKernels

/// Sums of frames weighted with masks, for several masks at once: the matrix product frames · masksᵀ.
///
/// Frames are taken in blocks of pixels, so that the masks pass through the cache once for all frames of a tile. The
/// bits of a frame's sums depend on the frame and the masks alone. A value without state, to be used by any number of
/// threads.
struct MaskProduct: Sendable {
    /// Pixels whose products are added up as `float32`; what they sum to is added up as `float64`. Part of the result.
    private static let blockPixels = 2048
    /// Tiles of so many frames pay off for masks that do not stay in the second-level cache: masks then come from memory
    /// at half the rate at which they are worked on.
    private static let worthwhileFrames = 16

    /// The blocks in which some mask is not zero.
    private enum Blocks {
        case float32([(pixels: Range<Int>, masks: PackedMasks<Float>)])
        case float64([(pixels: Range<Int>, masks: PackedMasks<Double>)])
    }

    let maskCount: Int
    private let blocks: Blocks
    private let maskBytes: Int
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
        dtype = meta.inputDType
        maskBytes = weights.count * (isDouble ? DType.float64 : .float32).byteCount
        let all = stride(from: 0, to: pixelCount, by: Self.blockPixels).map {
            $0..<min($0 + Self.blockPixels, pixelCount)
        }
        blocks = weights.withUnsafeBufferPointer { weights in
            let used = all.filter { block in
                (0..<maskCount).contains { mask in
                    let first = mask * pixelCount
                    return (block.lowerBound..<block.upperBound).contains { weights[first + $0] != 0 }
                }
            }
            func packed<Element>(_ block: Range<Int>, _ convert: (Double) -> Element) -> PackedMasks<Element> {
                PackedMasks(maskCount: maskCount, pixelCount: block.count) { mask, pixel in
                    convert(weights[mask * pixelCount + block.lowerBound + pixel])
                }
            }
            return isDouble
                ? .float64(used.map { ($0, packed($0) { $0 }) }) : .float32(used.map { ($0, packed($0) { Float($0) }) })
        }
    }

    /// The form in which it takes pixels.
    var input: InputType {
        guard case .float32 = blocks else { return .native }
        return PixelEncoding(dtype: dtype) != nil ? .stack : dtype == .float32 ? .float32 : .native
    }

    var preferredTileDepth: Int { maskBytes > RunPlan.blockBytes ? Self.worthwhileFrames : 1 }

    /// sums[frame, mask] = Σ over pixels of the frame's pixel · the mask's.
    func multiply(_ tile: FrameTile, into sums: UnsafeMutableBufferPointer<Double>) throws {
        let used = UnsafeMutableBufferPointer(rebasing: sums[..<(tile.count * maskCount)])
        used.update(repeating: 0)
        switch blocks {
        case .float32(let blocks) where tile.encoding != nil:
            let stack = try tile.stack()
            for (pixels, masks) in blocks { kernels.addProducts(stack.pixels(pixels), masks, to: used) }
        case .float32(let blocks) where tile.dtype == .float32:
            let base = tile.base.assumingMemoryBound(to: Float.self)
            for (pixels, masks) in blocks {
                let frames = RowMatrix(
                    base: base + pixels.lowerBound, stride: tile.frameStride / DType.float32.byteCount,
                    rowCount: tile.count, columnCount: pixels.count)
                kernels.addProducts(frames, masks, to: used)
            }
        case .float32(let blocks):
            try withUnsafeTemporaryAllocation(of: Float.self, capacity: tile.count * Self.blockPixels) { rounded in
                try forEach(blocks, of: tile) { frames, masks in
                    guard let start = rounded.baseAddress else { return }
                    for index in 0..<frames.rowCount * frames.columnCount { start[index] = Float(frames.base[index]) }
                    let frames = RowMatrix(
                        base: UnsafePointer(start), stride: frames.stride, rowCount: frames.rowCount,
                        columnCount: frames.columnCount)
                    kernels.addProducts(frames, masks, to: used)
                }
            }
        case .float64(let blocks):
            try forEach(blocks, of: tile) { frames, masks in kernels.addProducts(frames, masks, to: used) }
        }
    }

    /// Goes through the blocks with their pixels as `float64`.
    private func forEach<Masks>(
        _ blocks: [(pixels: Range<Int>, masks: Masks)], of tile: FrameTile, _ body: (RowMatrix<Double>, Masks) -> Void
    ) throws {
        try withUnsafeTemporaryAllocation(of: Double.self, capacity: tile.count * Self.blockPixels) { numbers in
            guard let start = numbers.baseAddress else { return }
            for (pixels, masks) in blocks {
                for index in 0..<tile.count {
                    try tile[index].copyPixels(pixels, to: start + index * pixels.count)
                }
                let frames = RowMatrix(
                    base: UnsafePointer(start), stride: pixels.count, rowCount: tile.count, columnCount: pixels.count)
                body(frames, masks)
            }
        }
    }
}
