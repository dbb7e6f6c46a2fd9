import StemwireAcquisition
import StemwireProtocol
import StemwireSystem
import StemwireUDF
import ZeroMQ

/// Gives the partitions of what is received to the server's own threads and to workers, and has their results merged.
///
/// The shell of `Dispatcher`: it knows where frames are, how workers are reached, and who merges. Reactor's thread only.
final class DispatchDesk {
    /// Partitions that stay open for late frames, at most.
    static let openPartitions = 8
    private static let eventsAtOnce = 256
    private static let tickInterval = Duration.milliseconds(100)
    /// When what a worker's queue did not take is tried again.
    private static let retryInterval = Duration.milliseconds(2)
    /// Partitions that are taken up again in one turn.
    private static let replayAtOnce = 64

    struct Settings {
        let threads: Int
        let beatInterval: Duration
        let silenceLimit: Duration
        let whenMemoryIsShort: StoreFullPolicy
        let deathLimit: Int
    }

    /// Asked to tell an operator.
    typealias Announce = (_ severity: String, _ code: String, _ text: String) -> Void

    private let settings: Settings
    let reactor: Reactor
    private let socket: WorkSocket
    private let ring: FrameRing
    let frames: FrameStore
    private let queue: TileQueue
    private let wakeUp: WakeUp
    private let table: RunTable
    private let report: Locked<DispatchReport>
    private let announce: Announce
    /// Runs what it is given on this desk's thread.
    let onDesk: @Sendable (@escaping @Sendable (DispatchDesk) -> Void) -> Void

    private var core: Dispatcher
    private var events: [DispatchEvent] = []
    private var isTelling = false
    private var lanes: [WorkerID: DispatchedLane] = [:]
    let merger: Reactor
    let planning: PlanningDesk
    let foreignTasks = ForeignTaskDesk()
    var workers: [WorkerID: RemoteWorker] = [:]
    var acquisitions: [UInt64: AcquisitionWork] = [:]
    private var present: AcquisitionWork?
    private var lastPlan: UInt32 = 0
    var plans: [RunID: (plan: AcquisitionWork.PlanWork, work: AcquisitionWork)] = [:]
    /// What is being handed on, for `extend`.
    private var arriving: Tile?
    /// Items that were assigned since `arriving` came: they were sent all there is.
    private var justAssigned: Set<WorkItem> = []
    private var pendingResult: (message: WireWorkResult, payload: [ReceivedPart])?
    private var isRetryPlanned = false
    var framesGivenUp: UInt64 = 0
    private var resultsIgnored: UInt64 = 0
    private var workersLost: UInt64 = 0
    /// Of runs that are over.
    private var partitionsRedone: UInt64 = 0

    init(
        _ settings: Settings, on reactor: Reactor, socket: WorkSocket, parts: WorkService.Parts,
        report: Locked<DispatchReport>, announce: @escaping Announce,
        onDesk: @escaping @Sendable (@escaping @Sendable (DispatchDesk) -> Void) -> Void
    ) throws(ZMQError) {
        self.settings = settings
        self.reactor = reactor
        self.socket = socket
        ring = parts.ring
        frames = parts.frames
        queue = parts.queue
        wakeUp = parts.wakeUp
        table = parts.table
        self.report = report
        self.announce = announce
        self.onDesk = onDesk
        var configuration = Dispatcher.Configuration()
        configuration.beatInterval = settings.beatInterval
        configuration.deadAfter = settings.silenceLimit
        configuration.deathLimit = settings.deathLimit
        configuration.attemptLimit = UInt32(clamping: max(Int(configuration.attemptLimit), 4 * settings.deathLimit))
        core = Dispatcher(configuration, at: .now)
        merger = try Reactor("merge")
        let patience = settings.silenceLimit * 2
        planning = PlanningDesk { number in
            ForeignPlanWork(
                plan: number, patience: patience,
                begin: { task in onDesk { $0.begin(task) } },
                cancel: { task in onDesk { $0.foreignTasks.cancel(task) } })
        }
        for index in 0..<settings.threads {
            let id = WorkerID(uuid: .init(high: 0, low: UInt64(index)), epoch: 0)
            lanes[id] = try DispatchedLane("udf-\(index)")
        }
    }

    func start() {
        var udfs = Set(
            table.registry.entries.map { UDFKey(name: $0.name, contentHash: UInt64(clamping: $0.version)) })
        udfs.insert(UDFKey(name: "", contentHash: 0))
        for id in lanes.keys.sorted(by: { $0.uuid.low < $1.uuid.low }) {
            tell(.joined(id, WorkerOffer(udfs: udfs, items: 3, bytes: .max, threads: 1, isLocal: true)))
        }
        reactor.watch(descriptor: wakeUp.descriptor) { [self] _ in drain() }
        reactor.schedule(every: Self.tickInterval) { [self] in tick() }
    }

    /// Works off what is in the queue, as far as the server's own threads can.
    ///
    /// - Returns: the threads that still compute; when they are stopped, all that they were given is done.
    func drainQueue() -> [Reactor] {
        while let event = queue.pop() { take(event) }
        foreignTasks.isEnding = true
        advanceForeign()
        return lanes.values.map(\.reactor) + [merger]
    }

    // MARK: What is received

    private func drain() {
        wakeUp.drain()
        var isEmpty = false
        for _ in 0..<Self.eventsAtOnce where !isEmpty {
            if let event = queue.pop() { take(event) } else { isEmpty = true }
        }
        relieve()
        for work in acquisitions.values { recompute(work) }
        if !isEmpty { wakeUp.signal() }
    }

    private func take(_ event: AcquisitionEvent) {
        switch event {
        case .started(let description):
            frames.take(event)
            let work = AcquisitionWork(table.begin(description))
            acquisitions[description.generation] = work
            present = work
            adoptRuns(of: work)
        case .tile(let tile):
            take(tile)
        case .ended(let summary):
            frames.take(event)
            table.ended(summary)
            guard let work = acquisitions[summary.generation] else { return }
            adoptRuns(of: work)
            for partition in work.flowing { close(partition, of: work) }
            work.isOver = true
            if present === work { present = nil }
            endIfDone(work)
        }
    }

    /// Hands on a tile, whose hold this takes over.
    private func take(_ tile: Tile) {
        guard let work = present, work.generation == tile.generation else { return tile.release() }
        adoptRuns(of: work)
        let isFirst = work.partitions[tile.partition] == nil
        guard work.receive(tile) else { return refuseLate(tile, of: work) }
        if isFirst, !isKept(tile, of: work) {
            frames.finished(generation: work.generation, partition: tile.partition)
        }
        tile.retain()
        frames.take(.tile(tile))
        arriving = tile
        justAssigned.removeAll(keepingCapacity: true)
        renewPlans(of: work)
        for plan in work.plans { offer(tile, to: plan, of: work) }
        arriving = nil
        tile.release()
        if work.isWhole(tile.partition) {
            close(tile.partition, of: work)
        } else if work.flowing.count > Self.openPartitions {
            close(work.flowing[0], of: work)
        }
    }

    /// Whether the frames of a partition are kept until its work is done: not those that nobody works on, nor those of a
    /// partition that is so large that its last frames would wait for its first to go.
    private func isKept(_ tile: Tile, of work: AcquisitionWork) -> Bool {
        guard work.runsToPlan > 0 || work.plans.contains(where: { !$0.isOver }) else { return false }
        let bytes = work.description.positions(ofPartition: tile.partition).count * tile.stride
        return bytes <= ring.slotCount * ring.slotBytes / 4 + frames.status.spoolBytesTotal / 2
    }

    private func offer(_ tile: Tile, to plan: AcquisitionWork.PlanWork, of work: AcquisitionWork) {
        guard !endIfStopped(plan) else { return }
        guard plan.takes(tile.partition) else { return }
        if let error = plan.failed[tile.partition] { return plan.plan.run.fail([tile.positions], because: error) }
        let item = plan.plan.item(tile.partition)
        if plan.opened.contains(tile.partition) {
            tell(.grew(item, bytes: tile.bytes.count))
        } else {
            open(item, plan, work)
        }
    }

    private func open(_ item: WorkItem, _ plan: AcquisitionWork.PlanWork, _ work: AcquisitionWork) {
        let positions = work.description.positions(ofPartition: item.partition)
        guard plan.plan.plan.meta.roi.map({ $0.count(in: positions) > 0 }) ?? true else { return }
        plan.opened.insert(item.partition..<item.partition + 1)
        work.opened(item.partition)
        tell(.opened(item, bytes: positions.count * (Tile.prefixBytes + work.description.format.messageBytes)))
    }

    private func refuseLate(_ tile: Tile, of work: AcquisitionWork) {
        for plan in work.plans where !plan.isOver {
            let error =
                plan.failed[tile.partition]
                ?? UDFError(.badRequest, partition: tile.partition, "frames came after the partition was closed")
            plan.plan.run.fail([tile.positions], because: error)
        }
        // Kept for FETCH all the same.
        frames.take(.tile(tile))
    }

    private func close(_ partition: Int, of work: AcquisitionWork) {
        work.close(partition)
        for plan in work.plans where !plan.isOver {
            let item = plan.plan.item(partition)
            // A plan that is to have all frames may have come after the partition's last.
            if plan.plan.run.joinsFromStart || plan.plan.run.isForeign, plan.takes(partition),
                !plan.opened.contains(partition)
            {
                open(item, plan, work)
            }
            if plan.opened.contains(partition) { tell(.closed(item)) }
        }
        if work.forgetIfDone(partition) { frames.finished(generation: work.generation, partition: partition) }
    }

    // MARK: Runs

    private func adoptRuns(of work: AcquisitionWork) {
        for run in work.record.runs(beyond: work.knownRuns) {
            work.knownRuns += 1
            adopt(run, work)
        }
    }

    private func adopt(_ run: ActiveRun, _ work: AcquisitionWork) {
        guard !run.isForeign else { return havePlanned(run, work) }
        guard let plan = run.plan else { return }
        let dispatched = DispatchedPlan(
            number: nextPlanNumber(), run: run, plan: plan, description: work.description)
        guard !dispatched.needsServer || !lanes.isEmpty else {
            let names = plan.udfs.filter { $0.udf.needsOneProcess }.map(\.id).joined(separator: ", ")
            return run.fail(
                [],
                because: UDFError(
                    .badRequest, udf: names, "it runs in the server only, which has no threads for UDFs; see --threads")
            )
        }
        let adopted = AcquisitionWork.PlanWork(dispatched)
        begin(adopted, work)
        if run.joinsFromStart {
            adopted.replay = 0..<(work.closed.ranges.last?.upperBound ?? 0)
            replay(adopted, work)
        }
    }

    func nextPlanNumber() -> UInt32 {
        lastPlan += 1
        return lastPlan
    }

    func begin(_ plan: AcquisitionWork.PlanWork, _ work: AcquisitionWork) {
        work.plans.append(plan)
        let id = RunID(generation: work.generation, number: plan.plan.number)
        plans[id] = (plan, work)
        tell(.runBegan(id, needs: plan.plan.needs))
    }

    /// Where a run has other parameters now, begins further partitions with these.
    private func renewPlans(of work: AcquisitionWork) {
        for plan in work.plans where !plan.isOver && !plan.beginsNoMore {
            let run = plan.plan.run
            guard let newer = run.plan(newerThan: plan.plan.plan.generation) else { continue }
            plan.beginsNoMore = true
            let dispatched = DispatchedPlan(
                number: nextPlanNumber(), run: run, plan: newer, description: work.description)
            begin(
                AcquisitionWork.PlanWork(dispatched, begunBefore: plan.begunBefore.union(plan.opened)), work)
        }
    }

    /// Begins partitions again that were worked on with earlier parameters, a few at once, as far as their frames are kept.
    private func recompute(_ work: AcquisitionWork) {
        for run in work.record.runs where !run.isStopped {
            for _ in 0..<Self.replayAtOnce {
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

    private func recompute(_ partition: Int, of run: ActiveRun, _ plan: RunPlan, _ work: AcquisitionWork) {
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
                    number: nextPlanNumber(), run: run, plan: plan, description: work.description, recomputes: true))
            begin(again, work)
        }
        openKept(partition, again, work)
    }

    /// Begins a partition from the frames of it that are kept; nothing happens when there are none.
    private func openKept(_ partition: Int, _ plan: AcquisitionWork.PlanWork, _ work: AcquisitionWork) {
        let tiles = frames.tiles(
            work.description.positions(ofPartition: partition), generation: work.generation)
        // Frames that were kept for this plan and are gone are told when the item is assigned.
        guard !tiles.isEmpty || plan.holdsFrames && work.partitions[partition] != nil else { return }
        work.reopen(partition, tiles.map(\.positions))
        for tile in tiles { tile.release() }
        let item = plan.plan.item(partition)
        open(item, plan, work)
        if plan.opened.contains(partition) { tell(.closed(item)) }
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

    private func endIfStopped(_ plan: AcquisitionWork.PlanWork) -> Bool {
        guard !plan.isOver, plan.plan.run.isStopped else { return plan.isOver }
        end(plan)
        return true
    }

    /// Tells the run what was done more than once, for its manifest.
    private func noteRedone(_ plan: AcquisitionWork.PlanWork) {
        let id = RunID(generation: plan.plan.description.generation, number: plan.plan.number)
        guard let status = core.status(of: id), status.redone > 0 else { return }
        partitionsRedone += UInt64(status.redone)
        plan.plan.run.note(
            redone: RunManifest.Redone(
                count: status.redone,
                listed: status.redos.map { ($0.partition, Int($0.attempt) + 1, $0.reason.description) }))
    }

    private func end(_ plan: AcquisitionWork.PlanWork) {
        noteRedone(plan)
        plan.isOver = true
        plan.replay = 0..<0
        tell(.runEnded(RunID(generation: plan.plan.description.generation, number: plan.plan.number)))
    }

    func endIfDone(_ work: AcquisitionWork) {
        if work.isDone { recompute(work) }
        guard work.isDone, acquisitions[work.generation] === work, haveLastResults(of: work) else { return }
        acquisitions[work.generation] = nil
        for plan in work.plans {
            if !plan.isOver { end(plan) }
            let number = plan.plan.number
            plans[RunID(generation: work.generation, number: number)] = nil
            for lane in lanes.values { lane.forget(plan: number) }
            for worker in workers.values {
                worker.forget(number)
                flush(worker)
            }
        }
        frames.finished(generation: work.generation)
        table.laneFinished(work.record)
    }

    // MARK: Workers

    /// A worker has said HELLO.
    func welcome(_ worker: RemoteWorker, _ hello: WireWorkHello) {
        workers[worker.id] = worker
        table.offered.withLock { $0[worker.id] = Set(worker.offers.map(\.name)) }
        tell(
            .joined(
                worker.id,
                WorkerOffer(
                    udfs: worker.offers, items: Int(min(hello.credit.items, 1 << 16)),
                    bytes: Int(clamping: hello.credit.bytes),
                    threads: worker.threads, isLocal: false)))
        announce("info", "worker.joined", "worker \(worker.name) has joined with \(worker.threads) threads")
        advanceForeign()
    }

    func heard(_ worker: RemoteWorker) { tell(.heard(worker.id)) }

    /// Whether the worker is joined.
    func knows(_ worker: RemoteWorker) -> Bool { workers[worker.id] === worker }

    func left(_ worker: RemoteWorker, reason: LeaveReason) {
        guard workers[worker.id] === worker else { return }
        if reason == .goodbye {
            forget(worker)
            announce("info", "worker.left", "worker \(worker.name) has left")
        }
        tell(.left(worker.id, reason))
        advanceForeign()
    }

    private func forget(_ worker: RemoteWorker) {
        table.offered.withLock { $0[worker.id] = nil }
        workers[worker.id] = nil
    }

    /// A message from a worker; false when it is none for a server.
    func take(_ kind: WireWorkMessage.OneOf_Kind, payload: [ReceivedPart], from worker: RemoteWorker) -> Bool {
        switch kind {
        case .credit(let credit):
            worker.takesWork = credit.items > 0
            tell(.credit(worker.id, items: Int(min(credit.items, 1 << 16)), bytes: Int(clamping: credit.bytes)))
        case .result(let result):
            let (item, attempt) = item(result.item)
            pendingResult = (result, payload)
            tell(.result(item, attempt: attempt, from: worker.id))
            pendingResult = nil
        case .failed(let failed):
            let (item, attempt) = item(failed.item)
            let text = failed.udf.isEmpty ? failed.message : "UDF \(failed.udf): \(failed.message)"
            tell(.failed(item, attempt: attempt, from: worker.id, failed.udfError ? .udf(text) : .worker(text)))
        case .holding(let holding):
            let (item, attempt) = item(holding.item)
            tell(
                holding.isWhole
                    ? .working(item, attempt: attempt, from: worker.id)
                    : .missing(item, attempt: attempt, from: worker.id))
        case .withdrew(let withdrew):
            let (item, attempt) = item(withdrew.item)
            tell(.withdrew(item, attempt: attempt, from: worker.id))
        case .mergeTaskDone(let done):
            foreignTasks.take(done, payload, from: worker)
            advanceForeign()
        case .planned(let planned):
            if planning.take(planned, from: worker) { advanceForeign() }
            if !planned.failure.isEmpty {
                announce(
                    "warning", "worker.cannot",
                    "worker \(worker.name) cannot do plan \(planned.plan): \(planned.failure)")
            }
        default:
            return false
        }
        return true
    }

    private func item(_ wire: WireWorkItem) -> (WorkItem, UInt32) {
        // That of a plan that is over belongs to no run that the dispatcher knows, and is acknowledged as such.
        let generation = plans.keys.first { $0.number == wire.plan }?.generation ?? 0
        return (WorkItem(generation: generation, run: wire.plan, partition: Int(wire.partition)), wire.attempt)
    }

    // MARK: The dispatcher

    private func publishReport() {
        var new = DispatchReport()
        new.dispatch = WireDispatchStatus(core.counts)
        new.dispatch.oldestWaitingMs = core.oldestUnassignedAge(at: .now)?.wholeMilliseconds ?? 0
        new.dispatch.partitionsRedone =
            partitionsRedone + UInt64(plans.keys.reduce(0) { $0 + (core.status(of: $1)?.redone ?? 0) })
        new.dispatch.resultsIgnored = resultsIgnored
        new.dispatch.workersLost = workersLost
        let store = frames.status
        new.dispatch.spoolBytesTotal = UInt64(store.spoolBytesTotal)
        new.dispatch.spoolBytesUsed = UInt64(store.spoolBytes)
        new.dispatch.framesGivenUp = framesGivenUp
        new.workers = core.workerStatus(at: .now).map { WireWorkerStatus($0, remote: workers[$0.id]) }
        report.withLock { $0 = new }
    }

    private func tick() {
        frames.limit()
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
    private func relieve() {
        frames.limit()
        guard settings.whenMemoryIsShort == .dropProcessing, ring.freeSlots == 0 else { return }
        let bytes = max(1, ring.slotCount / 8) * ring.slotBytes
        for work in acquisitions.values where work.runsToPlan > 0 { giveUpHeld(work, bytes: bytes) }
        tell(.memoryShort(bytes: bytes))
    }

    /// Tells the dispatcher, and does what it says. What that leads to is told afterwards, so that actions keep their order.
    private func tell(_ event: DispatchEvent) {
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

    private func perform(_ action: DispatchAction) {
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

    private func assign(_ item: WorkItem, to worker: WorkerID, _ attempt: UInt32) {
        guard let (plan, work) = plans[item.runID] else { return }
        justAssigned.insert(item)
        let tiles = frames.tiles(
            work.description.positions(ofPartition: item.partition), generation: item.generation)
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
    private func noteAbsent(
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

    private func extend(_ item: WorkItem, to worker: WorkerID, _ attempt: UInt32) {
        guard let tile = arriving, !justAssigned.contains(item), let (plan, _) = plans[item.runID] else { return }
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

    private func finish(_ item: WorkItem, to worker: WorkerID, _ attempt: UInt32) {
        if let lane = lanes[worker], let (plan, _) = plans[item.runID] {
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
    private func finished(_ item: WorkItem, _ attempt: UInt32, _ worker: WorkerID, _ fate: RunOnLane.Fate) {
        switch fate {
        case .taken: tell(.result(item, attempt: attempt, from: worker))
        case .failed(let error): tell(.failed(item, attempt: attempt, from: worker, .udf(error.description)))
        }
    }

    private func merge(_ item: WorkItem, from worker: WorkerID) {
        guard let (plan, _) = plans[item.runID] else { return tell(.mergeFailed(item, reason: "its run is over")) }
        guard lanes[worker] == nil else {
            plan.plan.run.note(contributor: "this server")
            return tell(.merged(item))
        }
        guard let result = pendingResult else { return tell(.mergeFailed(item, reason: "its result is gone")) }
        let name = workers[worker]?.name ?? "a worker that has left"
        merger.submit { [onDesk, merger, plan = plan.plan] in
            let failure = plan.run.merge(result.message, result.payload, plan: plan.plan, from: name)
            onDesk { $0.tell(failure.map { .mergeFailed(item, reason: $0.description) } ?? .merged(item)) }
            plan.run.showForeign(on: merger)
        }
    }

    private func release(_ item: WorkItem) {
        guard let (_, work) = plans[item.runID] else { return }
        for worker in workers.values { worker.forget(item) }
        if work.released(item.partition) { frames.finished(generation: item.generation, partition: item.partition) }
        // Not within the handling of an event: ending tells the dispatcher of it.
        reactor.schedule(after: .zero) { [self] in endIfDone(work) }
    }

    private func quarantine(_ item: WorkItem, _ reason: QuarantineReason) {
        guard let (plan, work) = plans[item.runID] else { return }
        let error = UDFError(.processing, partition: item.partition, reason.description)
        plan.failed[item.partition] = error
        if case .failedLocally = reason { return }
        // What is there of earlier parameters stays.
        let positions = plan.plan.recomputes ? [] : work.received(item.partition)
        if case .memoryShort = reason { framesGivenUp += UInt64(positions.reduce(0) { $0 + $1.count }) }
        plan.plan.run.fail(positions, because: error)
        announce("warning", "partition.failed", "run \(plan.plan.run.name), partition \(item.partition): \(reason)")
    }

    // MARK: Sending

    private func queue(_ kind: WireWorkMessage.OneOf_Kind, to worker: WorkerID) {
        guard let remote = workers[worker] else { return }
        remote.queue(kind)
        flush(remote)
    }

    func flush(_ worker: RemoteWorker) {
        switch worker.flush() {
        case .sent: break
        case .full: planRetry()
        case .gone: reactor.schedule(after: .zero) { [self] in left(worker, reason: .unreachable) }
        }
    }

    private func planRetry() {
        guard !isRetryPlanned else { return }
        isRetryPlanned = true
        reactor.schedule(after: Self.retryInterval) { [self] in
            isRetryPlanned = false
            for worker in workers.values where worker.isBehind { flush(worker) }
        }
    }
}
