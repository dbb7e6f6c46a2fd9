@testable import StemwireServer

// What the workers do.
extension DispatchWorld {
    // MARK: Life

    /// A worker comes up, or back.
    mutating func recover(_ worker: Int) {
        if workers[worker].state == .frozen { return thaw(worker) }
        if workers[worker].state == .gone {
            workers[worker].state = .well
            workers[worker].process += 1
            queue.add(.beat(worker: worker, process: workers[worker].process), at: now + Self.second)
        }
        workers[worker].isConnected = true
        hello(worker)
    }

    private mutating func hello(_ worker: Int) {
        say(.joined(workers[worker].id, workers[worker].offer), from: worker)
        for result in workers[worker].results { say(result, from: worker) }
    }

    private mutating func say(_ result: SimulatedWorker.Result, from worker: Int) {
        say(
            .result(result.item, attempt: result.attempt, from: workers[worker].id), from: worker, frames: result.frames
        )
    }

    mutating func say(_ event: DispatchEvent, from worker: Int, frames: UInt8 = 0) {
        guard workers[worker].isConnected else { return }
        send(.toServer(event, frames: frames), isLocal: workers[worker].offer.isLocal)
    }

    mutating func beat(_ worker: Int) {
        queue.add(.beat(worker: worker, process: workers[worker].process), at: now + Self.second)
        guard workers[worker].state == .well else { return }
        workers[worker].beats += 1
        say(.heard(workers[worker].id), from: worker)
        // HELLO and CREDIT are said again, since they may be lost; so are results.
        if workers[worker].beats % 4 == 0, model.worker(workers[worker].id) == nil { hello(worker) }
        if workers[worker].beats % 10 == 0 {
            let offer = workers[worker].offer
            say(.credit(workers[worker].id, items: offer.items, bytes: offer.bytes), from: worker)
            for result in workers[worker].results { say(result, from: worker) }
            // So that it learns which of its items the server does not know.
            for hold in workers[worker].holds {
                say(.working(hold.item, attempt: hold.attempt, from: workers[worker].id), from: worker)
            }
        }
    }

    mutating func trouble(_ worker: Int) {
        guard workers[worker].state == .well else { return }
        let kinds = [faults.crashes, faults.freezes, faults.cuts, faults.leaves, faults.creditChanges]
        let kind = generator.below(kinds.count)
        guard kinds[kind] else { return }
        let pause = generator.within(50_000...6_000_000)
        switch kind {
        case 0: return crash(worker, for: pause)
        case 1: workers[worker].state = .frozen
        case 2:
            workers[worker].isConnected = false
            workers[worker].id = WorkerID(uuid: workers[worker].id.uuid, epoch: workers[worker].id.epoch + 1)
            forgetHolds(worker)
        case 3:
            say(.left(workers[worker].id, .goodbye), from: worker)
            workers[worker].holds = []
            workers[worker].results = []
            workers[worker].id = WorkerID(uuid: workers[worker].id.uuid, epoch: workers[worker].id.epoch + 1)
            workers[worker].isConnected = false
        default:
            let items = generator.below(4)
            workers[worker].offer.items = items
            workers[worker].offer.bytes = generator.below(1200)
            return say(.credit(workers[worker].id, items: items, bytes: workers[worker].offer.bytes), from: worker)
        }
        queue.add(.recover(worker: worker, process: workers[worker].process), at: now + pause)
    }

    /// The process dies, and another one is started.
    mutating func crash(_ worker: Int, for pause: Int) {
        if generator.chance(50) {
            send(.toServer(.left(workers[worker].id, .unreachable), frames: 0))
        }
        workers[worker].process += 1
        workers[worker].state = .gone
        workers[worker].isConnected = false
        workers[worker].id = newID()
        workers[worker].holds = []
        workers[worker].results = []
        workers[worker].inbox = []
        workers[worker].overdue = []
        queue.add(.recover(worker: worker, process: workers[worker].process), at: now + pause)
    }

    /// With a new epoch, frames that have not come will never come; what is whole may be worked on, or not.
    private mutating func forgetHolds(_ worker: Int) {
        let keepsWhole = generator.chance(50)
        workers[worker].holds.removeAll { !keepsWhole || $0.frames != $0.all }
    }

    private mutating func thaw(_ worker: Int) {
        workers[worker].state = .well
        let inbox = workers[worker].inbox
        let overdue = workers[worker].overdue
        workers[worker].inbox = []
        workers[worker].overdue = []
        for message in inbox { read(message, worker) }
        for hold in overdue { done(worker, hold: hold) }
    }

    mutating func heal() {
        isHealed = true
        for worker in workers.indices {
            switch workers[worker].state {
            case .frozen: thaw(worker)
            case .gone: recover(worker)
            case .well: break
            }
            workers[worker].slowness = 1
            if workers[worker].offer.items == 0 { workers[worker].offer.items = 1 }
            workers[worker].isConnected = true
            hello(worker)
        }
    }

    // MARK: Work

    mutating func deliver(_ message: ToWorker, to id: WorkerID) {
        guard let worker = workers.firstIndex(where: { $0.id == id }), workers[worker].isConnected else { return }
        switch workers[worker].state {
        case .well: read(message, worker)
        case .frozen: workers[worker].inbox.append(message)
        case .gone: break
        }
    }

    private mutating func read(_ message: ToWorker, _ worker: Int) {
        let id = workers[worker].id
        switch message {
        case .assign(let item, let attempt, let frames, let isAll):
            if hold(item, attempt, worker) != nil || result(item, attempt, worker) != nil { return }
            workers[worker].holds.append(
                SimulatedWorker.Hold(
                    item: item, attempt: attempt, number: nextHold(), frames: frames, all: isAll ? frames : nil))
        case .extend(let item, let attempt, let frames):
            if let hold = hold(item, attempt, worker) { workers[worker].holds[hold].frames |= newest(of: frames) }
        case .finish(let item, let attempt, let frames):
            if let hold = hold(item, attempt, worker) { workers[worker].holds[hold].all = frames }
        case .ask(let item, let attempt, let frames, let isAll):
            answer(item, attempt, frames: frames, isAll: isAll, worker)
        case .withdraw(let item, let attempt):
            workers[worker].holds.removeAll { $0.item == item && $0.attempt == attempt }
            workers[worker].results.removeAll { $0.item == item && $0.attempt == attempt }
            say(.withdrew(item, attempt: attempt, from: id), from: worker)
        case .acknowledge(let item, let attempt):
            workers[worker].results.removeAll { $0.item == item && $0.attempt == attempt }
        case .helloAgain:
            workers[worker].id = WorkerID(uuid: id.uuid, epoch: id.epoch + 1)
            forgetHolds(worker)
            hello(worker)
        }
        begin(worker)
    }

    /// Only one frame goes with each message, so that a lost one is missed.
    private func newest(of frames: UInt8) -> UInt8 { frames == 0 ? 0 : 0x80 >> UInt8(frames.leadingZeroBitCount) }

    private mutating func answer(_ item: WorkItem, _ attempt: UInt32, frames: UInt8, isAll: Bool, _ worker: Int) {
        let id = workers[worker].id
        if let result = result(item, attempt, worker) { return say(workers[worker].results[result], from: worker) }
        if let hold = hold(item, attempt, worker) {
            let held = workers[worker].holds[hold]
            if held.frames & frames == frames, !isAll || held.all == frames {
                return say(.working(item, attempt: attempt, from: id), from: worker)
            }
            workers[worker].holds.remove(at: hold)
        }
        say(.missing(item, attempt: attempt, from: id), from: worker)
    }

    private func hold(_ item: WorkItem, _ attempt: UInt32, _ worker: Int) -> Int? {
        workers[worker].holds.firstIndex { $0.item == item && $0.attempt == attempt }
    }

    private func result(_ item: WorkItem, _ attempt: UInt32, _ worker: Int) -> Int? {
        workers[worker].results.firstIndex { $0.item == item && $0.attempt == attempt }
    }

    /// Takes up work, the oldest first, as far as there are threads.
    private mutating func begin(_ worker: Int) {
        guard workers[worker].state == .well else { return }
        var busy = workers[worker].holds.count { $0.isWorking }
        for hold in workers[worker].holds.indices where busy < workers[worker].offer.threads {
            let held = workers[worker].holds[hold]
            guard !held.isWorking, held.frames == held.all else { continue }
            workers[worker].holds[hold].isWorking = true
            busy += 1
            let time = generator.within(1_000...200_000) * workers[worker].slowness
            queue.add(
                .done(worker: worker, process: workers[worker].process, hold: held.number), at: now + time)
        }
    }

    mutating func done(_ worker: Int, hold number: Int) {
        guard let hold = workers[worker].holds.firstIndex(where: { $0.number == number }) else { return }
        if workers[worker].state == .frozen {
            workers[worker].overdue.append(number)
            return
        }
        let held = workers[worker].holds.remove(at: hold)
        let item = model.numbers[held.item] ?? 0
        let id = workers[worker].id
        if isPoison[item], !workers[worker].offer.isLocal {
            return crash(worker, for: generator.within(50_000...1_000_000))
        }
        if isBad[item], generator.chance(70) {
            let failure = generator.chance(80) ? WorkFailure.udf("division by zero") : .worker("no memory")
            say(.failed(held.item, attempt: held.attempt, from: id, failure), from: worker)
        } else {
            let result = SimulatedWorker.Result(item: held.item, attempt: held.attempt, frames: held.frames)
            workers[worker].results.append(result)
            say(result, from: worker)
        }
        begin(worker)
    }
}
