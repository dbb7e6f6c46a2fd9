/// What a peer may do. Each role may also do what the ones before it may.
public enum PeerRole: String, Sendable, Hashable, CaseIterable, Comparable, CustomStringConvertible {
    /// Looks on: live stream, results, status, frames.
    case viewer
    /// Runs the detector, and starts and stops UDFs.
    case controller
    /// Computes for the server: what it answers becomes part of results.
    case worker
    /// Everything, as a program on the server's own machine.
    case admin

    public static func < (a: PeerRole, b: PeerRole) -> Bool { a.rank < b.rank }

    private var rank: Int {
        switch self {
        case .viewer: 0
        case .controller: 1
        case .worker: 2
        case .admin: 3
        }
    }

    public var description: String { rawValue }
}
