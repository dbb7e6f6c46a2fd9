import CLibpng

/// PNG files of 8-bit colours.
public enum PNGFile {
    /// A picture as a file's bytes, first row on top.
    ///
    /// - Parameter rgb: red, green, blue of each pixel, row by row: `3 · width · height` bytes.
    /// - Returns: nil when there is no such picture: a side of 0, or more than the format can hold.
    public static func encode(rgb: [UInt8], width: Int, height: Int) -> [UInt8]? {
        guard width > 0, height > 0, let columns = UInt32(exactly: width), let rows = UInt32(exactly: height),
            rgb.count == 3 * width * height
        else { return nil }
        var size = 0
        guard stemwire_png_write_rgb(nil, &size, rgb, columns, rows) != 0 else { return nil }
        var file = [UInt8](repeating: 0, count: size)
        guard stemwire_png_write_rgb(&file, &size, rgb, columns, rows) != 0 else { return nil }
        return Array(file.prefix(size))
    }
}
