import StemwireAcquisition
import StemwireUDF

/// What is being worked on of one acquisition: its plans, and its partitions in flow. Reactor's thread only.
final class AcquisitionWork {
    /// A plan, and what the dispatcher knows of it.
    final class PlanWork {
        let plan: DispatchedPlan
        /// Partitions whose items were opened.
        var opened: PositionSet
        /// Partitions that were given up: what still comes for them fails too.
        var failed: [Int: UDFError] = [:]
        var isOver = false
        /// Partitions that are to be taken up from the frames that are kept.
        var replay: Range<Int> = 0..<0
        /// Whether frames are kept for its replay.
        var holdsFrames = false
        /// Partitions that the same run has begun with earlier parameters.
        let begunBefore: PositionSet
        /// Whether it begins no more partitions: the run has other parameters since, or they are begun one by one.
        var beginsNoMore: Bool

        init(_ plan: DispatchedPlan, begunBefore: PositionSet? = nil) {
            self.plan = plan
            opened = PositionSet(size: plan.plan.meta.partitionCount)
            self.begunBefore = begunBefore ?? opened
            beginsNoMore = plan.recomputes
        }

        /// Whether frames of a partition are this plan's, or are to be from now on.
        func takes(_ partition: Int) -> Bool {
            opened.contains(partition) || !beginsNoMore && !begunBefore.contains(partition)
        }
    }

    /// A partition whose frames are coming, or whose items are not all done.
    struct Partition {
        /// Positions whose frames have come, counted from the partition's first.
        var received: PositionSet
        var itemsLeft = 0
        var isClosed = false
        /// Items that a thread of the server has.
        var itemsOfServer = 0
    }

    let record: AcquisitionRecord
    var plans: [PlanWork] = []
    /// What is wrong with partitions that are too large to be kept; nil when they are not.
    var tooLarge: String?
    /// Runs of the record that have been looked at.
    var knownRuns = 0
    var partitions: [Int: Partition] = [:]
    /// Those in flow, in the order of their first frames.
    var flowing: [Int] = []
    /// Those to which no frame is added any more.
    var closed: PositionSet
    /// Items that are not done.
    var itemsLeft = 0
    /// Whether all frames have come.
    var isOver = false
    /// Partitions that were begun again, by run, with the generation of parameters.
    var recomputed: [String: [Int: UInt32]] = [:]
    /// How many of them are not done, by run.
    var recomputing: [String: Int] = [:]

    var description: AcquisitionDescription { record.description }
    var generation: UInt64 { record.description.generation }

    init(_ record: AcquisitionRecord) {
        self.record = record
        closed = PositionSet(size: record.description.partitionCount)
    }

    /// Runs for whose plans frames are kept, and those of them that this process plans.
    var runsToPlan = 0
    var runsBeingPlanned = 0
    /// How far the last results have come.
    var lastResults = LastResults.open

    enum LastResults { case open, asked, there }

    /// Whether nothing is left to be done.
    var isDone: Bool {
        isOver && itemsLeft == 0 && runsToPlan == 0 && plans.allSatisfy { $0.replay.isEmpty || $0.isOver }
    }

    /// Partitions that nobody works on, and that are kept for runs that have no plan yet; the lowest first.
    var heldForPlans: [Int] {
        partitions.filter { $0.value.isClosed && $0.value.itemsLeft == 0 }.keys.sorted()
    }

    /// Takes in frames.
    ///
    /// - Returns: false when the partition is closed.
    func receive(_ tile: Tile) -> Bool {
        guard !closed.contains(tile.partition) else { return false }
        let positions = description.positions(ofPartition: tile.partition)
        if partitions[tile.partition] == nil {
            partitions[tile.partition] = Partition(received: PositionSet(size: positions.count))
            flowing.append(tile.partition)
        }
        let first = tile.firstPosition - positions.lowerBound
        partitions[tile.partition]?.received.insert(first..<first + tile.count)
        return true
    }

    /// Whether all frames of a partition have come.
    func isWhole(_ partition: Int) -> Bool {
        partitions[partition].map { $0.received.count == $0.received.size } ?? false
    }

    /// Positions whose frames have come.
    func received(_ partition: Int) -> [Range<Int>] {
        let first = description.positions(ofPartition: partition).lowerBound
        return partitions[partition]?.received.ranges.map { first + $0.lowerBound..<first + $0.upperBound } ?? []
    }

    /// The frames of a partition that have come and are still there; each tile held for the caller.
    ///
    /// The ring may have more of them: those come by the queue, and must not be worked on twice.
    func receivedTiles(_ partition: Int, in frames: FrameStore) -> [Tile] {
        received(partition).flatMap { frames.tiles($0, generation: generation) }
    }

    func close(_ partition: Int) {
        partitions[partition]?.isClosed = true
        flowing.removeAll { $0 == partition }
        closed.insert(partition..<partition + 1)
    }

    /// Takes up a closed partition again, with the frames that are still there.
    func reopen(_ partition: Int, _ positions: [Range<Int>]) {
        guard partitions[partition] == nil else { return }
        let range = description.positions(ofPartition: partition)
        var received = PositionSet(size: range.count)
        for part in positions {
            received.insert(part.lowerBound - range.lowerBound..<part.upperBound - range.lowerBound)
        }
        partitions[partition] = Partition(received: received, isClosed: true)
    }

    /// Notes that a thread of the server has an item of a partition.
    ///
    /// - Returns: whether the server's threads have all that there is to be done of it.
    func assignedToServer(_ partition: Int) -> Bool {
        partitions[partition]?.itemsOfServer += 1
        let wanted = plans.count { !$0.isOver && $0.takes(partition) }
        return runsToPlan == 0 && partitions[partition].map { $0.itemsOfServer >= wanted } ?? false
    }

    func opened(_ partition: Int) {
        itemsLeft += 1
        partitions[partition]?.itemsLeft += 1
    }

    /// - Returns: whether nobody needs the partition's frames any more.
    func released(_ partition: Int) -> Bool {
        itemsLeft -= 1
        partitions[partition]?.itemsLeft -= 1
        return forgetIfDone(partition)
    }

    /// - Returns: whether nobody needs the partition's frames any more.
    func forgetIfDone(_ partition: Int) -> Bool {
        guard runsToPlan == 0 else { return false }
        return forget(partition)
    }

    /// As `forgetIfDone`, whatever runs wait for their plans.
    func forget(_ partition: Int) -> Bool {
        guard let present = partitions[partition], present.isClosed, present.itemsLeft == 0 else { return false }
        partitions[partition] = nil
        return true
    }
}
