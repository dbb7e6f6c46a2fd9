import StemwireProtocol

/// A server's status in words.
enum StatusText {
    static func lines(_ status: WireStatus) -> [String] {
        var lines = ["\(status.server), \(status.state)"]
        let detector = status.detector
        lines.append(
            detector.dataConnected
                ? "detector   \(detector.source): connected, \(detector.framesReceived) frames received"
                    + (detector.reason.isEmpty ? "" : "; \(detector.reason)")
                : "detector   \(detector.source): not connected (\(detector.reason))")
        lines.append(control(detector))
        if status.hasAcquisition { lines.append("acquiring  " + line(status.acquisition)) }
        if status.hasPreviousAcquisition {
            lines.append(
                "previous   " + line(status.previousAcquisition) + ", ended \(status.previousAcquisition.endReason)")
        }
        if let oldest = status.window.entries.first, let newest = status.window.entries.last {
            lines.append(window(status.window, oldest.generation, newest.generation))
        }
        let ring = status.ring
        lines.append(
            "ring       \(ring.bytesTotal >> 20) MiB, \(ring.slotsFree) of \(ring.slotsTotal) slots free, "
                + "waited for space \(ring.waitsForSpace) times")
        lines.append(
            "live       \(status.live.subscriptions) subscriptions, \(status.live.tilesPublished) tiles sent, "
                + "\(status.live.tilesDropped) left out, \(status.live.bytesPinned >> 20) MiB in queues")
        if status.hasDisk {
            lines.append(
                "disk       \(status.disk.directory): \(status.disk.bytesFree >> 30) of \(status.disk.bytesTotal >> 30) GiB free"
            )
        }
        if !status.fileUri.isEmpty { lines.append("file       \(status.fileUri), \(status.framesWritten) frames") }
        lines.append(dispatch(status))
        lines += status.workers.map { "  worker   " + line($0) }
        lines += status.subscribers.map { "  viewer   " + line($0) }
        let refused = status.malformedControl + status.malformedWork + status.malformedLive
        if refused > 0 {
            lines.append(
                "refused    \(status.malformedControl) messages at control, \(status.malformedWork) at work, \(status.malformedLive) at live"
            )
        }
        lines += status.runs.map { "run        " + line($0) }
        return lines
    }

    private static func control(_ detector: WireDetectorStatus) -> String {
        guard detector.controlConnected else { return "control    not answering (\(detector.controlReason))" }
        var text = "control    answers" + (detector.busy ? ", busy" : "")
        if !detector.softwareVersion.isEmpty { text += "; software \(detector.softwareVersion)" }
        if detector.sigShape.count == 2 {
            text += "; frames of \(detector.sigShape[0]) × \(detector.sigShape[1]), \(detector.counterDepth) bits"
        }
        return text
    }

    private static func window(_ window: WireWindowStatus, _ oldest: UInt64, _ newest: UInt64) -> String {
        let held = window.entries.reduce(0) { $0 + $1.framesHeld }
        var text = "window     acquisitions \(oldest) to \(newest) are there, with \(held) frames"
        if window.endless, newest >= window.firstGeneration {
            text += "; scan \(newest - window.firstGeneration + 1) of an endless series"
        }
        return text
    }

    private static func dispatch(_ status: WireStatus) -> String {
        let work = status.dispatch
        var text =
            "work       \(status.workPeers) peers; partitions: \(work.partitionsDone) done, \(work.partitionsInFlight) in work, "
            + "\(work.partitionsWaiting) waiting"
        if work.oldestWaitingMs > 0 { text += " (the oldest for \(work.oldestWaitingMs) ms)" }
        if work.partitionsRedone > 0 { text += ", \(work.partitionsRedone) redone" }
        if work.partitionsQuarantined > 0 { text += ", \(work.partitionsQuarantined) given up" }
        if work.workersLost > 0 { text += "; \(work.workersLost) workers lost" }
        if work.spoolBytesTotal > 0 {
            text += "; spool \(work.spoolBytesUsed >> 20) of \(work.spoolBytesTotal >> 20) MiB"
        }
        if work.framesGivenUp > 0 { text += "; \(work.framesGivenUp) frames not processed since memory was short" }
        return text
    }

    private static func line(_ worker: WireWorkerStatus) -> String {
        let place = worker.host.isEmpty || worker.name.hasPrefix(worker.host) ? "" : " on \(worker.host)"
        var text =
            "\(worker.name)\(place): \(worker.inFlight) in work, \(worker.done) done, \(worker.redone) taken from it, "
            + "\((worker.rate * 10).rounded() / 10) partitions/s, takes \(worker.credit) more"
        if worker.failed > 0 { text += ", \(worker.failed) failed" }
        if worker.lagMs > 0 { text += ", oldest \(worker.lagMs) ms" }
        if !worker.isLocal { text += ", heard of \(worker.lastBeatMs) ms ago" }
        return text
    }

    private static func line(_ subscriber: WireSubscriberStatus) -> String {
        let report = subscriber.report
        return "\(report.name): \(report.messagesReceived) messages received, \(report.messagesDropped) lost"
            + (report.framesRepaired > 0 ? ", \(report.framesRepaired) frames fetched again" : "")
    }

    static func line(_ acquisition: WireAcquisitionStatus) -> String {
        let accounting = acquisition.accounting
        return "no. \(acquisition.generation), scan \(acquisition.navShape.map { "\($0)" }.joined(separator: " × ")): "
            + "\(accounting.placed) of \(accounting.expected) placed"
            + (accounting.missing > 0 ? ", \(accounting.missing) missing" : "")
            + (accounting.rejected > 0 ? ", \(accounting.rejected) rejected" : "")
            + ", \(acquisition.framesProcessed) processed, \(Int(acquisition.framesPerSecond)) frames/s"
    }

    static func line(_ run: WireRunStatus) -> String {
        let udfs = run.udfs.map { $0.id == $0.name || $0.id.isEmpty ? $0.name : "\($0.id)=\($0.name)" }
        return "\(run.run): \(udfs.joined(separator: ", ")); \(run.positionsProcessed) of \(run.positionsExpected)"
            + (run.error.isEmpty ? "" : "; failed: \(run.error)")
    }
}
