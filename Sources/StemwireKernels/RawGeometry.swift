import CStemwireKernels
import MerlinProtocol

/// Where the chips' pixels of a raw frame go in the image.
struct RawGeometry: Sendable {
    let height: Int
    let width: Int
    /// Raw rows, the same for every chip.
    let rows: Int
    let gap: Int
    let blocks: swk_raw_geometry

    init(layout: SensorLayout, rows: Int) throws(DecodeError) {
        let side = FrameFormat.chipSide
        self.rows = rows
        var blocks = swk_raw_geometry()
        if layout.isSingle {
            gap = 0
            height = rows
            width = side
            blocks.blocks = 1
            blocks.block.0 = swk_raw_block(first_row: 0, row_step: 1, column: 0, turned: 0)
        } else if layout.isQuad {
            gap = layout.hasGap ? FrameFormat.rawGap : 0
            height = 2 * rows + gap
            width = 2 * side + gap
            let right = side + gap
            // A raw row is chip 4, chip 3, chip 2, chip 1. Chips 3 and 4 are the lower half, turned by 180°.
            blocks.blocks = 4
            blocks.block.0 = swk_raw_block(first_row: height - 1, row_step: -1, column: right, turned: 1)
            blocks.block.1 = swk_raw_block(first_row: height - 1, row_step: -1, column: 0, turned: 1)
            blocks.block.2 = swk_raw_block(first_row: 0, row_step: 1, column: right, turned: 0)
            blocks.block.3 = swk_raw_block(first_row: 0, row_step: 1, column: 0, turned: 0)
        } else {
            throw .rawLayout(layout)
        }
        blocks.rows = rows
        blocks.block_pixels = side
        blocks.width = width
        self.blocks = blocks
    }

    /// Sets the pixels between the chips to 0.
    func clearGap(of image: UnsafeMutableRawPointer, bytesPerPixel: Int) {
        guard gap > 0 else { return }
        func clear(_ pixel: Int, _ count: Int) {
            (image + pixel * bytesPerPixel).initializeMemory(as: UInt8.self, repeating: 0, count: count * bytesPerPixel)
        }
        clear(rows * width, gap * width)
        for row in 0..<rows {
            clear(row * width + FrameFormat.chipSide, gap)
            clear((height - 1 - row) * width + FrameFormat.chipSide, gap)
        }
    }
}
