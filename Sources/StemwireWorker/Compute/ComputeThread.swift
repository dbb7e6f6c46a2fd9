import StemwireClient
import StemwireKernels
import StemwireProtocol
import StemwireUDF
import StemwireWire

/// One compute thread: its lanes, and the partitions it has begun.
struct ComputeThread {
    private struct Work {
        let task: PartitionTask
        var duration = Duration.zero
    }

    let index: Int
    let pool: ComputePool
    private var lanes: [Serial: UDFLane] = [:]
    private var open: [Serial: Work] = [:]

    init(index: Int, pool: ComputePool) {
        self.index = index
        self.pool = pool
    }

    mutating func run() {
        while true {
            switch pool.next(for: index) {
            case .job(let job, let plan): perform(job, plan)
            case .tile(let work): process(work)
            case .close(let item, let id, _, let plan): close(item, id, plan)
            case .release(let items, let plans):
                for item in items { open[item] = nil }
                for plan in plans { lanes[plan] = nil }
            case .wait: break
            case .stop: return
            }
        }
    }

    // MARK: Partitions

    private mutating func process(_ work: ComputeQueue.FrameTileWork) {
        let start = ContinuousClock.now
        do {
            let task = try task(for: work)
            try work.tile.withMessages { base, stride, pixelOffset in
                _ = try task.process(
                    base, stride: stride, pixelOffset: pixelOffset, count: work.tile.count,
                    firstPosition: work.tile.positions.lowerBound)
            }
            open[work.item]?.duration += .now - start
        } catch {
            fail(work.item, error)
        }
    }

    private mutating func task(for work: ComputeQueue.FrameTileWork) throws -> PartitionTask {
        if let open = open[work.item] { return open.task }
        let lane: UDFLane
        if let known = lanes[work.planSerial] {
            lane = known
        } else {
            lane = try UDFLane(work.plan, decoder: work.tile.decoder())
            lanes[work.planSerial] = lane
        }
        let task = try lane.begin(partition: Int(work.id.partition))
        open[work.item] = Work(task: task)
        return task
    }

    private mutating func close(_ item: Serial, _ id: WorkItemID, _ plan: RunPlan) {
        let start = ContinuousClock.now
        var result = WireWorkResult()
        result.parameterGeneration = plan.generation
        guard let work = open.removeValue(forKey: item) else {
            // Not one frame of the partition came.
            pool.change { $0.remove(item) }
            return pool.report(.finished(item, result, WorkOutput()))
        }
        do throws(UDFError) {
            let (sections, payloads) = try work.task.finish().flattened(plan)
            try checkSizes(sections, payloads)
            var rest = payloads[...]
            result.sections = sections.map { section in
                let arrays = rest.prefix(section.buffers.count)
                rest = rest.dropFirst(section.buffers.count)
                return WireResultSection(section, arrays: arrays)
            }
            result.frames = UInt64(work.task.takenCount)
            result.seconds = (work.duration + (.now - start)) / .seconds(1)
            pool.change { $0.remove(item) }
            pool.report(.finished(item, result, WorkOutput(payloads)))
        } catch {
            fail(item, error)
        }
    }

    /// A server cuts off a worker that sends more, and would again after each new connection.
    private func checkSizes(_ sections: [PartitionResult.Section], _ payloads: [ResultArray]) throws(UDFError) {
        let part = payloads.map(\.byteCount).max() ?? 0
        let ranges = sections.reduce(0) { $0 + $1.positions.count }
        guard part <= WireLimits.resultPartBytes, payloads.count <= WireLimits.parts - 2,
            ranges * Self.rangeBytes <= WireLimits.headerBytes / 2
        else {
            throw UDFError(
                .processing,
                "the result of a partition is too large to be sent: \(payloads.count) buffers, the largest of \(part) bytes, "
                    + "in \(ranges) stretches; take smaller partitions or fewer UDFs")
        }
    }

    /// The most that a stretch of positions takes in a message.
    private static let rangeBytes = 24

    private mutating func fail(_ item: Serial, _ error: any Error) {
        open[item] = nil
        pool.change { $0.remove(item) }
        guard let error = error as? UDFError else {
            return pool.report(.failed(item, udf: "", "\(error)", isUDF: false))
        }
        // Frames that are not the partition's are no fault of the UDF.
        pool.report(
            .failed(
                item, udf: error.udf ?? "", error.description,
                isUDF: [.processing, .badDeclaration, .badParameter].contains(error.code)))
    }

    // MARK: Plans and merges

    private func perform(_ job: ComputeJob, _ plan: RunPlan?) {
        switch job {
        case .prepare(let serial, let wire, let parts):
            let (run, answer) = PlanPreparation.prepare(wire, parts: parts, registry: pool.registry)
            // The answer first: it must reach the server before a result does.
            pool.report(.planned(serial, answer))
            pool.change { $0.prepared(serial, run) }
        case .merge(let serial, _, let task, let parts):
            let (answer, output) = MergeTaskWork.perform(task, parts: parts, plan: plan)
            pool.report(.merged(serial, answer, output))
        }
    }
}
