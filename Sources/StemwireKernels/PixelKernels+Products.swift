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
}

extension PixelKernels {
    /// How many pixels have a sum of their own in products of `float32`; half as many in those of `float64`.
    public static let productLanes = 16

    /// sums[frame, mask] += Σ over pixels of frames[frame, pixel] · masks[mask, pixel].
    ///
    /// The products are added up as `float32` in ``productLanes`` sums, of every so many pixels, which are then added
    /// up as `float64`: the same bits at every level, for any number of frames and masks. Rounding errors grow with the
    /// number of pixels in a call, so pass long rows in pieces.
    public func addProducts(
        _ frames: RowMatrix<Float>, _ masks: RowMatrix<Float>, to sums: UnsafeMutableBufferPointer<Double>
    ) {
        precondition(sums.count >= frames.rowCount * masks.rowCount, "too few sums")
        precondition(frames.columnCount == masks.columnCount, "masks for frames of another size")
        guard let sums = sums.baseAddress else { return }
        withUnsafePointer(to: frames.view) { frameRows in
            withUnsafePointer(to: masks.view) {
                table.pointee.products_f32(frameRows, $0, frames.columnCount, sums)
            }
        }
    }

    /// sums[frame, mask] += Σ over pixels of frames[frame, pixel] · masks[mask, pixel], all in `float64`: the same bits
    /// at every level, for any number of frames and masks.
    public func addProducts(
        _ frames: RowMatrix<Double>, _ masks: RowMatrix<Double>, to sums: UnsafeMutableBufferPointer<Double>
    ) {
        precondition(sums.count >= frames.rowCount * masks.rowCount, "too few sums")
        precondition(frames.columnCount == masks.columnCount, "masks for frames of another size")
        guard let sums = sums.baseAddress else { return }
        withUnsafePointer(to: frames.view) { frameRows in
            withUnsafePointer(to: masks.view) {
                table.pointee.products_f64(frameRows, $0, frames.columnCount, sums)
            }
        }
    }
}
