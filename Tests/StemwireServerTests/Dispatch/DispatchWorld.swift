import StemwireTestSupport

@testable import StemwireServer

/// A server with its dispatcher, some workers and a bad network between them; everything follows from the seed.
///
/// Times are microseconds. The world is unkind for some seconds, and then heals: from then on every item has to be
/// merged or given up for a good reason, and nothing may be left over.
struct DispatchWorld {
    static let origin = ContinuousClock.now
    static let second = 1_000_000
    static let tick = 200_000

    var generator: SeededGenerator
    let faults: SimulatedFaults
    var queue = HappeningQueue()
    var now = 0
    var isHealed = false
    var dispatcher: Dispatcher
    var model = DispatchModel()
    var actions: [DispatchAction] = []
    var steps = 0
    var trace: [String]?

    var workers: [SimulatedWorker] = []
    private var uuids: UInt64 = 0
    private var holdNumber = 0

    /// What the server has of each item, and what it will have.
    var frames: [UInt8] = []
    var plan: [UInt8] = []
    var isPoison: [Bool] = []
    var isBad: [Bool] = []
    /// The frames of the result that is being merged.
    var merging: [UInt8] = []
    var bytesPerFrame = 100
    /// What comes while the server stands still.
    private var serverSleepsUntil = 0
    private var serverInbox: [(DispatchEvent, UInt8)] = []

    init(seed: UInt64, traced: Bool = false) {
        generator = SeededGenerator(seed: seed &* 0x2545_F491_4F6C_DD1D)
        faults = SimulatedFaults(&generator)
        dispatcher = Dispatcher(at: Self.origin)
        trace = traced ? [] : nil
        makeRuns()
        makeWorkers()
        if faults.aborts { queue.add(.serverTrouble, at: generator.within(1...9) * Self.second) }
        for _ in 0..<generator.below(6) where faults.memoryShort || faults.abandons || faults.pauses {
            queue.add(.serverTrouble, at: generator.below(10 * Self.second))
        }
        queue.add(.tick, at: Self.tick)
        queue.add(.heal, at: generator.within(4...12) * Self.second)
    }

    private mutating func makeRuns() {
        let keys = [UDFKey(name: "sum", contentHash: 1), UDFKey(name: "com", contentHash: 2)]
        for number in 0..<generator.within(1...3) {
            let id = RunID(generation: UInt64(1 + number / 2), number: UInt32(number))
            let needs = Set(keys.filter { _ in generator.chance(percent: 60) })
            model.runs.append(DispatchModel.Run(id: id, needs: needs))
            let start = generator.below(2 * Self.second)
            let step = generator.within(1_000...1_000_000)
            for partition in 0..<generator.within(1...8) {
                let key = WorkItem(generation: id.generation, run: id.number, partition: partition)
                model.add(key, run: number, expectedBytes: generator.chance(percent: 50) ? 400 : 0)
                plan.append(UInt8(1 + generator.below(15)))
                frames.append(0)
                merging.append(0)
                isPoison.append(generator.chance(percent: faults.poison))
                isBad.append(generator.chance(percent: faults.bad))
                queue.add(.produce(item: plan.count - 1), at: start + partition * step + generator.below(step))
            }
        }
    }

    private mutating func makeWorkers() {
        let arriveLate = generator.chance(percent: 20)
        for index in 0..<generator.within(1...5) {
            var udfs: Set<UDFKey>?
            // The first one has every UDF, so that nothing waits for ever.
            if index > 0, generator.chance(percent: 40) {
                udfs = generator.chance(percent: 50) ? [] : [UDFKey(name: "sum", contentHash: 1)]
            }
            let offer = WorkerOffer(
                udfs: udfs, items: generator.within(1...5), bytes: generator.within(1...12) * 100,
                threads: generator.within(1...3), isLocal: index > 0 && generator.chance(percent: 15))
            var worker = SimulatedWorker(id: newID(), offer: offer)
            worker.slowness = generator.chance(percent: 20) ? 20 : 1
            workers.append(worker)
            let arrival = arriveLate ? generator.below(9 * Self.second) : generator.below(Self.second)
            workers[index].state = .gone
            queue.add(.recover(worker: index, process: 0), at: arrival)
            guard !offer.isLocal, faults.hasTrouble else { continue }
            for _ in 0..<generator.within(0...4) {
                queue.add(.trouble(worker: index), at: generator.below(11 * Self.second))
            }
        }
    }

    mutating func newID() -> WorkerID {
        uuids += 1
        return WorkerID(uuid: .init(high: 0, low: uuids), epoch: 1)
    }

    mutating func nextHold() -> Int {
        holdNumber += 1
        return holdNumber
    }

    // MARK: Play

    /// Plays to the end; what was wrong is in `model.problems`.
    mutating func play() {
        while let (time, what) = queue.next(), model.problems.isEmpty {
            now = time
            if now > 900 * Self.second {
                return model.check(false, "no end: \(dispatcher.counts), \(description)")
            }
            happen(what)
            if case .tick = what, isHealed, isOver { return finish() }
        }
    }

    var description: String {
        let text = model.items.filter { $0.isOpened && !$0.isOver }.map { "\($0.key)" }
        return "left: \(text), workers \(workers.map { "\($0.state) holds \($0.holds.count)" })"
    }

    /// Whether everything has been produced, done and let go.
    private var isOver: Bool {
        model.items.allSatisfy { $0.isOver || !model.runs[$0.run].isLive }
            && workers.allSatisfy { $0.results.isEmpty && $0.holds.isEmpty } && dispatcher.leases.count == 0
            && model.items.indices.allSatisfy { model.items[$0].isOver || frames[$0] == plan[$0] }
    }

    private mutating func finish() {
        for item in model.items.indices where model.items[item].isMerged && !isHarsh {
            model.check(!isPoison[item], "poison \(model.items[item].key) was merged")
        }
        let isKind = faults.poison == 0 && faults.bad == 0 && faults.mergeFailures == 0 && !faults.abandons
        for item in model.items where isKind && !faults.memoryShort && item.isQuarantined {
            model.check(item.deaths >= 3 || item.attempts >= 32 || item.wasLocal, "\(item.key) given up for nothing")
        }
        for run in model.runs where run.isLive { tell(.runEnded(run.id)) }
        model.check(dispatcher.items.count == 0 && dispatcher.itemSlots.isEmpty, "items are left")
        model.check(dispatcher.leases.count == 0 && dispatcher.withdrawals.isEmpty, "leases are left")
        model.check(dispatcher.runs.count == 0 && dispatcher.groups.count == 0, "runs are left")
        for slot in dispatcher.workers.slots {
            let worker = dispatcher.workers[slot]
            model.check(worker.heldBytes == 0 && worker.suspects == 0, "\(worker.id) is charged for nothing")
        }
    }

    /// Poison that a local worker took, or that was dropped, harms nobody here.
    private var isHarsh: Bool { workers.contains { $0.offer.isLocal } }

    mutating func happen(_ what: Happening) {
        switch what {
        case .toServer(let event, let mask): reach(event, mask)
        case .toWorker(let id, let message): deliver(message, to: id)
        case .done(let worker, let process, let hold):
            if workers[worker].process == process { done(worker, hold: hold) }
        case .beat(let worker, let process):
            if workers[worker].process == process { beat(worker) }
        case .trouble(let worker): if !isHealed { trouble(worker) }
        case .recover(let worker, let process):
            if workers[worker].process == process { recover(worker) }
        case .produce(let item): produce(item)
        case .merged(let item): merged(item)
        case .tick: tick()
        case .serverTrouble: if !isHealed { serverTrouble() }
        case .heal: heal()
        }
    }

    /// Sends a message over the network, or whatever becomes of it.
    mutating func send(_ what: Happening, isLocal: Bool = false) {
        if isLocal { return queue.add(what, at: now + 10) }
        if !isHealed, generator.chance(percent: faults.lost) { return }
        for _ in 0..<(!isHealed && generator.chance(percent: faults.doubled) ? 2 : 1) {
            let isSlow = !isHealed && generator.chance(percent: faults.slow)
            queue.add(what, at: now + 100 + generator.below(isSlow ? 5 * Self.second : 20_000))
        }
    }

    // MARK: Server

    private mutating func reach(_ event: DispatchEvent, _ mask: UInt8) {
        if now < serverSleepsUntil {
            serverInbox.append((event, mask))
            return
        }
        if case .result(let key, _, _) = event, let item = model.numbers[key] {
            model.check(mask == plan[item], "a worker gave a result of \(mask) for \(key), not of \(plan[item])")
        }
        if let id = event.worker, !dispatcher.isJoined(id) {
            switch event {
            case .joined, .left: break
            default: send(.toWorker(id, .helloAgain))
            }
        }
        tell(event)
    }

    /// Tells the dispatcher, checks what it says, and does it.
    mutating func tell(_ event: DispatchEvent) {
        steps += 1
        trace?.append("\(now) \(event)")
        model.told(event, at: now)
        actions.removeAll(keepingCapacity: true)
        dispatcher.handle(event, at: Self.origin + .microseconds(now), into: &actions)
        var hasAnswer = false
        for action in actions {
            trace?.append("    \(action)")
            model.said(action, to: event)
            if case .acknowledge = action { hasAnswer = true }
            if case .merge = action { hasAnswer = true }
            if case .ignore = action { hasAnswer = true }
            perform(action)
        }
        if case .result = event { model.check(hasAnswer, "no answer to \(event)") }
        model.checkState(of: dispatcher, at: now)
    }

    private mutating func perform(_ action: DispatchAction) {
        switch action {
        case .assign(let key, let worker, let attempt):
            send(.assign(key, attempt, frames: has(key), isAll: isAll(key)), to: worker)
        case .extend(let key, let worker, let attempt): send(.extend(key, attempt, frames: has(key)), to: worker)
        case .finish(let key, let worker, let attempt): send(.finish(key, attempt, frames: has(key)), to: worker)
        case .ask(let key, let worker, let attempt):
            send(.ask(key, attempt, frames: has(key), isAll: isAll(key)), to: worker)
        case .withdraw(let key, let worker, let attempt): send(.withdraw(key, attempt), to: worker)
        case .acknowledge(let key, let attempt, let worker): send(.acknowledge(key, attempt), to: worker)
        case .merge(let key, _, _):
            if let item = model.numbers[key] { queue.add(.merged(item: item), at: now + generator.below(5_000)) }
        case .ignore, .release, .quarantine, .workerDead, .sendBeat: break
        }
    }

    private mutating func send(_ message: ToWorker, to id: WorkerID) {
        let isLocal = workers.contains { $0.id == id && $0.offer.isLocal }
        send(.toWorker(id, message), isLocal: isLocal)
    }

    private func has(_ key: WorkItem) -> UInt8 { model.numbers[key].map { frames[$0] } ?? 0 }
    private func isAll(_ key: WorkItem) -> Bool { dispatcher.isClosed(key) }

    /// The detector gives a frame of an item, and the last time says that these were all.
    private mutating func produce(_ item: Int) {
        if now < serverSleepsUntil { return queue.add(.produce(item: item), at: serverSleepsUntil) }
        let key = model.items[item].key
        let run = model.runs[model.items[item].run]
        if !run.isLive, frames[item] == 0,
            !model.items.contains(where: { $0.run == model.items[item].run && $0.isOpened })
        {
            tell(.runBegan(run.id, needs: run.needs))
        }
        let missing = plan[item] & ~frames[item]
        guard missing != 0 else { return tell(.closed(key)) }
        if frames[item] == 0 { tell(.opened(key, bytes: model.items[item].expectedBytes)) }
        frames[item] |= missing & ~(missing &- 1)
        tell(.grew(key, bytes: bytesPerFrame))
        queue.add(.produce(item: item), at: now + generator.below(300_000))
    }

    private mutating func merged(_ item: Int) {
        if now < serverSleepsUntil { return queue.add(.merged(item: item), at: serverSleepsUntil) }
        let key = model.items[item].key
        if generator.chance(percent: faults.mergeFailures) {
            tell(.mergeFailed(key, reason: "no good"))
        } else {
            tell(.merged(key))
        }
    }

    private mutating func tick() {
        queue.add(.tick, at: now + Self.tick)
        guard now >= serverSleepsUntil else { return }
        if serverSleepsUntil > 0 {
            serverSleepsUntil = 0
            tell(.tick)
            let waiting = serverInbox
            serverInbox = []
            for (event, mask) in waiting { reach(event, mask) }
        } else {
            tell(.tick)
        }
    }

    private mutating func serverTrouble() {
        guard now >= serverSleepsUntil else { return }
        let kinds = [faults.aborts, faults.memoryShort, faults.abandons, faults.pauses]
        let kind = generator.below(kinds.count)
        guard kinds[kind] else { return }
        switch kind {
        case 0:
            if generator.chance(percent: 50) {
                tell(.acquisitionDropped(generation: UInt64(1 + generator.below(2))))
            } else {
                tell(.runEnded(model.runs[generator.below(model.runs.count)].id))
            }
        case 1: tell(.memoryShort(bytes: generator.below(2000)))
        case 2: tell(.abandoned(model.items[generator.below(model.items.count)].key, reason: "the spool is full"))
        default:
            serverSleepsUntil = now + generator.within(1...6) * Self.second
            model.awakeSince = serverSleepsUntil
        }
    }
}

extension SimulatedFaults {
    /// Whether anything happens to workers.
    var hasTrouble: Bool { crashes || freezes || cuts || leaves || creditChanges }
}
