import Foundation
import StemwireSystem
import StemwireTestSupport
import Testing

@testable import StemwireAcquisition

@Suite("Tile spool")
struct TileSpoolTests {
    @Test("a tile in the spool is the tile that was stored, and is held and released like one in the ring")
    func alike() throws {
        let maker = try TileMaker(slots: 2)
        let spool = try TileSpool(bytes: 1 << 20)
        #expect(spool.bytesTotal == 1 << 20 && spool.bytesUsed == 0)
        let tile = try #require(maker.tile(40..<45, generation: 7, partition: 3))
        let copy = try #require(spool.store(tile))
        #expect(copy.isSpooled && !tile.isSpooled)
        tile.release()
        #expect(maker.ring.freeSlots == 2)
        #expect(copy.generation == 7 && copy.positions == 40..<45 && copy.partition == 3)
        #expect(copy.stride == tile.stride && copy.dataOffset == tile.dataOffset && TileMaker.isSound(copy))
        #expect(TileMaker.isSound(copy.part(42..<44)) && copy.part(42..<44).isSpooled)
        spool.retain(copy)
        maker.ring.release(copy)
        #expect(spool.bytesUsed > 0)
        FrameRing.releaseCallback(nil, copy.releaseHint)
        // Nothing is in it but the chunk that is being filled, from its start again.
        let next = try #require(spool.store(copy.part(40..<41)))
        #expect(next.firstHeader == copy.firstHeader)
        spool.release(next)
    }

    @Test("a directory that is not there, or has not the space, is told; no file is left behind")
    func refusal() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("stemwire-\(UUID().uuidString)")
        #expect(throws: SpoolError.system(directory: folder.path, operation: "make", code: ENOENT)) {
            _ = try TileSpool(bytes: 1 << 20, directory: folder.path)
        }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        do {
            let spool = try TileSpool(bytes: 1 << 20, directory: folder.path)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
            #expect(spool.bytesTotal == 1 << 20)
        }
        let error = try #require(throws: SpoolError.self) {
            _ = try TileSpool(bytes: 1 << 60, directory: folder.path)
        }
        guard case .noSpace(folder.path, 1 << 60, let free) = error else { throw error }
        #expect(free > 0 && "\(error)".contains(folder.path))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    }

    @Test("larger tiles than a chunk are taken when the spool is empty, and none larger than the spool")
    func largeTiles() throws {
        let maker = try TileMaker(slots: 4, slotBytes: 256 << 10)
        let spool = try TileSpool(bytes: 128 << 10, directory: nil, chunkBytes: 8192)
        let first = try #require(maker.tile(0..<1))
        let small = try #require(spool.store(first))
        let large = try #require(maker.tile(1..<3, frameBytes: 20_000))
        #expect(spool.store(large) == nil)
        small.release()
        let copies = try (0..<3).map { _ in try #require(spool.store(large)) }
        #expect(spool.store(large) == nil && copies.allSatisfy(TileMaker.isSound))
        for copy in copies { copy.release() }
        let tooLarge = try #require(maker.tile(3..<4, frameBytes: 200_000))
        #expect(spool.store(tooLarge) == nil && spool.store(large) != nil)
    }

    @Test("a tile held longer than its spool keeps its memory")
    func outlives() throws {
        let maker = try TileMaker(slots: 2)
        let tile = try #require(maker.tile(0..<4))
        let held = try #require(TileSpool(bytes: 1 << 20).store(tile))
        #expect(TileMaker.isSound(held))
        held.release()
    }

    /// Any order of storing and releasing, against a plain list of what must be there.
    @Test("no tile is damaged or refused without need, whatever the order of release", arguments: 0..<10)
    func random(seed: Int) throws {
        var generator = SeededGenerator(seed: UInt64(seed))
        let chunkBytes = 8192
        let chunks = 2 + generator.below(30)
        let spool = try TileSpool(bytes: chunks * chunkBytes, directory: nil, chunkBytes: chunkBytes)
        let realChunk = min(chunkBytes, max(4096, chunks * chunkBytes / 16 / 4096 * 4096))
        let maker = try TileMaker(slots: 2)
        var held: [Tile] = []
        var position = 0
        var refused = 0
        for _ in 0..<800 {
            if generator.chance(percent: seed % 2 == 0 ? 60 : 50) {
                let count = 1 + generator.below(8)
                let frameBytes = 16 + 8 * generator.below(30)
                let tile = try #require(maker.tile(position..<position + count, frameBytes: frameBytes))
                defer { tile.release() }
                position += count
                let used = Set(held.map(\.slot))
                if let copy = spool.store(tile) {
                    held.append(copy)
                } else {
                    refused += 1
                    // Every chunk has a tile, or is the one being filled.
                    #expect(used.count >= chunks * chunkBytes / realChunk - 1)
                }
            } else if !held.isEmpty {
                let tile = held.remove(at: generator.below(held.count))
                if !TileMaker.isSound(tile) { Issue.record("damaged: \(tile.positions)") }
                tile.release()
            }
            let used = Set(held.map(\.slot)).count * realChunk
            #expect((used...used + realChunk).contains(spool.bytesUsed))
        }
        let places = held.map { (UInt(bitPattern: $0.bytes.baseAddress!), UInt($0.bytes.count)) }.sorted { $0.0 < $1.0 }
        #expect(zip(places, places.dropFirst()).allSatisfy { $0.0 + $0.1 <= $1.0 })
        #expect(held.allSatisfy(TileMaker.isSound))
        if chunks < 10, seed % 2 == 0 { #expect(refused > 0) }
        for tile in held { tile.release() }
        #expect(spool.bytesUsed <= realChunk)
    }

    @Test("several threads store and release, also by the message queue's callback")
    func threads() throws {
        let spool = try TileSpool(bytes: 256 << 10, directory: nil, chunkBytes: 16 << 10)
        let (damaged, stored) = (Tally(), Tally())
        let exchange = Locked<[Tile]>([])
        let threads = try (0..<3).map { number in
            try NamedThread("spool-user") {
                var generator = SeededGenerator(seed: UInt64(number))
                guard let maker = try? TileMaker(slots: 2) else { return damaged.add() }
                for round in 0..<1500 {
                    let first = number * 1_000_000 + round * 8
                    guard let tile = maker.tile(first..<first + 1 + generator.below(6)) else { return damaged.add() }
                    if let copy = spool.store(tile) {
                        stored.add()
                        exchange.withLock { $0.append(copy) }
                    }
                    tile.release()
                    let other = exchange.withLock { tiles -> Tile? in
                        tiles.count > generator.below(60) ? tiles.remove(at: generator.below(tiles.count)) : nil
                    }
                    guard let other else { continue }
                    if !TileMaker.isSound(other) { damaged.add() }
                    if generator.chance(percent: 50) {
                        other.release()
                    } else {
                        FrameRing.releaseCallback(nil, other.releaseHint)
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(damaged.value == 0 && stored.value > 500)
        for tile in exchange.value { tile.release() }
        #expect(spool.bytesUsed <= 16 << 10)
    }
}
