import StemwireAcquisition
import StemwireUDF
import ZeroMQ

// Runs with UDFs that only workers have.

extension DispatchDesk {
    /// Has a worker say what a run's UDFs are, now or when there is one; frames are kept meanwhile.
    func havePlanned(_ run: ActiveRun, _ work: AcquisitionWork) {
        guard run.meta != nil else { return }
        work.runsToPlan += 1
        planning.add(PlanningDesk.Request(number: nextPlanNumber(), run, work))
        advanceForeign()
    }

    /// Has workers plan and merge what waits for it.
    func advanceForeign() {
        for (request, plan) in planning.advance(workers, at: .now, flush: flush) {
            let work = request.work
            if let plan {
                let planned = AcquisitionWork.PlanWork(
                    DispatchedPlan(
                        number: request.number, run: request.run, plan: plan, description: work.description),
                    begunBefore: request.others)
                begin(planned, work)
                planned.holdsFrames = true
                planned.replay = 0..<(work.closed.ranges.last?.upperBound ?? 0)
                replay(planned, work)
            } else {
                notPlanned(work)
            }
        }
        foreignTasks.advance(
            workers, at: .now, plan: { number in plans[number]?.plan.plan }, flush: flush)
    }

    /// Has a worker do something with merged buffers.
    func begin(_ task: ForeignTask) {
        foreignTasks.begin(task)
        advanceForeign()
    }

    /// Lets go what was kept for runs without plans, when there are none any more.
    func releaseHeld(_ work: AcquisitionWork) {
        for partition in work.heldForPlans where work.forgetIfDone(partition) {
            frames.finished(generation: work.generation, partition: partition)
        }
    }

    /// Gives up the oldest frames that are kept for runs without plans.
    func giveUpHeld(_ work: AcquisitionWork, bytes: Int) {
        let requests = planning.requests.filter { $0.work === work }
        guard !requests.isEmpty else { return }
        var left = bytes
        for partition in work.heldForPlans where left > 0 {
            let positions = work.received(partition)
            let count = positions.reduce(0) { $0 + $1.count }
            let error = UDFError(
                .processing, partition: partition, "no worker had planned the run before the memory for frames was full"
            )
            for request in requests where !request.others.contains(partition) {
                request.others.insert(partition..<partition + 1)
                request.run.fail(positions, because: error)
                framesGivenUp += UInt64(count)
            }
            left -= count * (Tile.prefixBytes + work.description.format.messageBytes)
            if work.forget(partition) { frames.finished(generation: work.generation, partition: partition) }
        }
    }
}
