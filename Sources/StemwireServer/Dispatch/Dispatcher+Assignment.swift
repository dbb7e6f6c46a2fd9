// Who gets what.
extension Dispatcher {
    /// Workers that are looked at for an item, besides those that it avoids; and items of those waiting for the second
    /// time that are looked at in vain.
    private static let searchLimit = 16

    /// Gives out what can be given out. The groups take turns.
    mutating func distribute() {
        var blocked = 0
        while blocked < groupOrder.count {
            let group = groupOrder.removeFirst()
            groupOrder.append(group)
            if groups[group].workers.mostCredit > 0, assignNext(of: group) { blocked = 0 } else { blocked += 1 }
        }
    }

    /// Gives out one item of the group; false if none can be.
    private mutating func assignNext(of group: Int) -> Bool {
        var next = groups[group].redo.first
        for _ in 0..<Self.searchLimit {
            guard let item = next else { break }
            if let worker = worker(for: item, in: group) {
                assign(item, to: worker)
                return true
            }
            next = queueLinks.next(item)
        }
        if let item = groups[group].fresh.first {
            guard let worker = worker(for: item, in: group) else { return false }
            assign(item, to: worker)
            return true
        }
        return groups[group].redo.isEmpty && assignLate(of: group)
    }

    /// Gives out a second copy of an item that is late; false if there is none.
    private mutating func assignLate(of group: Int) -> Bool {
        for run in groups[group].runs {
            guard let item = runs[run].running.first, let lease = items[item].lease,
                let readyAt = leases[lease].readyAt,
                now - readyAt > runs[run].lateLimit ?? configuration.lateUnknown
            else { continue }
            guard items[item].attempts < configuration.attemptLimit, let worker = worker(for: item, in: group) else {
                continue
            }
            note(
                item, attempt: leases[lease].attempt.number, worker: workers[leases[lease].worker].id, .late)
            assign(item, to: worker)
            return true
        }
        return false
    }

    /// Takes in how long an item took.
    mutating func noteDuration(_ duration: Duration, of run: Int) {
        runs[run].durations.add(duration)
        let count = runs[run].durations.count
        // The limit need not follow every single item.
        guard count == configuration.lateSamples || count > configuration.lateSamples && count % 16 == 0 else { return }
        runs[run].lateLimit = runs[run].durations.quantile(percent: 95).map {
            max($0 * configuration.lateFactor, configuration.lateMinimum)
        }
    }

    /// The worker that an item goes to now; nil if nobody has credit for it who may have it.
    private func worker(for item: Int, in group: Int) -> Int? {
        let charge = items[item].charge
        let holder = items[item].lease.map { leases[$0].worker }
        let avoided = items[item].avoided.compactMap { workerSlots[$0] }.filter { groups[group].workers.contains($0) }
        let others = groups[group].workers.count - avoided.count
        let isSuspect = !items[item].deaths.isEmpty
        func suits(_ worker: Int) -> Bool {
            workers[worker].hasRoom(for: charge) && worker != holder
                && (others <= 0 || !avoided.contains(worker))
                && !(isSuspect && workers[worker].suspects > 0)
                && !(holder != nil && workers[worker].offer.isLocal)
        }
        guard let best = groups[group].workers.best(limit: Self.searchLimit + avoided.count, where: suits) else {
            return nil
        }
        if let neighbour = neighbour(of: item), neighbour != best, groups[group].workers.contains(neighbour),
            workers[neighbour].freeItems == workers[best].freeItems, suits(neighbour)
        {
            return neighbour
        }
        return best
    }

    /// The worker that has got the partition before this one, if that was the last.
    private func neighbour(of item: Int) -> Int? {
        guard let last = runs[items[item].run].lastAssigned, last.partition + 1 == items[item].key.partition else {
            return nil
        }
        return slot(of: last.worker)
    }
}

extension Dispatcher.Worker {
    fileprivate var freeItems: Int { offer.items - held.count }
}
