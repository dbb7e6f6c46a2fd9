import StemwireProtocol

/// A server's status in words.
enum StatusText {
    static func lines(_ status: WireStatus) -> [String] {
        var lines = ["\(status.server), \(status.state)"]
        let detector = status.detector
        lines.append(
            detector.dataConnected
                ? "detector   \(detector.source): connected, \(detector.framesReceived) frames received"
                : "detector   \(detector.source): not connected (\(detector.reason))")
        if status.hasAcquisition { lines.append("acquiring  " + line(status.acquisition)) }
        if status.hasPreviousAcquisition {
            lines.append(
                "previous   " + line(status.previousAcquisition) + ", ended \(status.previousAcquisition.endReason)")
        }
        let ring = status.ring
        lines.append(
            "ring       \(ring.bytesTotal >> 20) MiB, \(ring.slotsFree) of \(ring.slotsTotal) slots free, "
                + "waited for space \(ring.waitsForSpace) times")
        lines.append(
            "live       \(status.live.subscriptions) subscriptions, \(status.live.tilesPublished) tiles sent, "
                + "\(status.live.tilesDropped) left out, \(status.live.bytesPinned >> 20) MiB in queues")
        lines.append("work       \(status.workPeers) clients")
        let refused = status.malformedControl + status.malformedWork + status.malformedLive
        if refused > 0 {
            lines.append(
                "refused    \(status.malformedControl) messages at control, \(status.malformedWork) at work, \(status.malformedLive) at live"
            )
        }
        lines += status.runs.map { "run        " + line($0) }
        return lines
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
