import CLibpng
import Glibc

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
        let shown = values.indices.filter { (valid?[$0] ?? true) && values[$0].isFinite }
        let (low, high) = Self.limits(shown.map { values[$0] }, outlierShare: outlierShare)
        let level: (Double) -> Double = scale == .linear ? { $0 - low } : { log1p(max(0, $0 - low)) }
        let top = max(level(high), .leastNonzeroMagnitude)
        var rgb = [UInt8](repeating: 0x30, count: values.count * 3)
        for index in shown {
            let colour = colours.colour(of: high > low ? Float(level(values[index]) / top) : 0.5)
            (rgb[3 * index], rgb[3 * index + 1], rgb[3 * index + 2]) = (colour.red, colour.green, colour.blue)
        }
        self.rgb = rgb
    }

    /// The limits to draw between, without `outlierShare` of the values at each end.
    static func limits(_ values: [Double], outlierShare: Double) -> (low: Double, high: Double) {
        guard !values.isEmpty else { return (0, 0) }
        let sorted = values.sorted()
        let cut = min(Int(Double(sorted.count) * outlierShare), (sorted.count - 1) / 2)
        return (sorted[cut], sorted[sorted.count - 1 - cut])
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
    public func png() -> [UInt8] {
        var size = 0
        guard stemwire_png_write_rgb(nil, &size, rgb, UInt32(width), UInt32(height)) != 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: size)
        let written = stemwire_png_write_rgb(&bytes, &size, rgb, UInt32(width), UInt32(height))
        return written != 0 ? Array(bytes.prefix(size)) : []
    }

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
