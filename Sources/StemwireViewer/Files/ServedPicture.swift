import CLibjpeg
import Glibc

/// How a picture is drawn that the viewer serves as a file or as a moving picture.
struct ServedPicture: Sendable, Equatable {
    var style = PictureStyle()
    /// Pixels of the picture along each side of one of the array.
    var zoom = 1

    static let zooms = 1...16
    /// The longest side that a picture may have; JPEG has no longer ones.
    private static let longestSide = 65_500
    private static let jpegQuality: Int32 = 90

    /// First row on top; numbers that are none are dark grey. Nil for a picture that would be too large.
    func png(_ values: [Float], rows: Int, columns: Int) -> [UInt8]? {
        pixels(values, rows: rows, columns: columns).flatMap {
            PNGFile.encode(rgb: $0, width: columns * zoom, height: rows * zoom)
        }
    }

    func jpeg(_ values: [Float], rows: Int, columns: Int) -> [UInt8]? {
        guard let pixels = pixels(values, rows: rows, columns: columns) else { return nil }
        var size: UInt = 0
        let (width, height) = (UInt32(columns * zoom), UInt32(rows * zoom))
        guard let file = stemwire_jpeg_write_rgb(pixels, width, height, Self.jpegQuality, &size) else { return nil }
        defer { free(file) }
        return Array(UnsafeBufferPointer(start: file, count: Int(size)))
    }

    private func pixels(_ values: [Float], rows: Int, columns: Int) -> [UInt8]? {
        guard max(rows, columns) * zoom <= Self.longestSide, let small = style.rgb(values) else { return nil }
        guard zoom > 1 else { return small }
        var pixels: [UInt8] = []
        pixels.reserveCapacity(small.count * zoom * zoom)
        for row in 0..<rows {
            let start = pixels.count
            for pixel in row * columns..<(row + 1) * columns {
                for _ in 0..<zoom { pixels += small[3 * pixel..<3 * pixel + 3] }
            }
            let line = pixels[start...]
            for _ in 1..<zoom { pixels += line }
        }
        return pixels
    }
}

extension ServedPicture {
    /// The picture that a query asks for, such as `map=magma&scale=log&zoom=4`.
    ///
    /// - Throws: ``ViewerRequestError`` naming what was wrong.
    init(query: some Sequence<(name: Substring, value: Substring)>) throws(ViewerRequestError) {
        self.init()
        for (name, value) in query {
            switch (name, value) {
            case ("scale", "log"): style.isLogarithmic = true
            case ("scale", "linear"): style.isLogarithmic = false
            case ("map", _):
                guard ColourTables.names.contains(String(value)) else {
                    throw ViewerRequestError("the colour maps are \(ColourTables.names.joined(separator: ", "))")
                }
                style.colours = String(value)
            case ("zoom", _):
                guard let zoom = Int(value), Self.zooms.contains(zoom) else {
                    throw ViewerRequestError("zoom is a whole number, 1 to \(Self.zooms.upperBound)")
                }
                self.zoom = zoom
            default:
                throw ViewerRequestError(
                    "\(name.prefix(40))=\(value.prefix(40)): known are map=NAME, scale=linear, scale=log and zoom=N")
            }
        }
    }
}
