import StemwireKernels
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
    private let answer = Locked<Answer?>(nil)
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
        let isFirst = answer.withLock { answer in
            defer { answer = answer ?? new }
            return answer == nil
        }
        if isFirst { isAnswered.post() }
    }

    /// Blocks; nil when there is no answer in time.
    func wait(_ patience: Duration) -> Answer? {
        _ = isAnswered.wait(timeout: patience)
        return answer.value
    }

    func fault(_ reason: String) -> UDFError { UDFError(kind == "merge" ? .merging : .results, udf: udf, reason) }
}

/// Has the merges and results of a plan done by workers. Its methods block: never to be called on the desk's thread.
struct ForeignPlanWork: ForeignWork {
    /// The number of the plan.
    let plan: UInt32
    let patience: Duration
    /// Hands a task to the desk, and takes it back.
    let begin: @Sendable (ForeignTask) -> Void
    let cancel: @Sendable (ForeignTask) -> Void

    func merge(_ udf: String, left: [ResultArray], right: [ResultArray]) throws(UDFError) -> [ResultArray] {
        let arrays = (left + right).map { (WireArrayHeader($0, purpose: .buffer, udf: udf), $0) }
        let task = ForeignTask(plan: plan, udf: udf, kind: "merge", arrays)
        let (message, parts) = try perform(task)
        guard message.arrays.count == parts.count else { throw task.fault("\(parts.count) arrays came") }
        var merged: [ResultArray] = []
        for (header, part) in zip(message.arrays, parts) { merged.append(try array(header, part, task)) }
        return merged
    }

    func computeResults(
        _ udf: String, processed: PositionSet, merged: [ResultArray]
    ) throws(UDFError) -> [RunPlan.ComputedResult] {
        let bitmap = processed.bitmap
        let positions = ResultArray(bitmap, shape: [bitmap.count])
        let arrays =
            [(WireArrayHeader(positions, purpose: .roi, udf: udf), positions)]
            + merged.map { (WireArrayHeader($0, purpose: .buffer, udf: udf), $0) }
        let task = ForeignTask(plan: plan, udf: udf, kind: "results", arrays)
        let (message, parts) = try perform(task)
        guard message.arrays.count == parts.count else { throw task.fault("\(parts.count) arrays came") }
        var results: [RunPlan.ComputedResult] = []
        for (header, part) in zip(message.arrays, parts) {
            guard header.purpose == "roi" else {
                results.append(.init(name: header.name, array: try array(header, part, task), valid: nil))
                continue
            }
            // Which positions of the result before it are worth showing.
            guard let last = results.popLast(), last.name == header.name, last.valid == nil,
                let valid = part.withUnsafeBytes({ PositionSet(bitmap: $0, size: processed.size) })
            else { throw task.fault("a valid mask of \(header.name) that fits no result") }
            results.append(.init(name: last.name, array: last.array, valid: valid))
        }
        return results
    }

    private func perform(_ task: ForeignTask) throws(UDFError) -> (WireMergeTaskDone, [ReceivedPart]) {
        begin(task)
        guard let answer = task.wait(patience) else {
            cancel(task)
            let what = task.kind == "merge" ? "merged its results" : "computed its results"
            throw task.fault("no worker that has it \(what) within \(patience)")
        }
        let (message, parts) = try answer.get()
        return (message, parts)
    }

    private func array(
        _ header: WireArrayHeader, _ part: ReceivedPart, _ task: ForeignTask
    ) throws(UDFError) -> ResultArray {
        guard header.shape.count <= 8, let dtype = DType(rawValue: header.dtype) else {
            throw task.fault("\(header.name) came with \(header.shape.count) axes, of dtype \"\(header.dtype)\"")
        }
        if header.checksum != 0, part.withUnsafeBytes({ Checksum.xxh3($0) }) != header.checksum {
            throw task.fault("\(header.name) changed on the way: the checksum does not fit")
        }
        let made = part.withUnsafeBytes { bytes in
            Result { () throws(ResultArrayError) in
                try ResultArray(dtype: dtype, shape: header.shape.map { Int($0) }, bytes: bytes)
            }
        }
        switch made {
        case .success(let array): return array
        case .failure(let error): throw task.fault("\(header.name): \(error)")
        }
    }
}

/// Gives tasks to workers, and to others when these are lost or fail. Reactor's thread only.
final class ForeignTaskDesk {
    private struct Waiting {
        let task: ForeignTask
        var worker: WorkerID?
        /// Who could not do it, and why.
        var refusals: [WorkerID: String] = [:]
    }

    /// Workers that may fail at a task.
    private static let attempts = 2

    private var waiting: [UInt64: Waiting] = [:]
    private var lastTask: UInt64 = 0
    /// Whether nobody is waited for any more.
    var isEnding = false

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
        _ workers: [WorkerID: RemoteWorker], plan: (UInt32) -> DispatchedPlan?, flush: (RemoteWorker) -> Void
    ) {
        for number in waiting.keys.sorted() {
            guard var present = waiting[number], present.worker.map({ workers[$0] == nil }) ?? true else { continue }
            present.worker = nil
            guard let plan = plan(present.task.plan) else {
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
                present.worker = next.id
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
