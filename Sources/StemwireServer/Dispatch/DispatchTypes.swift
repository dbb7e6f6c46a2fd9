/// UDFs with their parameters, applied to one acquisition.
struct RunID: Hashable, Sendable {
    /// The acquisition's.
    let generation: UInt64
    /// Of the run in this session of the server.
    let number: UInt32
}

/// One run on one partition: the unit of work, of retry and of merge.
struct WorkItem: Hashable, Sendable {
    /// The acquisition's.
    let generation: UInt64
    /// Number of the run in this session of the server.
    let run: UInt32
    let partition: Int

    var runID: RunID { RunID(generation: generation, number: run) }
}

/// One connection of one worker.
///
/// A worker keeps its UUID as long as its process lives, and counts its epoch up with every HELLO, so that a new
/// connection is not taken for the old one.
struct WorkerID: Hashable, Sendable {
    struct UUID: Hashable, Sendable {
        let high: UInt64
        let low: UInt64
    }

    let uuid: UUID
    let epoch: UInt64
}

/// A UDF that a run needs and a worker may offer.
struct UDFKey: Hashable, Sendable {
    let name: String
    /// Of the UDF's code version; the same on both sides, or the results would not be comparable.
    let contentHash: UInt64
}

/// What a worker has to give.
struct WorkerOffer: Sendable, Hashable {
    /// The UDFs that it can run; nil for all that the server knows.
    var udfs: Set<UDFKey>?
    /// How many items it takes at once.
    var items: Int
    /// How many bytes of frames it takes at once.
    var bytes: Int
    /// How many items it works on at once; the oldest ones it holds.
    var threads: Int
    /// A thread of the server. It merges partial results while frames come, so that nobody else can have a second copy
    /// of its items, nor redo them; and it does not die.
    var isLocal: Bool
}

/// Why a worker leaves.
enum LeaveReason: Sendable, Hashable {
    /// It says so; what it holds goes to others.
    case goodbye
    /// The transport says that its connection is gone.
    case unreachable
}

/// Why a worker is taken for dead.
enum DeathReason: Sendable, Hashable {
    /// Nothing was heard of it for too long.
    case silent
    /// The transport says that its connection is gone.
    case unreachable
    /// The same worker has said HELLO anew.
    case replaced
}

/// Why a worker gives no result for an item.
enum WorkFailure: Sendable, Hashable {
    /// The UDF failed on these frames. The second time, the partition is given up.
    case udf(String)
    /// The worker cannot: no memory, a UDF that it does not have. Another one is asked.
    case worker(String)
}

/// Why an item is done once more; what a manifest tells.
enum RedoReason: Sendable, Hashable, CustomStringConvertible {
    case workerDied(DeathReason)
    case workerLeft
    /// The worker says that frames or item did not reach it.
    case notReceived
    /// The worker lives, but does not answer for the item.
    case unanswered
    case failed(WorkFailure)
    case mergeFailed(String)
    /// A second copy, since the first is late.
    case late

    var description: String {
        switch self {
        case .workerDied(.silent): "its worker fell silent"
        case .workerDied(.unreachable): "its worker's connection was lost"
        case .workerDied(.replaced): "its worker connected anew"
        case .workerLeft: "its worker left"
        case .notReceived: "it did not reach its worker whole"
        case .unanswered: "its worker did not answer for it"
        case .failed(.udf(let text)): "its UDF failed: \(text)"
        case .failed(.worker(let text)): "its worker could not do it: \(text)"
        case .mergeFailed(let text): "its result could not be merged: \(text)"
        case .late: "its first copy was late"
        }
    }
}

/// Why an item is given up: its positions count as failed.
enum QuarantineReason: Sendable, Hashable, CustomStringConvertible {
    /// It was in work on so many workers when they died.
    case killedWorkers(Int)
    /// Its UDF failed; the last message.
    case failed(String)
    /// A local worker failed, part of whose result was merged.
    case failedLocally(String)
    /// No result after so many attempts.
    case attempts(Int)
    /// It has to be done once more, but its frames were given up for newer ones.
    case framesReleased
    /// Its frames were given up for newer ones before anybody could work on them.
    case memoryShort
    /// The server gave it up.
    case abandoned(String)

    var description: String {
        switch self {
        case .killedWorkers(let count): "\(count) workers died while they worked on it"
        case .failed(let text): "the UDF failed: \(text)"
        case .failedLocally(let text): text
        case .attempts(let count): "no result after \(count) attempts"
        case .framesReleased: "its worker was lost, and its frames were no longer in memory"
        case .memoryShort: "no worker took it before the memory for frames was full"
        case .abandoned(let text): text
        }
    }
}

/// Why a worker's message about an item has no effect.
enum IgnoreReason: Sendable, Hashable {
    /// The item is done, or its result is being merged.
    case duplicate
    /// Its run is over or was never begun.
    case stale
    /// No such attempt was ever made.
    case unknownAttempt
}
