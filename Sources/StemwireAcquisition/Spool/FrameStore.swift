import StemwireSystem

/// What happens when ring and spool are full of frames that are still to be worked on.
public enum StoreFullPolicy: String, Sendable, Hashable, CaseIterable {
    /// The ring fills up, nothing more is read, and the frames wait in the detector.
    case backPressure
    /// The frames that come are let go, and announced as lost to processing; what is kept is worked on.
    case dropProcessing
}

/// Keeps frames when the first consumers are done with them: for work that is still to be done, or done again, and for
/// those who ask for frames of an acquisition at any time.
///
/// It is a consumer of a source, with a queue of its own. Frames stay in the ring up to a share of it; beyond that the
/// oldest go to the spool; when that is full, the oldest frames go that no work needs any more. What happens when there
/// are none of these, `StoreFullPolicy` says.
///
/// `take` and `relieve` are each for one thread at a time: see `FrameStoreThreads`. All else may be called from any thread;
/// nothing waits for a copy, or for the disk, but `relieve`.
public final class FrameStore: Sendable {
    public struct Configuration: Sendable, Hashable {
        /// The part of the ring's slots that frames are kept in before the oldest go to the spool.
        public var ringShare = 0.75
        public var whenFull = StoreFullPolicy.backPressure
        /// Whether frames are kept that no work needs any more, until their memory is needed.
        public var keepsFinished = true
        /// Whether frames are needed until `finished` is called for them; else they are kept as long as there is room.
        public var awaitsWork = true

        public init() {}
    }

    /// What a store holds. The numbers are of one moment.
    public struct Status: Sendable, Hashable {
        /// Frames kept, and those of them that work is to be done on.
        public var frames = 0
        public var unfinishedFrames = 0
        /// Slots of the ring in which frames are kept, in bytes.
        public var ringBytes = 0
        /// Bytes of the spool in use, and all of them; 0 without spool.
        public var spoolBytes = 0
        public var spoolBytesTotal = 0
        /// Frames lost to processing since the store was made.
        public var lostFrames = 0
    }

    public let ring: FrameRing
    public let spool: TileSpool?
    public let configuration: Configuration
    private let onLoss: @Sendable (_ generation: UInt64, _ positions: Range<Int>) -> Void
    private let state: Locked<State>
    /// Posted when there may be something to move.
    let moveWake = CountingSemaphore()

    private struct State {
        var index: FrameStoreIndex
        var lostFrames = 0
    }

    /// - Parameters:
    ///   - ring: the memory that frames come in. It need not retain anything itself.
    ///   - onLoss: told the exact positions that are lost to processing, on the thread of `take` or `relieve`.
    public init(
        ring: FrameRing, spool: TileSpool?, configuration: Configuration = Configuration(),
        onLoss: @escaping @Sendable (_ generation: UInt64, _ positions: Range<Int>) -> Void = { _, _ in }
    ) {
        self.ring = ring
        self.spool = spool
        self.configuration = configuration
        self.onLoss = onLoss
        // A ring that is cut anew has fewer and larger slots, never more.
        state = Locked(
            State(index: FrameStoreIndex(ringSlots: ring.slotCount, keepsFinished: configuration.keepsFinished)))
    }

    deinit { removeAll() }

    /// Lets all frames go.
    public func removeAll() {
        for tile in state.withLock({ $0.index.takeAll() }) { tile.release() }
    }

    public var status: Status {
        var status = state.withLock { state in
            Status(
                frames: state.index.keptFrames, unfinishedFrames: state.index.unfinishedFrames,
                ringBytes: state.index.ringSlots * ring.slotBytes, lostFrames: state.lostFrames)
        }
        status.spoolBytes = spool?.bytesUsed ?? 0
        status.spoolBytesTotal = spool?.bytesTotal ?? 0
        return status
    }

    /// Frames of an acquisition that are kept.
    public func frames(of generation: UInt64) -> Int { state.withLock { $0.index.frames(of: generation) } }

    // MARK: Frames in

    /// Slots of the ring above which frames go to the spool.
    private var usualSlots: Int {
        ring.isToBeEmptied ? 0 : max(1, min(ring.slotCount - 1, Int(configuration.ringShare * Double(ring.slotCount))))
    }

    /// Slots of the ring that may be held while frames wait for the disk.
    private var mostSlots: Int { min(ring.slotCount - 1, (usualSlots + ring.slotCount) / 2) }

    /// Takes an event of the source, with the hold on a tile. Never blocks.
    public func take(_ event: AcquisitionEvent) {
        switch event {
        case .started(let start):
            state.withLock { state in
                state.index.begin(
                    start.generation, partitions: start.partitionCount, framesPerPartition: start.framesPerPartition,
                    isFinished: !configuration.awaitsWork)
            }
        case .tile(let tile):
            let (isKept, isMuch) = state.withLock { state in
                (state.index.keep(tile), state.index.ringSlots > usualSlots)
            }
            guard isKept else { return tile.release() }
            if isMuch { moveWake.post() }
            limit()
        case .ended(let summary):
            state.withLock { $0.index.end(summary.generation) }
        }
    }

    /// Lets frames go that wait too long for the disk: first those that are not needed, then by policy.
    public func limit() {
        guard !ring.isToBeEmptied else { return }
        while let tile = takeExcess(above: mostSlots) { letGo(tile) }
        // Others hold slots too, and the source must find free ones without having to wait for the next event.
        let lacking = reserve - ring.freeSlots
        guard lacking > 0 else { return }
        for tile in state.withLock({ $0.index.takeFinishedInRing(slots: lacking) }) { tile.release() }
    }

    /// Slots that are kept free for the source as long as frames are held that no work needs any more.
    private var reserve: Int { max(1, ring.slotCount / 8) }

    private func takeExcess(above slots: Int) -> (tile: Tile, isLost: Bool)? {
        state.withLock { state in
            guard state.index.ringSlots > slots else { return nil }
            if let tile = state.index.takeFinishedInRing() { return (tile, false) }
            guard configuration.whenFull == .dropProcessing, let tile = state.index.takeNewestInRing() else {
                return nil
            }
            state.lostFrames += tile.count
            return (tile, true)
        }
    }

    private func letGo(_ excess: (tile: Tile, isLost: Bool)) {
        excess.tile.release()
        if excess.isLost { onLoss(excess.tile.generation, excess.tile.positions) }
    }

    /// Moves the oldest frames to the spool until the ring has its share free again. Waits for the disk, and for nothing
    /// else.
    public func relieve() {
        while let tile = oldestToMove() {
            let copy = spool?.store(tile)
            if let copy {
                let released = state.withLock { state in
                    state.index.replace(tile, by: copy, joinedUpTo: ring.slotBytes)
                }
                for tile in released { tile.release() }
            }
            // The hold of this loop.
            tile.release()
            if copy == nil, !makeRoom() { return }
        }
    }

    /// The oldest tile in the ring if there are too many, held for the caller.
    private func oldestToMove() -> Tile? {
        state.withLock { state in
            guard state.index.ringSlots > usualSlots, let tile = state.index.oldestInRing() else { return nil }
            tile.retain()
            return tile
        }
    }

    /// Gives up frames that are not needed; false if there are none.
    private func makeRoom() -> Bool {
        let released = state.withLock { $0.index.takeOldestFinished() }
        for tile in released { tile.release() }
        if !released.isEmpty { return true }
        // Frames of another size wait for the whole ring, so that nothing else may stay in it.
        guard ring.isToBeEmptied, let excess = takeExcess(above: 0) else { return false }
        letGo(excess)
        return true
    }

    // MARK: Frames out

    /// Finds a frame in the store, or else in the ring, where a consumer may hold it still.
    ///
    /// - Returns: the tile that contains it, held for the caller, who must release it; nil if it is not there.
    /// - Complexity: a few steps, where the store has the frame; linear in the ring's slots where it has not.
    public func lookup(generation: UInt64, position: Int) -> Tile? {
        // Twice in the store: the frame may have moved there from the ring between the looks.
        kept(generation, position) ?? ring.lookup(generation: generation, position: position)
            ?? kept(generation, position)
    }

    private func kept(_ generation: UInt64, _ position: Int) -> Tile? {
        state.withLock { state in
            let tile = state.index.tile(at: position, generation: generation)
            tile?.retain()
            return tile
        }
    }

    /// The first of `positions` whose frame is there; nil when none is.
    ///
    /// - Complexity: linear in the number of partitions of `positions`, 64 at a time, and in the ring's slots.
    public func firstPosition(in positions: Range<Int>, generation: UInt64) -> Int? {
        let kept = { self.state.withLock { $0.index.firstPosition(in: positions, generation: generation) } }
        guard let first = kept() else {
            return ring.firstPosition(in: positions, generation: generation) ?? kept()
        }
        return ring.firstPosition(in: positions.lowerBound..<first, generation: generation) ?? first
    }

    /// All frames that are there of some positions, such as a partition's, in rising order; each tile held for the
    /// caller, who must release it.
    public func tiles(_ positions: Range<Int>, generation: UInt64) -> [Tile] {
        var tiles: [Tile] = []
        var rest = positions
        while let first = firstPosition(in: rest, generation: generation) {
            // Gone since it was found, if it is not there any more.
            let tile = lookup(generation: generation, position: first)
            let end = min(tile?.positions.upperBound ?? first + 1, positions.upperBound)
            if let tile { tiles.append(tile.part(first..<end)) }
            rest = end..<positions.upperBound
        }
        return tiles
    }

    // MARK: Work

    /// Notes that there is work again on a partition that was finished: its frames, as far as they are there, and those that
    /// still come, are needed until `finished` is called once more.
    public func needed(generation: UInt64, partition: Int) {
        state.withLock { $0.index.need(partition, generation: generation) }
    }

    /// Notes that a partition's result is safe, so that its frames are not needed any more.
    public func finished(generation: UInt64, partition: Int) {
        release(state.withLock { $0.index.finish(partition, generation: generation) })
    }

    /// Notes that no frame of an acquisition is needed any more, whether it has come already or not.
    public func finished(generation: UInt64) {
        release(state.withLock { $0.index.finish(generation) })
    }

    private func release(_ tiles: [Tile]) {
        for tile in tiles { tile.release() }
        moveWake.post()
    }
}
