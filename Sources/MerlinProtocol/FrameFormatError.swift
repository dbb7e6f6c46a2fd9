/// Why the pixels of a frame cannot be decoded.
public enum FrameFormatError: Error, Sendable, Hashable, CustomStringConvertible {
    case header(FrameHeaderError)
    /// The message ends where its pixels should begin.
    case noPixels
    /// The payload is not as long as the header's width, height and pixel type say.
    case payloadSize(Int, expected: Int, pixelType: PixelType, shape: SigShape)
    /// Raw data of a layout whose order is not known, such as `Nx1`.
    case rawLayout(SensorLayout)
    /// A raw frame without counter depth in a payload of a size that fits none.
    case counterDepthUnknown
    /// A raw row that is not as wide as the layout's chips.
    case rawWidth(Int, expected: Int, layout: SensorLayout, depth: CounterDepth)
    /// 24-bit raw with the width of one plane: the other half is in another message.
    case rawPlaneAlone
    /// The raw payload is not a whole number of rows.
    case rawRows(Int, bytesPerRow: Int)
    /// More raw rows than a chip has.
    case rawTooManyRows(Int, depth: CounterDepth)

    public var description: String {
        switch self {
        case .header(let error):
            error.description
        case .noPixels:
            "the frame has a header but no pixels"
        case .payloadSize(let bytes, let expected, let pixelType, let shape):
            """
            the frame has \(bytes) bytes of pixels, but \(shape) pixels of type \(pixelType.rawValue) \
            take \(expected)
            """
        case .rawLayout(let layout):
            """
            raw frames (R64) of a \(layout) detector cannot be decoded, since the order of their pixels is not \
            documented; set FILEFORMAT to binary
            """
        case .counterDepthUnknown:
            """
            a raw frame (R64) without counter depth, in its own header or in the acquisition header, and of a size \
            that fits no depth; switch acquisition headers on or set FILEFORMAT to binary
            """
        case .rawWidth(let width, let expected, let layout, let depth):
            """
            raw frames (R64) of a \(layout) detector at counter depth \(depth.rawValue) have rows of \(expected) \
            pixels, this one has \(width)
            """
        case .rawPlaneAlone:
            """
            a 24-bit raw frame with only one of its two planes; frames split over two messages are not supported: \
            set FILEFORMAT to binary
            """
        case .rawRows(let bytes, let bytesPerRow):
            "the raw frame has \(bytes) bytes of pixels, which is no whole number of rows of \(bytesPerRow) bytes"
        case .rawTooManyRows(let rows, let depth):
            """
            the raw frame holds \(rows) rows at counter depth \(depth.rawValue), but a chip has \
            \(FrameFormat.chipSide); the header's counter depth may be wrong
            """
        }
    }
}
