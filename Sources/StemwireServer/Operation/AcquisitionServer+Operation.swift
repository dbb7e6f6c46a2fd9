import Glibc
import StemwireSystem

/// What an operator's tools ask of a server. Any thread, at any time.
extension AcquisitionServer {
    /// How long a thread may take for one turn; longer, and it is stuck.
    private static let longestTurn = Duration.seconds(5)

    /// All figures in Prometheus' text form; empty when the server is not running.
    public func metrics() -> String {
        guard let (status, table, _) = operation else { return "" }
        let wire = status.wire()
        var figures = ServerFigures()
        figures.totals = table.totals
        figures.residentBytes = ProcessMemory.residentBytes
        figures.openDescriptors = Machine.openDescriptors
        if let gaps = receiver?.counters.gaps {
            (figures.receiveGaps, figures.receiveGapSeconds) = (gaps.counts, gaps.seconds)
        }
        if let newest = table.acquisitions.last {
            figures.resultAge = status.resultAge(of: newest)
            if !wire.fileUri.isEmpty {
                let bytes = Double(newest.description.format.decodedPixel.bytesPerPixel)
                let pixels = Double(newest.description.sigShape.pixelCount)
                let placed = wire.hasAcquisition ? wire.acquisition : wire.previousAcquisition
                let waiting = placed.accounting.placed - min(placed.accounting.placed, wire.framesWritten)
                figures.recorderLagBytes = Double(waiting) * pixels * bytes
            }
        }
        return wire.metrics(figures)
    }

    /// Whether the process turns.
    public func liveness() -> ServerHealth {
        guard let (_, _, turns) = operation else {
            return ServerHealth(conditions: [("server", false, "not running")])
        }
        let stuck = turns.stuck(for: Self.longestTurn)
        return ServerHealth(
            conditions: [
                ("threads", stuck.isEmpty, stuck.isEmpty ? "turning" : "stuck: \(stuck.joined(separator: ", "))")
            ])
    }

    /// Whether a scan could begin now.
    public func readiness() -> ServerHealth {
        guard let (status, _, _) = operation else {
            return ServerHealth(conditions: [("server", false, "not running")])
        }
        let path = configuration.spoolBytes > 0 ? configuration.spoolDirectory ?? "/tmp" : nil
        return status.wire().readiness(freeDiskBytes: path.flatMap { Machine.freeDiskBytes($0) })
    }
}
