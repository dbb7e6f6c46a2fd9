import StemwireKernels
import StemwireProtocol
import StemwireUDF

/// Has runs planned whose UDFs only workers have: asks one of them after the other what it makes of the request.
///
/// Reactor's thread only.
final class PlanningDesk {
    /// How long a worker may take to plan a run.
    static let patience = Duration.seconds(5)

    /// A run that waits for its plan.
    final class Request {
        /// What the plan's number is to be.
        let number: UInt32
        let run: ActiveRun
        let work: AcquisitionWork
        /// Partitions that are not the run's: they were over when it came, or were given up since.
        var others: PositionSet
        fileprivate var asked: (worker: WorkerID, until: ContinuousClock.Instant)?
        /// Who cannot do it, and why.
        fileprivate var refusals: [WorkerID: String] = [:]

        init(number: UInt32, _ run: ActiveRun, _ work: AcquisitionWork) {
            self.number = number
            self.run = run
            self.work = work
            others = run.joinsFromStart ? PositionSet(size: work.description.partitionCount) : work.closed
        }

        fileprivate var names: Set<String> { Set(run.requests.map(\.name)) }
    }

    private(set) var requests: [Request] = []
    private var planned: [(Request, RunPlan)] = []
    /// Makes who merges for the plan of a number.
    private let work: (UInt32) -> any ForeignWork

    init(work: @escaping (UInt32) -> any ForeignWork) { self.work = work }

    func add(_ request: Request) { requests.append(request) }

    /// A worker's answer; false when it was not asked.
    func take(_ answer: WirePlanned, from worker: RemoteWorker) -> Bool {
        guard let request = requests.first(where: { $0.number == answer.plan }), request.asked?.worker == worker.id
        else { return false }
        request.asked = nil
        guard answer.failure.isEmpty else {
            request.refusals[worker.id] = "worker \(worker.name): \(answer.failure)"
            return true
        }
        do throws(UDFError) {
            let plan = try request.run.adopt(
                try [ForeignDeclaration](answer, of: request.run.requests, from: worker), work: work(request.number))
            planned.append((request, plan))
        } catch {
            request.refusals[worker.id] = "worker \(worker.name) declares what cannot be: \(error)"
        }
        return true
    }

    /// Asks the next workers, as far as there are any.
    ///
    /// - Returns: the requests that are over, with their plans; nil for those that cannot be done, or are not to be.
    func advance(
        _ workers: [WorkerID: RemoteWorker], at now: ContinuousClock.Instant, flush: (RemoteWorker) -> Void
    ) -> [(request: Request, plan: RunPlan?)] {
        var over: [(request: Request, plan: RunPlan?)] = planned.map { ($0.0, $0.1) }
        planned = []
        for request in requests where !over.contains(where: { $0.request === request }) {
            if request.run.isStopped {
                over.append((request, nil))
                continue
            }
            if let asked = request.asked {
                if let worker = workers[asked.worker] {
                    guard now >= asked.until else { continue }
                    request.refusals[asked.worker] = "worker \(worker.name) did not plan it within \(Self.patience)"
                }
                request.asked = nil
            }
            let able = workers.values.filter {
                $0.takesWork && request.names.isSubset(of: $0.offers.map(\.name)) && request.refusals[$0.id] == nil
            }
            if let next = able.min(by: { ($0.plans.count, $0.id.uuid.low) < ($1.plans.count, $1.id.uuid.low) }) {
                request.asked = (next.id, now + Self.patience)
                next.tell(request.number) { request.message }
                flush(next)
            } else if !request.refusals.isEmpty {
                let reasons = request.refusals.values.sorted().joined(separator: "; ")
                request.run.fail([], because: UDFError(.badRequest, "no worker can do the run: \(reasons)"))
                over.append((request, nil))
            }
        }
        requests.removeAll { request in over.contains { $0.request === request } }
        return over
    }
}

extension PlanningDesk.Request {
    fileprivate var message: PlanMessage {
        PlanMessage(
            number: number, run: run.name, description: work.description, requests: run.requests, roi: run.roi,
            corrections: run.corrections, generation: 0)
    }
}

extension [ForeignDeclaration] {
    /// Reads what a worker says of the UDFs of a run; all of it is checked.
    fileprivate init(
        _ answer: WirePlanned, of requests: [UDFRequest], from worker: RemoteWorker
    ) throws(UDFError) {
        guard answer.udfs.map(\.id) == requests.map(\.id), answer.udfs.map(\.name) == requests.map(\.name) else {
            throw UDFError(.badDeclaration, "it planned other UDFs than those it was asked for")
        }
        self = []
        for udf in answer.udfs {
            guard worker.offers.contains(UDFKey(name: udf.name, contentHash: UInt64(udf.version))) else {
                throw UDFError(.badDeclaration, udf: udf.id, "version \(udf.version) is not the one that it offers")
            }
            guard let order = MergeOrder(rawValue: udf.order), order != .automatic else {
                throw UDFError(.badDeclaration, udf: udf.id, "there is no merge order \"\(udf.order)\"")
            }
            guard udf.buffers.count <= ForeignDeclaration.bufferLimit else {
                throw UDFError(.badDeclaration, udf: udf.id, "it has \(udf.buffers.count) buffers")
            }
            var buffers: [BufferDeclaration] = []
            for buffer in udf.buffers {
                buffers.append(
                    try BufferDeclaration(
                        udf: udf.id, name: buffer.name, kind: buffer.kind, dtype: buffer.dtype,
                        extraShape: buffer.extraShape.map { Int($0) }, use: buffer.use, merge: buffer.merge))
            }
            append(
                ForeignDeclaration(
                    id: udf.id, name: udf.name, version: Int(udf.version), contentHash: udf.contentHash, order: order,
                    buffers: buffers))
        }
    }
}
