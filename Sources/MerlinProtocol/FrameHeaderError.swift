/// A field of a frame header, by the manual's names.
public enum FrameHeaderField: String, Sendable, Hashable {
    case sequenceNumber = "sequence number"
    case dataOffset = "data offset"
    case chipCount = "number of chips"
    case width = "X pixels"
    case height = "Y pixels"
    case pixelType = "pixel type"
    case layout = "sensor layout"
    case chipSelect = "chip select"
    case shutterTime = "shutter time"
    case counter = "counter"
    case colourMode = "colour mode"
    case gain = "gain mode"
    case counterDepth = "counter depth"
}

/// Why bytes are not a frame header that can be read.
public enum FrameHeaderError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The bytes do not begin with `MQ1,`.
    case notAFrame
    /// A header as written before the MQ1 format: 256 bytes that begin with the depth, such as `12B,000001,0,…`.
    case olderThanMQ1
    /// A profile message (`PR1`), not an image.
    case profile
    /// The text ends before or inside this field.
    case endsBefore(FrameHeaderField)
    /// The field does not hold what it must: a number, a known pixel type, a known layout.
    case malformed(FrameHeaderField)
    /// The field's number cannot be true of a detector image.
    case outOfRange(FrameHeaderField)
    /// The declared data offset lies inside the header's own text or behind the end of the message.
    case dataOffset(Int, textBytes: Int, bodyBytes: Int)

    public var description: String {
        switch self {
        case .notAFrame:
            "not a Merlin frame: the header does not begin with “MQ1,”"
        case .olderThanMQ1:
            """
            a frame of the format before MQ1 (256-byte header that begins with the counter depth, such as “12B,”), \
            which is not supported; convert the file with the software it was recorded with
            """
        case .profile:
            "a profile message (PR1), not an image"
        case .endsBefore(let field):
            "the frame header ends before its \(field.rawValue)"
        case .malformed(let field):
            "the frame header's \(field.rawValue) cannot be read"
        case .outOfRange(let field):
            "the frame header's \(field.rawValue) is outside what a detector can send"
        case .dataOffset(let offset, let textBytes, let bodyBytes):
            """
            the frame header says that pixels begin at byte \(offset), but its text takes \(textBytes) bytes \
            and the message has \(bodyBytes)
            """
        }
    }
}
