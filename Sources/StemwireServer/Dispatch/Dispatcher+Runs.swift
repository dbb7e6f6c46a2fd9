// Runs begin and end; memory gets short.
extension Dispatcher {
    mutating func began(_ id: RunID, needs: Set<UDFKey>) {
        guard runSlots[id] == nil else { return }
        let group = groupSlots[needs] ?? makeGroup(needs)
        let run = runs.insert(Run(id: id, group: group))
        runSlots[id] = run
        groups[group].runs.append(run)
    }

    private mutating func makeGroup(_ needs: Set<UDFKey>) -> Int {
        let group = groups.insert(Group(needs: needs))
        groupSlots[needs] = group
        groupOrder.append(group)
        for worker in workers.slots { enrol(worker, in: group) }
        return group
    }

    mutating func drop(generation: UInt64) {
        for run in runs.slots where runs[run].id.generation == generation { drop(run: run) }
    }

    mutating func drop(run: Int) {
        while let item = runs[run].items.first {
            while let lease = items[item].lease { withdraw(lease) }
            if let merging = items[item].merging {
                output.append(
                    .acknowledge(
                        items[item].key, attempt: merging.attempt, to: presentID(of: merging.from)))
            }
            release(item)
            remove(item, to: \.dropped)
        }
        let ended = runs.remove(run)
        runSlots[ended.id] = nil
        groups[ended.group].runs.removeAll { $0 == run }
        guard groups[ended.group].runs.isEmpty else { return }
        groupSlots[groups[ended.group].needs] = nil
        groupOrder.removeAll { $0 == ended.group }
        groups.remove(ended.group)
    }

    /// Gives up frames of so many bytes, if there are so many: the oldest first, of items that a remote worker has got
    /// whole, which then cannot be redone; then of items for which nobody was there yet.
    mutating func giveUp(bytes: Int) {
        var left = bytes
        while left > 0, let run = longestRunning(), let item = runs[run].running.first {
            left -= items[item].charge
            unqueue(item)
            release(item)
        }
        while left > 0, let item = longestWaiting() {
            left -= items[item].charge
            quarantine(item, .memoryShort)
        }
    }

    private func longestRunning() -> Int? {
        let candidates = groupOrder.flatMap { groups[$0].runs }.compactMap { run -> (Int, ContinuousClock.Instant)? in
            guard let item = runs[run].running.first, let lease = items[item].lease,
                let readyAt = leases[lease].readyAt
            else { return nil }
            return (run, readyAt)
        }
        return candidates.min { $0.1 < $1.1 }?.0
    }

    /// The item that has waited longest for a worker.
    func longestWaiting() -> Int? {
        groupOrder.flatMap { [groups[$0].redo.first, groups[$0].fresh.first] }.compactMap { $0 }
            .min { items[$0].waitingSince < items[$1].waitingSince }
    }
}
