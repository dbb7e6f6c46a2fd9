import StemwireKernels
import StemwireUDF

/// The file formats in which a channel can be had, as `/snap/CHANNEL.EXTENSION`.
enum ChannelFile: String, Sendable, CaseIterable {
    /// The array itself: its own type and shape.
    case npy
    /// One page of 32-bit floating-point numbers; two-dimensional channels only.
    case tiff
    /// A picture: colours between the limits, without a thousandth of the values at each end.
    case png
    /// The same with the losses of JPEG: for displays.
    case jpg

    var mediaType: String {
        switch self {
        case .npy: "application/octet-stream"
        case .tiff: "image/tiff"
        case .png: "image/png"
        case .jpg: "image/jpeg"
        }
    }

    /// The file's bytes; nil for a channel that this format cannot hold.
    ///
    /// - Parameter picture: how one is drawn.
    func encode(_ channel: some ChannelContent, picture: ServedPicture = ServedPicture()) -> [UInt8]? {
        if self == .npy {
            return NumpyFile.header(dtype: channel.dtype, shape: channel.shape) + channel.withData { Array($0) }
        }
        guard channel.shape.count == 2, let rows = channel.shape.first, let columns = channel.shape.last,
            rows > 0, columns > 0
        else { return nil }
        let values = channel.pageArray().floats()
        return switch self {
        case .npy: nil
        case .tiff: FloatTIFF.encode(values, rows: rows, columns: columns)
        case .png: picture.png(values, rows: rows, columns: columns)
        case .jpg: picture.jpeg(values, rows: rows, columns: columns)
        }
    }
}

extension PageArray {
    /// The numbers in single precision.
    func floats() -> [Float] {
        func read<Element: BitwiseCopyable>(_ type: Element.Type, _ convert: (Element) -> Float) -> [Float] {
            bytes.withUnsafeBytes { data in
                stride(from: 0, to: data.count, by: MemoryLayout<Element>.size).map {
                    convert(data.loadUnaligned(fromByteOffset: $0, as: type))
                }
            }
        }
        return switch dtype {
        case "uint8": read(UInt8.self) { Float($0) }
        case "uint16": read(UInt16.self) { Float($0) }
        case "uint32": read(UInt32.self) { Float($0) }
        case "int32": read(Int32.self) { Float($0) }
        case "float32": read(Float.self) { $0 }
        default: read(Double.self) { Float($0) }
        }
    }
}

/// Baseline TIFF 6.0 with one image of 32-bit floating-point numbers, little-endian, in one strip.
enum FloatTIFF {
    private struct Entry {
        var tag: UInt16
        var type: UInt16
        var value: UInt32
    }

    static func encode(_ values: [Float], rows: Int, columns: Int) -> [UInt8] {
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
