import CLibpng
import Glibc

/// How numbers become a picture.
struct PictureStyle: Sendable, Equatable {
    var colours = "viridis"
    /// ln(1 + value − lower limit) in place of the value: for diffraction patterns.
    var isLogarithmic = false

    private static let outlierShare = 0.001

    /// Red, green and blue of each value; what is no number is dark grey. Nil for an unknown colour map.
    func rgb(_ values: [Float]) -> [UInt8]? {
        guard let table = ColourTables.table(colours) else { return nil }
        let (low, high) = limits(values)
        let level: (Float) -> Float = isLogarithmic ? { log1p(max(0, $0 - low)) } : { $0 - low }
        let top = level(high)
        var rgb = [UInt8](repeating: 0x30, count: 3 * values.count)
        for (index, value) in values.enumerated() where value.isFinite {
            let share = top > 0 ? min(max(level(value) / top, 0), 1) : 0.5
            let colour = 3 * Int((share * 255).rounded())
            for part in 0..<3 { rgb[3 * index + part] = table[table.startIndex + colour + part] }
        }
        return rgb
    }

    private func limits(_ values: [Float]) -> (low: Float, high: Float) {
        let sorted = values.filter(\.isFinite).sorted()
        guard !sorted.isEmpty else { return (0, 0) }
        let cut = min(Int(Double(sorted.count) * Self.outlierShare), (sorted.count - 1) / 2)
        return (sorted[cut], sorted[sorted.count - 1 - cut])
    }
}

/// PNG files of 8-bit colours.
enum PNGFile {
    /// - Parameter rgb: red, green, blue of each pixel, row by row, first row on top.
    static func encode(rgb: [UInt8], width: Int, height: Int) -> [UInt8]? {
        var size = 0
        guard stemwire_png_write_rgb(nil, &size, rgb, UInt32(width), UInt32(height)) != 0 else { return nil }
        var file = [UInt8](repeating: 0, count: size)
        guard stemwire_png_write_rgb(&file, &size, rgb, UInt32(width), UInt32(height)) != 0 else { return nil }
        return Array(file.prefix(size))
    }
}

/// The colour maps, each 256 times red, green, blue; one file for the page and for pictures.
enum ColourTables {
    /// In the file's order.
    static let names = ["viridis", "magma", "inferno", "cividis", "grey", "twilight", "wheel"]
    private static let tableBytes = 768

    static func table(_ name: String) -> ArraySlice<UInt8>? {
        guard let index = names.firstIndex(of: name) else { return nil }
        return PackageResources.colourmaps_bin[index * tableBytes..<(index + 1) * tableBytes]
    }
}
