/// That a partition was done once more; part of a run's manifest.
struct Redo: Sendable, Hashable {
    let partition: Int
    /// The attempt that did not give the result in time.
    let attempt: UInt32
    let worker: WorkerID
    let reason: RedoReason
}

/// A worker as the status shows it.
struct WorkerStatus: Sendable {
    let id: WorkerID
    let offer: WorkerOffer
    /// Items that it holds, and their bytes.
    let inFlight: Int
    let inFlightBytes: Int
    /// Items whose results were merged.
    let done: Int
    /// Items that were taken from it.
    let redone: Int
    /// Items that failed on it.
    let failed: Int
    /// Items done per second, of late.
    let rate: Double
    /// Age of the oldest item it holds.
    let lag: Duration?
    /// Time since anything was heard of it; nil for local workers.
    let silence: Duration?
}

/// A run as the status and the manifest show it.
struct RunStatus: Sendable {
    let counts: Dispatcher.Counts
    /// How often a partition was done once more, and the first such cases.
    let redone: Int
    let redos: [Redo]
    /// Items done, by worker.
    let workers: [WorkerID.UUID: Int]
    /// Whether a worker is there that takes its items.
    let hasWorker: Bool
    /// The time in which 95 % of the items were done, from the moment when the worker had all frames.
    let usualDuration: Duration?
}

extension Dispatcher {
    /// Whether this worker is joined, with this epoch. If not, it has to say HELLO, with a higher one.
    func isJoined(_ worker: WorkerID) -> Bool { slot(of: worker) != nil }

    /// Whether it has been told that all frames of the item are there: with `assign`, the worker is to be told so; else
    /// `finish` is still to come. False for items that are done.
    func isClosed(_ item: WorkItem) -> Bool { itemSlots[item].map { items[$0].isClosed } ?? false }

    /// All workers that are joined. O(workers).
    func workerStatus(at now: ContinuousClock.Instant) -> [WorkerStatus] {
        workers.slots.map { slot in
            let worker = workers[slot]
            return WorkerStatus(
                id: worker.id, offer: worker.offer, inFlight: worker.held.count, inFlightBytes: worker.heldBytes,
                done: worker.record.done, redone: worker.record.redone, failed: worker.record.failed,
                rate: worker.record.rate.perSecond(at: now),
                lag: worker.held.first.map { now - leases[$0].assignedAt },
                silence: worker.offer.isLocal ? nil : now - worker.lastHeard)
        }
    }

    /// What is known of a run; nil before its begin and after its end.
    func status(of run: RunID) -> RunStatus? {
        guard let slot = runSlots[run] else { return nil }
        let run = runs[slot]
        return RunStatus(
            counts: run.counts, redone: run.redone, redos: run.redos, workers: run.workers,
            hasWorker: groups[run.group].workers.count > 0, usualDuration: run.durations.quantile(percent: 95))
    }

    /// How long the item has waited that has waited longest for a worker; nil if none waits.
    func oldestUnassignedAge(at now: ContinuousClock.Instant) -> Duration? {
        longestWaiting().map { now - items[$0].waitingSince }
    }
}
