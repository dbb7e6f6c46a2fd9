import StemwireSystem
import StemwireTestSupport
import Testing

@testable import StemwireAcquisition

@Suite("Frame store")
struct FrameStoreTests {
    /// A store that is driven by hand.
    private final class Rig {
        let maker: TileMaker
        let store: FrameStore
        let lost = Locked<[Range<Int>]>([])
        /// Whether frames are in the ring only because the store keeps them.
        var released: [Tile] = []

        init(
            slots: Int, spoolBytes: Int?, positions: Int = 10_000, framesPerPartition: Int = 10,
            _ change: (inout FrameStore.Configuration) -> Void = { _ in }
        ) throws {
            maker = try TileMaker(slots: slots)
            var configuration = FrameStore.Configuration()
            change(&configuration)
            store = FrameStore(
                ring: maker.ring,
                spool: try spoolBytes.map { try TileSpool(bytes: $0, directory: nil, chunkBytes: 8192) },
                configuration: configuration, onLoss: { [lost] _, positions in lost.withLock { $0.append(positions) } })
            store.take(try TileMaker.start(1, positions: positions, framesPerPartition: framesPerPartition))
        }

        /// Gives a tile to the store; false when the ring is full.
        func put(_ positions: Range<Int>, generation: UInt64 = 1, partition: Int, frameBytes: Int = 1000) -> Bool {
            guard
                let tile = maker.tile(
                    positions, generation: generation, partition: partition, frameBytes: frameBytes)
            else { return false }
            store.take(.tile(tile))
            return true
        }

        /// Whether a frame can be had, and is what it should be.
        func has(_ position: Int, generation: UInt64 = 1) -> Bool {
            guard let tile = store.lookup(generation: generation, position: position) else { return false }
            defer { tile.release() }
            if !tile.positions.contains(position) || tile.generation != generation || !TileMaker.isSound(tile) {
                Issue.record("a wrong frame for \(position): \(tile.positions) of \(tile.generation)")
            }
            return true
        }
    }

    @Test("frames stay in the ring up to its share, then go to the spool, oldest first, and are found in both")
    func tiers() throws {
        let rig = try Rig(slots: 8, spoolBytes: 1 << 20)
        for partition in 0..<20 {
            #expect(rig.put(partition * 10..<partition * 10 + 10, partition: partition))
            rig.store.relieve()
        }
        #expect((0..<200).allSatisfy { rig.has($0) } && !rig.has(200))
        #expect(rig.store.status.frames == 200 && rig.store.status.unfinishedFrames == 200)
        #expect(rig.store.status.ringBytes == 6 * rig.maker.ring.slotBytes && rig.maker.ring.freeSlots == 2)
        let spooled = try (0..<20).filter { partition in
            let tile = try #require(rig.store.lookup(generation: 1, position: partition * 10))
            defer { tile.release() }
            return tile.isSpooled
        }
        #expect(spooled == Array(0..<14))
        #expect(rig.store.firstPosition(in: 55..<60, generation: 1) == 55)
        #expect(rig.store.firstPosition(in: 200..<300, generation: 1) == nil)
        #expect(rig.store.firstPosition(in: 0..<10, generation: 2) == nil && !rig.has(3, generation: 2))
    }

    @Test("small tiles become larger ones in the spool")
    func joining() throws {
        let rig = try Rig(slots: 4, spoolBytes: 1 << 20, framesPerPartition: 100)
        for position in 0..<20 {
            #expect(rig.put(position..<position + 1, partition: 0, frameBytes: 100))
            rig.store.relieve()
        }
        let tile = try #require(rig.store.lookup(generation: 1, position: 5))
        #expect(tile.isSpooled && tile.positions == 0..<17 && TileMaker.isSound(tile))
        tile.release()
        let tiles = rig.store.tiles(3..<20, generation: 1)
        #expect(tiles.map(\.positions) == [3..<17, 17..<18, 18..<19, 19..<20])
        for tile in tiles { tile.release() }
        rig.store.finished(generation: 1)
        #expect(rig.store.status.unfinishedFrames == 0 && rig.has(4))
    }

    @Test("frames that are not needed go first, oldest first, when there is no room")
    func giveUp() throws {
        let rig = try Rig(slots: 4, spoolBytes: 64 << 10)
        var put = 0
        while rig.put(put * 10..<put * 10 + 10, partition: put) {
            put += 1
            rig.store.relieve()
        }
        // All is full of frames that are needed.
        #expect(put > 6 && rig.lost.value.isEmpty && (0..<put * 10).allSatisfy { rig.has($0) })
        rig.store.finished(generation: 1, partition: 2)
        rig.store.finished(generation: 1, partition: 1)
        #expect(rig.has(15) && rig.has(25))
        rig.store.relieve()
        #expect(!rig.has(25) && rig.has(5) && rig.put(put * 10..<put * 10 + 10, partition: put))
    }

    @Test("what is finished is let go at once when it is not to be kept, also what comes later")
    func keepsNothing() throws {
        let rig = try Rig(slots: 8, spoolBytes: nil) { $0.keepsFinished = false }
        #expect(rig.put(0..<5, partition: 0) && rig.put(10..<20, partition: 1))
        rig.store.finished(generation: 1, partition: 0)
        #expect(!rig.has(0) && rig.has(12) && rig.maker.ring.freeSlots == 7)
        #expect(rig.put(5..<10, partition: 0))
        #expect(!rig.has(5))
        rig.store.finished(generation: 1)
        #expect(rig.maker.ring.freeSlots == 8 && rig.store.status.frames == 0)
    }

    @Test("without work to wait for, the newest frames are kept, with a spool or without", arguments: [nil, 64 << 10])
    func ringOnly(spoolBytes: Int?) throws {
        let rig = try Rig(slots: 8, spoolBytes: spoolBytes) { $0.awaitsWork = false }
        for partition in 0..<100 {
            #expect(rig.put(partition * 10..<partition * 10 + 10, partition: partition))
            rig.store.relieve()
        }
        #expect(rig.has(999) && rig.has(950) && !rig.has(0))
        #expect(rig.store.firstPosition(in: 0..<1000, generation: 1).map { (600...940).contains($0) } == true)
        #expect(rig.lost.value.isEmpty)
    }

    @Test("a disk that does not keep up costs the frames nobody needs, not the detector")
    func slowDisk() throws {
        let rig = try Rig(slots: 8, spoolBytes: 1 << 20) { $0.awaitsWork = false }
        // Nothing is moved meanwhile.
        for partition in 0..<100 {
            #expect(rig.put(partition * 10..<partition * 10 + 10, partition: partition))
        }
        #expect(rig.has(999) && rig.lost.value.isEmpty && rig.store.status.spoolBytes == 0)
    }

    @Test("with back-pressure the ring fills up and nothing is lost")
    func backPressure() throws {
        let rig = try Rig(slots: 4, spoolBytes: nil)
        for partition in 0..<4 { #expect(rig.put(partition * 10..<partition * 10 + 10, partition: partition)) }
        rig.store.relieve()
        #expect(!rig.put(40..<50, partition: 4) && (0..<40).allSatisfy { rig.has($0) })
        rig.store.finished(generation: 1, partition: 3)
        rig.store.relieve()
        #expect(rig.put(40..<50, partition: 4) && rig.lost.value.isEmpty)
    }

    @Test("else the frames that come are lost to processing, and told exactly")
    func loss() throws {
        let rig = try Rig(slots: 8, spoolBytes: 64 << 10) { $0.whenFull = .dropProcessing }
        for partition in 0..<60 {
            #expect(rig.put(partition * 10..<partition * 10 + 10, partition: partition))
            rig.store.relieve()
        }
        let lost = Set(rig.lost.value.flatMap { $0 })
        #expect(!lost.isEmpty && rig.store.status.lostFrames == lost.count && !lost.contains(5))
        #expect((0..<600).allSatisfy { rig.has($0) != lost.contains($0) })
    }

    @Test("all frames leave the ring when it is cut anew for larger ones")
    func emptying() throws {
        let rig = try Rig(slots: 8, spoolBytes: 1 << 20)
        for partition in 0..<5 { #expect(rig.put(partition * 10..<partition * 10 + 10, partition: partition)) }
        let isQuiet = Tally()
        let waiting = try NamedThread("ring-writer") { [writer = Unchecked(rig.maker.writer)] in
            while !writer.value.isQuiet(holding: 0) { writer.value.waitUntilQuiet(timeout: .milliseconds(20)) }
            isQuiet.add()
        }
        while isQuiet.value == 0 { rig.store.relieve() }
        waiting.join()
        #expect((0..<50).allSatisfy { rig.has($0) } && rig.maker.ring.freeSlots == 8)
    }

    private struct Unchecked<Value>: @unchecked Sendable {
        let value: Value
        init(_ value: Value) { self.value = value }
    }

    /// Any order of events, against plain sets of positions.
    @Test("needed frames are there or announced as lost, whatever happens", arguments: 0..<15)
    func random(seed: Int) throws {
        var generator = SeededGenerator(seed: UInt64(seed))
        let drops = seed % 3 == 0
        let keeps = seed % 2 == 0
        let rig = try Rig(
            slots: 3 + generator.below(10), spoolBytes: seed % 5 == 0 ? nil : (4 + generator.below(40)) * 4096,
            positions: 1500
        ) {
            $0.whenFull = drops ? .dropProcessing : .backPressure
            $0.keepsFinished = keeps
        }
        var needed: Set<Int> = []
        var finished: Set<Int> = []
        var next = 0
        var borrowed: [Tile] = []
        while next < 1500 {
            switch generator.below(10) {
            case 0...5:
                // The rest of a partition, or a part of it; sometimes a gap.
                if generator.chance(percent: 5) { next += 1 }
                let partition = next / 10
                let end = min(next + 1 + generator.below(10), (partition + 1) * 10)
                guard next < end, next < 1500 else { continue }
                if rig.put(next..<end, partition: partition, frameBytes: 200 + 8 * generator.below(10)) {
                    if !finished.contains(partition) { needed.formUnion(next..<end) }
                    next = end
                } else {
                    // Borrowed tiles keep their slots; let all go, and finish something.
                    for tile in borrowed { tile.release() }
                    borrowed = []
                    let oldest = needed.min().map { $0 / 10 } ?? 0
                    rig.store.finished(generation: 1, partition: oldest)
                    finished.insert(oldest)
                    needed.subtract(oldest * 10..<oldest * 10 + 10)
                }
            case 6:
                let partition = generator.below(next / 10 + 1)
                rig.store.finished(generation: 1, partition: partition)
                finished.insert(partition)
                needed.subtract(partition * 10..<partition * 10 + 10)
            case 7:
                if let tile = rig.store.lookup(generation: 1, position: generator.below(next + 1)) {
                    borrowed.append(tile)
                }
                if borrowed.count > 3 { borrowed.remove(at: generator.below(4)).release() }
            default:
                rig.store.relieve()
            }
            for lost in rig.lost.withLock({ ranges -> [Range<Int>] in
                defer { ranges = [] }
                return ranges
            }) {
                #expect(drops && lost.allSatisfy { needed.contains($0) })
                needed.subtract(lost)
            }
            if next % 50 == 0 { for position in needed where !rig.has(position) { Issue.record("no \(position)") } }
            #expect(rig.store.status.unfinishedFrames == needed.count)
            if !keeps { #expect(rig.store.status.frames == needed.count) }
        }
        #expect(needed.allSatisfy { rig.has($0) } && borrowed.allSatisfy(TileMaker.isSound))
        for tile in borrowed { tile.release() }
        rig.store.finished(generation: 1)
        if !keeps { #expect(rig.maker.ring.freeSlots == rig.maker.ring.slotCount) }
    }

    @Test("its threads keep all frames of an acquisition while others read them and finish partitions")
    func threads() throws {
        let partitions = 300
        let maker = try TileMaker(slots: 12)
        let spool = try TileSpool(bytes: 16 << 20, directory: nil, chunkBytes: 64 << 10)
        let store = FrameStore(ring: maker.ring, spool: spool)
        let queue = TileQueue(for: maker.ring)
        let threads = try FrameStoreThreads(store, queue: queue)
        let (put, damaged, found) = (Tally(), Tally(), Tally())
        let (isFinishing, isOver) = (Tally(), Tally())
        let readers = try (0..<2).map { number in
            try NamedThread("store-reader") {
                var generator = SeededGenerator(seed: UInt64(number))
                while isOver.value == 0 {
                    guard put.value > 0 else { continue }
                    let partition = generator.below(put.value)
                    let tiles = store.tiles(partition * 10..<partition * 10 + 10, generation: 1)
                    // Some may go, once they are finished.
                    if tiles.reduce(0, { $0 + $1.count }) != 10 && isFinishing.value == 0
                        || !tiles.allSatisfy(TileMaker.isSound)
                    {
                        damaged.add()
                    }
                    for tile in tiles { tile.release() }
                    found.add()
                }
            }
        }
        #expect(queue.push(try TileMaker.start(1, positions: partitions * 10, framesPerPartition: 10)))
        for partition in 0..<partitions {
            for half in 0..<2 {
                let first = partition * 10 + half * 5
                var tile = maker.tile(first..<first + 5, partition: partition)
                while tile == nil {
                    maker.writer.waitForSlot(timeout: .seconds(1))
                    tile = maker.tile(first..<first + 5, partition: partition)
                }
                #expect(queue.push(.tile(tile!)))
            }
            put.add()
        }
        #expect(queue.push(TileMaker.end(1)))
        while store.status.frames < partitions * 10 || found.value < 200 {}
        #expect(store.status.unfinishedFrames == partitions * 10)
        isFinishing.add()
        for partition in 0..<partitions { store.finished(generation: 1, partition: partition) }
        #expect(store.status.unfinishedFrames == 0)
        isOver.add()
        for reader in readers { reader.join() }
        queue.close()
        threads.join()
        #expect(damaged.value == 0)
        #expect(maker.ring.freeSlots >= 3 && spool.bytesUsed > 0)
    }
}
