/// Baseline TIFF 6.0 with one image of 32-bit floating-point numbers, little-endian, in one strip.
public enum FloatTIFF {
    private struct Entry {
        var tag: UInt16
        var type: UInt16
        var value: UInt32
    }

    /// The file's bytes.
    ///
    /// - Parameter values: `rows` × `columns` of them, rows one behind the other.
    public static func encode(_ values: [Float], rows: Int, columns: Int) -> [UInt8] {
        let (short, long): (UInt16, UInt16) = (3, 4)
        let entries = [
            Entry(tag: 256, type: long, value: UInt32(columns)),
            Entry(tag: 257, type: long, value: UInt32(rows)),
            Entry(tag: 258, type: short, value: 32),
            // No compression; black is zero; one sample a pixel, an IEEE floating-point number.
            Entry(tag: 259, type: short, value: 1),
            Entry(tag: 262, type: short, value: 1),
            Entry(tag: 273, type: long, value: 0),
            Entry(tag: 277, type: short, value: 1),
            Entry(tag: 278, type: long, value: UInt32(rows)),
            Entry(tag: 279, type: long, value: UInt32(4 * values.count)),
            Entry(tag: 339, type: short, value: 3),
        ]
        let data = 8 + 2 + 12 * entries.count + 4
        let start = (data + 15) / 16 * 16
        var bytes: [UInt8] = Array("II".utf8) + [42, 0, 8, 0, 0, 0]
        bytes.reserveCapacity(start + 4 * values.count)
        func append(_ value: UInt32, bytes count: Int, to bytes: inout [UInt8]) {
            for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * index))) }
        }
        append(UInt32(entries.count), bytes: 2, to: &bytes)
        for entry in entries {
            append(UInt32(entry.tag), bytes: 2, to: &bytes)
            append(UInt32(entry.type), bytes: 2, to: &bytes)
            append(1, bytes: 4, to: &bytes)
            append(entry.tag == 273 ? UInt32(start) : entry.value, bytes: 4, to: &bytes)
        }
        bytes += [UInt8](repeating: 0, count: start - bytes.count)
        values.withUnsafeBytes { bytes += $0 }
        return bytes
    }
}
