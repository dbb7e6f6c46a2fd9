import StemwireAcquisition
import StemwireProtocol
import StemwireUDF
import ZeroMQ

// What the dispatcher is told, and what it has done.

extension DispatchDesk {
    func publishReport() {
        var new = DispatchReport()
        new.dispatch = WireDispatchStatus(core.counts)
        new.dispatch.oldestWaitingMs = core.oldestUnassignedAge(at: .now)?.wholeMilliseconds ?? 0
        new.dispatch.partitionsRedone =
            partitionsRedone + UInt64(plans.values.reduce(0) { $0 + (core.status(of: $1.plan.plan.id)?.redone ?? 0) })
        new.dispatch.resultsIgnored = resultsIgnored
        new.dispatch.workersLost = workersLost
        let store = frames.status
        new.dispatch.spoolBytesTotal = UInt64(store.spoolBytesTotal)
        new.dispatch.spoolBytesUsed = UInt64(store.spoolBytes)
        new.dispatch.framesGivenUp = framesGivenUp
        new.workers = core.workerStatus(at: .now).map { WireWorkerStatus($0, remote: workers[$0.id]) }
        report.withLock { $0 = new }
    }

    func tick() {
        relieve()
        for work in acquisitions.values {
            for plan in work.plans { _ = endIfStopped(plan) }
            adoptRuns(of: work)
            renewPlans(of: work)
            recompute(work)
            endIfDone(work)
        }
        tell(.tick)
        advanceForeign()
        for worker in workers.values { flush(worker) }
        publishReport()
    }

    /// Where frames have no room any more, gives up work, if that is the policy.
    func relieve() {
        frames.limit()
        closeLate()
        guard settings.whenMemoryIsShort == .dropProcessing, ring.freeSlots == 0 else { return }
        let bytes = max(1, ring.slotCount / 8) * ring.slotBytes
        for work in acquisitions.values where work.runsToPlan > 0 { giveUpHeld(work, bytes: bytes) }
        tell(.memoryShort(bytes: bytes))
    }

    /// Tells the dispatcher, and does what it says. What that leads to is told afterwards, so that actions keep their order.
    func tell(_ event: DispatchEvent) {
        events.append(event)
        guard !isTelling else { return }
        isTelling = true
        var next = 0
        var actions: [DispatchAction] = []
        while next < events.count {
            core.handle(events[next], at: .now, into: &actions)
            next += 1
            for action in actions { perform(action) }
            actions.removeAll(keepingCapacity: true)
        }
        events.removeAll(keepingCapacity: true)
        isTelling = false
    }

    func perform(_ action: DispatchAction) {
        switch action {
        case .assign(let item, let worker, let attempt): assign(item, to: worker, attempt)
        case .extend(let item, let worker, let attempt): extend(item, to: worker, attempt)
        case .finish(let item, let worker, let attempt): finish(item, to: worker, attempt)
        case .ask(let item, let worker, let attempt):
            var ask = WireAsk()
            ask.item = WireWorkItem(item, attempt)
            ask.frames = UInt64(workers[worker]?.framesSent(of: item, attempt) ?? 0)
            ask.closed = core.isClosed(item)
            queue(.ask(ask), to: worker)
        case .withdraw(let item, let worker, let attempt):
            var withdraw = WireWithdraw()
            withdraw.item = WireWorkItem(item, attempt)
            queue(.withdraw(withdraw), to: worker)
        case .acknowledge(let item, let attempt, let worker):
            var ack = WireAck()
            ack.item = WireWorkItem(item, attempt)
            queue(.ack(ack), to: worker)
        case .sendBeat(let worker):
            queue(.beat(WireBeat()), to: worker)
        case .merge(let item, _, let worker): merge(item, from: worker)
        case .ignore: resultsIgnored += 1
        case .release(let item): release(item)
        case .quarantine(let item, let reason): quarantine(item, reason)
        case .workerDead(let id, let reason):
            guard let worker = workers[id] else { return }
            forget(worker)
            workersLost += 1
            announce("warning", "worker.lost", "worker \(worker.name) is lost: \(RedoReason.workerDied(reason))")
        }
    }

    func assign(_ item: WorkItem, to worker: WorkerID, _ attempt: UInt32) {
        guard let (plan, work) = plans[item.run] else { return }
        justAssigned.insert(item)
        let tiles = work.receivedTiles(item.partition, in: frames)
        noteAbsent(tiles, of: item.partition, plan, work)
        if let lane = lanes[worker] {
            for tile in tiles { lane.process(tile, plan.plan) }
            // It will not be done twice, so that its frames need not be kept for that.
            if work.assignedToServer(item.partition) {
                frames.finished(generation: item.generation, partition: item.partition)
            }
            if core.isClosed(item) { finish(item, to: worker, attempt) }
        } else if let remote = workers[worker] {
            remote.tell(plan.plan)
            for tile in tiles { remote.queue(tile, of: item, attempt, plan.plan) }
            if core.isClosed(item) { finish(item, to: worker, attempt) }
            flush(remote)
        } else {
            for tile in tiles { tile.release() }
        }
    }

    /// Frames that had come and are there no more, since memory was short, fail.
    func noteAbsent(
        _ tiles: [Tile], of partition: Int, _ plan: AcquisitionWork.PlanWork, _ work: AcquisitionWork
    ) {
        let received = work.received(partition)
        let count = received.reduce(0) { $0 + $1.count }
        guard tiles.reduce(0, { $0 + $1.count }) < count else { return }
        var present = PositionSet(size: work.description.framesExpected)
        for tile in tiles { present.insert(tile.positions) }
        let absent = received.flatMap { present.gaps(in: $0) }
        let lost = absent.reduce(0) { $0 + $1.count }
        let error = UDFError(
            .processing, partition: partition, "\(lost) of its frames were let go, since memory was short")
        framesGivenUp += UInt64(lost)
        plan.plan.run.fail(absent, because: error)
    }

    func extend(_ item: WorkItem, to worker: WorkerID, _ attempt: UInt32) {
        guard let tile = arriving, !justAssigned.contains(item), let (plan, _) = plans[item.run] else { return }
        tile.retain()
        if let lane = lanes[worker] {
            lane.process(tile, plan.plan)
        } else if let remote = workers[worker] {
            remote.queue(tile, of: item, attempt, plan.plan)
            flush(remote)
        } else {
            tile.release()
        }
    }

    func finish(_ item: WorkItem, to worker: WorkerID, _ attempt: UInt32) {
        if let lane = lanes[worker], let (plan, _) = plans[item.run] {
            let onDesk = onDesk
            lane.finish(partition: item.partition, plan.plan) { fate in
                onDesk { $0.finished(item, attempt, worker, fate) }
            }
        } else if let remote = workers[worker] {
            var closed = WireWorkClosed()
            closed.item = WireWorkItem(item, attempt)
            closed.frames = UInt64(remote.framesSent(of: item, attempt))
            remote.queue(.closed(closed))
            flush(remote)
        }
    }

    /// A thread of the server is done with an item.
    func finished(_ item: WorkItem, _ attempt: UInt32, _ worker: WorkerID, _ fate: RunOnLane.Fate) {
        switch fate {
        case .taken: tell(.result(item, attempt: attempt, from: worker))
        case .failed(let error): tell(.failed(item, attempt: attempt, from: worker, .udf(error.description)))
        }
    }

    func merge(_ item: WorkItem, from worker: WorkerID) {
        guard let (plan, _) = plans[item.run] else { return tell(.mergeFailed(item, reason: "its run is over")) }
        guard lanes[worker] == nil else {
            plan.plan.run.note(contributor: "this server")
            return tell(.merged(item))
        }
        guard let result = pendingResult else { return tell(.mergeFailed(item, reason: "its result is gone")) }
        let name = workers[worker]?.name ?? "a worker that has left"
        let merger = plan.plan.run.isForeign ? foreignMerger : merger
        merger.submit { [onDesk, plan = plan.plan] in
            let failure = plan.run.merge(result.message, result.payload, plan: plan.plan, from: name)
            onDesk { $0.tell(failure.map { .mergeFailed(item, reason: $0.description) } ?? .merged(item)) }
            plan.run.showForeign(on: merger)
        }
    }

    func release(_ item: WorkItem) {
        guard let (plan, work) = plans[item.run] else { return }
        if plan.plan.recomputes { work.recomputing[plan.plan.run.name, default: 1] -= 1 }
        for worker in workers.values { worker.forget(item) }
        if work.released(item.partition) { frames.finished(generation: item.generation, partition: item.partition) }
        // Not within the handling of an event: ending tells the dispatcher of it.
        reactor.schedule(after: .zero) { [self] in
            if plan.plan.recomputes { recompute(work) }
            endIfDone(work)
        }
    }

    func quarantine(_ item: WorkItem, _ reason: QuarantineReason) {
        guard let (plan, work) = plans[item.run] else { return }
        let error = UDFError(.processing, partition: item.partition, reason.description)
        plan.failed[item.partition] = error
        if case .failedLocally = reason { return }
        // What is there of earlier parameters stays.
        let positions = plan.plan.recomputes ? [] : work.received(item.partition)
        if case .memoryShort = reason { framesGivenUp += UInt64(positions.reduce(0) { $0 + $1.count }) }
        plan.plan.run.fail(positions, because: error)
        announce("warning", "partition.failed", "run \(plan.plan.run.name), partition \(item.partition): \(reason)")
    }
}
