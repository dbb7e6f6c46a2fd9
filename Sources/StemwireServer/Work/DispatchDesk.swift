import StemwireAcquisition
import StemwireProtocol
import StemwireSystem
import StemwireUDF
import ZeroMQ

/// Gives the partitions of what is received to the server's own threads and to workers, and has their results merged.
///
/// The shell of `Dispatcher`: it knows where frames are, how workers are reached, and who merges. Reactor's thread only.
final class DispatchDesk {
    /// How many partitions a frame may come late, as long as there is room.
    static let openPartitions = 8
    static let eventsAtOnce = 256
    /// When what a worker's queue did not take is tried again.
    static let retryInterval = Duration.milliseconds(2)
    /// Partitions that are taken up again in one turn.
    static let replayAtOnce = 64
    /// What a thread of the server takes at a time.
    static let itemsOfLane = 3

    struct Settings {
        let threads: Int
        let beatInterval: Duration
        let silenceLimit: Duration
        let whenMemoryIsShort: StoreFullPolicy
        let deathLimit: Int
    }

    /// Asked to tell an operator.
    typealias Announce = (_ severity: String, _ code: String, _ text: String) -> Void

    let settings: Settings
    let reactor: Reactor
    let socket: WorkSocket
    let ring: FrameRing
    let frames: FrameStore
    let retention: PartitionRetention
    let queue: TileQueue
    let wakeUp: WakeUp
    let table: RunTable
    let results: ResultDesk
    let report: Locked<DispatchReport>
    let announce: Announce
    /// Runs what it is given on this desk's thread.
    let onDesk: @Sendable (@escaping @Sendable (DispatchDesk) -> Void) -> Void

    var core: Dispatcher
    var events: [DispatchEvent] = []
    var isTelling = false
    var lanes: [WorkerID: DispatchedLane] = [:]
    let merger: Reactor
    /// Merges what only workers can merge, and may have to wait for one.
    let foreignMerger: Reactor
    let planning: PlanningDesk
    let foreignTasks: ForeignTaskDesk
    var workers: [WorkerID: RemoteWorker] = [:]
    var acquisitions: [UInt64: AcquisitionWork] = [:]
    var present: AcquisitionWork?
    var lastPlan: UInt32 = 0
    /// By their numbers.
    var plans: [UInt32: (plan: AcquisitionWork.PlanWork, work: AcquisitionWork)] = [:]
    /// What is being handed on, for `extend`.
    var arriving: Tile?
    /// Items that were assigned since `arriving` came: they were sent all there is.
    var justAssigned: Set<WorkItem> = []
    var pendingResult: (message: WireWorkResult, payload: [ReceivedPart])?
    var isRetryPlanned = false
    var framesGivenUp: UInt64 = 0
    var resultsIgnored: UInt64 = 0
    var workersLost: UInt64 = 0
    /// Of runs that are over.
    var partitionsRedone: UInt64 = 0

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
        retention = PartitionRetention(
            ringBytes: ring.configuration.totalBytes, spoolBytes: parts.frames.spool?.bytesTotal ?? 0)
        queue = parts.queue
        wakeUp = parts.wakeUp
        table = parts.table
        results = parts.results
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
        foreignMerger = try Reactor("merge-foreign")
        let patience = settings.silenceLimit * 2
        foreignTasks = ForeignTaskDesk(patience: patience)
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
            tell(.joined(id, WorkerOffer(udfs: udfs, items: Self.itemsOfLane, bytes: .max, threads: 1, isLocal: true)))
        }
        reactor.watch(descriptor: wakeUp.descriptor) { [self] _ in drain() }
        reactor.schedule(every: core.configuration.tickInterval) { [self] in tick() }
    }

    /// Works off what is in the queue, as far as the server's own threads can.
    ///
    /// - Returns: the threads that still compute; when they are stopped, all that they were given is done.
    func drainQueue() -> [Reactor] {
        while let event = queue.pop() { take(event) }
        foreignTasks.isEnding = true
        advanceForeign()
        return lanes.values.map(\.reactor) + [merger, foreignMerger]
    }

    // MARK: What is received

    func drain() {
        wakeUp.drain()
        var isEmpty = false
        for _ in 0..<Self.eventsAtOnce where !isEmpty {
            if let event = queue.pop() { take(event) } else { isEmpty = true }
        }
        relieve()
        for work in acquisitions.values { recompute(work) }
        if !isEmpty { wakeUp.signal() }
    }

    func take(_ event: AcquisitionEvent) {
        switch event {
        case .started(let description):
            frames.take(event)
            let work = AcquisitionWork(table.begin(description))
            work.tooLarge = retention.problem(
                frames: min(description.framesPerPartition, description.framesExpected),
                frameBytes: Tile.prefixBytes + description.format.messageBytes)
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
    func take(_ tile: Tile) {
        guard let work = present, work.generation == tile.generation else { return tile.release() }
        // The live socket, which notes it too, may be behind; a final manifest must not be.
        work.record.noteReceived(tile.positions)
        adoptRuns(of: work)
        let isFirst = work.partitions[tile.partition] == nil
        guard work.receive(tile) else { return refuseLate(tile, of: work) }
        if isFirst, !isKept(work) {
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
        }
        while let first = work.flowing.first, tile.partition - first > Self.openPartitions { close(first, of: work) }
    }

    /// Where memory is short, waits for late frames of the two newest partitions only; of one, where they are so large that
    /// there is no room for two.
    ///
    /// A thread holds on to a partition that is not whole: as many of these as it takes at a time would stand before all
    /// others, until the ring is full, the source stops, and nothing that could close them comes any more.
    func closeLate() {
        guard ring.freeSlots < max(1, ring.slotCount / 8), let work = present else { return }
        for partition in work.flowing.dropLast(work.tooLarge == nil ? 2 : 1) { close(partition, of: work) }
    }

    /// Whether the frames of a partition are kept until its work is done: not those that nobody works on, nor, where work
    /// may be lost, those of a partition that is so large that its last frames would wait for its first to go.
    func isKept(_ work: AcquisitionWork) -> Bool {
        guard work.runsToPlan > 0 || work.plans.contains(where: { !$0.isOver }) else { return false }
        return work.tooLarge == nil || settings.whenMemoryIsShort == .backPressure
    }

    func offer(_ tile: Tile, to plan: AcquisitionWork.PlanWork, of work: AcquisitionWork) {
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

    func open(_ item: WorkItem, _ plan: AcquisitionWork.PlanWork, _ work: AcquisitionWork) {
        let positions = work.description.positions(ofPartition: item.partition)
        guard plan.plan.plan.meta.roi.map({ $0.count(in: positions) > 0 }) ?? true else { return }
        plan.opened.insert(item.partition..<item.partition + 1)
        work.opened(item.partition)
        // They came before anybody worked on them, or another run was done with them.
        if isKept(work) { frames.needed(generation: work.generation, partition: item.partition) }
        tell(.opened(item, bytes: positions.count * (Tile.prefixBytes + work.description.format.messageBytes)))
    }

    func refuseLate(_ tile: Tile, of work: AcquisitionWork) {
        for plan in work.plans where !plan.isOver {
            let error =
                plan.failed[tile.partition]
                ?? UDFError(.badRequest, partition: tile.partition, "frames came after the partition was closed")
            plan.plan.run.fail([tile.positions], because: error)
        }
        // Kept for FETCH all the same.
        frames.take(.tile(tile))
    }

    func close(_ partition: Int, of work: AcquisitionWork) {
        work.close(partition)
        for plan in work.plans where !plan.isOver {
            let item = plan.plan.item(partition)
            // The plan may have come after the partition's last frame.
            if plan.takes(partition), !plan.opened.contains(partition) { open(item, plan, work) }
            if plan.opened.contains(partition) { tell(.closed(item)) }
        }
        if work.forgetIfDone(partition) { frames.finished(generation: work.generation, partition: partition) }
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

    func forget(_ worker: RemoteWorker) {
        table.offered.withLock { $0[worker.id] = nil }
        workers[worker.id] = nil
        worker.endAll()
    }

    /// A message from a worker; false when it is none for a server.
    func take(_ kind: WireWorkMessage.OneOf_Kind, payload: [ReceivedPart], from worker: RemoteWorker) -> Bool {
        switch kind {
        case .credit(let credit):
            worker.takesWork = credit.items > 0
            tell(.credit(worker.id, items: Int(min(credit.items, 1 << 16)), bytes: Int(clamping: credit.bytes)))
        case .frameMemoryMapped:
            worker.readsMemory = true
        case .result(let result):
            let (item, attempt) = item(result.item)
            worker.ended(item, attempt)
            pendingResult = (result, payload)
            tell(.result(item, attempt: attempt, from: worker.id))
            pendingResult = nil
        case .failed(let failed):
            let (item, attempt) = item(failed.item)
            worker.ended(item, attempt)
            let text = failed.udf.isEmpty ? failed.message : "UDF \(failed.udf): \(failed.message)"
            tell(.failed(item, attempt: attempt, from: worker.id, failed.udfError ? .udf(text) : .worker(text)))
        case .holding(let holding):
            let (item, attempt) = item(holding.item)
            if !holding.isWhole { worker.ended(item, attempt) }
            tell(
                holding.isWhole
                    ? .working(item, attempt: attempt, from: worker.id)
                    : .missing(item, attempt: attempt, from: worker.id))
        case .withdrew(let withdrew):
            let (item, attempt) = item(withdrew.item)
            worker.ended(item, attempt)
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

    func item(_ wire: WireWorkItem) -> (WorkItem, UInt32) {
        // That of a plan that is over belongs to no run that the dispatcher knows, and is acknowledged as such.
        let generation = plans[wire.plan]?.work.generation ?? 0
        return (WorkItem(generation: generation, run: wire.plan, partition: Int(wire.partition)), wire.attempt)
    }

    // MARK: Sending

    func queue(_ kind: WireWorkMessage.OneOf_Kind, to worker: WorkerID) {
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

    func planRetry() {
        guard !isRetryPlanned else { return }
        isRetryPlanned = true
        reactor.schedule(after: Self.retryInterval) { [self] in
            isRetryPlanned = false
            for worker in workers.values where worker.isBehind { flush(worker) }
        }
    }
}
