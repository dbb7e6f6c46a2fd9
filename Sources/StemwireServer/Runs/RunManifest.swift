import StemwireKernels
import StemwireProtocol
import StemwireUDF
import StemwireWire

/// What a run's results are made of, and by whom.
struct RunManifest: Sendable {
    /// Partitions that were worked on more than once.
    struct Redone: Sendable {
        var count = 0
        /// The first of them.
        var listed: [(partition: Int, attempts: Int, reason: String)] = []
    }

    /// The scan positions to be processed; nil for all.
    let selected: PositionSet?
    let positions: Int
    let processed: PositionSet
    /// Frames whose processing failed.
    let failed: Int
    /// Partitions in the results, by who computed them.
    let contributors: [String: Int]
    let redone: Redone
    /// The present generation of parameters, and the stretches of positions that were made with each.
    let generation: UInt32
    let generations: [(positions: Range<Int>, generation: UInt32)]

    /// Positions to be processed that are not in the results.
    var missing: [Range<Int>] {
        guard processed.size == positions else { return positions > 0 ? [0..<positions] : [] }
        return selected.map { $0.subtracting(processed).ranges } ?? processed.gaps(in: 0..<positions)
    }
}

extension WireManifest {
    /// Lists of contributors and redone partitions are cut to this length.
    private static let longestList = 256

    /// - Parameters:
    ///   - received: frames that were placed at positions of the run.
    ///   - result: the array that the digest is of.
    init(_ manifest: RunManifest, received: Int, of result: ResultArray) {
        self.init()
        framesExpected = UInt64(manifest.selected?.count ?? manifest.positions)
        framesReceived = UInt64(received)
        framesProcessed = UInt64(manifest.processed.count)
        framesFailed = UInt64(manifest.failed)
        let missing = manifest.missing
        missingRanges = missing.prefix(WireLimits.missingRanges).map { WirePositionRange($0) }
        missingRangesTruncated = missing.count > WireLimits.missingRanges
        partitionsRedone = UInt64(manifest.redone.count)
        redone = manifest.redone.listed.prefix(Self.longestList).map { entry in
            var partition = WireRedonePartition()
            partition.partition = UInt32(clamping: entry.partition)
            partition.attempts = UInt32(clamping: entry.attempts)
            partition.reason = entry.reason
            return partition
        }
        workers = manifest.contributors.sorted { $0.key < $1.key }.prefix(Self.longestList).map { entry in
            var contributor = WireContributor()
            contributor.worker = entry.key
            contributor.partitions = UInt64(entry.value)
            return contributor
        }
        digest = result.withUnsafeBytes { Checksum.digest($0) }
    }
}
