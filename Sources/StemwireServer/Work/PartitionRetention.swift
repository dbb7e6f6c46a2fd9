import StemwireAcquisition

/// How large the partitions may be whose frames are kept until the work on them is done.
struct PartitionRetention: Sendable {
    let ringBytes: Int
    let spoolBytes: Int

    /// In the ring there is room for the partition that comes, two that wait for late frames, and one that is worked on.
    var largest: Int { ringBytes / 4 + spoolBytes / 2 }

    /// A usual partition takes an eighth of the ring at most, so that several workers have one each.
    static func usualBytes(ringBytes: Int) -> Int { min(SourceConfiguration.usualPartitionBytes, ringBytes / 8) }

    /// What is wrong with partitions of so many frames; nil when they can be kept.
    ///
    /// - Parameter frameBytes: of a frame with its headers.
    func problem(frames: Int, frameBytes: Int) -> String? {
        let (bytes, overflow) = frames.multipliedReportingOverflow(by: frameBytes)
        guard overflow || bytes > largest else { return nil }
        let size = overflow ? "more than there is" : "\(Self.mebibytes(bytes)) MiB"
        return
            "a partition of \(frames) frames takes \(size) of memory, and with a ring of \(Self.mebibytes(ringBytes)) MiB "
            + "and a spool of \(Self.mebibytes(spoolBytes)) MiB \(Self.mebibytes(largest)) MiB can be kept for one; take at "
            + "most \(max(1, largest / max(1, frameBytes))) frames, or a larger ring or spool"
    }

    private static func mebibytes(_ bytes: Int) -> Int { (bytes + (1 << 19)) >> 20 }
}
