import StemwireAcquisition
import StemwireSystem
import StemwireUDF
import ZeroMQ

// Runs on acquisitions: their plans, other parameters, frames that came before, and the end.

extension DispatchDesk {
    func adoptRuns(of work: AcquisitionWork) {
        for run in work.record.runs(beyond: work.knownRuns) {
            work.knownRuns += 1
            adopt(run, work)
        }
    }

    func adopt(_ run: ActiveRun, _ work: AcquisitionWork) {
        guard !refusesLarge(run, work) else { return }
        guard !run.isForeign else { return havePlanned(run, work) }
        guard run.isToBePlanned else { return run.plan.map { begin(run, $0, work) } ?? () }
        work.runsToPlan += 1
        work.runsBeingPlanned += 1
        let others = run.joinsFromStart ? PositionSet(size: work.description.partitionCount) : work.closed
        // With large masks it takes a while.
        results.plan(run) { [onDesk, generation = work.generation] plan in
            onDesk { desk in
                // It cannot be over as long as a run is to be planned.
                guard let work = desk.acquisitions[generation] else { return }
                desk.planned(run, plan, begunBefore: others, work)
            }
        }
    }

    /// Takes up what has come meanwhile.
    func planned(_ run: ActiveRun, _ plan: RunPlan?, begunBefore others: PositionSet, _ work: AcquisitionWork) {
        work.runsBeingPlanned -= 1
        guard let begun = plan.flatMap({ begin(run, $0, work, begunBefore: others) }) else { return notPlanned(work) }
        begun.holdsFrames = true
        begun.replay = 0..<(work.closed.ranges.last?.upperBound ?? 0)
        replay(begun, work)
    }

    /// A run needs no frames after all.
    func notPlanned(_ work: AcquisitionWork) {
        work.runsToPlan -= 1
        releaseHeld(work)
        reactor.schedule(after: .zero) { [self] in endIfDone(work) }
    }

    /// - Returns: nil when nobody could work on it.
    @discardableResult
    func begin(
        _ run: ActiveRun, _ plan: RunPlan, _ work: AcquisitionWork, begunBefore: PositionSet? = nil
    ) -> AcquisitionWork.PlanWork? {
        let dispatched = DispatchedPlan(
            number: nextPlanNumber(), run: run, plan: plan, description: work.description, staysHere: staysHere(work))
        guard !dispatched.needsServer || !lanes.isEmpty else {
            let names = plan.udfs.filter { $0.udf.needsOneProcess }.map(\.id).joined(separator: ", ")
            run.fail(
                [],
                because: UDFError(
                    .badRequest, udf: names, "it runs in the server only, which has no threads for UDFs; see --threads")
            )
            return nil
        }
        let begun = AcquisitionWork.PlanWork(dispatched, begunBefore: begunBefore)
        begin(begun, work)
        return begun
    }

    /// Whether no frame may be lost, and partitions are too large to be kept: then threads of the server do them, which
    /// take each frame as it comes, and never twice.
    func staysHere(_ work: AcquisitionWork) -> Bool {
        work.tooLarge != nil && settings.whenMemoryIsShort == .backPressure
    }

    /// Refuses a run that could not be done without losing frames: so large partitions would wait for each other for ever.
    func refusesLarge(_ run: ActiveRun, _ work: AcquisitionWork) -> Bool {
        guard staysHere(work), let problem = work.tooLarge else { return false }
        let most = Self.itemsOfLane * lanes.count
        let others = work.runsBeingPlanned + work.plans.count { !$0.isOver && !$0.beginsNoMore }
        guard run.isForeign || others >= most else { return false }
        let error = UDFError(
            .badRequest,
            problem
                + (most == 0
                    ? "" : "; threads of the server can do \(most) runs with so large partitions, workers none"))
        announce("warning", "partition.tooLarge", "run \(run.name) is not done: \(error)")
        run.refuse(because: error)
        return true
    }

    func nextPlanNumber() -> UInt32 {
        lastPlan += 1
        return lastPlan
    }

    func begin(_ plan: AcquisitionWork.PlanWork, _ work: AcquisitionWork) {
        work.plans.append(plan)
        plans[plan.plan.number] = (plan, work)
        tell(.runBegan(plan.plan.id, needs: plan.plan.needs))
    }

    /// Where a run has other parameters now, begins further partitions with these.
    func renewPlans(of work: AcquisitionWork) {
        for plan in work.plans where !plan.isOver && !plan.beginsNoMore {
            let run = plan.plan.run
            guard let newer = run.plan(newerThan: plan.plan.plan.generation) else { continue }
            plan.beginsNoMore = true
            let dispatched = DispatchedPlan(
                number: nextPlanNumber(), run: run, plan: newer, description: work.description,
                staysHere: staysHere(work))
            begin(
                AcquisitionWork.PlanWork(dispatched, begunBefore: plan.begunBefore.union(plan.opened)), work)
        }
    }

    /// Begins partitions again that were worked on with earlier parameters, a few at once, as far as their frames are kept.
    ///
    /// While a detector is dragged the parameters change faster than all can be done again: what has been begun must not
    /// stand before what is wanted now.
    func recompute(_ work: AcquisitionWork) {
        let limit = 2 * max(1, lanes.count + workers.count)
        for run in work.record.runs where !run.isStopped {
            for _ in 0..<Self.replayAtOnce where work.recomputing[run.name, default: 0] < limit {
                let done = work.recomputed[run.name] ?? [:]
                let next = run.recomputation { partition, generation in
                    work.closed.contains(partition) && done[partition] != generation
                }
                guard let (partition, plan) = next else { break }
                work.recomputed[run.name, default: [:]][partition] = plan.generation
                recompute(partition, of: run, plan, work)
            }
        }
    }

    func recompute(_ partition: Int, of run: ActiveRun, _ plan: RunPlan, _ work: AcquisitionWork) {
        let ids = plan.udfs.map(\.id)
        let known = work.plans.first { known in
            known.plan.recomputes && known.plan.run === run && known.plan.plan.generation == plan.generation
                && known.plan.plan.udfs.map(\.id) == ids
        }
        let again: AcquisitionWork.PlanWork
        if let known {
            again = known
        } else {
            again = AcquisitionWork.PlanWork(
                DispatchedPlan(
                    number: nextPlanNumber(), run: run, plan: plan, description: work.description, recomputes: true,
                    staysHere: staysHere(work)))
            begin(again, work)
        }
        openKept(partition, again, work)
    }

    /// Begins a partition from the frames of it that are kept; nothing happens when there are none.
    func openKept(_ partition: Int, _ plan: AcquisitionWork.PlanWork, _ work: AcquisitionWork) {
        let tiles = frames.tiles(
            work.description.positions(ofPartition: partition), generation: work.generation)
        // Frames that were kept for this plan and are gone are told when the item is assigned.
        guard !tiles.isEmpty || plan.holdsFrames && work.partitions[partition] != nil else { return }
        work.reopen(partition, tiles.map(\.positions))
        for tile in tiles { tile.release() }
        let item = plan.plan.item(partition)
        if plan.plan.recomputes { work.recomputing[plan.plan.run.name, default: 0] += 1 }
        open(item, plan, work)
        if plan.opened.contains(partition) {
            tell(.closed(item))
        } else if plan.plan.recomputes {
            work.recomputing[plan.plan.run.name, default: 1] -= 1
        }
        if work.forgetIfDone(partition) { frames.finished(generation: work.generation, partition: partition) }
    }

    /// Takes up partitions whose frames came before the plan, a few at once.
    func replay(_ plan: AcquisitionWork.PlanWork, _ work: AcquisitionWork) {
        for partition in plan.replay.prefix(Self.replayAtOnce) {
            plan.replay.removeFirst()
            guard !endIfStopped(plan), work.closed.contains(partition), !plan.opened.contains(partition),
                plan.takes(partition)
            else { continue }
            openKept(partition, plan, work)
        }
        if plan.replay.isEmpty || plan.isOver {
            if plan.holdsFrames {
                plan.holdsFrames = false
                work.runsToPlan -= 1
                releaseHeld(work)
            }
            endIfDone(work)
        } else {
            reactor.schedule(after: .zero) { [self] in replay(plan, work) }
        }
    }

    func endIfStopped(_ plan: AcquisitionWork.PlanWork) -> Bool {
        guard !plan.isOver, plan.plan.run.isStopped else { return plan.isOver }
        end(plan)
        return true
    }

    /// Tells the run what was done more than once, for its manifest.
    func noteRedone(_ plan: AcquisitionWork.PlanWork) {
        guard let status = core.status(of: plan.plan.id), status.redone > 0 else { return }
        partitionsRedone += UInt64(status.redone)
        plan.plan.run.note(
            redone: RunManifest.Redone(
                count: status.redone,
                listed: status.redos.map { ($0.partition, Int($0.attempt) + 1, $0.reason.description) }))
    }

    func end(_ plan: AcquisitionWork.PlanWork) {
        noteRedone(plan)
        plan.isOver = true
        plan.replay = 0..<0
        tell(.runEnded(plan.plan.id))
    }

    func endIfDone(_ work: AcquisitionWork) {
        if work.isDone { recompute(work) }
        guard work.isDone, acquisitions[work.generation] === work, haveLastResults(of: work) else { return }
        acquisitions[work.generation] = nil
        for plan in work.plans {
            if !plan.isOver { end(plan) }
            let number = plan.plan.number
            plans[number] = nil
            for lane in lanes.values { lane.forget(plan: number) }
            for worker in workers.values {
                worker.forget(number)
                flush(worker)
            }
        }
        frames.finished(generation: work.generation)
        table.laneFinished(work.record)
    }

    /// Whether the last results are there; else has them computed, which may take a while, and a worker.
    func haveLastResults(of work: AcquisitionWork) -> Bool {
        guard work.lastResults == .open else { return work.lastResults == .there }
        work.lastResults = .asked
        let runs = work.record.runs
        let own = runs.filter { !$0.isForeign }
        let left = Locked(own.count + 1)
        let whenDone: @Sendable () -> Void = { [onDesk, generation = work.generation] in
            guard
                left.withLock({
                    $0 -= 1; return $0 == 0
                })
            else { return }
            onDesk { desk in
                guard let work = desk.acquisitions[generation] else { return }
                work.lastResults = .there
                desk.endIfDone(work)
            }
        }
        for run in own {
            run.finish()
            results.compute(run, whenDone: whenDone)
        }
        // Behind all merges.
        foreignMerger.submit {
            for run in runs where run.isForeign { run.showForeign(isLast: true) }
            whenDone()
        }
        return false
    }
}
