import StemwireKernels
import StemwireSystem
import StemwireUDF

/// One run on one acquisition: its plan and what has been merged so far.
package final class ActiveRun: Sendable {
    package let name: String
    package let requests: [UDFRequest]
    /// Nil when the run cannot be done on this acquisition; `error` says why.
    let plan: RunPlan?
    private let merged: Locked<Merged>
    private let onFirstResult: @Sendable () -> Void

    private struct Merged: Sendable {
        /// Made when the first result comes, so that an acquisition whose turn has not come takes no memory.
        var merger: ResultMerger?
        var failedFrames = 0
        var error: String?
        var isStopped = false
        var isFinal = false
    }

    /// - Parameters:
    ///   - roi: the scan positions to work on; nil for all.
    ///   - onFirstResult: called once, on any thread, when there is something to show.
    init(
        name: String, requests: [UDFRequest], registry: UDFRegistry, meta: UDFMeta, roi: PositionSet?,
        onFirstResult: @escaping @Sendable () -> Void
    ) {
        self.onFirstResult = onFirstResult
        self.name = name
        self.requests = requests
        do throws(UDFError) {
            var meta = meta
            if let roi {
                meta = try UDFMeta(
                    navShape: meta.navShape, sigShape: meta.sigShape, inputDType: meta.inputDType,
                    framesPerPartition: meta.framesPerPartition, roi: roi)
            }
            plan = try RunPlan(requests, registry: registry, meta: meta)
            merged = Locked(Merged())
        } catch {
            plan = nil
            merged = Locked(Merged(error: error.description, isFinal: true))
        }
    }

    /// The channels that it gives, unless a UDF fails.
    var channels: [(udf: String, name: String)] {
        (plan?.udfs ?? []).flatMap { udf in udf.declarations.filter(\.isChannel).map { (udf.id, $0.name) } }
    }

    /// Adds a partition's result. Any thread.
    func merge(_ result: PartitionResult) {
        let isFirst = merged.withLock { merged in
            let isFirst = merged.merger == nil
            do throws(UDFError) {
                prepare(&merged)
                _ = try merged.merger?.merge(result)
            } catch {
                merged.error = merged.error ?? error.description
            }
            return isFirst
        }
        if isFirst { onFirstResult() }
    }

    /// Whether there is something to show.
    var hasResults: Bool { merged.withLock { $0.merger != nil } }

    /// Notes that frames will not be processed, and why. Any thread.
    func fail(_ positions: [Range<Int>], because error: UDFError) {
        merged.withLock { merged in
            prepare(&merged)
            merged.merger?.fail(error, positions: positions)
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
        if let plan, merged.merger == nil { merged.merger = ResultMerger(plan) }
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
    }

    /// The present state of all channels; the arrays are shared with the merger, and copied when it goes on.
    package func snapshot() -> Snapshot {
        merged.withLock { merged in
            return Snapshot(
                channels: merged.merger?.channels() ?? [],
                processed: merged.merger?.processed ?? PositionSet(size: 0),
                expected: plan?.meta.selectedCount ?? 0, failedFrames: merged.failedFrames, error: merged.error,
                isFinal: merged.isFinal)
        }
    }

    /// Counts only: cheaper than `snapshot()`.
    package func progress() -> (processed: Int, expected: Int, failedFrames: Int, error: String?, isFinal: Bool) {
        merged.withLock { merged in
            (
                merged.merger?.coverage.count(.processed) ?? 0, plan?.meta.selectedCount ?? 0, merged.failedFrames,
                merged.error,
                merged.isFinal
            )
        }
    }
}
