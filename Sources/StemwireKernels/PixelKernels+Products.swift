import CStemwireKernels

/// Rows of floating-point numbers at a fixed distance: frames, or masks. A view, valid as long as the memory it looks
/// at.
public struct RowMatrix<Element: BinaryFloatingPoint> {
    public var base: UnsafePointer<Element>
    /// Elements from the first of a row to the first of the next.
    public var stride: Int
    public var rowCount: Int
    public var columnCount: Int

    /// - Precondition: Sizes are not negative.
    public init(base: UnsafePointer<Element>, stride: Int, rowCount: Int, columnCount: Int) {
        precondition(stride >= 0 && rowCount >= 0 && columnCount >= 0)
        self.base = base
        self.stride = stride
        self.rowCount = rowCount
        self.columnCount = columnCount
    }

    fileprivate var view: swk_matrix { swk_matrix(base: base, stride: stride, rows: rowCount) }

    /// The rows as masks. A single row has any distance to the next, but not that which means packed ones.
    fileprivate var masks: swk_masks { swk_masks(base: base, stride: max(stride, 1), rows: rowCount) }
}

/// Sums of products of frames and masks: sums[frame, mask] += Σ over pixels of frames[frame, pixel] · masks[mask, pixel].
///
/// The bits of a sum depend on its frame and its mask alone: they are the same at every level, for any number of frames
/// and masks, packed or not, and for pixels given as counts or as `float32`.
///
/// - Of `float32`, the products are added up in ``PixelKernels/productLanes`` sums, of every so many pixels, each product
///   being rounded together with the sum it is added to (fused multiply-add).
/// - Of `float64`, there are half as many sums, and products are rounded before they are added.
///
/// These sums are added up as `float64`, the second half of them to the first, until one is left. Rounding errors grow
/// with the number of pixels in a call, so pass long rows in pieces; a few thousand pixels of packed masks are a good
/// piece, and about sixteen frames a good number.
extension PixelKernels {
    /// How many pixels have a sum of their own in products of `float32`; half as many in those of `float64`.
    public static let productLanes = Int(SWK_PRODUCT_BYTES) / MemoryLayout<Float>.stride

    /// Frames of counts, which are rounded to `float32` where they are beyond 2^24.
    public func addProducts(
        _ frames: PixelStack, _ masks: PackedMasks<Float>, to sums: UnsafeMutableBufferPointer<Double>
    ) {
        precondition(sums.count >= frames.frameCount * masks.maskCount, "too few sums")
        precondition(frames.pixelCount == masks.pixelCount, "masks for frames of another size")
        guard let sums = sums.baseAddress else { return }
        let encoding = swk_encoding(UInt32(frames.encoding.rawValue))
        withUnsafePointer(to: frames.view) { stack in
            withUnsafePointer(to: masks.view) { table.pointee.products_of_pixels(encoding, stack, $0, sums) }
        }
    }

    /// Frames of `float32`.
    public func addProducts(
        _ frames: RowMatrix<Float>, _ masks: PackedMasks<Float>, to sums: UnsafeMutableBufferPointer<Double>
    ) {
        precondition(frames.columnCount == masks.pixelCount, "masks for frames of another size")
        add(frames, masks.view, to: sums, table.pointee.products_f32)
    }

    /// Frames and masks of `float32`; the masks are packed as they are used.
    public func addProducts(
        _ frames: RowMatrix<Float>, _ masks: RowMatrix<Float>, to sums: UnsafeMutableBufferPointer<Double>
    ) {
        precondition(frames.columnCount == masks.columnCount, "masks for frames of another size")
        add(frames, masks.masks, to: sums, table.pointee.products_f32)
    }

    /// Frames of `float64`.
    public func addProducts(
        _ frames: RowMatrix<Double>, _ masks: PackedMasks<Double>, to sums: UnsafeMutableBufferPointer<Double>
    ) {
        precondition(frames.columnCount == masks.pixelCount, "masks for frames of another size")
        add(frames, masks.view, to: sums, table.pointee.products_f64)
    }

    /// Frames and masks of `float64`; the masks are packed as they are used.
    public func addProducts(
        _ frames: RowMatrix<Double>, _ masks: RowMatrix<Double>, to sums: UnsafeMutableBufferPointer<Double>
    ) {
        precondition(frames.columnCount == masks.columnCount, "masks for frames of another size")
        add(frames, masks.masks, to: sums, table.pointee.products_f64)
    }

    private func add<Element>(
        _ frames: RowMatrix<Element>, _ masks: swk_masks, to sums: UnsafeMutableBufferPointer<Double>,
        _ kernel:
            @convention(c) (UnsafePointer<swk_matrix>, UnsafePointer<swk_masks>, Int, UnsafeMutablePointer<Double>)
            -> Void
    ) {
        precondition(sums.count >= frames.rowCount * masks.rows, "too few sums")
        guard let sums = sums.baseAddress else { return }
        withUnsafePointer(to: frames.view) { rows in
            withUnsafePointer(to: masks) { kernel(rows, $0, frames.columnCount, sums) }
        }
    }
}
