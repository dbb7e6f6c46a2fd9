@testable import StemwireServer

/// What must be true of the dispatcher, found out from nothing but what it is told and what it says.
struct DispatchModel {
    struct Item {
        let key: WorkItem
        var run: Int
        var expectedBytes: Int
        var isOpened = false
        var isClosed = false
        var bytes = 0
        var attempts: UInt32 = 0
        /// Attempts that are in work, by the worker's name.
        var running: [(attempt: UInt32, worker: WorkerID)] = []
        var wasLocal = false
        var isMerging = false
        var isMerged = false
        var isQuarantined = false
        var isDropped = false
        var isReleased = false
        var deaths = 0
        var failures = 0

        var charge: Int { max(bytes, expectedBytes) }
        var isOver: Bool { isMerged || isQuarantined || isDropped }
    }

    struct Worker {
        var id: WorkerID
        var offer: WorkerOffer
        var lastHeard: Int
        var held: [(item: Int, attempt: UInt32, charge: Int, isWithdrawn: Bool)] = []
    }

    struct Run {
        let id: RunID
        let needs: Set<UDFKey>
        var isLive = false
    }

    var items: [Item] = []
    var numbers: [WorkItem: Int] = [:]
    var runs: [Run] = []
    var workers: [Worker] = []
    let found = Problems()
    /// Time up to which the server cannot have heard anything.
    var awakeSince = 0
    var isMemoryShort = false
    var redone = 0

    mutating func add(_ key: WorkItem, run: Int, expectedBytes: Int) {
        numbers[key] = items.count
        items.append(Item(key: key, run: run, expectedBytes: expectedBytes))
    }

    /// What is wrong, in the order in which it was found.
    final class Problems {
        var list: [String] = []
    }

    var problems: [String] { found.list }

    func check(_ isRight: Bool, _ text: @autoclosure () -> String) {
        if !isRight { found.list.append(text()) }
    }

    func worker(_ id: WorkerID) -> Int? { workers.firstIndex { $0.id == id } }

    // MARK: Told

    /// The dispatcher is going to be told this.
    mutating func told(_ event: DispatchEvent, at now: Int) {
        if let id = event.worker, let worker = worker(id) { workers[worker].lastHeard = now }
        switch event {
        case .joined(let id, let offer): joined(id, offer, at: now)
        case .credit(let id, let count, let bytes):
            if let worker = worker(id) {
                workers[worker].offer.items = count
                workers[worker].offer.bytes = bytes
            }
        case .left(let id, let reason):
            if let worker = worker(id) { lose(worker, isDeath: reason == .unreachable) }
        case .runBegan(let id, _):
            if let run = runs.firstIndex(where: { $0.id == id }) { runs[run].isLive = true }
        case .runEnded(let id): drop { $0 == id }
        case .acquisitionDropped(let generation): drop { $0.generation == generation }
        case .opened(let key, _):
            if let number = numbers[key], runs[items[number].run].isLive { items[number].isOpened = true }
        case .grew(let key, let bytes): numbers[key].map { grow($0, bytes: bytes, closes: false) }
        case .closed(let key): numbers[key].map { grow($0, bytes: 0, closes: true) }
        case .memoryShort: isMemoryShort = true
        case .result(let key, let attempt, let id): answered(key, attempt, id)
        case .failed(let key, let attempt, let id, _):
            if answered(key, attempt, id), let number = numbers[key] { items[number].failures += 1 }
        case .missing(let key, let attempt, let id), .withdrew(let key, let attempt, let id): answered(key, attempt, id)
        case .mergeFailed(let key, _):
            if let number = numbers[key], items[number].isMerging {
                items[number].isMerging = false
                items[number].failures += 1
            }
        case .merged(let key):
            if let number = numbers[key], items[number].isMerging {
                check(!items[number].isMerged, "\(key) merged twice")
                items[number].isMerging = false
                items[number].isMerged = true
            }
        case .heard, .abandoned, .working, .tick: break
        }
    }

    private mutating func joined(_ id: WorkerID, _ offer: WorkerOffer, at now: Int) {
        if let known = workers.firstIndex(where: { $0.id.uuid == id.uuid }) {
            guard id.epoch >= workers[known].id.epoch else { return }
            if workers[known].id == id {
                workers[known].offer = offer
                return
            }
            lose(known, isDeath: false)
        }
        workers.append(Worker(id: id, offer: offer, lastHeard: now))
    }

    private mutating func lose(_ worker: Int, isDeath: Bool) {
        let lost = workers.remove(at: worker)
        for hold in lost.held where !hold.isWithdrawn {
            items[hold.item].running.removeAll { $0.attempt == hold.attempt }
            if isDeath { items[hold.item].deaths += 1 }
        }
    }

    private mutating func drop(_ which: (RunID) -> Bool) {
        for run in runs.indices where which(runs[run].id) { runs[run].isLive = false }
        for number in items.indices where which(items[number].key.runID) && items[number].isOpened {
            if !items[number].isOver { items[number].isDropped = true }
            items[number].isMerging = false
        }
    }

    private mutating func grow(_ number: Int, bytes: Int, closes: Bool) {
        items[number].bytes += bytes
        if closes { items[number].isClosed = true }
        for running in items[number].running {
            guard let worker = worker(running.worker) else { continue }
            for hold in workers[worker].held.indices
            where workers[worker].held[hold].item == number && !workers[worker].held[hold].isWithdrawn {
                workers[worker].held[hold].charge = items[number].charge
            }
        }
    }

    /// A worker has spoken the last word of an attempt; false if it did not have it.
    @discardableResult
    private mutating func answered(_ key: WorkItem, _ attempt: UInt32, _ id: WorkerID) -> Bool {
        guard let number = numbers[key], let worker = workers.firstIndex(where: { $0.id.uuid == id.uuid }),
            let hold = workers[worker].held.firstIndex(where: { $0.item == number && $0.attempt == attempt })
        else { return false }
        let held = workers[worker].held.remove(at: hold)
        items[number].running.removeAll { $0.attempt == attempt }
        return !held.isWithdrawn
    }

    // MARK: Said

    /// The dispatcher says this, when told that.
    mutating func said(_ action: DispatchAction, to event: DispatchEvent) {
        switch action {
        case .assign(let key, let worker, let attempt): assigned(key, attempt, worker)
        case .extend(let key, let id, let attempt), .finish(let key, let id, let attempt),
            .ask(let key, let id, let attempt):
            let holds = numbers[key].map { items[$0].running.contains { $0.worker == id && $0.attempt == attempt } }
            check(holds ?? false, "\(action), but the worker does not have it")
        case .withdraw(let key, let id, let attempt): withdrawn(key, attempt, id)
        case .merge(let key, let attempt, let id):
            guard let number = numbers[key] else { return check(false, "merges unknown \(key)") }
            check(event == .result(key, attempt: attempt, from: id), "\(action) without that result")
            check(!items[number].isMerging && !items[number].isOver && items[number].isClosed, "\(action) wrongly")
            check(
                !items[number].wasLocal || worker(id).map { workers[$0].offer.isLocal } ?? false,
                "\(action), part of which a local worker has merged")
            items[number].isMerging = true
        case .release(let key): released(key)
        case .quarantine(let key, let reason): quarantined(key, reason)
        case .workerDead(let id, let reason):
            if reason == .silent {
                guard let worker = worker(id) else { return check(false, "\(action), but it is not joined") }
                check(!workers[worker].offer.isLocal, "a local worker dies")
                lose(worker, isDeath: true)
            }
            check(worker(id) == nil, "\(action) is still there")
        case .sendBeat(let id): check(worker(id) != nil, "a beat for \(id), which is not joined")
        case .acknowledge, .ignore: break
        }
    }

    private mutating func assigned(_ key: WorkItem, _ attempt: UInt32, _ id: WorkerID) {
        guard let number = numbers[key], let worker = worker(id) else {
            return check(false, "\(key) assigned to \(id), one of which is not known")
        }
        let item = items[number]
        let offer = workers[worker].offer
        let needs = runs[item.run].needs
        check(item.isOpened && !item.isOver && !item.isMerging && !item.isReleased, "\(key) assigned when over")
        check(runs[item.run].isLive, "\(key) assigned, whose run is over")
        check(attempt == item.attempts + 1, "\(key): attempt \(attempt) after \(item.attempts)")
        check(offer.udfs.map { needs.isSubset(of: $0) } ?? true, "\(key) assigned to a worker without its UDF")
        check(item.running.count < 2, "\(key) has three copies")
        check(item.running.allSatisfy { $0.worker.uuid != id.uuid }, "both copies of \(key) with one worker")
        check(!item.wasLocal, "\(key) assigned once more after a local worker had it")
        check(item.running.isEmpty || item.isClosed && !offer.isLocal, "second copy of \(key), which is open or local")
        check(
            workers[worker].held.count < offer.items, "\(id) has \(workers[worker].held.count) of \(offer.items) items")
        let bytes = workers[worker].held.reduce(0) { $0 + $1.charge }
        check(
            workers[worker].held.isEmpty || bytes < offer.bytes && bytes + item.charge <= offer.bytes,
            "\(id) has \(bytes) of \(offer.bytes) bytes and gets \(item.charge) more")
        workers[worker].held.append((number, attempt, item.charge, false))
        if !item.running.isEmpty || attempt > 1 { redone += 1 }
        items[number].attempts = attempt
        items[number].running.append((attempt, id))
        items[number].wasLocal = offer.isLocal
    }

    private mutating func withdrawn(_ key: WorkItem, _ attempt: UInt32, _ id: WorkerID) {
        guard let number = numbers[key] else { return check(false, "withdraws unknown \(key)") }
        items[number].running.removeAll { $0.worker == id && $0.attempt == attempt }
        guard let worker = worker(id) else { return check(false, "withdraws from \(id), which is not joined") }
        let place = workers[worker].held.firstIndex { $0.item == number && $0.attempt == attempt }
        guard let place else { return }
        if workers[worker].offer.isLocal {
            workers[worker].held.remove(at: place)
        } else {
            workers[worker].held[place].isWithdrawn = true
        }
    }

    private mutating func released(_ key: WorkItem) {
        guard let number = numbers[key] else { return check(false, "releases unknown \(key)") }
        check(!items[number].isReleased, "\(key) released twice")
        check(
            items[number].isOver || !runs[items[number].run].isLive || isMemoryShort, "\(key) released before its time")
        items[number].isReleased = true
    }

    private mutating func quarantined(_ key: WorkItem, _ reason: QuarantineReason) {
        guard let number = numbers[key] else { return check(false, "quarantines unknown \(key)") }
        let item = items[number]
        check(!item.isOver && !item.isMerging, "\(key) quarantined when over")
        switch reason {
        case .killedWorkers(let count): check(item.deaths >= count && count >= 3, "\(key) killed \(item.deaths)")
        case .failed: check(item.failures >= 2, "\(key) failed \(item.failures) times")
        case .failedLocally: check(item.wasLocal, "\(key) was never with a local worker")
        case .attempts(let count): check(item.attempts == count, "\(key) had \(item.attempts) attempts")
        case .framesReleased, .memoryShort: check(isMemoryShort, "\(key) given up although there is memory")
        case .abandoned: break
        }
        items[number].isQuarantined = true
    }

    // MARK: Between

    /// What must hold after each step.
    mutating func checkState(of dispatcher: Dispatcher, at now: Int) {
        let counts = dispatcher.counts
        check(counts.isBalanced, "unbalanced: \(counts)")
        var mine = Dispatcher.Counts()
        for item in items where item.isOpened && (item.isOver || runs[item.run].isLive) {
            mine.opened += 1
            if item.isMerged {
                mine.merged += 1
            } else if item.isQuarantined {
                mine.quarantined += 1
            } else if item.isDropped {
                mine.dropped += 1
            } else if item.isMerging {
                mine.merging += 1
            } else if item.running.isEmpty {
                mine.waiting += 1
            } else {
                mine.assigned += 1
            }
        }
        check(counts == mine, "it counts \(counts), not \(mine)")
        for item in items where item.isMerged || item.isQuarantined {
            check(item.isReleased, "\(item.key) is over and not released")
        }
        for worker in workers where !worker.offer.isLocal {
            let silence = now - max(worker.lastHeard, awakeSince)
            check(silence < 3_600_000, "\(worker.id) is silent for \(silence) µs and not dead")
        }
    }
}

extension DispatchEvent {
    /// The worker that it names.
    var worker: WorkerID? {
        switch self {
        case .joined(let id, _), .credit(let id, _, _), .heard(let id), .left(let id, _), .result(_, _, let id),
            .failed(_, _, let id, _), .working(_, _, let id), .missing(_, _, let id), .withdrew(_, _, let id):
            id
        case .runBegan, .runEnded, .acquisitionDropped, .opened, .grew, .closed, .abandoned, .memoryShort, .merged,
            .mergeFailed, .tick:
            nil
        }
    }
}
