/// Puts the results of partitions together, in whatever order they come, with the same bits for every order.
///
/// A value without locks or threads: its owner lets one thread at a time use it. Merging touches only the new partition's
/// rows and one frame-sized array per buffer.
///
/// **Other parameters while a run goes on.** `adopt(_:)` takes a plan of a higher generation. For each UDF whose
/// parameters differ:
/// - Rows of nav buffers stay, marked as outdated, until the position is processed with the new parameters; if the layout
///   of its nav buffers differs (names, types, extra shapes), all its rows start anew. Results that are computed from
///   rows (`.resultOnly`) are computed with the new parameters from the rows there are.
/// - Buffers of kind sig and single start anew: a sum over two sets of parameters has no meaning.
/// - Results of partitions that were begun with earlier parameters, and come after the change, give their rows to
///   positions that have none, or older ones; to buffers of kind sig and single they add nothing.
///
/// UDFs whose parameters are the same go on undisturbed, with results of both generations. A partition is to be worked on
/// with one plan from its first frame to its end: what was begun with the old plan is finished with it.
///
/// **Recomputation.** The frames of `outdatedPartitions`, as far as there still are any, can be worked on again with the
/// plan that `recomputation(ofPartition:)` gives. Each position then counts once: its rows are overwritten, and it is added to the sums that started
/// anew. When all are redone, all results have the bits of a run with the new parameters from its beginning.
public struct ResultMerger: Sendable {
    public private(set) var plan: RunPlan
    /// How far each scan position has come. A position is processed when all UDFs have it.
    public private(set) var coverage: Coverage
    /// What has failed so far: partitions, and computations of results.
    public private(set) var failures: [UDFError] = []
    private var udfs: [MergedUDF]
    private let firstGeneration: UInt32

    public init(_ plan: RunPlan) {
        self.plan = plan
        firstGeneration = plan.generation
        coverage = Coverage(size: plan.meta.positionCount, generation: plan.generation)
        udfs = plan.udfs.map { MergedUDF($0, generation: plan.generation) }
    }

    /// What became of a result.
    public enum Outcome: Sendable, Hashable {
        case merged
        /// It was in the results already: another worker was faster; or it was made with parameters that have been
        /// changed since, and there is something newer. Nothing has changed.
        case duplicate
    }

    /// Merges the result of a partition, or of a part of it.
    ///
    /// The first result of a scan position with the same parameters counts; UDFs whose part of the result has been merged
    /// already are left as they are.
    ///
    /// - Throws: `UDFError` with the code `merging` when only a part of a UDF's positions is new (nothing has changed
    ///   then), or when a UDF's own merge fails (that UDF's results are not to be relied on then); with the code
    ///   `badResult` for a generation that the run never had.
    @discardableResult
    public mutating func merge(_ result: PartitionResult) throws(UDFError) -> Outcome {
        guard (firstGeneration...plan.generation).contains(result.generation) else {
            throw UDFError(
                .badResult, partition: result.partition,
                "a result of parameter generation \(result.generation); the run has had \(firstGeneration) to "
                    + "\(plan.generation)")
        }
        var news: [(part: PartitionResult.Part, novelty: MergedUDF.Novelty)] = []
        for part in result.parts {
            precondition(udfs.indices.contains(part.udf), "a result of another plan")
            let novelty = udfs[part.udf].novelty(part, partition: result.partition, generation: result.generation)
            switch novelty {
            case .new, .outdated: news.append((part, novelty))
            case .known: break
            case .overlapping:
                throw UDFError(
                    .merging, udf: plan.udfs[part.udf].id, partition: result.partition,
                    "a part of its scan positions is in the results already; it was not merged")
            }
        }
        var isNew = result.parts.isEmpty
        for (part, novelty) in news {
            if novelty == .outdated {
                isNew = udfs[part.udf].mergeOutdated(part, generation: result.generation) || isNew
                continue
            }
            do throws(UDFError) {
                try udfs[part.udf].merge(part, partition: result.partition)
                isNew = true
            } catch {
                fail(error, positions: part.positions)
                throw error
            }
        }
        for part in result.parts {
            for run in part.positions { markProcessed(run) }
        }
        return isNew ? .merged : .duplicate
    }

    /// Goes on with other parameters: see the type's description.
    ///
    /// - Parameter plan: For the same frames, corrections and UDFs, with a higher generation; `RunPlan.changed(to:)`
    ///   makes it.
    /// - Throws: `UDFError` with the code `badRequest` when it is no such plan; nothing has changed then.
    public mutating func adopt(_ plan: RunPlan) throws(UDFError) {
        guard plan.generation > self.plan.generation else {
            throw UDFError(
                .badRequest,
                "parameters of generation \(plan.generation) for a run that is at \(self.plan.generation) already")
        }
        guard plan.udfs.map(\.id) == self.plan.udfs.map(\.id) else {
            throw UDFError(.badRequest, "the UDFs of a run stay the same while it goes on; only parameters can change")
        }
        guard plan.meta == self.plan.meta, plan.corrections == self.plan.corrections else {
            throw UDFError(
                .badRequest, "scan, region of interest and corrections of a run stay the same while it goes on")
        }
        for index in udfs.indices { udfs[index].adopt(plan.udfs[index], generation: plan.generation) }
        self.plan = plan
        refresh(0..<plan.meta.positionCount)
    }

    /// Which generations of parameters processed positions agree with, as `Coverage.processedGenerations`; empty as long
    /// as there has been one only.
    public var generations: [(positions: Range<Int>, generation: UInt32)] {
        plan.generation == firstGeneration ? [] : coverage.processedGenerations
    }

    /// The scan positions that were processed with earlier parameters of some UDF, and not with its present ones.
    public var outdated: PositionSet {
        udfs.reduce(PositionSet(size: plan.meta.positionCount)) { $1.hasSeam ? $0.union($1.outdated) : $0 }
    }

    /// The partitions that have such positions, rising.
    ///
    /// A partition of which results with earlier parameters are still to come joins them when these have come.
    public var outdatedPartitions: [Int] {
        var partitions: [Int] = []
        for run in outdated.ranges {
            let first = plan.meta.partition(ofPosition: run.lowerBound)
            let last = plan.meta.partition(ofPosition: run.upperBound - 1)
            partitions += max(first, (partitions.last ?? -1) + 1)..<last + 1
        }
        return partitions
    }

    /// The present plan with those UDFs alone that have outdated positions in a partition; nil when none has.
    ///
    /// The others have what they need. The results are merged as they are; take a partition's result as a whole
    /// (`PartitionTask.finish()`, without `flush()` before), so that a second attempt at it is known for what it is.
    public func recomputation(ofPartition partition: Int) -> RunPlan? {
        let positions = plan.meta.positions(ofPartition: partition)
        let ids = udfs.filter { $0.hasOutdated(in: positions) }.map(\.planned.id)
        return ids.isEmpty ? nil : plan.restricted(to: Set(ids))
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

    /// Takes over what a copy of this merger has computed meanwhile, for UDFs without news since the copy was made.
    ///
    /// - Parameter known: The number of failures that there were then.
    public mutating func takeComputed(from copy: ResultMerger, failuresBefore known: Int) {
        failures += copy.failures.dropFirst(known)
        guard copy.plan.generation == plan.generation else { return }
        for index in udfs.indices where udfs[index].version == copy.udfs[index].version {
            udfs[index] = copy.udfs[index]
        }
    }

    private mutating func markProcessed(_ run: Range<Int>) {
        guard !udfs.contains(where: \.hasSeam) else { return refresh(run) }
        var rest = run
        while !rest.isEmpty {
            // A stretch that all UDFs have, then one that some lack.
            var end = rest.upperBound
            for udf in udfs {
                end = min(end, udf.processed.firstRun(in: rest.lowerBound..<end, of: false)?.lowerBound ?? end)
            }
            if end > rest.lowerBound { coverage.markProcessed(rest.lowerBound..<end, generation: plan.generation) }
            var next = end
            for udf in udfs where next < rest.upperBound {
                next = udf.processed.firstRun(in: next..<rest.upperBound, of: true)?.lowerBound ?? rest.upperBound
            }
            rest = next..<rest.upperBound
        }
    }

    /// Brings the coverage to what the UDFs have, where generations differ.
    private mutating func refresh(_ positions: Range<Int>) {
        for position in positions {
            let one = position..<position + 1
            if !udfs.isEmpty, udfs.allSatisfy({ $0.processed.contains(position) }) {
                let oldest = udfs.compactMap { $0.lastGeneration(at: position) }.min()
                coverage.markProcessed(one, generation: oldest ?? plan.generation)
            } else {
                coverage.markOutdated(one)
            }
        }
    }
}
