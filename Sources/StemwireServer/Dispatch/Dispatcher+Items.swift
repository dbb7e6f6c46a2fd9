// Items come, grow, are answered for and go.
extension Dispatcher {
    mutating func opened(_ key: WorkItem, bytes: Int) {
        guard itemSlots[key] == nil else { return }
        guard let run = runSlots[key.runID] else {
            output.append(.release(key))
            return
        }
        let item = items.insert(Item(key: key, run: run, expectedBytes: max(bytes, 0), waitingSince: now))
        itemSlots[key] = item
        runLinks.append(item, to: &runs[run].items)
        items[item].queue = .fresh
        queueLinks.append(item, to: &groups[runs[run].group].fresh)
        for path in [\Counts.opened, \Counts.waiting] {
            counts[keyPath: path] += 1
            runs[run].counts[keyPath: path] += 1
        }
    }

    mutating func grew(_ key: WorkItem, bytes: Int) {
        guard let item = itemSlots[key], !items[item].isClosed else { return }
        items[item].bytes += max(bytes, 0)
        guard let lease = items[item].lease else { return }
        charge(lease, items[item].charge)
        output.append(
            .extend(key, to: workers[leases[lease].worker].id, attempt: leases[lease].attempt.number))
    }

    mutating func closed(_ key: WorkItem) {
        guard let item = itemSlots[key], !items[item].isClosed else { return }
        items[item].isClosed = true
        guard let lease = items[item].lease else { return }
        leases[lease].readyAt = now
        output.append(
            .finish(key, to: workers[leases[lease].worker].id, attempt: leases[lease].attempt.number))
        watchForLateness(item)
    }

    private mutating func charge(_ lease: Int, _ bytes: Int) {
        let more = bytes - leases[lease].bytes
        guard more != 0 else { return }
        leases[lease].bytes = bytes
        workers[leases[lease].worker].heldBytes += more
        reorder(leases[lease].worker)
    }

    mutating func abandoned(_ key: WorkItem, reason: String) {
        if let item = itemSlots[key], items[item].state != .merging { quarantine(item, .abandoned(reason)) }
    }

    // MARK: Answers

    mutating func result(_ attempt: Attempt, from worker: WorkerID) {
        touch(worker)
        var lease = lease(attempt, of: worker)
        if let withdrawn = lease, leases[withdrawn].isWithdrawn {
            end(withdrawn)
            lease = nil
        }
        guard let run = runSlots[attempt.item.runID] else { return refuse(attempt, worker, .stale) }
        guard let item = itemSlots[attempt.item] else { return refuse(attempt, worker, .duplicate) }
        if let merging = items[item].merging {
            if merging.attempt == attempt.number, merging.from.uuid == worker.uuid {
                // The same once more; it is acknowledged when it is in.
                output.append(.ignore(attempt.item, attempt: attempt.number, from: worker, .duplicate))
            } else {
                refuse(attempt, worker, .duplicate)
            }
            return
        }
        guard isPossible(attempt, of: item, from: worker) else { return refuse(attempt, worker, .unknownAttempt) }
        // Part of a local worker's result may be merged already.
        if items[item].isExclusive, lease == nil { return refuse(attempt, worker, .duplicate) }
        guard items[item].isClosed else {
            return failed(attempt, from: worker, .worker("it gave a result before it had all frames"))
        }
        accept(attempt, item, run, from: worker, lease: lease)
    }

    /// Whether the attempt was ever given out, and not to somebody else who still has it.
    private func isPossible(_ attempt: Attempt, of item: Int, from worker: WorkerID) -> Bool {
        guard attempt.number > 0, attempt.number <= items[item].attempts else { return false }
        guard let lease = lease(attempt, of: item) else { return true }
        return workers[leases[lease].worker].id.uuid == worker.uuid
    }

    private mutating func accept(_ attempt: Attempt, _ item: Int, _ run: Int, from worker: WorkerID, lease: Int?) {
        if let lease {
            let ended = end(lease)
            if !ended.isLocal { noteDuration(now - (ended.readyAt ?? ended.assignedAt), of: run) }
        }
        while let other = items[item].lease { withdraw(other) }
        unqueue(item)
        setState(of: item, .merging)
        items[item].merging = (attempt.number, worker)
        output.append(.merge(attempt.item, attempt: attempt.number, from: worker))
    }

    private mutating func refuse(_ attempt: Attempt, _ worker: WorkerID, _ reason: IgnoreReason) {
        output.append(.ignore(attempt.item, attempt: attempt.number, from: worker, reason))
        output.append(.acknowledge(attempt.item, attempt: attempt.number, to: worker))
    }

    mutating func failed(_ attempt: Attempt, from worker: WorkerID, _ failure: WorkFailure) {
        touch(worker)
        guard let lease = lease(attempt, of: worker) else {
            return refuse(attempt, worker, runSlots[attempt.item.runID] == nil ? .stale : .duplicate)
        }
        let ended = end(lease)
        output.append(.acknowledge(attempt.item, attempt: attempt.number, to: worker))
        guard !ended.isWithdrawn else { return }
        workers[ended.worker].record.failed += 1
        avoid(ended.worker, for: ended.item)
        switch failure {
        case _ where ended.isLocal:
            quarantine(ended.item, .failedLocally(failure.text))
        case .udf(let text) where blame(worker.uuid, ended.item):
            quarantine(ended.item, .failed(text))
        case .udf, .worker:
            lost(ended, because: .failed(failure))
        }
    }

    /// Notes that the UDF failed on the worker; true if that was once too often.
    private mutating func blame(_ uuid: WorkerID.UUID, _ item: Int) -> Bool {
        items[item].failures.append(uuid)
        let failures = items[item].failures
        let different = failures.indices.count { !failures[..<$0].contains(failures[$0]) }
        let group = runs[items[item].run].group
        return different >= configuration.failureLimit
            || failures.count >= configuration.failureLimit && groups[group].workers.count <= 1
    }

    mutating func working(_ attempt: Attempt, from worker: WorkerID) {
        touch(worker)
        guard slot(of: worker) != nil else { return }
        guard let lease = lease(attempt, of: worker), !leases[lease].isWithdrawn else {
            output.append(.withdraw(attempt.item, from: worker, attempt: attempt.number))
            return
        }
        // It is asked again in time: what it has missed, it may not know of its own accord.
        leases[lease].asked = 0
    }

    mutating func missing(_ attempt: Attempt, from worker: WorkerID) {
        touch(worker)
        guard let lease = lease(attempt, of: worker) else { return }
        let ended = end(lease)
        if !ended.isWithdrawn { lost(ended, because: .notReceived) }
    }

    // MARK: Merger

    mutating func merged(_ key: WorkItem) {
        guard let item = itemSlots[key], let merging = items[item].merging else { return }
        let run = items[item].run
        let uuid = merging.from.uuid
        if let slot = workerSlots[uuid] {
            workers[slot].record.done += 1
            workers[slot].record.rate.count(at: now)
        } else if let slot = departedSlots[uuid] {
            departed[slot].record.done += 1
        }
        if runs[run].workers[uuid] != nil || runs[run].workers.count < configuration.manifestLimit {
            runs[run].workers[uuid, default: 0] += 1
        }
        output.append(.acknowledge(key, attempt: merging.attempt, to: presentID(of: merging.from)))
        release(item)
        remove(item, to: \.merged)
    }

    mutating func mergeFailed(_ key: WorkItem, reason: String) {
        guard let item = itemSlots[key], let merging = items[item].merging else { return }
        items[item].merging = nil
        output.append(.acknowledge(key, attempt: merging.attempt, to: presentID(of: merging.from)))
        if let worker = workerSlots[merging.from.uuid] {
            workers[worker].record.failed += 1
            avoid(worker, for: item)
            if workers[worker].offer.isLocal { return quarantine(item, .failedLocally(reason)) }
        }
        if blame(merging.from.uuid, item) { return quarantine(item, .failed(reason)) }
        redo(item, attempt: merging.attempt, worker: merging.from, because: .mergeFailed(reason))
    }

    // MARK: Ends

    /// Gives an item up.
    mutating func quarantine(_ item: Int, _ reason: QuarantineReason) {
        while let lease = items[item].lease { withdraw(lease) }
        output.append(.quarantine(items[item].key, reason))
        release(item)
        remove(item, to: \.quarantined)
    }

    mutating func release(_ item: Int) {
        guard items[item].isHeld else { return }
        items[item].isHeld = false
        output.append(.release(items[item].key))
    }

    /// Forgets an item that is done with.
    mutating func remove(_ item: Int, to fate: WritableKeyPath<Counts, Int>) {
        unqueue(item)
        let removed = items.remove(item)
        itemSlots[removed.key] = nil
        runLinks.remove(item, from: &runs[removed.run].items)
        counts[removed.state] -= 1
        counts[keyPath: fate] += 1
        runs[removed.run].counts[removed.state] -= 1
        runs[removed.run].counts[keyPath: fate] += 1
    }
}

extension WorkFailure {
    fileprivate var text: String {
        switch self {
        case .udf(let text), .worker(let text): text
        }
    }
}
