/// Which frames a store keeps, where they are, and which of them are needed; without threads, locks or copies.
///
/// Each tile in it is held once; who takes one out takes over that hold.
struct FrameStoreIndex {
    /// Where a tile is found: there is one at most with this first position.
    struct Key: Hashable {
        let generation: UInt64
        let partition: Int
        let firstPosition: Int
    }

    struct Acquisition {
        let framesPerPartition: Int
        /// By partition, in rising order of positions.
        var partitions: [Int: [Tile]] = [:]
        /// The partitions that have tiles, for the search.
        var present: FrameSet
        var finished: FrameSet
        var isFinished = false
        var hasEnded = false
        /// Those that are kept.
        var frames = 0

        func isFinished(_ partition: Int) -> Bool { isFinished || finished.contains(partition) }
    }

    private let keepsFinished: Bool
    private var acquisitions: [UInt64: Acquisition] = [:]
    /// Tiles in the ring, in order of arrival; some may be gone already.
    private var inRing = Deque<Key>()
    /// Partitions that are finished and kept, the oldest first; some may be gone already.
    private var finishedOrder = Deque<Key>()
    /// The lengths at which what is gone is taken out of the two.
    private var (ringLimit, finishedLimit) = (leastLimit, leastLimit)
    private static let leastLimit = 256
    /// Tiles kept in each slot of the ring.
    private var tilesInSlot: [Int]
    /// Slots of the ring in which tiles are kept.
    private(set) var ringSlots = 0
    private(set) var keptFrames = 0
    private(set) var unfinishedFrames = 0

    init(ringSlots: Int, keepsFinished: Bool) {
        self.keepsFinished = keepsFinished
        tilesInSlot = [Int](repeating: 0, count: ringSlots)
    }

    // MARK: Acquisitions

    mutating func begin(_ generation: UInt64, partitions: Int, framesPerPartition: Int, isFinished: Bool) {
        for (old, acquisition) in acquisitions where acquisition.hasEnded && acquisition.partitions.isEmpty {
            acquisitions[old] = nil
        }
        guard acquisitions[generation] == nil else { return }
        let none = FrameSet(capacity: partitions)
        acquisitions[generation] = Acquisition(
            framesPerPartition: framesPerPartition, present: none, finished: none, isFinished: isFinished)
    }

    mutating func end(_ generation: UInt64) { acquisitions[generation]?.hasEnded = true }

    // MARK: Tiles

    /// Keeps a tile; false if it is of no use: of an acquisition that is not known, or finished and not kept.
    mutating func keep(_ tile: Tile) -> Bool {
        guard let acquisition = acquisitions[tile.generation], tile.partition < acquisition.present.capacity else {
            return false
        }
        let isFinished = acquisition.isFinished(tile.partition)
        guard !isFinished || keepsFinished else { return false }
        let key = Key(generation: tile.generation, partition: tile.partition, firstPosition: tile.firstPosition)
        if isFinished, acquisition.partitions[tile.partition] == nil { noteFinished(key) }
        acquisitions[tile.generation]?.insert(tile)
        inRing.append(key)
        if inRing.count > ringLimit {
            inRing.keepOnly { [acquisitions] in Self.ringTile($0, acquisitions) != nil }
            ringLimit = max(Self.leastLimit, 2 * inRing.count)
        }
        count(tile, 1, isFinished: isFinished)
        return true
    }

    /// The tile, not held for the caller, that contains a position.
    func tile(at position: Int, generation: UInt64) -> Tile? {
        guard let acquisition = acquisitions[generation], position >= 0,
            let tiles = acquisition.partitions[position / acquisition.framesPerPartition]
        else { return nil }
        let end = tiles.firstIndex(startingBehind: position)
        return end > 0 && tiles[end - 1].positions.contains(position) ? tiles[end - 1] : nil
    }

    /// How many frames of an acquisition are kept.
    func frames(of generation: UInt64) -> Int { acquisitions[generation]?.frames ?? 0 }

    /// The first of `positions` that is kept.
    func firstPosition(in positions: Range<Int>, generation: UInt64) -> Int? {
        guard let acquisition = acquisitions[generation], !positions.isEmpty, positions.lowerBound >= 0 else {
            return nil
        }
        let length = acquisition.framesPerPartition
        var partition = acquisition.present.first(from: positions.lowerBound / length, inSet: true)
        while let found = partition, found * length < positions.upperBound {
            let first = acquisition.partitions[found]?.first { $0.positions.overlaps(positions) }
            if let first { return max(first.firstPosition, positions.lowerBound) }
            partition = acquisition.present.first(from: found + 1, inSet: true)
        }
        return nil
    }

    /// The oldest tile in the ring, not held for the caller.
    mutating func oldestInRing() -> Tile? {
        while let key = inRing.first {
            if let tile = Self.ringTile(key, acquisitions) { return tile }
            _ = inRing.popFirst()
        }
        return nil
    }

    /// Puts a copy in the place of a tile, and gives back the holds that are not needed any more; only the copy's if the
    /// tile is gone meanwhile.
    ///
    /// - Parameter limit: a copy that continues the one before it becomes one tile with it, up to so many bytes.
    mutating func replace(_ tile: Tile, by copy: Tile, joinedUpTo limit: Int) -> [Tile] {
        guard let index = acquisitions[tile.generation]?.index(of: tile) else { return [copy] }
        countSlot(tile, -1)
        acquisitions[tile.generation]?.partitions[tile.partition]?[index] = copy
        guard index > 0, let joined = acquisitions[tile.generation]?.join(copy, at: index, upTo: limit) else {
            return [tile]
        }
        acquisitions[tile.generation]?.partitions[tile.partition]?[index - 1] = joined
        acquisitions[tile.generation]?.partitions[tile.partition]?.remove(at: index)
        return [tile, copy]
    }

    // MARK: Letting go

    /// Notes that a partition is not needed any more; the tiles to be released, if it is not to be kept.
    mutating func finish(_ partition: Int, generation: UInt64) -> [Tile] {
        guard let acquisition = acquisitions[generation], partition >= 0, partition < acquisition.finished.capacity,
            !acquisition.isFinished(partition)
        else { return [] }
        acquisitions[generation]?.finished.insert(partition)
        guard let tiles = acquisition.partitions[partition] else { return [] }
        unfinishedFrames -= tiles.reduce(0) { $0 + $1.count }
        guard keepsFinished else { return take(partition, generation) }
        noteFinished(Key(generation: generation, partition: partition, firstPosition: 0))
        return []
    }

    /// Notes that a partition that was finished is needed again; nothing happens when the whole acquisition is finished.
    mutating func need(_ partition: Int, generation: UInt64) {
        guard let acquisition = acquisitions[generation], acquisition.finished.contains(partition),
            !acquisition.isFinished
        else { return }
        acquisitions[generation]?.finished.remove(partition)
        unfinishedFrames += acquisition.partitions[partition]?.reduce(0) { $0 + $1.count } ?? 0
    }

    private mutating func noteFinished(_ key: Key) {
        finishedOrder.append(key)
        if finishedOrder.count > finishedLimit {
            finishedOrder.keepOnly { [acquisitions] key in
                acquisitions[key.generation]?.partitions[key.partition] != nil
            }
            finishedLimit = max(Self.leastLimit, 2 * finishedOrder.count)
        }
    }

    /// The same for all partitions of an acquisition.
    mutating func finish(_ generation: UInt64) -> [Tile] {
        guard let acquisition = acquisitions[generation], !acquisition.isFinished else { return [] }
        var released: [Tile] = []
        for partition in acquisition.partitions.keys.sorted() { released += finish(partition, generation: generation) }
        acquisitions[generation]?.isFinished = true
        return released
    }

    /// Takes out the oldest of the partitions that are not needed; empty if there is none.
    mutating func takeOldestFinished() -> [Tile] {
        while let key = finishedOrder.popFirst() {
            guard acquisitions[key.generation]?.isFinished(key.partition) == true else { continue }
            let tiles = take(key.partition, key.generation)
            if !tiles.isEmpty { return tiles }
        }
        return []
    }

    /// Takes out the oldest tile in the ring that is not needed.
    mutating func takeFinishedInRing() -> Tile? {
        for key in inRing {
            guard acquisitions[key.generation]?.isFinished(key.partition) == true,
                let tile = Self.ringTile(key, acquisitions)
            else { continue }
            take(tile)
            return tile
        }
        return nil
    }

    /// Takes out the oldest tiles in the ring that are not needed, until so many slots hold no frames any more.
    mutating func takeFinishedInRing(slots: Int) -> [Tile] {
        var tiles: [Tile] = []
        let goal = ringSlots - slots
        while ringSlots > goal, let tile = takeFinishedInRing() { tiles.append(tile) }
        return tiles
    }

    /// Takes out the newest tile in the ring.
    mutating func takeNewestInRing() -> Tile? {
        while let key = inRing.popLast() {
            guard let tile = Self.ringTile(key, acquisitions) else { continue }
            take(tile)
            return tile
        }
        return nil
    }

    /// Takes out everything.
    mutating func takeAll() -> [Tile] {
        acquisitions.flatMap { generation, acquisition in
            acquisition.partitions.keys.flatMap { take($0, generation) }
        }
    }

    private mutating func take(_ partition: Int, _ generation: UInt64) -> [Tile] {
        guard let tiles = acquisitions[generation]?.partitions.removeValue(forKey: partition) else { return [] }
        acquisitions[generation]?.present.remove(partition)
        let isFinished = acquisitions[generation]?.isFinished(partition) ?? true
        for tile in tiles { count(tile, -1, isFinished: isFinished) }
        return tiles
    }

    private mutating func take(_ tile: Tile) {
        let isFinished = acquisitions[tile.generation]?.isFinished(tile.partition) ?? true
        acquisitions[tile.generation]?.remove(tile)
        count(tile, -1, isFinished: isFinished)
    }

    private static func ringTile(_ key: Key, _ acquisitions: [UInt64: Acquisition]) -> Tile? {
        guard let tiles = acquisitions[key.generation]?.partitions[key.partition] else { return nil }
        let index = tiles.firstIndex(startingBehind: key.firstPosition) - 1
        guard index >= 0, tiles[index].firstPosition == key.firstPosition, !tiles[index].isSpooled else { return nil }
        return tiles[index]
    }

    private mutating func count(_ tile: Tile, _ sign: Int, isFinished: Bool) {
        keptFrames += sign * tile.count
        acquisitions[tile.generation]?.frames += sign * tile.count
        if !isFinished { unfinishedFrames += sign * tile.count }
        countSlot(tile, sign)
    }

    private mutating func countSlot(_ tile: Tile, _ sign: Int) {
        guard !tile.isSpooled else { return }
        tilesInSlot[tile.slot] += sign
        if sign > 0, tilesInSlot[tile.slot] == 1 { ringSlots += 1 }
        if sign < 0, tilesInSlot[tile.slot] == 0 { ringSlots -= 1 }
    }
}

extension FrameStoreIndex.Acquisition {
    mutating func insert(_ tile: Tile) {
        let index = partitions[tile.partition]?.firstIndex(startingBehind: tile.firstPosition) ?? 0
        partitions[tile.partition, default: []].insert(tile, at: index)
        present.insert(tile.partition)
    }

    func index(of tile: Tile) -> Int? {
        guard let tiles = partitions[tile.partition] else { return nil }
        let index = tiles.firstIndex(startingBehind: tile.firstPosition) - 1
        return index >= 0 && tiles[index].firstHeader == tile.firstHeader ? index : nil
    }

    mutating func remove(_ tile: Tile) {
        guard let index = index(of: tile) else { return }
        partitions[tile.partition]?.remove(at: index)
        guard partitions[tile.partition]?.isEmpty == true else { return }
        partitions[tile.partition] = nil
        present.remove(tile.partition)
    }

    /// The tile at `index` and the one before it as one, where both lie in one piece of the spool.
    func join(_ copy: Tile, at index: Int, upTo limit: Int) -> Tile? {
        guard let before = partitions[copy.partition]?[index - 1], before.holder == copy.holder,
            before.positions.upperBound == copy.firstPosition, before.stride == copy.stride,
            before.dataOffset == copy.dataOffset, before.bytes.count + copy.bytes.count <= limit,
            before.firstHeader + before.bytes.count == copy.firstHeader
        else { return nil }
        return before.extended(by: copy.count)
    }
}

extension [Tile] {
    /// In rising order: the index of the first tile that begins behind a position.
    fileprivate func firstIndex(startingBehind position: Int) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle].firstPosition <= position { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
