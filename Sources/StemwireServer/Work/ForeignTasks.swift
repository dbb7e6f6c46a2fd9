import StemwireProtocol
import StemwireSystem
import StemwireUDF
import StemwireWire
import ZeroMQ

/// One thing that only a worker can do with merged buffers. The thread that wants it waits; the desk has it done.
final class ForeignTask: Sendable {
    typealias Answer = Result<(message: WireMergeTaskDone, parts: [ReceivedPart]), UDFError>

    /// The number of the plan.
    let plan: UInt32
    let udf: String
    let kind: String
    let headers: [WireArrayHeader]
    let arrays: [ResultArray]
    private let outcome = Locked<(answer: Answer?, deadline: ContinuousClock.Instant)>((nil, .now))
    private let isAnswered = CountingSemaphore()

    init(plan: UInt32, udf: String, kind: String, _ arrays: [(header: WireArrayHeader, array: ResultArray)]) {
        self.plan = plan
        self.udf = udf
        self.kind = kind
        headers = arrays.map(\.header)
        self.arrays = arrays.map(\.array)
    }

    /// The first answer counts.
    func finish(_ new: Answer) {
        let isFirst = outcome.withLock { outcome in
            defer { outcome.answer = outcome.answer ?? new }
            return outcome.answer == nil
        }
        if isFirst { isAnswered.post() }
    }

    /// The desk has it in hand, or will have it done as soon as there is a worker.
    func isWaited(for patience: Duration) {
        outcome.withLock { $0.deadline = max($0.deadline, .now + patience) }
    }

    /// Blocks; nil when nobody has it in hand any more.
    func wait() -> Answer? {
        while true {
            let (answer, deadline) = outcome.value
            if let answer { return answer }
            let left = deadline - .now
            guard left > .zero else { return nil }
            _ = isAnswered.wait(timeout: left)
        }
    }

    func fault(_ reason: String) -> UDFError { UDFError(kind == "merge" ? .merging : .results, udf: udf, reason) }
}

/// Has the merges and results of a plan done by workers. Its methods block: never to be called on the desk's thread.
struct ForeignPlanWork: ForeignWork {
    /// The number of the plan.
    let plan: UInt32
    /// How long the desk may say nothing.
    let patience: Duration
    /// Hands a task to the desk, and takes it back.
    let begin: @Sendable (ForeignTask) -> Void
    let cancel: @Sendable (ForeignTask) -> Void

    func merge(_ udf: String, left: [ResultArray], right: [ResultArray]) throws(UDFError) -> [ResultArray] {
        let arrays = (left + right).map { (WireArrayHeader($0, purpose: .buffer, udf: udf), $0) }
        return try perform(ForeignTask(plan: plan, udf: udf, kind: "merge", arrays)) {
            arrays throws(ReceivedArrayError) in
            var merged: [ResultArray] = []
            while arrays.next != nil { merged.append(try arrays.takeArray()) }
            return merged
        }
    }

    func computeResults(
        _ udf: String, processed: PositionSet, merged: [ResultArray]
    ) throws(UDFError) -> [RunPlan.ComputedResult] {
        let bitmap = processed.bitmap
        let positions = ResultArray(bitmap, shape: [bitmap.count])
        let arrays =
            [(WireArrayHeader(positions, purpose: .roi, udf: udf), positions)]
            + merged.map { (WireArrayHeader($0, purpose: .buffer, udf: udf), $0) }
        return try perform(ForeignTask(plan: plan, udf: udf, kind: "results", arrays)) {
            arrays throws(ReceivedArrayError) in
            var results: [RunPlan.ComputedResult] = []
            while let header = arrays.next {
                guard header.purpose == ArrayPurpose.roi.rawValue else {
                    results.append(.init(name: header.name, array: try arrays.takeArray(), valid: nil))
                    continue
                }
                // Which positions of the result before it are worth showing.
                guard let last = results.popLast(), last.name == header.name, last.valid == nil else {
                    throw ReceivedArrayError("a valid mask of \(header.name) that fits no result")
                }
                let valid = try arrays.takePositions(size: processed.size)
                results.append(.init(name: last.name, array: last.array, valid: valid))
            }
            return results
        }
    }

    private func perform<Value>(
        _ task: ForeignTask, _ read: (inout ReceivedArrays) throws(ReceivedArrayError) -> Value
    ) throws(UDFError) -> Value {
        task.isWaited(for: patience)
        begin(task)
        guard let answer = task.wait() else {
            cancel(task)
            throw task.fault("the server did not have it done")
        }
        let (message, parts) = try answer.get()
        do throws(ReceivedArrayError) {
            var arrays = try ReceivedArrays(message.arrays, parts: parts)
            return try read(&arrays)
        } catch {
            throw task.fault(error.description)
        }
    }
}

/// Gives tasks to workers, and to others when these are lost or fail; where there is no worker, they wait for one. Reactor's
/// thread only.
final class ForeignTaskDesk {
    private struct Waiting {
        let task: ForeignTask
        var worker: WorkerID?
        /// How long the worker may take.
        var until: ContinuousClock.Instant = .now
        /// Who could not do it, and why.
        var refusals: [WorkerID: String] = [:]
    }

    /// Workers that may fail at a task.
    private static let attempts = 2

    private let patience: Duration
    private var waiting: [UInt64: Waiting] = [:]
    private var lastTask: UInt64 = 0
    /// Whether nobody is waited for any more.
    var isEnding = false

    /// - Parameter patience: how long a worker may take for a task.
    init(patience: Duration) { self.patience = patience }

    func begin(_ task: ForeignTask) {
        lastTask += 1
        waiting[lastTask] = Waiting(task: task)
    }

    func cancel(_ task: ForeignTask) {
        waiting = waiting.filter { $0.value.task !== task }
    }

    /// A worker's answer; the next call of `advance` has it done elsewhere if it is none.
    func take(_ done: WireMergeTaskDone, _ parts: [ReceivedPart], from worker: RemoteWorker) {
        guard let present = waiting[done.task], present.worker == worker.id else { return }
        if done.failure.isEmpty {
            waiting[done.task] = nil
            present.task.finish(.success((done, parts)))
        } else {
            waiting[done.task]?.refusals[worker.id] = "worker \(worker.name): \(done.failure)"
            waiting[done.task]?.worker = nil
        }
    }

    /// Sends what nobody is at to workers that can do it.
    ///
    /// - Parameter plan: finds a plan by its number.
    func advance(
        _ workers: [WorkerID: RemoteWorker], at now: ContinuousClock.Instant, plan: (UInt32) -> DispatchedPlan?,
        flush: (RemoteWorker) -> Void
    ) {
        for number in waiting.keys.sorted() {
            guard var present = waiting[number] else { continue }
            present.task.isWaited(for: patience)
            if let worker = present.worker.flatMap({ workers[$0] }) {
                guard now >= present.until else { continue }
                present.refusals[worker.id] = "worker \(worker.name) did not do it within \(patience)"
            }
            present.worker = nil
            guard let plan = plan(present.task.plan), !plan.run.isStopped else {
                give(up: number, present.task.fault("its run is over"))
                continue
            }
            let able = workers.values.filter {
                $0.takesWork && plan.needs.isSubset(of: $0.offers) && present.refusals[$0.id] == nil
            }
            // Who has the plan is asked first.
            let next = able.min {
                ($0.plans.contains(plan.number) ? 0 : 1, $0.id.uuid.low)
                    < ($1.plans.contains(plan.number) ? 0 : 1, $1.id.uuid.low)
            }
            if present.refusals.count < Self.attempts, let next {
                var wire = WireMergeTask()
                (wire.task, wire.plan) = (number, plan.number)
                (wire.udf, wire.kind) = (present.task.udf, present.task.kind)
                wire.arrays = present.task.headers
                next.tell(plan)
                next.queue(.mergeTask(wire), payload: present.task.arrays)
                (present.worker, present.until) = (next.id, now + patience)
                waiting[number] = present
                flush(next)
            } else if !present.refusals.isEmpty || isEnding {
                let reasons = present.refusals.values.sorted().joined(separator: "; ")
                give(up: number, present.task.fault(reasons.isEmpty ? "no worker is there that has it" : reasons))
            } else {
                waiting[number] = present
            }
        }
    }

    private func give(up number: UInt64, _ error: UDFError) {
        waiting.removeValue(forKey: number)?.task.finish(.failure(error))
    }
}
