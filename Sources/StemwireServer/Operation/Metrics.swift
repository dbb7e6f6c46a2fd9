import StemwireAcquisition
import StemwireProtocol

/// Figures in Prometheus' text form (version 0.0.4). I/O-free.
struct MetricsText {
    private(set) var text = ""

    /// One metric with one sample for each set of labels.
    mutating func add(
        _ name: String, _ type: String, _ help: String, _ samples: [(labels: [(String, String)], value: Double)]
    ) {
        text += "# HELP stemwire_\(name) \(help)\n# TYPE stemwire_\(name) \(type)\n"
        for sample in samples {
            let labels = sample.labels.map { "\($0)=\"\(Self.escaped($1))\"" }.joined(separator: ",")
            text += "stemwire_\(name)\(labels.isEmpty ? "" : "{\(labels)}") \(Self.number(sample.value))\n"
        }
    }

    mutating func counter(_ name: String, _ help: String, _ value: UInt64) {
        add(name, "counter", help, [([], Double(value))])
    }

    mutating func gauge(_ name: String, _ help: String, _ value: Double) { add(name, "gauge", help, [([], value)]) }

    /// - Parameters:
    ///   - bounds: upper ends of the classes.
    ///   - counts: of each class, and of one more for what is larger.
    mutating func histogram(_ name: String, _ help: String, bounds: [Double], counts: [UInt64], sum: Double) {
        text += "# HELP stemwire_\(name) \(help)\n# TYPE stemwire_\(name) histogram\n"
        var total: UInt64 = 0
        for (count, bound) in zip(counts, bounds.map { "\($0)" } + ["+Inf"]) {
            total += count
            text += "stemwire_\(name)_bucket{le=\"\(bound)\"} \(total)\n"
        }
        text += "stemwire_\(name)_sum \(Self.number(sum))\nstemwire_\(name)_count \(total)\n"
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : "\(value)"
    }

    private static func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.append(character)
            }
        }
    }
}

/// What acquisitions that are over add up to.
struct AccountingTotals: Sendable {
    var placed: UInt64 = 0
    var missing: UInt64 = 0
    var rejected: UInt64 = 0
    var duplicates: UInt64 = 0
    var strays: UInt64 = 0
    var malformed: UInt64 = 0
    var garbageBytes: UInt64 = 0
    var droppedByRingFull: UInt64 = 0
    var acquisitions: [String: UInt64] = [:]

    mutating func add(_ summary: AcquisitionSummary) {
        let accounting = summary.accounting
        placed += UInt64(accounting.placed)
        missing += UInt64(accounting.missing)
        rejected += UInt64(accounting.rejected)
        duplicates += UInt64(accounting.duplicates)
        strays += UInt64(accounting.strays)
        malformed += UInt64(accounting.malformed)
        garbageBytes += UInt64(accounting.garbageBytes)
        droppedByRingFull += UInt64(accounting.droppedByRingFull)
        acquisitions[summary.reason.rawValue, default: 0] += 1
    }
}

/// What metrics tell beside the status.
struct ServerFigures: Sendable {
    var totals = AccountingTotals()
    var residentBytes = 0
    var openDescriptors = 0
    /// Silence between reads in acquisitions: gaps of each class of `GapHistogram.bounds`, and all together, seconds.
    var receiveGaps: [UInt64] = []
    var receiveGapSeconds = 0.0
    /// Seconds since results were published last, while there are some to come.
    var resultAge = 0.0
    /// Bytes of frames that have come and are not in the file yet; nil when nothing is recorded.
    var recorderLagBytes: Double?
}

extension WireStatus {
    /// The server's metrics.
    func metrics(_ figures: ServerFigures) -> String {
        let totals = figures.totals
        var metrics = MetricsText()
        metrics.counter("frames_received_total", "Frame messages received from the detector.", detector.framesReceived)
        metrics.counter("bytes_received_total", "Bytes received from the detector.", detector.bytesReceived)
        metrics.counter(
            "frames_placed_total", "Frames on their scan positions, of acquisitions that are over.", totals.placed)
        metrics.counter(
            "frames_missing_total", "Scan positions without a frame, of acquisitions that are over.", totals.missing)
        metrics.counter("frames_duplicate_total", "Frames that came twice.", totals.duplicates)
        metrics.add(
            "frames_corrupt_total", "counter", "Frames that could not be used, by reason.",
            [
                ([("reason", "rejected")], Double(totals.rejected)),
                ([("reason", "malformed")], Double(totals.malformed)),
                ([("reason", "stray")], Double(totals.strays)),
                ([("reason", "ring_full")], Double(totals.droppedByRingFull)),
            ])
        metrics.counter("garbage_bytes_total", "Bytes between messages that belong to none.", totals.garbageBytes)
        metrics.add(
            "acquisitions_total", "counter", "Acquisitions that are over, by the reason of their end.",
            totals.acquisitions.sorted { $0.key < $1.key }.map { ([("reason", $0.key)], Double($0.value)) })
        metrics.add(
            "scan_state", "gauge", "1 for the present state.",
            ["disconnected", "idle", "armed", "acquiring"].map { ([("state", $0)], state == $0 ? 1 : 0) })
        metrics.gauge(
            "detector_connected", "Whether the detector's data socket is connected.", detector.dataConnected ? 1 : 0)
        let slotBytes = Double(ring.bytesTotal) / Double(max(1, ring.slotsTotal))
        metrics.gauge("ring_capacity_bytes", "Memory for frames.", Double(ring.bytesTotal))
        metrics.gauge(
            "ring_used_bytes", "Of that, in use.",
            Double(ring.slotsTotal - min(ring.slotsTotal, ring.slotsFree)) * slotBytes)
        metrics.counter("ring_waits_total", "How often the receiver had to wait for memory.", ring.waitsForSpace)
        metrics.gauge("spool_capacity_bytes", "File for frames when memory is short.", Double(dispatch.spoolBytesTotal))
        metrics.gauge("spool_used_bytes", "Of that, in use.", Double(dispatch.spoolBytesUsed))
        metrics.histogram(
            "receive_gap_seconds", "Silence between two reads of the data socket, in acquisitions.",
            bounds: GapHistogram.bounds, counts: figures.receiveGaps, sum: figures.receiveGapSeconds)
        metrics.gauge(
            "result_age_seconds", "Since results were published last, while there are some to come; else 0.",
            figures.resultAge)
        if let lag = figures.recorderLagBytes {
            metrics.gauge("recorder_lag_bytes", "Frames that have come and are not in the file yet.", lag)
            metrics.gauge("recorder_frames_written", "Frames of this acquisition in the file.", Double(framesWritten))
        }
        addLive(to: &metrics)
        addWork(to: &metrics)
        addAccess(to: &metrics)
        metrics.gauge("uptime_seconds", "Since the server was started.", Double(uptimeMs) / 1000)
        metrics.gauge("resident_memory_bytes", "Memory of the process.", Double(figures.residentBytes))
        metrics.gauge("open_descriptors", "Open files and sockets of the process.", Double(figures.openDescriptors))
        return metrics.text
    }

    private func addLive(to metrics: inout MetricsText) {
        metrics.counter("live_tiles_published_total", "Tiles on the live socket.", live.tilesPublished)
        metrics.counter("live_tiles_dropped_total", "Tiles left out for want of memory.", live.tilesDropped)
        metrics.counter("live_updates_published_total", "Result updates on the live socket.", live.updatesPublished)
        metrics.gauge("live_subscriptions", "Topics that are subscribed to.", Double(live.subscriptions))
        metrics.gauge("live_pinned_bytes", "Ring memory held by subscribers' queues.", Double(live.bytesPinned))
    }

    private func addWork(to metrics: inout MetricsText) {
        metrics.gauge("workers", "Workers, the server's own threads included.", Double(workers.count))
        metrics.gauge("work_peers", "Connected workers and fetching clients.", Double(workPeers))
        metrics.gauge("partitions_waiting", "Partitions that nobody works on yet.", Double(dispatch.partitionsWaiting))
        metrics.gauge("partitions_in_flight", "Partitions that are worked on.", Double(dispatch.partitionsInFlight))
        metrics.gauge(
            "oldest_partition_seconds", "Age of the oldest waiting partition.", Double(dispatch.oldestWaitingMs) / 1000)
        metrics.counter("worker_tasks_done_total", "Partitions done.", dispatch.partitionsDone)
        metrics.counter("worker_tasks_redone_total", "Partitions done more than once.", dispatch.partitionsRedone)
        metrics.counter("workers_lost_total", "Workers that went without a word.", dispatch.workersLost)
        metrics.counter("frames_given_up_total", "Frames whose processing was given up.", dispatch.framesGivenUp)
    }

    private func addAccess(to metrics: inout MetricsText) {
        func samples(_ value: (WireSocketAccess) -> UInt64) -> [(labels: [(String, String)], value: Double)] {
            access.sockets.map { ([("socket", $0.socket)], Double(value($0))) }
        }
        metrics.add("connections", "gauge", "Open connections.", samples { UInt64($0.connections) })
        metrics.add(
            "handshakes_failed_total", "counter", "Connections without a proper handshake.", samples(\.failedHandshakes)
        )
        metrics.add("keys_refused_total", "counter", "Peers whose key is not allowed.", samples(\.refusedKeys))
        metrics.add(
            "connections_refused_total", "counter", "Connections beyond the limit.", samples(\.refusedConnections))
        metrics.add(
            "requests_forbidden_total", "counter", "Requests beyond the peer's role.", samples(\.refusedRequests))
        metrics.add("connections_cut_total", "counter", "Connections that the server ended.", samples(\.cutConnections))
        metrics.add(
            "messages_malformed_total", "counter", "Messages that could not be read.",
            [
                ([("socket", "control")], Double(malformedControl)), ([("socket", "live")], Double(malformedLive)),
                ([("socket", "work")], Double(malformedWork)),
            ])
    }
}
