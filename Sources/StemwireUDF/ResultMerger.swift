/// Puts the results of partitions together, in whatever order they come, with the same bits for every order.
///
/// A value without locks or threads: its owner lets one thread at a time use it. Merging touches only the new partition's
/// rows and one frame-sized array per buffer.
public struct ResultMerger: Sendable {
    public let plan: RunPlan
    /// How far each scan position has come. A position is processed when all UDFs have it.
    public private(set) var coverage: Coverage
    /// What has failed so far: partitions, and computations of results.
    public private(set) var failures: [UDFError] = []
    private var udfs: [MergedUDF]

    public init(_ plan: RunPlan) {
        self.plan = plan
        coverage = Coverage(size: plan.meta.positionCount, generation: plan.generation)
        udfs = plan.udfs.map { MergedUDF($0) }
    }

    /// What became of a result.
    public enum Outcome: Sendable, Hashable {
        case merged
        /// It was in the results already: another worker was faster. Nothing has changed.
        case duplicate
    }

    /// Merges the result of a partition, or of a part of it.
    ///
    /// The first result of a scan position counts; a result that has been merged already changes nothing.
    ///
    /// - Throws: `UDFError` with the code `merging` when only a part of it is new (nothing has changed then), or when a UDF's
    ///   own merge fails (that UDF's results are not to be relied on then).
    @discardableResult
    public mutating func merge(_ result: PartitionResult) throws(UDFError) -> Outcome {
        var known = 0
        for part in result.parts {
            precondition(udfs.indices.contains(part.udf), "a result of another plan")
            switch udfs[part.udf].novelty(part, partition: result.partition) {
            case .new: break
            case .known: known += 1
            case .overlapping:
                throw UDFError(
                    .merging, udf: plan.udfs[part.udf].id, partition: result.partition,
                    "a part of its scan positions is in the results already; it was not merged")
            }
        }
        if known > 0 {
            guard known == result.parts.count else {
                throw UDFError(
                    .merging, partition: result.partition,
                    "some of its UDFs are in the results already; it was not merged")
            }
            return .duplicate
        }
        for part in result.parts {
            do throws(UDFError) {
                try udfs[part.udf].merge(part, partition: result.partition)
            } catch {
                fail(error, positions: part.positions)
                throw error
            }
        }
        for part in result.parts {
            for run in part.positions { markProcessed(run, generation: result.generation) }
        }
        return .merged
    }

    /// Frames have been placed at these scan positions.
    public mutating func markReceived(_ positions: Range<Int>) { coverage.markReceived(positions) }

    /// The frames at these scan positions are recorded.
    public mutating func markRecorded(_ positions: Range<Int>) { coverage.markRecorded(positions) }

    /// The work on these scan positions failed, and will not be tried again.
    public mutating func fail(_ error: UDFError, positions: [Range<Int>]) {
        failures.append(error)
        for run in positions { coverage.markFailed(run) }
    }

    /// Whether all scan positions (of the region of interest) are in the results.
    public var isComplete: Bool { coverage.count(.processed) == plan.meta.selectedCount }

    /// The scan positions that all UDFs have.
    public var processed: PositionSet {
        udfs.dropFirst().reduce(udfs.first?.processed ?? PositionSet(size: plan.meta.positionCount)) {
            $0.intersection($1.processed)
        }
    }

    /// The versions of the UDFs' results, by id: which channels have changed since a publisher last looked.
    public var versions: [String: UInt64] {
        Dictionary(uniqueKeysWithValues: udfs.map { ($0.planned.id, $0.version) })
    }

    /// The exported channels as they are now, in the order of requests and declarations.
    ///
    /// Costs nothing for UDFs without news since the last call. A UDF that fails to compute its results is noted in
    /// `failures`; its other channels and those of other UDFs are there.
    public mutating func channels() -> [ResultChannel] {
        var all: [ResultChannel] = []
        for index in udfs.indices {
            let (channels, failure) = udfs[index].channels()
            all += channels
            if let failure { failures.append(failure) }
        }
        return all
    }

    private mutating func markProcessed(_ run: Range<Int>, generation: UInt32) {
        var rest = run
        while !rest.isEmpty {
            // A stretch that all UDFs have, then one that some lack.
            var end = rest.upperBound
            for udf in udfs {
                end = min(end, udf.processed.firstRun(in: rest.lowerBound..<end, of: false)?.lowerBound ?? end)
            }
            if end > rest.lowerBound { coverage.markProcessed(rest.lowerBound..<end, generation: generation) }
            var next = end
            for udf in udfs where next < rest.upperBound {
                next = udf.processed.firstRun(in: next..<rest.upperBound, of: true)?.lowerBound ?? rest.upperBound
            }
            rest = next..<rest.upperBound
        }
    }
}
