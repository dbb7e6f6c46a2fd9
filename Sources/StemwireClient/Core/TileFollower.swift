/// Makes one sequence of events of what the live stream, the status and the repairs tell about acquisitions.
///
/// No input or output: messages and times go in, actions come out. It sees to it that no position is delivered twice, that
/// what is missing is told, and fetched when asked for, and that an acquisition ends though its start or end was lost.
struct TileFollower: Sendable {
    struct Options: Sendable {
        var repairs = false
        /// Whether the first end of an acquisition ends the subscription.
        var endsWithAcquisition = false
        /// How long after an acquisition's end, or its last tile, tiles may still be on their way: the order of live
        /// messages holds only within a topic.
        var settling = Duration.milliseconds(250)
        /// The same when the end was told by another socket, which may be well ahead of the live one.
        var settlingAfterStatus = Duration.seconds(1)
    }

    enum Action: Sendable {
        case event(TileEvent)
        /// Ask for frames under this number.
        case fetch(request: UInt64, acquisition: AcquisitionUUID, positions: Range<Int>)
        /// Something was lost that snapshot and status know.
        case refresh
        /// The subscription is over.
        case finish
    }

    struct Counts: Sendable, Hashable {
        var tiles = 0
        var frames = 0
        var repairedFrames = 0
        var lostMessages = 0
        var duplicateTiles = 0
        var staleTiles = 0
        var droppedFrames = 0
        var corruptedTiles = 0
    }

    private let options: Options
    /// Oldest first; an acquisition leaves when its end was told.
    private var acquisitions: [TileProgress] = []
    /// The newest generation heard of in this session.
    private var newest: UInt64 = 0
    /// Generations that nothing was heard of while a newer one was; the status tells of them yet.
    private var unheard: Set<UInt64> = []
    private var lastRequest: UInt64 = 0
    private var actions: [Action] = []
    /// Whether the state at joining is known: acquisitions heard of before that had begun earlier.
    private var hasJoined = false
    private(set) var counts = Counts()
    /// More acquisitions than this are not followed at a time.
    private static let limit = 4
    /// The status tells of no more.
    private static let unheardLimit = 8

    init(_ options: Options) { self.options = options }

    var nextDeadline: ContinuousClock.Instant? {
        acquisitions.compactMap { progress in
            [progress.isSettled ? nil : progress.settlesAt, progress.repair.nextDeadline].compactMap { $0 }.min()
        }.min()
    }

    /// Takes out what is to be done.
    mutating func takeActions() -> [Action] {
        defer { actions.removeAll() }
        return actions
    }

    // MARK: What is heard

    /// A snapshot has been told, with what ran when the subscription began. Starts that it did not have are not known.
    mutating func snapshotTaken(now: ContinuousClock.Instant) {
        hasJoined = true
        for index in acquisitions.indices.reversed() where acquisitions[index].start == nil {
            acquisitions[index].startIsUnknown = true
            if !acquisitions[index].isSettled, acquisitions[index].isComplete { settle(index, now: now) }
        }
    }

    /// An acquisition has begun; `isLive` unless a snapshot tells it.
    mutating func started(_ start: AcquisitionStart, isLive: Bool, now: ContinuousClock.Instant) {
        if let index = index(of: start.acquisition, start.generation) {
            guard acquisitions[index].start == nil else { return }
            acquisitions[index].begin(start)
            actions.append(.event(.started(start)))
        } else if isNew(start.generation) {
            var progress = TileProgress(acquisition: start.acquisition, generation: start.generation)
            progress.joinedLate = !isLive
            progress.begin(start)
            add(progress, now: now)
            actions.append(.event(.started(start)))
        }
    }

    /// An acquisition that was over before the subscription began; nothing of it is delivered.
    mutating func isOver(_ end: AcquisitionEnd, now: ContinuousClock.Instant) {
        if index(of: end.acquisition, end.generation) != nil {
            ended(end, isLive: false, now: now)
        } else {
            newest = max(newest, end.generation)
        }
    }

    /// - Parameter isLive: whether the live socket told it, behind the tiles.
    mutating func ended(_ end: AcquisitionEnd, isLive: Bool = true, now: ContinuousClock.Instant) {
        if index(of: end.acquisition, end.generation) == nil {
            guard isNew(end.generation) else { return }
            add(TileProgress(acquisition: end.acquisition, generation: end.generation), now: now)
            actions.append(.refresh)
        }
        guard let index = index(of: end.acquisition, end.generation), acquisitions[index].end == nil else { return }
        acquisitions[index].end = end
        acquisitions[index].settlesAt = now + (isLive ? options.settling : options.settlingAfterStatus)
        if acquisitions[index].isComplete { settle(index, now: now) }
    }

    mutating func tile(
        _ tile: FrameTile, observation: SequenceTracker.Observation, now: ContinuousClock.Instant
    ) {
        if observation == .stale {
            counts.staleTiles += 1
            return
        }
        if case .jump(let lost) = observation { counts.lostMessages += lost }
        guard let index = follow(tile.acquisition, tile.generation, now: now) else {
            counts.staleTiles += 1
            return
        }
        if let gap = acquisitions[index].gap(before: tile.positions, observation: observation) {
            announce(gap, at: index, now: now)
        }
        deliver(tile, at: index, now: now)
    }

    /// A tile whose bytes changed on the way.
    mutating func corrupted(
        acquisition: AcquisitionUUID, generation: UInt64, positions: Range<Int>, now: ContinuousClock.Instant
    ) {
        counts.corruptedTiles += 1
        guard let index = follow(acquisition, generation, now: now) else { return }
        let lost = acquisitions[index].covered.gaps(in: positions)
        acquisitions[index].highWater = max(acquisitions[index].highWater, positions.upperBound)
        guard !lost.isEmpty else { return }
        announce(
            TileGap(acquisition: acquisition, generation: generation, positions: lost, cause: .corrupted),
            at: index, now: now)
    }

    /// The consumer's buffer left `tile` out and told so.
    ///
    /// - Parameter byChoice: whether it was left out for a newer one, and is not to be fetched.
    mutating func dropped(_ tile: FrameTile, byChoice: Bool, now: ContinuousClock.Instant) {
        counts.droppedFrames += tile.count
        counts.frames -= tile.count
        guard let index = index(of: tile.acquisition, tile.generation) else { return }
        acquisitions[index].received.remove(tile.positions)
        acquisitions[index].announced.insert(tile.positions)
        if options.repairs, !byChoice {
            acquisitions[index].repair.want(tile.positions)
            fetchMore(index, now: now)
        } else {
            acquisitions[index].waive(tile.positions, arePlaced: true)
        }
    }

    /// What the status says: the newest acquisition, and those that are over. To be told after joining only.
    mutating func status(newest told: UInt64, ends: [AcquisitionEnd], now: ContinuousClock.Instant) {
        for end in ends.sorted(by: { $0.generation < $1.generation }) { ended(end, isLive: false, now: now) }
        if told > newest { actions.append(.refresh) }
        // The status knows the last ones; what is older and open will never be told.
        for index in acquisitions.indices.reversed()
        where acquisitions[index].end == nil && acquisitions[index].generation + 1 < told {
            endUntold(index, .other("notTold"), now: now)
        }
        unheard = unheard.filter { $0 + 1 >= told }
    }

    /// Another server process has taken the old one's place: nothing of its acquisitions will follow.
    mutating func serverRestarted(now: ContinuousClock.Instant) {
        for index in acquisitions.indices.reversed() {
            if acquisitions[index].end == nil {
                acquisitions[index].end = acquisitions[index].untoldEnd(.other("serverRestarted"))
            }
        }
        for progress in acquisitions {
            if let gap = progress.remainingGap { actions.append(.event(.gap(gap))) }
            if let end = progress.end { close(end) }
        }
        acquisitions.removeAll()
        unheard.removeAll()
        newest = 0
        hasJoined = false
    }

    mutating func tick(now: ContinuousClock.Instant) {
        for index in acquisitions.indices.reversed() {
            if !acquisitions[index].isSettled, let at = acquisitions[index].settlesAt, at <= now {
                if acquisitions[index].startIsSettled {
                    settle(index, now: now)
                } else {
                    // The snapshot that has the start is on its way.
                    acquisitions[index].settlesAt = now + options.settling
                }
            } else if let due = acquisitions[index].repair.nextDeadline, due <= now {
                fetchMore(index, now: now)
            }
        }
    }

    // MARK: Repairs

    mutating func fetched(_ tile: FrameTile, now: ContinuousClock.Instant) {
        guard let index = index(of: tile.acquisition, tile.generation) else {
            counts.staleTiles += 1
            return
        }
        deliver(tile, at: index, now: now)
    }

    /// A fetch is over; what did not come is unavailable for the reasons given.
    mutating func fetchEnded(request: UInt64, unavailable: [UnavailableFrames], now: ContinuousClock.Instant) {
        guard let (index, range) = finish(request) else { return }
        var rest = PositionSet(acquisitions[index].received.gaps(in: range))
        for item in unavailable {
            for positions in rest.members(in: item.positions) {
                rest.remove(positions)
                if item.reason == .pending, acquisitions[index].end == nil {
                    // Known for sure at the end, when all that is missing is asked for.
                    continue
                } else if item.reason == .pending, acquisitions[index].repair.isPatient {
                    acquisitions[index].repair.postpone(positions, until: now + options.settling)
                } else {
                    giveUp(positions, item.reason, at: index)
                }
            }
        }
        for positions in rest.ranges { giveUp(positions, .failed("the server did not send them"), at: index) }
        fetchMore(index, now: now)
        closeIfDone(index)
    }

    /// Fetching does not work; what was to be fetched is given up.
    mutating func fetchFailed(request: UInt64, why: String, now: ContinuousClock.Instant) {
        guard let (index, range) = finish(request) else { return }
        for positions in [range] + acquisitions[index].repair.abandon() {
            for part in acquisitions[index].received.gaps(in: positions) { giveUp(part, .failed(why), at: index) }
        }
        closeIfDone(index)
    }

    private mutating func finish(_ request: UInt64) -> (Int, Range<Int>)? {
        for index in acquisitions.indices {
            if let range = acquisitions[index].repair.finish(request: request) { return (index, range) }
        }
        return nil
    }

    private mutating func giveUp(_ positions: Range<Int>, _ reason: UnavailableFrames.Reason, at index: Int) {
        acquisitions[index].waive(positions, arePlaced: reason == .released)
        actions.append(
            .event(
                .unavailable(
                    UnavailableFrames(
                        acquisition: acquisitions[index].acquisition, positions: positions, reason: reason))))
    }

    private mutating func fetchMore(_ index: Int, now: ContinuousClock.Instant) {
        while let range = acquisitions[index].repair.next(request: lastRequest + 1, now: now) {
            lastRequest += 1
            actions.append(
                .fetch(request: lastRequest, acquisition: acquisitions[index].acquisition, positions: range))
        }
    }

    // MARK: Bookkeeping

    private func index(of acquisition: AcquisitionUUID, _ generation: UInt64) -> Int? {
        acquisitions.firstIndex { $0.generation == generation && $0.acquisition == acquisition }
    }

    /// The acquisition's place; it is followed from now on if it is new, and nil if it is over.
    private mutating func follow(
        _ acquisition: AcquisitionUUID, _ generation: UInt64, now: ContinuousClock.Instant
    ) -> Int? {
        if let index = index(of: acquisition, generation) { return index }
        guard isNew(generation) else { return nil }
        var progress = TileProgress(acquisition: acquisition, generation: generation)
        progress.joinedLate = !hasJoined
        add(progress, now: now)
        actions.append(.refresh)
        return index(of: acquisition, generation)
    }

    private func isNew(_ generation: UInt64) -> Bool { generation > newest || unheard.contains(generation) }

    private mutating func add(_ progress: TileProgress, now: ContinuousClock.Instant) {
        if let last = acquisitions.last, last.end == nil { actions.append(.refresh) }
        if hasJoined, progress.generation > newest {
            unheard.formUnion((newest + 1..<progress.generation).suffix(Self.unheardLimit))
        }
        unheard.remove(progress.generation)
        newest = max(newest, progress.generation)
        if acquisitions.count == Self.limit {
            let oldest = acquisitions.removeFirst()
            if let gap = oldest.remainingGap { actions.append(.event(.gap(gap))) }
            close(oldest.end ?? oldest.untoldEnd(.other("notTold")))
        }
        let place = acquisitions.firstIndex { $0.generation > progress.generation } ?? acquisitions.endIndex
        acquisitions.insert(progress, at: place)
    }

    private mutating func announce(_ gap: TileGap, at index: Int, now: ContinuousClock.Instant) {
        actions.append(.event(.gap(gap)))
        for range in gap.positions { acquisitions[index].announced.insert(range) }
        guard options.repairs else { return }
        // What the server skipped it does not have either: asked for at the end, should it have come late.
        if gap.cause != .skipped {
            for range in gap.positions { acquisitions[index].repair.want(range) }
            fetchMore(index, now: now)
        }
    }

    /// Hands on the frames that are new.
    private mutating func deliver(_ tile: FrameTile, at index: Int, now: ContinuousClock.Instant) {
        let fresh = acquisitions[index].received.gaps(in: tile.positions)
        if fresh.isEmpty { counts.duplicateTiles += 1 }
        for positions in fresh {
            acquisitions[index].take(positions)
            counts.tiles += 1
            counts.frames += positions.count
            if tile.isFetched { counts.repairedFrames += positions.count }
            var part = positions == tile.positions ? tile : tile[positions: positions]
            part.carriesCredit = tile.carriesCredit && positions == fresh.first
            actions.append(.event(.tile(part)))
        }
        guard acquisitions[index].end != nil, !acquisitions[index].isSettled else { return closeIfDone(index) }
        let settled = now + options.settling
        acquisitions[index].settlesAt = max(acquisitions[index].settlesAt ?? settled, settled)
        if acquisitions[index].isComplete { settle(index, now: now) }
    }

    private mutating func endUntold(_ index: Int, _ reason: AcquisitionEnd.Reason, now: ContinuousClock.Instant) {
        acquisitions[index].end = acquisitions[index].untoldEnd(reason)
        settle(index, now: now)
    }

    /// Nothing more will come of itself: tells what is missing, and fetches it.
    private mutating func settle(_ index: Int, now: ContinuousClock.Instant) {
        acquisitions[index].isSettled = true
        if let gap = acquisitions[index].remainingGap { actions.append(.event(.gap(gap))) }
        if options.repairs {
            // Told as gaps before it was known that the detector never sent them.
            for range in acquisitions[index].announcedMissing { giveUp(range, .missing, at: index) }
            for range in acquisitions[index].remaining { acquisitions[index].repair.want(range) }
            fetchMore(index, now: now)
        }
        closeIfDone(index)
    }

    private mutating func closeIfDone(_ index: Int) {
        guard acquisitions[index].isSettled, acquisitions[index].repair.isIdle, let end = acquisitions[index].end
        else { return }
        acquisitions.remove(at: index)
        close(end)
    }

    private mutating func close(_ end: AcquisitionEnd) {
        actions.append(.event(.ended(end)))
        if options.endsWithAcquisition { actions.append(.finish) }
    }
}
