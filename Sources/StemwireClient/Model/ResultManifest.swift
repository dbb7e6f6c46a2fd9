import StemwireProtocol

/// What a final result was made of, and by whom. Complete exactly when `framesProcessed` is `framesExpected`.
public struct ResultManifest: Sendable, Hashable {
    /// A partition that was worked on more than once.
    public struct RedonePartition: Sendable, Hashable {
        public let partition: Int
        public let attempts: Int
        /// Why, for people.
        public let reason: String
    }

    /// Scan positions of the run.
    public let framesExpected: Int
    /// Frames that were placed at them.
    public let framesReceived: Int
    /// Frames in the result.
    public let framesProcessed: Int
    /// Frames whose processing failed.
    public let framesFailed: Int
    /// Positions of the run that are not in the result, rising; `isTruncated` when there are more.
    public let missing: [Range<Int>]
    public let isTruncated: Bool
    /// How many partitions were worked on more than once, and the first of them.
    public let redoneCount: Int
    public let redone: [RedonePartition]
    /// Partitions in the result by who computed them.
    public let workers: [String: Int]
    /// xxh3-128 of the array's bytes, in hexadecimal.
    public let digest: String

    init(_ wire: WireManifest) throws(MalformedMessage) {
        framesExpected = WireReading.count(wire.framesExpected)
        framesReceived = WireReading.count(wire.framesReceived)
        framesProcessed = WireReading.count(wire.framesProcessed)
        framesFailed = WireReading.count(wire.framesFailed)
        var missing: [Range<Int>] = []
        for range in wire.missingRanges {
            missing.append(try WireReading.positions(first: range.first, count: range.count))
        }
        self.missing = missing
        isTruncated = wire.missingRangesTruncated
        redoneCount = WireReading.count(wire.partitionsRedone)
        redone = wire.redone.map {
            RedonePartition(partition: Int($0.partition), attempts: Int($0.attempts), reason: $0.reason)
        }
        workers = Dictionary(
            wire.workers.map { ($0.worker, WireReading.count($0.partitions)) }, uniquingKeysWith: +)
        digest = wire.digest
    }
}
