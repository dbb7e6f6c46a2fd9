import StemwirePictures

/// A two-dimensional array of numbers made visible: limits, scale, colours, PNG.
///
/// Rows are drawn in the array's order, first row on top.
public struct Picture: Sendable {
    public let width: Int
    public let height: Int
    /// Red, green, blue for each pixel, row by row: `3 · width · height` bytes.
    public let rgb: [UInt8]

    /// How values become brightness.
    public enum Scale: String, Sendable, CaseIterable {
        case linear
        /// ln(1 + value − lower limit): for diffraction patterns, whose centre outshines the rest.
        case logarithmic
    }

    /// Draws `values`, shape (height, width) in C order.
    ///
    /// - Parameters:
    ///   - values: `height` × `width` of them, rows one behind the other.
    ///   - height: in pixels.
    ///   - width: in pixels.
    ///   - valid: where there is a value; the rest is drawn dark grey and does not count for the limits. Nil: everywhere.
    ///   - scale: how values become brightness.
    ///   - colours: from the lowest value to the highest.
    ///   - outlierShare: this share of the values at each end does not count for the limits.
    public init(
        values: [Double], height: Int, width: Int, valid: [Bool]? = nil, scale: Scale = .linear,
        colours: ColourMap = .viridis, outlierShare: Double = 0.001
    ) {
        precondition(values.count == height * width && valid.map { $0.count == values.count } ?? true)
        self.width = width
        self.height = height
        let style = PictureStyle(
            colours: colours.rawValue, isLogarithmic: scale == .logarithmic, outlierShare: outlierShare)
        rgb = style.rgb(values, valid: valid) ?? [UInt8](repeating: PictureStyle.noValue, count: 3 * values.count)
    }

    /// The picture made `factor` times larger in each direction, without smoothing.
    public func enlarged(_ factor: Int) -> Picture {
        var large = [UInt8]()
        large.reserveCapacity(rgb.count * factor * factor)
        for row in 0..<height {
            var line = [UInt8]()
            line.reserveCapacity(3 * width * factor)
            for column in 0..<width {
                let pixel = rgb[(row * width + column) * 3..<(row * width + column) * 3 + 3]
                for _ in 0..<factor { line += pixel }
            }
            for _ in 0..<factor { large += line }
        }
        return Picture(width: width * factor, height: height * factor, rgb: large)
    }

    private init(width: Int, height: Int, rgb: [UInt8]) {
        self.width = width
        self.height = height
        self.rgb = rgb
    }

    /// The picture as a PNG file's bytes.
    public func png() -> [UInt8] { PNGFile.encode(rgb: rgb, width: width, height: height) ?? [] }

    /// The picture in half-block characters with 24-bit colours: two rows of pixels a line, reset at each line's end.
    ///
    /// Larger pictures are drawn with every n-th pixel so that they are at most `maximumWidth` characters wide.
    public func terminalLines(maximumWidth: Int) -> [String] {
        let step = max(1, (width + maximumWidth - 1) / maximumWidth)
        let columns = stride(from: 0, to: width, by: step)
        let rows = Array(stride(from: 0, to: height, by: step))
        return stride(from: 0, to: rows.count, by: 2).map { pair in
            columns.map { column in
                let upper = (rows[pair] * width + column) * 3
                let lower = pair + 1 < rows.count ? (rows[pair + 1] * width + column) * 3 : upper
                return "\u{1B}[38;2;\(rgb[upper]);\(rgb[upper + 1]);\(rgb[upper + 2])m"
                    + "\u{1B}[48;2;\(rgb[lower]);\(rgb[lower + 1]);\(rgb[lower + 2])m▀"
            }.joined() + "\u{1B}[0m"
        }
    }
}
