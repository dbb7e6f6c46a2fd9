/// What a worker tells while it works.
public enum WorkerEvent: Sendable, Hashable, CustomStringConvertible {
    /// The server has taken the worker; `session` names the server process, `epoch` counts the worker's connections.
    case connected(session: String, epoch: UInt64)
    /// The connection is of no use any more; another one is being made.
    case lost(String)
    /// The server, or who answers in its place, does not take the worker for now, or one of its messages.
    case refused(String)
    /// A run was prepared, or cannot be done here: why.
    case planned(run: String, udfs: [String], failure: String?)
    /// A partition failed; the server was told.
    case failed(String)
    /// The worker has said goodbye. Others do what it has not finished.
    case left(WorkerCounts, unfinished: Int)

    public var description: String {
        switch self {
        case .connected(let session, let epoch): "connected to server session \(session.prefix(8)), connection \(epoch)"
        case .lost(let why): "connection lost: \(why)"
        case .refused(let why): "refused: \(why)"
        case .planned(let run, let udfs, nil): "run \(run): \(udfs.joined(separator: ", "))"
        case .planned(let run, _, let failure?): "run \(run) cannot be done here: \(failure)"
        case .failed(let why): "failed: \(why)"
        case .left(let counts, let unfinished):
            "left after \(counts.partitions) partitions, \(counts.frames) frames"
                + (unfinished > 0 ? "; \(unfinished) partitions are left to others" : "")
        }
    }
}

/// What a worker has done.
public struct WorkerCounts: Sendable, Hashable {
    /// Partitions computed.
    public var partitions = 0
    /// Frames in them.
    public var frames = 0
    /// Partitions that failed.
    public var failures = 0
    /// Messages of which no sense could be made.
    public var malformed = 0
}
