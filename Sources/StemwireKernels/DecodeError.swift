import MerlinProtocol

/// Why frames of a format cannot be decoded.
public enum DecodeError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Raw frames of a layout whose pixel order is not known.
    case rawLayout(SensorLayout)
    /// Raw frames whose counter depth nobody told.
    case counterDepthUnknown

    public var description: String {
        switch self {
        case .rawLayout(let layout):
            """
            raw frames (R64) of a \(layout) detector cannot be decoded, since the order of their pixels is not \
            documented; set FILEFORMAT to binary
            """
        case .counterDepthUnknown:
            "raw frames (R64) of unknown counter depth cannot be decoded; switch acquisition headers on"
        }
    }
}
