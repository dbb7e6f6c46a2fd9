/// Merges live updates and snapshots into the newest state of each channel, and sees to it that the final states and the
/// end are delivered though the messages that told them were lost.
///
/// No input or output: messages and times go in, events and actions come out. It is also the queue of its consumer: per
/// acquisition it holds one update a channel at most.
struct ResultFollower: ConsumerQueue {
    struct Options: Sendable {
        /// The least time between two updates of one channel; final ones do not wait.
        var interval = Duration.zero
        /// How long after an end the final updates may be on their way before they are asked for.
        var settling = Duration.milliseconds(250)
        /// How often final states are asked for again.
        var pollInterval = Duration.seconds(1)
        /// Which channels are delivered.
        var filter = ChannelFilter()
        /// After how long without any change, and without a server that says it still works on them, an acquisition whose
        /// channels never become final is let go.
        var patience = Duration.seconds(10)
    }

    struct Counts: Sendable, Hashable {
        var updates = 0
        /// Updates that were older than what was known.
        var staleUpdates = 0
        /// Updates that were left out for newer ones.
        var supersededUpdates = 0
        var lostMessages = 0
    }

    private let options: Options
    private var acquisitions: [ResultProgress] = []
    private var newest: UInt64 = 0
    private var wantsSnapshot = false
    private(set) var counts = Counts()
    /// Channels in one acquisition, and acquisitions at a time, that are followed.
    static let channelLimit = 4096
    private static let limit = 4

    init(_ options: Options) { self.options = options }

    /// Whether a snapshot is to be asked for now; asking is noted.
    mutating func takeSnapshotWish() -> Bool {
        defer { wantsSnapshot = false }
        return wantsSnapshot
    }

    var nextDeadline: ContinuousClock.Instant? {
        acquisitions.compactMap { $0.isComplete ? nil : $0.nextLook }.min()
    }

    // MARK: What is heard

    mutating func observe(_ observation: SequenceTracker.Observation) {
        if case .jump(let lost) = observation { counts.lostMessages += lost }
    }

    mutating func started(_ start: AcquisitionStart, now: ContinuousClock.Instant) {
        guard let index = follow(start.acquisition, start.generation, isStart: true, now: now) else { return }
        acquisitions[index].begin(start)
    }

    mutating func update(_ update: ChannelUpdate, now: ContinuousClock.Instant) {
        guard let index = follow(update.acquisition, update.generation, isStart: false, now: now) else {
            counts.staleUpdates += 1
            return
        }
        switch acquisitions[index].offer(update, now: now) {
        case .taken: counts.updates += 1
        case .superseding:
            counts.updates += 1
            counts.supersededUpdates += 1
        case .stale: counts.staleUpdates += 1
        }
        acquisitions[index].completeIfAllFinal(options.filter)
    }

    mutating func ended(_ end: AcquisitionEnd, now: ContinuousClock.Instant) {
        guard let index = follow(end.acquisition, end.generation, isStart: false, now: now) else { return }
        if let known = acquisitions[index].end {
            // A status tells that it is over; what results will come, only the end itself.
            guard known.results.isEmpty, !end.results.isEmpty else { return }
            acquisitions[index].end = end
            return acquisitions[index].completeIfAllFinal(options.filter)
        }
        acquisitions[index].end = end
        acquisitions[index].nextLook = now + options.settling
        acquisitions[index].lastChange = now
        acquisitions[index].completeIfAllFinal(options.filter)
    }

    /// A snapshot's start, end (if over) and channels.
    mutating func snapshot(
        start: AcquisitionStart?, end: AcquisitionEnd?, updates: [ChannelUpdate], now: ContinuousClock.Instant
    ) {
        guard let start else { return }
        started(start, now: now)
        for update in updates { self.update(update, now: now) }
        if let end { ended(end, now: now) }
        for index in acquisitions.indices where !acquisitions[index].isComplete {
            if acquisitions[index].generation < start.generation {
                // The server keeps the results of the newest acquisition only.
                completeUntold(index)
            } else if acquisitions[index].generation > start.generation {
                // Over without a single readable frame: the server has no results of it.
                acquisitions[index].isComplete = acquisitions[index].end != nil
            } else if acquisitions[index].acquisition == start.acquisition, let end,
                acquisitions[index].isWorkedOn.map({ !$0 }) ?? !updates.isEmpty,
                !end.results.contains(where: options.filter.matches),
                updates.allSatisfy({ $0.acquisition == start.acquisition && $0.isFinal })
            {
                // Results that the end names come, however long they take; what it cannot name yet may come as well, for as
                // long as the server is at work.
                acquisitions[index].isComplete = true
            }
        }
    }

    /// Acquisitions that were over when the subscription began and have no results are not told.
    mutating func skip(upTo generation: UInt64) { newest = max(newest, generation) }

    /// What the status says: the newest acquisition, those that are over, and whether results of the newest one are still
    /// being made. To be told after joining only.
    mutating func status(
        newest told: UInt64, ends: [AcquisitionEnd], isWorking: Bool = false, now: ContinuousClock.Instant
    ) {
        for end in ends.sorted(by: { $0.generation < $1.generation }) { ended(end, now: now) }
        for index in acquisitions.indices {
            if isWorking, acquisitions[index].generation == told {
                acquisitions[index].lastChange = now
                acquisitions[index].isWorkedOn = true
            } else if acquisitions[index].end != nil {
                acquisitions[index].isWorkedOn = false
            }
        }
        if told > newest { wantsSnapshot = true }
    }

    /// Another server process has taken the old one's place.
    mutating func serverRestarted() {
        for index in acquisitions.indices {
            if acquisitions[index].end == nil {
                acquisitions[index].end = acquisitions[index].untoldEnd("serverRestarted")
            }
            acquisitions[index].isComplete = true
        }
        newest = 0
        wantsSnapshot = true
    }

    mutating func tick(now: ContinuousClock.Instant) {
        for index in acquisitions.indices where !acquisitions[index].isComplete {
            guard let due = acquisitions[index].nextLook, due <= now else { continue }
            if now - acquisitions[index].lastChange >= options.patience {
                acquisitions[index].isComplete = true
            } else {
                wantsSnapshot = true
                acquisitions[index].nextLook = now + options.pollInterval
            }
        }
    }

    // MARK: What is taken

    mutating func take(now: ContinuousClock.Instant) -> TakeResult<ResultEvent> {
        while !acquisitions.isEmpty {
            switch acquisitions[0].take(interval: options.interval, now: now) {
            case .element(let event):
                return .element(event)
            case .later(let instant):
                return .later(instant)
            case .nothing:
                guard acquisitions[0].isComplete, let end = acquisitions[0].end else { return .nothing }
                acquisitions.removeFirst()
                return .element(.ended(end))
            }
        }
        return .nothing
    }

    // MARK: Bookkeeping

    private mutating func follow(
        _ acquisition: AcquisitionUUID, _ generation: UInt64, isStart: Bool, now: ContinuousClock.Instant
    ) -> Int? {
        if let index = acquisitions.firstIndex(where: { $0.generation == generation && $0.acquisition == acquisition })
        {
            return index
        }
        guard generation > newest else { return nil }
        newest = generation
        // Its start was lost, or its channels were there before.
        if !isStart { wantsSnapshot = true }
        if acquisitions.count == Self.limit { acquisitions.removeFirst() }
        for index in acquisitions.indices where !acquisitions[index].isComplete {
            // What is on its way may come within the settling time; then nobody can tell it any more.
            acquisitions[index].lastChange = now - options.patience
            acquisitions[index].nextLook = now + options.settling
            if acquisitions[index].end == nil { acquisitions[index].end = acquisitions[index].untoldEnd("notTold") }
        }
        acquisitions.append(ResultProgress(acquisition: acquisition, generation: generation, now: now))
        return acquisitions.count - 1
    }

    private mutating func completeUntold(_ index: Int) {
        if acquisitions[index].end == nil { acquisitions[index].end = acquisitions[index].untoldEnd("notTold") }
        acquisitions[index].isComplete = true
    }
}
