import MerlinProtocol
import StemwireAcquisition
import StemwireKernels
import StemwireProtocol
import StemwireSystem
import StemwireUDF

/// The runs that are asked for, and the acquisitions they are applied to. All methods from any thread.
package final class RunTable: Sendable {
    /// A run that waits for acquisitions.
    package struct Registered: Sendable {
        package let name: String
        package fileprivate(set) var requests: [UDFRequest]
        /// Tells the scan positions to work on, asked with their number in an acquisition; nil for all.
        package let roi: (@Sendable (_ positions: Int) -> PositionSet)?
        /// What is done to every frame before any UDF sees it; nil for nothing.
        package var corrections: Corrections?
        /// Whether the run is to have the frames that came before it too, as far as they are kept.
        package var joinsFromStart = false
        /// The channels that it will give, by all appearances.
        fileprivate var channels: [ActiveRun.ChannelName] = []
        /// Acquisitions that are still to be run on; nil until stopped.
        package var acquisitionsLeft: Int?
    }

    private struct State: Sendable {
        var registered: [Registered] = []
        /// The newest last. Those that have ended are kept for snapshots, a few of them.
        var acquisitions: [AcquisitionRecord] = []
        /// Ended ones that are kept, at most.
        var kept: Int
        /// How the last acquisitions ended, the newest last.
        var summaries: [AcquisitionSummary] = []
        var count = 0
        var totals = AccountingTotals()

        /// Lets the oldest acquisitions go that are over and worked on.
        mutating func limit() {
            for old in acquisitions.filter(\.isDrained).dropLast(kept) { acquisitions.removeAll { $0 === old } }
        }
    }

    /// Acquisitions whose end is remembered.
    static let keptSummaries = 9

    /// The UDFs that this process has.
    let registry: UDFRegistry
    /// UDFs that joined workers offer, by worker.
    let offered = Locked<[WorkerID: Set<String>]>([:])
    private let lanes: Int
    private let keptAcquisitions: Int
    private let state: Locked<State>
    /// Called, on any thread, when there are first results, or final ones, or a run was added.
    private let onChange: @Sendable () -> Void
    /// Told when an acquisition has ended, and again when its results are final; on any thread.
    private let onEnd: @Sendable (_ summary: AcquisitionSummary, _ record: AcquisitionRecord?) -> Void
    /// Asked by each lane whether an acquisition is to be worked on at all.
    let admits: @Sendable (AcquisitionDescription) -> Bool

    /// - Parameters:
    ///   - keptAcquisitions: ended acquisitions that are kept with their results.
    ///   - admits: asked by each lane, on its thread, when an acquisition begins; the frames of one that is not admitted
    ///     are let go. May block: frames then wait in the ring, and after that in the detector. The answers for one
    ///     acquisition must be equal.
    package init(
        registry: UDFRegistry, lanes: Int, keptAcquisitions: Int = 2,
        onChange: @escaping @Sendable () -> Void = {},
        onEnd: @escaping @Sendable (_ summary: AcquisitionSummary, _ record: AcquisitionRecord?) -> Void = { _, _ in },
        admits: @escaping @Sendable (AcquisitionDescription) -> Bool = { _ in true }
    ) {
        self.registry = registry
        self.lanes = lanes
        self.keptAcquisitions = keptAcquisitions
        state = Locked(State(kept: keptAcquisitions))
        self.admits = admits
        self.onChange = onChange
        self.onEnd = onEnd
    }

    // MARK: Runs

    /// Registers a run for the next acquisitions, and for the present one if asked.
    ///
    /// - Throws: `RunTableError` when it could not be run on any acquisition, or the name is taken.
    package func start(
        name: String, requests: [UDFRequest], roi: (@Sendable (_ positions: Int) -> PositionSet)? = nil,
        corrections: Corrections? = nil,
        acquisitions: Int?, joinsCurrent: Bool, fromStart: Bool = false
    ) throws(RunTableError) {
        let current = joinsCurrent ? state.withLock { $0.acquisitions.last } : nil
        let offers = Set(offered.value.values.joined())
        let trial = trial(of: requests, on: current?.meta, offers: offers)
        if let fault = trial.fault { throw .invalid(fault) }
        let failure: RunTableError? = state.withLock { state in
            let joined = joinsCurrent ? state.acquisitions.last : nil
            // Results of two runs of one name could not be told apart on one acquisition, even if the first was stopped.
            guard !state.registered.contains(where: { $0.name == name }),
                joined?.runs.contains(where: { $0.name == name }) != true
            else { return .nameTaken(name) }
            guard state.registered.count < WireLimits.runs, (joined?.runs.count ?? 0) < WireLimits.runs else {
                return .tooMany(WireLimits.runs)
            }
            var run = Registered(
                name: name, requests: requests, roi: roi, corrections: corrections, joinsFromStart: fromStart,
                channels: trial.channels, acquisitionsLeft: acquisitions)
            if let joined, let meta = joined.meta,
                joined.add(activeRun(run, meta))
            {
                run.acquisitionsLeft = run.acquisitionsLeft.map { $0 - 1 }
            }
            if run.acquisitionsLeft != 0 { state.registered.append(run) }
            return nil
        }
        if let failure { throw failure }
        onChange()
    }

    /// What comes of planning requests for the sake of it.
    private struct Trial {
        /// What is wrong with them whatever the frames are.
        var fault: String?
        /// What they give, where that could be told.
        var channels: [ActiveRun.ChannelName] = []
    }

    /// Plans requests, as far as it can be done before the frames come.
    ///
    /// - Parameter offers: UDFs that workers have; what they make of the requests is told when an acquisition begins.
    private func trial(of requests: [UDFRequest], on meta: UDFMeta?, offers: Set<String>) -> Trial {
        let offers = offers.filter { registry[$0] == nil }
        guard let known = try? registry.adding(namesOnly: offers) else { return Trial() }
        if let unknown = requests.first(where: { $0.function == nil && known[$0.name] == nil }), !offers.isEmpty {
            let names = registry.entries.map(\.name).joined(separator: ", ")
            return Trial(
                fault: UDFError(
                    .unknownUDF, udf: unknown.id,
                    "there is no UDF \"\(unknown.name)\"; known are \(names); workers offer "
                        + offers.sorted().joined(separator: ", ")
                ).description)
        }
        if let meta { return trial(of: requests, planned: meta, known) }
        // What is wrong whatever the scan and its frames are is told alike of two that have nothing in common.
        let small = trial(of: requests, scan: 32, frame: 256, known)
        guard let fault = small.fault else { return small }
        let large = trial(of: requests, scan: 1024, frame: 1024, known)
        return large.fault == fault ? small : Trial(channels: large.channels)
    }

    private func trial(of requests: [UDFRequest], scan: Int, frame: Int, _ registry: UDFRegistry) -> Trial {
        let meta = try? UDFMeta(
            navShape: [scan, scan], sigShape: SigShape(height: frame, width: frame), inputDType: .uint16,
            framesPerPartition: 256)
        return meta.map { trial(of: requests, planned: $0, registry) } ?? Trial()
    }

    private func trial(of requests: [UDFRequest], planned meta: UDFMeta, _ registry: UDFRegistry) -> Trial {
        do throws(UDFError) {
            return Trial(channels: try RunPlan(requests, registry: registry, meta: meta).channelNames)
        } catch {
            return Trial(fault: error.description)
        }
    }

    private func activeRun(_ run: Registered, _ meta: UDFMeta) -> ActiveRun {
        ActiveRun(
            name: run.name, requests: run.requests, registry: registry, meta: meta,
            roi: run.roi?(meta.positionCount),
            corrections: run.corrections,
            isForeign: run.requests.contains { $0.function == nil && registry[$0.name] == nil },
            channels: run.channels, joinsFromStart: run.joinsFromStart, onFirstResult: onChange)
    }

    /// Changes parameters of a run, on the present acquisition and on those to come.
    ///
    /// - Parameters:
    ///   - requests: the UDFs that change, by their ids.
    ///   - recomputes: whether what was worked on before is to be worked on again, as far as there are frames.
    /// - Throws: `RunTableError` when there is no such run, or it cannot have these parameters.
    package func change(name: String, to requests: [UDFRequest], recomputes: Bool) throws(RunTableError) {
        let (waiting, active) = state.withLock { state in
            (
                state.registered.first { $0.name == name },
                state.acquisitions.last { $0.summary == nil || !$0.isDrained }?.runs.first { $0.name == name }
            )
        }
        if let active {
            do throws(UDFError) {
                try active.change(to: requests, registry: registry, recomputes: recomputes)
            } catch {
                throw .invalid(error.description)
            }
        }
        guard let waiting else {
            if active == nil { throw .unknown(name) }
            return onChange()
        }
        let changed = try waiting.requests.changed(to: requests)
        // Those of the run were offered once, and may be again.
        let offers = Set(offered.value.values.joined()).union(waiting.requests.map(\.name))
        if let fault = trial(of: changed, on: nil, offers: offers).fault { throw .invalid(fault) }
        state.withLock { state in
            for index in state.registered.indices where state.registered[index].name == name {
                state.registered[index].requests = changed
            }
        }
        onChange()
    }

    /// Ends a run, also on the present acquisition; its results so far stay. False when there is none of that name.
    package func stop(name: String) -> Bool {
        state.withLock { state in
            let before = state.registered.count
            state.registered.removeAll { $0.name == name }
            let active = state.acquisitions.last?.runs.filter { $0.name == name && !$0.isStopped } ?? []
            for run in active { run.stop() }
            return state.registered.count < before || !active.isEmpty
        }
    }

    package var registered: [Registered] { state.withLock { $0.registered } }

    // MARK: Acquisitions

    /// The record of an acquisition; made by the first who hears of it.
    func begin(_ description: AcquisitionDescription) -> AcquisitionRecord {
        state.withLock { state in
            if let known = state.acquisitions.last(where: { $0.description.generation == description.generation }) {
                return known
            }
            let record = AcquisitionRecord(description, lanes: lanes)
            if let meta = record.meta {
                for run in state.registered {
                    _ = record.add(activeRun(run, meta))
                }
            }
            for index in state.registered.indices { state.registered[index].acquisitionsLeft? -= 1 }
            state.registered.removeAll { $0.acquisitionsLeft == 0 }
            state.acquisitions.append(record)
            state.count += 1
            state.limit()
            return record
        }
    }

    /// An acquisition ended; with `hasStarted` false it has no record.
    func ended(_ summary: AcquisitionSummary) {
        let record = state.withLock { state in
            // Live publisher and desk both tell, each when it has got there.
            if !state.summaries.contains(where: { $0.generation == summary.generation }) {
                state.summaries.append(summary)
                state.totals.add(summary)
                if state.summaries.count > Self.keptSummaries { state.summaries.removeFirst() }
            }
            return state.acquisitions.last { $0.description.generation == summary.generation }
        }
        record?.ended(summary)
        onEnd(summary, record)
    }

    /// A thread has worked on all its frames of this acquisition.
    func laneFinished(_ record: AcquisitionRecord) {
        guard record.laneFinished() else { return }
        state.withLock { $0.limit() }
        onChange()
        if let summary = record.summary { onEnd(summary, record) }
    }

    /// Keeps so many ended acquisitions from the next one on; nil: as many as usual.
    func keep(_ count: Int?) { state.withLock { $0.kept = count ?? keptAcquisitions } }

    /// Ended acquisitions that are kept, at most.
    var kept: Int { state.withLock { $0.kept } }

    /// All acquisitions that are kept, the newest last.
    package var acquisitions: [AcquisitionRecord] { state.withLock { $0.acquisitions } }
    /// How the last acquisitions ended, the newest last, also those without any good frame.
    package var summaries: [AcquisitionSummary] { state.withLock { $0.summaries } }
    /// What all acquisitions that are over add up to.
    var totals: AccountingTotals { state.withLock { $0.totals } }
    /// Acquisitions begun.
    package var acquisitionCount: Int { state.withLock { $0.count } }
}

extension [UDFRequest] {
    /// With others in the places of those with the same ids.
    fileprivate func changed(to others: [UDFRequest]) throws(RunTableError) -> [UDFRequest] {
        var changed = self
        for other in others {
            guard let index = firstIndex(where: { $0.id == other.id && $0.name == other.name }) else {
                throw .invalid("the run has no \(other.name) with the id \"\(other.id)\"; only parameters can change")
            }
            changed[index] = other
        }
        return changed
    }
}

/// Why a run cannot be started or changed.
package enum RunTableError: Error, Sendable, CustomStringConvertible {
    case invalid(String)
    case nameTaken(String)
    case unknown(String)
    case tooMany(Int)

    package var description: String {
        switch self {
        case .invalid(let reason): reason
        case .unknown(let name): "there is no run \"\(name)\""
        case .nameTaken(let name): "there is a run \"\(name)\" already; stop it first or choose another name"
        case .tooMany(let limit): "\(limit) runs are registered, more are not taken; stop one first"
        }
    }
}
