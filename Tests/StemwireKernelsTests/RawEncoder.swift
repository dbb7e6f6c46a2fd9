import MerlinProtocol

/// Writes frames as the detector does, from the protocol's description and one pixel at a time.
enum RawEncoder {
    /// Where a pixel of the image comes from: raw row, chip block of that row from left to right, pixel in the block.
    /// Nil for pixels of the gap.
    static func source(
        y: Int, x: Int, rows: Int, layout: SensorLayout
    ) -> (row: Int, block: Int, pixel: Int)? {
        if layout.isSingle { return (y, 0, x) }
        let gap = layout.hasGap ? 2 : 0
        let height = 2 * rows + gap
        let isLeft = x < 256
        guard y < rows || y >= rows + gap, isLeft || x >= 256 + gap else { return nil }
        let column = isLeft ? x : x - 256 - gap
        if y < rows { return (y, isLeft ? 3 : 2, column) }
        // The lower chips are turned: raw row r is image row H − 1 − r, pixel k is column 255 − k.
        return (height - 1 - y, isLeft ? 1 : 0, 255 - column)
    }

    /// The payload of an image, [y, x].
    static func payload(
        _ image: [UInt32], rows: Int, layout: SensorLayout, depth: CounterDepth
    ) -> [UInt8] {
        let blocks = layout.isSingle ? 1 : 4
        let width = layout.isSingle ? 256 : layout.hasGap ? 514 : 512
        var chips = [UInt32](repeating: 0, count: rows * blocks * 256)
        for y in 0..<image.count / width {
            for x in 0..<width {
                guard let place = source(y: y, x: x, rows: rows, layout: layout) else { continue }
                chips[(place.row * blocks + place.block) * 256 + place.pixel] = image[y * width + x]
            }
        }
        switch depth {
        case .one: return words(chips, bitsPerPixel: 1)
        case .six: return words(chips, bitsPerPixel: 8)
        case .twelve: return words(chips, bitsPerPixel: 16)
        case .twentyFour:
            return words(chips.map { $0 / 4096 }, bitsPerPixel: 16) + words(chips.map { $0 % 4096 }, bitsPerPixel: 16)
        }
    }

    /// 64-bit big-endian words whose lowest bits hold their first pixel.
    private static func words(_ pixels: [UInt32], bitsPerPixel: Int) -> [UInt8] {
        let perWord = 64 / bitsPerPixel
        var bytes: [UInt8] = []
        for first in Swift.stride(from: 0, to: pixels.count, by: perWord) {
            var word: UInt64 = 0
            for i in 0..<perWord { word |= UInt64(pixels[first + i]) << UInt64(i * bitsPerPixel) }
            for byte in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * byte))) }
        }
        return bytes
    }

    /// A frame header with what decides the format.
    static func header(
        _ pixelType: PixelType, layout: String, width: Int, height: Int, depth: CounterDepth?
    ) -> [UInt8] {
        func digits(_ value: Int, _ count: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        let chips = layout == "1x1" ? 1 : 4
        let offset = 256 + 128 * chips
        var text = "MQ1,000001,\(digits(offset, 5)),\(digits(chips, 2)),\(digits(width, 4)),\(digits(height, 4)),"
        text += "\(pixelType.rawValue),\(String(repeating: " ", count: 6 - layout.count))\(layout),"
        text += "\(chips == 1 ? "01" : "0F"),2026-01-02 03:04:05.678901,0.001000,0,0,0,,"
        if let depth { text += "MQ1A,2026-01-02T03:04:05.678901234Z,1000000ns,\(depth.rawValue)," }
        return Array(text.utf8) + [UInt8](repeating: 0, count: offset - text.utf8.count)
    }

    static func format(
        _ pixelType: PixelType, layout: String, width: Int, height: Int, depth: CounterDepth?, payloadBytes: Int
    ) throws -> FrameFormat {
        try header(pixelType, layout: layout, width: width, height: height, depth: depth).withUnsafeBytes {
            try FrameFormat(header: $0, payloadBytes: payloadBytes, acquisitionDepth: nil)
        }
    }
}
