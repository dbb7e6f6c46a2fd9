// Workers come, are heard, and go.
extension Dispatcher {
    /// The worker's slot, if it is joined with this epoch.
    func slot(of worker: WorkerID) -> Int? {
        guard let slot = workerSlots[worker.uuid], workers[slot].id == worker else { return nil }
        return slot
    }

    /// The name under which the worker can be reached now: of another epoch perhaps.
    func presentID(of worker: WorkerID) -> WorkerID {
        workerSlots[worker.uuid].map { workers[$0].id } ?? worker
    }

    mutating func touch(_ worker: WorkerID) {
        guard let slot = slot(of: worker), !workers[slot].offer.isLocal else { return }
        workers[slot].lastHeard = now
        heardLinks.moveToEnd(slot, of: &heard)
    }

    mutating func joined(_ id: WorkerID, _ offer: WorkerOffer) {
        if let slot = workerSlots[id.uuid] {
            let known = workers[slot].id
            guard id.epoch >= known.epoch else { return }
            if id == known {
                touch(id)
                workers[slot].offer = offer.bounded(isLocal: workers[slot].offer.isLocal)
                enrol(slot)
                return
            }
            // Its process lives, so no item has killed it.
            output.append(.workerDead(known, .replaced))
            remove(slot, because: .workerDied(.replaced), blamed: [])
        }
        var worker = Worker(
            id: id, offer: offer.bounded(isLocal: offer.isLocal), lastHeard: now,
            nextBeat: now + configuration.beatInterval)
        if let old = departedSlots[id.uuid] {
            worker.record = departed[old].record
            for key in departed[old].blamed { forgive(id.uuid, key) }
            forget(departed: old)
        }
        let slot = workers.insert(worker)
        workerSlots[id.uuid] = slot
        if !offer.isLocal {
            heardLinks.append(slot, to: &heard)
            beatLinks.append(slot, to: &beats)
        }
        enrol(slot)
    }

    /// The worker has come back alive: it was not this item that killed it.
    private mutating func forgive(_ uuid: WorkerID.UUID, _ key: WorkItem) {
        guard let slot = itemSlots[key] else { return }
        items[slot].deaths.removeAll { $0 == uuid }
    }

    mutating func credit(_ id: WorkerID, items: Int, bytes: Int) {
        guard let slot = slot(of: id) else { return }
        touch(id)
        workers[slot].offer.items = max(items, 0)
        workers[slot].offer.bytes = max(bytes, 0)
        enrol(slot)
    }

    /// Enters a worker in the groups whose UDFs it has; out of all, if it takes nothing.
    private mutating func enrol(_ slot: Int) {
        for group in groupOrder { enrol(slot, in: group) }
    }

    mutating func enrol(_ slot: Int, in group: Int) {
        let offer = workers[slot].offer
        if offer.items > 0, offer.udfs.map({ groups[group].needs.isSubset(of: $0) }) ?? true {
            groups[group].workers.set(slot, credit: workers[slot].freeCredit)
        } else {
            groups[group].workers.remove(slot)
        }
    }

    /// The worker's free credit has changed.
    mutating func reorder(_ slot: Int) {
        let credit = workers[slot].freeCredit
        for group in groupOrder where groups[group].workers.contains(slot) {
            groups[group].workers.set(slot, credit: credit)
        }
    }

    mutating func left(_ id: WorkerID, _ reason: LeaveReason) {
        guard let slot = slot(of: id) else { return }
        switch reason {
        case .goodbye: remove(slot, because: .workerLeft, blamed: [])
        case .unreachable: die(slot, .unreachable)
        }
    }

    /// A worker is lost without a word.
    mutating func die(_ slot: Int, _ reason: DeathReason) {
        let id = workers[slot].id
        let blamed = suspects(on: slot)
        for item in blamed { items[item].deaths.append(id.uuid) }
        output.append(.workerDead(id, reason))
        remove(slot, because: .workerDied(reason), blamed: blamed.map { items[$0].key })
    }

    /// The items that may have killed the worker: those it was working on, which are the oldest. If some of them were
    /// suspected before, it was they: a worker never gets two, so that the innocent are cleared.
    private func suspects(on slot: Int) -> [Int] {
        guard !workers[slot].offer.isLocal else { return [] }
        var working: [Int] = []
        var next = workers[slot].held.first
        while let lease = next, working.count < workers[slot].offer.threads {
            if !leases[lease].isWithdrawn { working.append(leases[lease].item) }
            next = holdLinks.next(lease)
        }
        let known = working.filter { !items[$0].deaths.isEmpty }
        return known.isEmpty ? working : known
    }

    /// Takes a worker out; what it holds goes to others.
    private mutating func remove(_ slot: Int, because reason: RedoReason, blamed: [WorkItem]) {
        let worker = workers[slot]
        for group in groupOrder { groups[group].workers.remove(slot) }
        workerSlots[worker.id.uuid] = nil
        if !worker.offer.isLocal {
            heardLinks.remove(slot, from: &heard)
            beatLinks.remove(slot, from: &beats)
        }
        while let lease = workers[slot].held.first {
            let ended = end(lease)
            guard !ended.isWithdrawn else { continue }
            if ended.isLocal {
                quarantine(ended.item, .failedLocally("the local worker was stopped"))
            } else {
                lost(ended, because: reason)
            }
        }
        let last = DepartedWorker(
            id: worker.id, lastHeard: worker.lastHeard, record: workers[slot].record, blamed: blamed)
        workers.remove(slot)
        guard !worker.offer.isLocal, configuration.departedLimit > 0 else { return }
        if departedOrder.count >= configuration.departedLimit, let oldest = departedOrder.first {
            forget(departed: oldest)
        }
        let place = departed.insert(last)
        departedSlots[worker.id.uuid] = place
        departedLinks.append(place, to: &departedOrder)
    }

    private mutating func forget(departed slot: Int) {
        departedLinks.remove(slot, from: &departedOrder)
        departedSlots[departed.remove(slot).id.uuid] = nil
    }

    // MARK: Time

    mutating func tick() {
        if now - lastTick >= configuration.longestPause { awakeSince = now }
        lastTick = now
        while let slot = heard.first, now - max(workers[slot].lastHeard, awakeSince) >= configuration.deadAfter {
            die(slot, .silent)
        }
        while let slot = beats.first, workers[slot].nextBeat <= now {
            output.append(.sendBeat(workers[slot].id))
            workers[slot].nextBeat = now + configuration.beatInterval
            beatLinks.moveToEnd(slot, of: &beats)
        }
        while let lease = deadlines.first, leases[lease].deadline <= now { expire(lease) }
    }

    /// A worker has not answered for an item in time.
    private mutating func expire(_ lease: Int) {
        let attempt = leases[lease].attempt
        let worker = workers[leases[lease].worker].id
        renew(lease)
        if leases[lease].isWithdrawn {
            output.append(.withdraw(attempt.item, from: worker, attempt: attempt.number))
        } else if leases[lease].asked < configuration.askLimit {
            leases[lease].asked += 1
            output.append(.ask(attempt.item, of: worker, attempt: attempt.number))
        } else {
            let item = leases[lease].item
            withdraw(lease)
            workers[leases[lease].worker].record.redone += 1
            avoid(leases[lease].worker, for: item)
            redo(item, attempt: attempt.number, worker: worker, because: .unanswered)
        }
    }

    mutating func renew(_ lease: Int) {
        leases[lease].deadline = now + configuration.leaseTime
        deadlineLinks.moveToEnd(lease, of: &deadlines)
    }
}

extension WorkerOffer {
    /// With figures that make sense.
    fileprivate func bounded(isLocal: Bool) -> WorkerOffer {
        WorkerOffer(udfs: udfs, items: max(items, 0), bytes: max(bytes, 0), threads: max(threads, 1), isLocal: isLocal)
    }
}
