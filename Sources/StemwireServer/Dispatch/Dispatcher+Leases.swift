// Who has what.
extension Dispatcher {
    /// Gives an item to a worker.
    mutating func assign(_ item: Int, to worker: Int) {
        let isSecond = items[item].lease != nil
        unqueue(item)
        items[item].attempts += 1
        let attempt = Attempt(items[item].key, items[item].attempts)
        let isLocal = workers[worker].offer.isLocal
        let isSuspect = !items[item].deaths.isEmpty
        let bytes = items[item].charge
        items[item].isExclusive = isLocal
        let lease = leases.insert(
            Lease(
                attempt: attempt, item: item, worker: worker, isLocal: isLocal, isSuspect: isSuspect, assignedAt: now,
                readyAt: items[item].isClosed ? now : nil, bytes: bytes,
                deadline: now + configuration.leaseTime))
        if isSecond { items[item].secondLease = lease } else { items[item].lease = lease }
        holdLinks.append(lease, to: &workers[worker].held)
        workers[worker].heldBytes += bytes
        if isSuspect { workers[worker].suspects += 1 }
        if !isLocal { deadlineLinks.append(lease, to: &deadlines) }
        reorder(worker)
        setState(of: item, .assigned)
        let run = items[item].run
        runs[run].lastAssigned = (attempt.item.partition, workers[worker].id)
        output.append(.assign(attempt.item, to: workers[worker].id, attempt: attempt.number))
        if !isSecond { watchForLateness(item) }
    }

    /// Notes that from now on the item's only worker can be late, if it has all that it needs.
    mutating func watchForLateness(_ item: Int) {
        guard let lease = items[item].lease, !leases[lease].isLocal, items[item].isClosed, items[item].isHeld else {
            return
        }
        items[item].queue = .running
        queueLinks.append(item, to: &runs[items[item].run].running)
    }

    /// The worker has the item no more.
    @discardableResult
    mutating func end(_ lease: Int) -> Lease {
        let ended = leases.remove(lease)
        holdLinks.remove(lease, from: &workers[ended.worker].held)
        workers[ended.worker].heldBytes -= ended.bytes
        if ended.isSuspect { workers[ended.worker].suspects -= 1 }
        if !ended.isLocal { deadlineLinks.remove(lease, from: &deadlines) }
        if ended.isWithdrawn { withdrawals[ended.attempt] = nil } else { detach(lease, from: ended.item) }
        reorder(ended.worker)
        return ended
    }

    /// Tells the worker to let the item go. Its credit stays charged until it says that it has.
    mutating func withdraw(_ lease: Int) {
        let attempt = leases[lease].attempt
        let worker = leases[lease].worker
        output.append(.withdraw(attempt.item, from: workers[worker].id, attempt: attempt.number))
        detach(lease, from: leases[lease].item)
        leases[lease].isWithdrawn = true
        withdrawals[attempt] = lease
        if leases[lease].isLocal {
            // There is no way on which the message could be lost, nor anything else for the worker to begin before.
            end(lease)
        } else {
            renew(lease)
        }
    }

    private mutating func detach(_ lease: Int, from item: Int) {
        if items[item].lease == lease {
            items[item].lease = items[item].secondLease
            items[item].secondLease = nil
        } else if items[item].secondLease == lease {
            items[item].secondLease = nil
        }
        if items[item].queue == .running { unqueue(item) }
    }

    /// The lease of this attempt, if this worker has it, in whatever epoch.
    func lease(_ attempt: Attempt, of worker: WorkerID) -> Int? {
        var found = withdrawals[attempt]
        if found == nil, let item = itemSlots[attempt.item] { found = lease(attempt, of: item) }
        guard let found, workers[leases[found].worker].id.uuid == worker.uuid else { return nil }
        return found
    }

    /// The lease of this attempt, which is one of the item's, if it is in force.
    func lease(_ attempt: Attempt, of item: Int) -> Int? {
        if let lease = items[item].lease, leases[lease].attempt == attempt { return lease }
        if let lease = items[item].secondLease, leases[lease].attempt == attempt { return lease }
        return nil
    }

    mutating func avoid(_ worker: Int, for item: Int) {
        let uuid = workers[worker].id.uuid
        if !items[item].avoided.contains(uuid) { items[item].avoided.append(uuid) }
    }

    /// An item's lease has ended without a result; the lease is not any more.
    mutating func lost(_ ended: Lease, because reason: RedoReason) {
        workers[ended.worker].record.redone += 1
        redo(
            ended.item, attempt: ended.attempt.number, worker: workers[ended.worker].id, because: reason)
    }

    /// Has an item done anew, unless somebody is still working on it, or it is to be given up.
    mutating func redo(_ item: Int, attempt: UInt32, worker: WorkerID, because reason: RedoReason) {
        if items[item].deaths.count >= configuration.deathLimit {
            return quarantine(item, .killedWorkers(items[item].deaths.count))
        }
        guard items[item].lease == nil else { return }
        if !items[item].isHeld { return quarantine(item, .framesReleased) }
        if items[item].attempts >= configuration.attemptLimit {
            return quarantine(item, .attempts(Int(items[item].attempts)))
        }
        note(item, attempt: attempt, worker: worker, reason)
        setState(of: item, .waiting)
        items[item].waitingSince = now
        items[item].queue = .redo
        queueLinks.append(item, to: &groups[runs[items[item].run].group].redo)
    }

    /// Notes for the manifest that an item is done once more.
    mutating func note(_ item: Int, attempt: UInt32, worker: WorkerID, _ reason: RedoReason) {
        let run = items[item].run
        runs[run].redone += 1
        if runs[run].redos.count < configuration.manifestLimit {
            runs[run].redos.append(
                Redo(partition: items[item].key.partition, attempt: attempt, worker: worker, reason: reason))
        }
    }

    // MARK: Queues

    mutating func unqueue(_ item: Int) {
        let run = items[item].run
        switch items[item].queue {
        case .none: break
        case .redo: queueLinks.remove(item, from: &groups[runs[run].group].redo)
        case .fresh: queueLinks.remove(item, from: &groups[runs[run].group].fresh)
        case .running: queueLinks.remove(item, from: &runs[run].running)
        }
        items[item].queue = .none
    }

    mutating func setState(of item: Int, _ state: Item.State) {
        let run = items[item].run
        let old = items[item].state
        counts[old] -= 1
        runs[run].counts[old] -= 1
        counts[state] += 1
        runs[run].counts[state] += 1
        items[item].state = state
    }
}

extension Dispatcher.Counts {
    /// How many items are in this state.
    subscript(state: Dispatcher.Item.State) -> Int {
        get {
            switch state {
            case .waiting: waiting
            case .assigned: assigned
            case .merging: merging
            }
        }
        set {
            switch state {
            case .waiting: waiting = newValue
            case .assigned: assigned = newValue
            case .merging: merging = newValue
            }
        }
    }
}
