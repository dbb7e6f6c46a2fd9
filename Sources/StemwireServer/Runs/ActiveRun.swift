import StemwireKernels
import StemwireSystem
import StemwireUDF

/// One run on one acquisition: its plan and what has been merged so far.
package final class ActiveRun: Sendable {
    package let name: String
    package let requests: [UDFRequest]
    /// Whether the run is to have the frames that came before it too, as far as they are kept.
    let joinsFromStart: Bool
    /// Whether it has UDFs that only workers have: it is planned when one of them has told what they are, and merged by
    /// one thread, which may have to wait for a worker.
    let isForeign: Bool
    let roi: PositionSet?
    let corrections: Corrections?
    /// The scan with the region of interest; nil when these do not go together.
    let meta: UDFMeta?
    let registry: UDFRegistry
    let merged: Locked<Merged>
    /// Of a run with workers' UDFs; only the thread that merges has it, for as long as a merge takes.
    let foreignMerger = Locked<ForeignMerger?>(nil)
    let onFirstResult: @Sendable () -> Void

    struct Merged: Sendable {
        /// As it began; nil when the run cannot be done on this acquisition, or has no plan yet.
        var plan: RunPlan?
        /// Made when the first result comes, so that an acquisition whose turn has not come takes no memory. Of a run with
        /// workers' UDFs nil.
        var merger: ResultMerger?
        /// Of a run with workers' UDFs: what is there to be seen, and what the thread that merges is to note.
        var shown: Shown?
        var newFailures: [(error: UDFError, positions: [Range<Int>])] = []
        var failedFrames = 0
        var error: String?
        var isStopped = false
        var isFinal = false
        /// Whether what was made with earlier parameters is to be made again.
        var recomputes = false
        /// Partitions in the result, by who computed them.
        var contributors: [String: Int] = [:]
        var redone = RunManifest.Redone()

        /// What there is to be seen.
        mutating func show() -> Shown? {
            if let shown { return shown }
            guard var present = merger else { return nil }
            // Computed results stay with the merger.
            merger = nil
            defer { merger = present }
            return Shown(&present)
        }
    }

    /// - Parameters:
    ///   - roi: the scan positions to work on; nil for all.
    ///   - onFirstResult: called once, on any thread, when there is something to show.
    init(
        name: String, requests: [UDFRequest], registry: UDFRegistry, meta: UDFMeta, roi: PositionSet?,
        corrections: Corrections? = nil, isForeign: Bool = false,
        joinsFromStart: Bool = false, onFirstResult: @escaping @Sendable () -> Void
    ) {
        self.joinsFromStart = joinsFromStart
        self.onFirstResult = onFirstResult
        self.name = name
        self.requests = requests
        self.isForeign = isForeign
        self.roi = roi
        self.corrections = corrections
        self.registry = registry
        var selected = meta
        do throws(UDFError) {
            if let roi {
                selected = try UDFMeta(
                    navShape: meta.navShape, sigShape: meta.sigShape, inputDType: meta.inputDType,
                    framesPerPartition: meta.framesPerPartition, roi: roi)
            }
            let plan =
                isForeign
                ? nil : try RunPlan(requests, registry: registry, meta: selected, corrections: corrections)
            self.meta = selected
            merged = Locked(Merged(plan: plan))
        } catch {
            self.meta = nil
            merged = Locked(Merged(error: error.description, isFinal: true))
        }
    }

    /// As it began; nil when the run cannot be done on this acquisition: `error` says why. Also nil as long as nobody has
    /// told what its UDFs are.
    var plan: RunPlan? { merged.withLock { $0.plan } }

    /// Goes on with other parameters, from the next partition on that somebody begins. Any thread.
    ///
    /// - Parameters:
    ///   - requests: the UDFs that change, by their ids.
    ///   - recomputes: whether partitions that were worked on before are to be worked on again, as far as there are
    ///     frames.
    /// - Throws: `UDFError` when there are no such UDFs or parameters, or the run is over.
    package func change(to requests: [UDFRequest], registry: UDFRegistry, recomputes: Bool) throws(UDFError) {
        guard !isForeign else {
            throw UDFError(
                .badRequest,
                "only workers have UDFs of this run: its parameters cannot change while it goes on; stop it, and start another"
            )
        }
        while true {
            guard let present = merged.withLock({ $0.isFinal ? nil : $0.merger?.plan ?? $0.plan }) else {
                throw UDFError(.badRequest, "the run is over on this acquisition")
            }
            // Takes a while for large masks, so results are merged meanwhile.
            let next = try present.changed(to: requests, registry: registry)
            let adopted: Result<Bool, UDFError> = merged.withLock { merged in
                prepare(&merged)
                // Somebody else may have been faster.
                guard merged.merger?.plan.generation == present.generation else { return .success(false) }
                do throws(UDFError) {
                    try merged.merger?.adopt(next)
                    merged.recomputes = recomputes
                    return .success(true)
                } catch {
                    return .failure(error)
                }
            }
            if try adopted.get() { return }
        }
    }

    /// The plan for partitions that are begun now, if it is a newer one than that of this generation.
    func plan(newerThan generation: UInt32) -> RunPlan? {
        merged.withLock { merged in
            guard let plan = merged.merger?.plan, plan.generation > generation else { return nil }
            return plan
        }
    }

    /// A partition that is to be worked on again, and the plan for it; nil when there is none.
    ///
    /// - Parameter isWanted: called with partitions and the present generation of parameters.
    func recomputation(
        where isWanted: (_ partition: Int, _ generation: UInt32) -> Bool
    ) -> (partition: Int, plan: RunPlan)? {
        merged.withLock { merged in
            guard merged.recomputes, let merger = merged.merger,
                let partition = merger.outdatedPartitions.first(where: { isWanted($0, merger.plan.generation) }),
                let plan = merger.recomputation(ofPartition: partition)
            else { return nil }
            return (partition, plan)
        }
    }

    /// The channels that it gives, unless a UDF fails.
    var channels: [(udf: String, name: String)] {
        (plan?.udfs ?? []).flatMap { udf in udf.declarations.filter(\.isChannel).map { (udf.id, $0.name) } }
    }

    /// Adds a partition's result. Any thread.
    ///
    /// - Returns: what kept it from being merged.
    @discardableResult
    func merge(_ result: PartitionResult) -> UDFError? {
        if isForeign { return mergeForeign(result) }
        let (isFirst, failure) = merged.withLock { merged -> (Bool, UDFError?) in
            let isFirst = merged.merger == nil
            do throws(UDFError) {
                prepare(&merged)
                _ = try merged.merger?.merge(result)
                return (isFirst, nil)
            } catch {
                merged.error = merged.error ?? error.description
                return (isFirst, error)
            }
        }
        if isFirst { onFirstResult() }
        return failure
    }

    /// Notes who computed a partition that is in the result.
    func note(contributor: String) { merged.withLock { $0.contributors[contributor, default: 0] += 1 } }

    /// Notes which partitions were worked on more than once.
    func note(redone: RunManifest.Redone) { merged.withLock { $0.redone = redone } }

    /// Whether there is something to show.
    var hasResults: Bool { merged.withLock { $0.merger != nil || $0.shown != nil } }

    /// Notes that frames will not be processed, and why. Any thread.
    func fail(_ positions: [Range<Int>], because error: UDFError) {
        merged.withLock { merged in
            prepare(&merged)
            merged.merger?.fail(error, positions: positions)
            if isForeign { merged.newFailures.append((error, positions)) }
            merged.failedFrames += positions.reduce(0) { $0 + $1.count }
            merged.error = merged.error ?? error.description
        }
    }

    /// Takes no more frames.
    func stop() { merged.withLock { $0.isStopped = true } }

    /// Nothing will be merged any more.
    func finish() {
        merged.withLock { merged in
            prepare(&merged)
            merged.isFinal = true
        }
    }

    private func prepare(_ merged: inout Merged) {
        if let plan = merged.plan, merged.merger == nil, !isForeign { merged.merger = ResultMerger(plan) }
    }

    var isStopped: Bool { merged.withLock { $0.isStopped } }

    /// What is there now.
    package struct Snapshot: Sendable {
        package let channels: [ResultChannel]
        package let processed: PositionSet
        package let expected: Int
        package let failedFrames: Int
        package let error: String?
        package let isFinal: Bool
        /// The generation of the run's parameters; rises with every change.
        package let parameterGeneration: UInt32
        /// Which generation of parameters processed positions agree with; empty when there has been one only.
        package let generations: [(positions: Range<Int>, generation: UInt32)]
        let manifest: RunManifest
    }

    /// The present state of all channels; the arrays are shared with the merger, and copied when it goes on. Of a run with
    /// workers' UDFs, that after one of the last merges: nobody waits for a worker here.
    package func snapshot() -> Snapshot {
        merged.withLock { merged in
            let shown = merged.show() ?? Shown()
            return Snapshot(
                channels: shown.channels, processed: shown.processed,
                expected: merged.plan?.meta.selectedCount ?? 0, failedFrames: merged.failedFrames, error: merged.error,
                isFinal: merged.isFinal, parameterGeneration: shown.generation, generations: shown.generations,
                manifest: RunManifest(
                    selected: merged.plan?.meta.roi, positions: merged.plan?.meta.positionCount ?? 0,
                    processed: shown.processed, failed: shown.failedPositions, contributors: merged.contributors,
                    redone: merged.redone, generation: shown.generation, generations: shown.generations))
        }
    }

    /// Counts only: cheaper than `snapshot()`.
    package func progress() -> (processed: Int, expected: Int, failedFrames: Int, error: String?, isFinal: Bool) {
        merged.withLock { merged in
            (
                merged.merger?.coverage.count(.processed) ?? merged.shown?.processedPositions ?? 0,
                merged.plan?.meta.selectedCount ?? 0, merged.failedFrames, merged.error, merged.isFinal
            )
        }
    }
}
