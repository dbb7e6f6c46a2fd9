import StemwireKernels
import StemwirePictures
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
