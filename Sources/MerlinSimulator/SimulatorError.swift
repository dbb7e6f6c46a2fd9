/// Why a simulator ended by itself.
public enum SimulatorError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A recorded frame header has no padding for a longer number.
    case noRoomForNumber(Int)
    /// The whole stream does not fit into memory.
    case cacheTooLarge(needed: Int, available: Int)

    public var description: String {
        switch self {
        case .noRoomForNumber(let number):
            "the recorded frame headers have no room for frame number \(number): "
                + "acquire fewer frames, or let --max-runs end the acquisition"
        case .cacheTooLarge(let needed, let available):
            "--cached memory needs \(needed >> 20) MiB for the whole stream, and \(available >> 20) MiB are free: "
                + "choose a smaller --nav-shape or --cached none"
        }
    }
}
