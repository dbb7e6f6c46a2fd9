import Glibc
import StemwireProtocol
import StemwireSystem

/// Whether a server turns, and whether it is ready for a scan.
public struct ServerHealth: Sendable {
    /// Each condition with whether it holds, for people.
    public let conditions: [(name: String, holds: Bool, detail: String)]

    public var isGood: Bool { conditions.allSatisfy(\.holds) }

    /// One line a condition.
    public var text: String {
        conditions.map { "\($0.holds ? "ok" : "NOT OK") \($0.name): \($0.detail)\n" }.joined()
    }
}

extension WireStatus {
    /// Ready: the detector is connected, memory is left for frames, and work is not far behind.
    func readiness(freeDiskBytes: Int?) -> ServerHealth {
        let isSpoolFull =
            dispatch.spoolBytesTotal > 0 && dispatch.spoolBytesUsed * 10 > dispatch.spoolBytesTotal * 9
        var conditions: [(name: String, holds: Bool, detail: String)] = [
            ("detector", detector.dataConnected, detector.dataConnected ? "connected" : detector.reason),
            ("ring", ring.slotsFree > 0, "\(ring.slotsFree) of \(ring.slotsTotal) slots free"),
            ("spool", !isSpoolFull, "\(dispatch.spoolBytesUsed >> 20) of \(dispatch.spoolBytesTotal >> 20) MiB used"),
        ]
        if let freeDiskBytes {
            conditions.append(("disk", freeDiskBytes >= 64 << 20, "\(freeDiskBytes >> 20) MiB free for the spool"))
        }
        return ServerHealth(conditions: conditions)
    }
}
