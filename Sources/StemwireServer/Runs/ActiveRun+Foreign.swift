import StemwireProtocol
import StemwireSystem
import StemwireUDF
import ZeroMQ

// Runs with UDFs that only workers have: planned by what a worker tells, merged by one thread that may wait for a worker.

extension ActiveRun {
    /// What is to be seen of a run at one time.
    struct Shown: Sendable {
        var channels: [ResultChannel] = []
        var processed = PositionSet(size: 0)
        /// Positions that all UDFs have, and those that failed.
        var processedPositions = 0
        var failedPositions = 0
        var generation: UInt32 = 0
        var generations: [(positions: Range<Int>, generation: UInt32)] = []

        init() {}

        init(_ merger: inout ResultMerger) {
            channels = merger.channels()
            processed = merger.processed
            processedPositions = merger.coverage.count(.processed)
            failedPositions = merger.coverage.count(.failed)
            generation = merger.plan.generation
            generations = merger.generations
        }
    }

    /// What the thread that merges has of a run.
    struct ForeignMerger: Sendable {
        var merger: ResultMerger
        /// When the results were shown last.
        var shownAt: ContinuousClock.Instant?
        var isShowPlanned = false
    }

    /// How often results are shown.
    private static let showInterval = Duration.milliseconds(50)

    /// Plans the run with what a worker says of its UDFs.
    ///
    /// - Parameters:
    ///   - told: of all requests, in their order; of UDFs that this process has too, only the hash counts, which must be
    ///     the same.
    ///   - work: who merges, and computes results.
    /// - Throws: `UDFError` when that cannot be; nothing has changed then.
    func adopt(_ told: [ForeignDeclaration], work: any ForeignWork) throws(UDFError) -> RunPlan {
        guard let meta else { throw UDFError(.badRequest, "the region of interest does not fit the scan") }
        let foreign = told.filter { registry[$0.name] == nil }
        for declaration in foreign {
            // They travel in one part of a message.
            try declaration.check(
                meta, partBytes: WireLimits.resultPartBytes, arrayBytes: WireLimits.payloadBytes)
        }
        let plan = try RunPlan(
            requests, registry: try registry.adding(foreign: foreign, work: work), meta: meta, corrections: corrections)
        for (planned, declaration) in zip(plan.udfs, told) where planned.contentHash != declaration.contentHash {
            throw UDFError(.badDeclaration, udf: planned.id, "its version of the UDF is not that of this server")
        }
        merged.withLock { $0.plan = plan }
        foreignMerger.withLock { $0 = ForeignMerger(merger: ResultMerger(plan)) }
        return plan
    }

    /// Merges; may wait for a worker. On the thread that merges.
    func mergeForeign(_ result: PartitionResult) -> UDFError? {
        foreignMerger.withLock { present in
            guard present != nil else { return UDFError(.merging, partition: result.partition, "the run has no plan") }
            do throws(UDFError) {
                if present!.merger.plan.mergesElsewhere {
                    // What fails on the way leaves no trace: it can be done again.
                    var next = present!.merger
                    try next.merge(result)
                    present!.merger = next
                } else {
                    try present!.merger.merge(result)
                }
                return nil
            } catch {
                return error
            }
        }
    }

    /// Shows what there is, now or soon. On the thread that merges, which is this reactor's.
    func showForeign(on reactor: Reactor) {
        guard isForeign else { return }
        let wait = foreignMerger.withLock { present -> Duration? in
            guard let foreign = present, !foreign.isShowPlanned else { return nil }
            let wait = foreign.shownAt.map { $0 + Self.showInterval - .now } ?? .zero
            if wait > .zero { present?.isShowPlanned = true }
            return wait
        }
        guard let wait else { return }
        guard wait > .zero else { return showForeign(isLast: false) }
        reactor.schedule(after: wait) { [self] in
            let isDue = foreignMerger.withLock { present in
                defer { present?.isShowPlanned = false }
                return present?.isShowPlanned == true
            }
            if isDue { showForeign(isLast: false) }
        }
    }

    /// Shows what there is; may wait for a worker. On the thread that merges.
    ///
    /// - Parameter isLast: whether nothing will be merged any more, so that what cannot be computed now never is.
    func showForeign(isLast: Bool) {
        let failures = merged.withLock { merged in
            defer { merged.newFailures = [] }
            return merged.newFailures
        }
        let (shown, failure) = foreignMerger.withLock { present -> (Shown?, UDFError?) in
            guard present != nil else { return (nil, nil) }
            for (error, positions) in failures { present!.merger.fail(error, positions: positions) }
            let known = present!.merger.failures.count
            let shown = Shown(&present!.merger)
            present!.shownAt = .now
            if isLast { present!.isShowPlanned = false }
            return (shown, present!.merger.failures.dropFirst(known).first)
        }
        guard let shown else { return }
        let isFirst = merged.withLock { merged in
            defer { merged.shown = shown }
            if isLast, let failure { merged.error = merged.error ?? failure.description }
            return merged.shown == nil
        }
        if isFirst { onFirstResult() }
    }
}
