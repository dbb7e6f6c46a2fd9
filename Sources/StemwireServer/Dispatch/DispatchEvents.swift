/// What the dispatcher is told.
enum DispatchEvent: Sendable, Hashable {
    // MARK: Workers

    /// A worker has said HELLO. With the same epoch again, only its offer is renewed; with a newer one, what the old
    /// epoch held is lost; with an older one, nothing happens.
    case joined(WorkerID, WorkerOffer)
    /// How many items and bytes the worker takes at once from now on, what it holds included; 0 items: no more.
    case credit(WorkerID, items: Int, bytes: Int)
    /// Anything has come from the worker, were it only a beat. Every other event that names it says so too.
    case heard(WorkerID)
    case left(WorkerID, LeaveReason)

    // MARK: Runs

    /// A run's items are going to come. Items of runs that have not begun are released at once.
    case runBegan(RunID, needs: Set<UDFKey>)
    /// The run is over; what is left of it is withdrawn and released.
    case runEnded(RunID)
    /// All runs of the acquisition are over.
    case acquisitionDropped(generation: UInt64)

    // MARK: Items

    /// The item's first frames are there. Once for an item.
    ///
    /// - Parameter bytes: what it is going to be altogether, as far as known. A worker's credit is charged with this, or
    ///   with the sum of what `grew` tells, whichever is more.
    case opened(WorkItem, bytes: Int)
    /// More frames of the item are there.
    case grew(WorkItem, bytes: Int)
    /// All its frames that will ever come are there.
    case closed(WorkItem)
    /// The server cannot keep its frames, or does not want it done.
    case abandoned(WorkItem, reason: String)
    /// Frames of so many bytes should be given up. First those are that a remote worker has got: they can then not be
    /// redone; then those that nobody has begun.
    case memoryShort(bytes: Int)

    // MARK: What workers say of an item

    case result(WorkItem, attempt: UInt32, from: WorkerID)
    case failed(WorkItem, attempt: UInt32, from: WorkerID, WorkFailure)
    /// It has the item, whole as far as sent, and goes on. The answer to `ask`, or of its own accord; should the server
    /// not know that it has it, it is told to let it go.
    case working(WorkItem, attempt: UInt32, from: WorkerID)
    /// It does not have the item, or frames of it are missing. The answer to `ask`, or of its own accord.
    case missing(WorkItem, attempt: UInt32, from: WorkerID)
    /// It has let the item go, or never had it. The answer to `withdraw`.
    case withdrew(WorkItem, attempt: UInt32, from: WorkerID)

    // MARK: Merger

    /// The result that `merge` named is in.
    case merged(WorkItem)
    /// It cannot be merged.
    case mergeFailed(WorkItem, reason: String)

    /// Time has passed. To be told every `Configuration.tickInterval` or so.
    case tick
}

/// What is to be done, in this order.
enum DispatchAction: Sendable, Hashable {
    // MARK: To a worker

    /// Send the item with all its frames that are there, and whether these are all.
    case assign(WorkItem, to: WorkerID, attempt: UInt32)
    /// Send the frames that have just come.
    case extend(WorkItem, to: WorkerID, attempt: UInt32)
    /// Say that all frames have been sent, and how many they were.
    case finish(WorkItem, to: WorkerID, attempt: UInt32)
    /// Ask whether the worker has all that was sent of the item. It answers `working`, `missing` or with the result.
    case ask(WorkItem, of: WorkerID, attempt: UInt32)
    /// The worker need not do the item. It answers `withdrew`, in any case; until then its credit stays charged.
    case withdraw(WorkItem, from: WorkerID, attempt: UInt32)
    /// The result is not needed any more; the worker lets it go. Also for workers that are not joined, if there is a
    /// way.
    case acknowledge(WorkItem, attempt: UInt32, to: WorkerID)
    case sendBeat(WorkerID)

    // MARK: In the server

    /// The first result: take it, then tell `merged` or `mergeFailed`.
    case merge(WorkItem, attempt: UInt32, from: WorkerID)
    /// A message that has no effect; to be counted.
    case ignore(WorkItem, attempt: UInt32, from: WorkerID, IgnoreReason)
    /// The item's frames need not be kept. At most once for an item, and the last that is said of its frames.
    case release(WorkItem)
    /// The item is given up; its positions count as failed, with this reason.
    case quarantine(WorkItem, QuarantineReason)
    /// The worker is not joined any more, without having said so.
    case workerDead(WorkerID, DeathReason)
}
