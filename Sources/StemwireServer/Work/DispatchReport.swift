import StemwireProtocol

/// What the status says of dispatch; made by the desk, read by other threads.
struct DispatchReport: Sendable {
    var workers: [WireWorkerStatus] = []
    var dispatch = WireDispatchStatus()
}

extension WireWorkerStatus {
    /// - Parameter remote: the worker's process; nil for a thread of the server.
    init(_ status: WorkerStatus, remote: RemoteWorker?) {
        self.init()
        name = remote?.name ?? "thread \(status.id.uuid.low)"
        host = remote?.host ?? ""
        if let remote {
            workerID = .init(remote.uuidBytes)
            epoch = status.id.epoch
        }
        isLocal = remote == nil
        threads = UInt32(clamping: status.offer.threads)
        credit = UInt32(clamping: max(0, status.offer.items - status.inFlight))
        inFlight = UInt32(clamping: status.inFlight)
        done = UInt64(clamping: status.done)
        redone = UInt64(clamping: status.redone)
        failed = UInt64(clamping: status.failed)
        rate = status.rate
        lagMs = status.lag?.wholeMilliseconds ?? 0
        lastBeatMs = status.silence?.wholeMilliseconds ?? 0
    }
}

extension WireDispatchStatus {
    init(_ counts: Dispatcher.Counts) {
        self.init()
        partitionsWaiting = UInt64(counts.waiting)
        partitionsInFlight = UInt64(counts.assigned + counts.merging)
        partitionsDone = UInt64(counts.merged)
        partitionsQuarantined = UInt64(counts.quarantined)
    }
}

extension Duration {
    var wholeMilliseconds: UInt64 { UInt64(max(0, self / .milliseconds(1))) }
}
