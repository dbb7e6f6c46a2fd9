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
    /// Held while the run is planned, or its results are computed; both may take long.
    private let computing = Locked<Void>(())
    /// The channels that it gives, by all appearances, before it is planned.
    private let expectedChannels: [ChannelName]
    /// Of a run with workers' UDFs; only the thread that merges has it, for as long as a merge takes.
    let foreignMerger = Locked<ForeignMerger?>(nil)
    let onFirstResult: @Sendable () -> Void

    /// A channel's UDF, by its id, and its own name.
    struct ChannelName: Sendable, Hashable {
        let udf: String
        let name: String
    }

    struct Merged: Sendable {
        /// As it began; nil when the run cannot be done on this acquisition, or has no plan yet.
        var plan: RunPlan?
        /// Whether the plan is still to be made, by this process.
        var isToBePlanned = false
        /// Made when the first result comes, so that an acquisition whose turn has not come takes no memory. Of a run with
        /// workers' UDFs nil.
        var merger: ResultMerger?
        /// What is there to be seen.
        var shown: Shown?
        /// Whether nothing was merged since.
        var isShownFinal = false
        /// Whether there is nothing that is not shown yet.
        var isAllShown: Bool { isShownFinal || merger == nil }
        /// Whether it took long to compute, or has not been computed yet.
        var mayBeSlow = true
        /// Of a run with workers' UDFs: what the thread that merges is to note.
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
    }

    /// - Parameters:
    ///   - roi: the scan positions to work on; nil for all.
    ///   - channels: those that it will give, by all appearances.
    ///   - onFirstResult: called once, on any thread, when there is something to show.
    init(
        name: String, requests: [UDFRequest], registry: UDFRegistry, meta: UDFMeta, roi: PositionSet?,
        corrections: Corrections? = nil, isForeign: Bool = false, channels: [ChannelName] = [],
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
        expectedChannels = channels
        do throws(UDFError) {
            var selected = meta
            if let roi {
                selected = try UDFMeta(
                    navShape: meta.navShape, sigShape: meta.sigShape, inputDType: meta.inputDType,
                    framesPerPartition: meta.framesPerPartition, roi: roi)
            }
            self.meta = selected
            merged = Locked(Merged(isToBePlanned: !isForeign))
        } catch {
            self.meta = nil
            merged = Locked(Merged(error: error.description, isFinal: true))
        }
    }

    /// As it began; nil when the run cannot be done on this acquisition: `error` says why. Also nil as long as it has not been
    /// made, or nobody has told what the UDFs are.
    var plan: RunPlan? { merged.withLock { $0.plan } }

    var isToBePlanned: Bool { merged.withLock { $0.isToBePlanned } }

    /// Plans the run, if that has not been done. With large masks it takes a while, so not on a thread that serves peers.
    ///
    /// - Returns: nil when the run cannot be done, or only workers have its UDFs.
    @discardableResult
    func makePlan() -> RunPlan? {
        guard isToBePlanned else { return plan }
        return computing.withLock { _ in
            guard isToBePlanned, let meta else { return plan }
            let made: Result<RunPlan, UDFError>
            do throws(UDFError) {
                made = .success(try RunPlan(requests, registry: registry, meta: meta, corrections: corrections))
            } catch {
                made = .failure(error)
            }
            return merged.withLock { merged in
                merged.isToBePlanned = false
                switch made {
                case .success(let plan): merged.plan = plan
                case .failure(let error): (merged.error, merged.isFinal) = (error.description, true)
                }
                return merged.plan
            }
        }
    }

    /// Gives the run up before it was planned.
    func refuse(because error: UDFError) {
        merged.withLock { merged in
            merged.isToBePlanned = false
            merged.error = merged.error ?? error.description
        }
    }

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
        makePlan()
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
    var channels: [ChannelName] {
        let (plan, isToBePlanned) = merged.withLock { ($0.plan, $0.isToBePlanned) }
        return plan?.channelNames ?? (isToBePlanned ? expectedChannels : [])
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

    /// Brings what `snapshot()` gives to the present state.
    ///
    /// Computing results may take long, and merging goes on meanwhile: so not on a thread that serves peers. Of a run with
    /// workers' UDFs nothing happens: the thread that merges shows what there is.
    package func computeResults() {
        guard !isForeign else { return }
        computing.withLock { _ in
            let (present, isFinal) = merged.withLock { ($0.isShownFinal ? nil : $0.merger, $0.isFinal) }
            guard var copy = present else { return }
            let known = copy.failures.count
            let began = ContinuousClock.now
            let shown = Shown(&copy)
            let isSlow = ContinuousClock.now - began > Self.slowComputing
            merged.withLock { merged in
                merged.merger?.takeComputed(from: copy, failuresBefore: known)
                merged.shown = shown
                (merged.isShownFinal, merged.mayBeSlow) = (isFinal, isSlow)
                if isFinal, let failure = copy.failures.dropFirst(known).first {
                    merged.error = merged.error ?? failure.description
                }
            }
        }
    }

    /// What takes longer is computed where it keeps no other results waiting.
    private static let slowComputing = Duration.milliseconds(20)

    var mayBeSlow: Bool { merged.withLock { $0.mayBeSlow } }

    /// All channels as they were computed last; the arrays are shared with the merger, and copied when it goes on. Waits for
    /// nothing.
    package func snapshot() -> Snapshot {
        merged.withLock { merged in
            let shown = merged.shown ?? Shown()
            return Snapshot(
                channels: shown.channels, processed: shown.processed,
                expected: meta?.selectedCount ?? 0, failedFrames: merged.failedFrames, error: merged.error,
                isFinal: merged.isFinal && merged.isAllShown,
                parameterGeneration: shown.generation, generations: shown.generations,
                manifest: RunManifest(
                    selected: meta?.roi, positions: meta?.positionCount ?? 0,
                    processed: shown.processed, failed: shown.failedPositions, contributors: merged.contributors,
                    redone: merged.redone, generation: shown.generation, generations: shown.generations))
        }
    }

    /// Counts only: cheaper than `snapshot()`.
    package func progress() -> (processed: Int, expected: Int, failedFrames: Int, error: String?, isFinal: Bool) {
        merged.withLock { merged in
            (
                merged.merger?.coverage.count(.processed) ?? merged.shown?.processedPositions ?? 0,
                meta?.selectedCount ?? 0, merged.failedFrames, merged.error,
                merged.isFinal && merged.isAllShown
            )
        }
    }
}

extension RunPlan {
    /// The channels that it gives, unless a UDF fails.
    var channelNames: [ActiveRun.ChannelName] {
        udfs.flatMap { udf in
            udf.declarations.filter(\.isChannel).map { ActiveRun.ChannelName(udf: udf.id, name: $0.name) }
        }
    }
}
