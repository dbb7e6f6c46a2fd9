import Glibc
import MerlinProtocol
import StemwireSystem
import StemwireTestSupport
import Synchronization
import Testing

@testable import StemwireAcquisition

@Suite("Frame ring")
struct FrameRingTests {
    private func tile(_ writer: RingWriter, slot: Int, positions: Range<Int>, generation: UInt64 = 1) -> Tile {
        Tile(
            generation: generation, firstPosition: positions.lowerBound, count: positions.count, partition: 0,
            stride: 100,
            dataOffset: 20, holder: writer.holder(slot),
            firstHeader: UnsafeRawPointer(writer.memory(slot).baseAddress! + 15))
    }

    @Test("a slot is free, being filled, held, and free again; the one freed last is used next")
    func lifecycle() throws {
        let ring = try FrameRing(.init(totalBytes: 4 * 8192, slotBytes: 8192))
        let writer = ring.makeWriter()
        #expect(ring.slotCount == 4 && ring.freeSlots == 4)
        let first = try #require(writer.takeSlot())
        let second = try #require(writer.takeSlot())
        let published = tile(writer, slot: first, positions: 0..<3)
        writer.publish(published, holders: 2)
        writer.close(first)
        #expect(ring.freeSlots == 2 && ring.heldSlots == 2)
        ring.release(published)
        #expect(ring.freeSlots == 2)
        FrameRing.releaseCallback(nil, ring.releaseHint(published))
        #expect(ring.freeSlots == 3)
        #expect(writer.takeSlot() == first)
        writer.close(first)
        writer.close(second)
        #expect(writer.takeSlot() == second)
        writer.close(second)
        #expect(ring.freeSlots == 4 && ring.heldSlots == 0)
    }

    @Test("when consumers hold all slots there is none, and none is taken from them")
    func full() throws {
        let ring = try FrameRing(.init(totalBytes: 2 * 8192, slotBytes: 8192, retainedBytes: 2 * 8192))
        let writer = ring.makeWriter()
        var tiles: [Tile] = []
        for index in 0..<2 {
            let slot = try #require(writer.takeSlot())
            tiles.append(tile(writer, slot: slot, positions: index..<index + 1))
            writer.publish(tiles[index], holders: 1)
            writer.close(slot)
        }
        #expect(writer.takeSlot() == nil)
        writer.waitForSlot(timeout: .milliseconds(1))
        ring.release(tiles[1])
        #expect(writer.takeSlot() == tiles[1].slot)
        writer.close(tiles[1].slot)
        ring.release(tiles[0])
    }

    @Test("retained slots can be looked up until their memory is needed, oldest first")
    func retention() throws {
        let ring = try FrameRing(.init(totalBytes: 4 * 8192, slotBytes: 8192, retainedBytes: 3 * 8192))
        let writer = ring.makeWriter()
        for index in 0..<4 {
            let slot = try #require(writer.takeSlot())
            let published = tile(writer, slot: slot, positions: index * 10..<index * 10 + 10)
            writer.publish(published, holders: 1)
            writer.close(slot)
            ring.release(published)
        }
        #expect(ring.lookup(generation: 1, position: 5) == nil)
        #expect(ring.lookup(generation: 2, position: 15) == nil)
        let found = try #require(ring.lookup(generation: 1, position: 15))
        #expect(found.positions == 10..<20 && found.part(12..<14).positions == 12..<14)
        #expect(found.part(12..<14).firstHeader == found.firstHeader + 200)
        // Held by the look-up now, so that it survives that retention gives it up.
        for _ in 0..<3 { _ = writer.takeSlot() }
        #expect(writer.takeSlot() == nil)
        #expect(ring.lookup(generation: 1, position: 25) == nil)
        #expect(ring.heldSlots == 4)
        ring.release(found)
        #expect(ring.lookup(generation: 1, position: 15) == nil)
        for slot in 0..<4 where slot != found.slot { writer.close(slot) }
        #expect(ring.freeSlots == 4)
    }

    @Test("slots can be cut anew when all are free")
    func reshape() throws {
        let ring = try FrameRing(.init(totalBytes: 16 * 8192, slotBytes: 8192))
        let writer = ring.makeWriter()
        writer.reshape(slotBytes: 30_000)
        #expect(ring.slotBytes == 32_768 && ring.slotCount == 4 && ring.freeSlots == 4)
        let slots = (0..<4).compactMap { _ in writer.takeSlot() }
        #expect(Set(slots).count == 4 && writer.takeSlot() == nil)
        #expect(!writer.isQuiet(holding: 0) && writer.isQuiet(holding: 4))
        for slot in slots { writer.close(slot) }
    }

    @Test("a tile held longer than its ring keeps its memory")
    func outlives() throws {
        var hint: UnsafeMutableRawPointer?
        var held: Tile?
        do {
            let ring = try FrameRing(.init(totalBytes: 2 * 8192, slotBytes: 8192))
            let writer = ring.makeWriter()
            let slot = try #require(writer.takeSlot())
            writer.memory(slot)[15] = 77
            let published = tile(writer, slot: slot, positions: 0..<1)
            writer.publish(published, holders: 1)
            writer.close(slot)
            held = published
            hint = ring.releaseHint(published)
        }
        #expect(held?.firstHeader.load(as: UInt8.self) == 77)
        FrameRing.releaseCallback(nil, hint)
    }

    /// One writer, consumers that hold tiles for a while, and look-ups, on threads of their own.
    @Test("under load no slot is lost, freed twice or overwritten while held", arguments: [0, 6 * 8192])
    func stress(retainedBytes: Int) throws {
        let slots = 12
        let rounds = 4000
        let ring = try FrameRing(
            .init(totalBytes: slots * 8192, slotBytes: 8192, retainedBytes: retainedBytes, tilesPerSlot: 8))
        let queues = (0..<2).map { _ in TileQueue(for: ring) }
        let damaged = Tally()
        let found = Tally()
        let isDone = Tally()
        let written = Tally()

        @Sendable func check(_ tile: Tile) {
            for frame in 0..<tile.count {
                let bytes = tile.message(frame)
                let position = bytes.loadUnaligned(fromByteOffset: 0, as: Int.self)
                if position != tile.firstPosition + frame || bytes[84] != UInt8(truncatingIfNeeded: position) {
                    damaged.add()
                }
            }
        }
        var threads: [NamedThread] = []
        for (number, queue) in queues.enumerated() {
            threads.append(
                try NamedThread("ring-consumer") {
                    var held: [Tile] = []
                    var generator = SeededGenerator(seed: UInt64(number))
                    while true {
                        guard let event = queue.next(timeout: .seconds(5)) else { break }
                        guard case .tile(let tile) = event else { continue }
                        held.append(tile)
                        while held.count > generator.below(6) {
                            let tile = held.remove(at: generator.below(held.count))
                            check(tile)
                            if generator.chance(percent: 50) {
                                ring.release(tile)
                            } else {
                                FrameRing.releaseCallback(nil, ring.releaseHint(tile))
                            }
                        }
                    }
                    for tile in held { ring.release(tile) }
                })
        }
        threads.append(
            try NamedThread("ring-lookup") {
                var generator = SeededGenerator(seed: 99)
                while isDone.value == 0 {
                    let last = written.value
                    let position = max(0, last - generator.below(60))
                    if let tile = ring.lookup(generation: 1, position: position) {
                        check(tile)
                        found.add()
                        ring.release(tile)
                    }
                }
            })

        let writer = ring.makeWriter()
        var position = 0
        for _ in 0..<rounds {
            var slot = writer.takeSlot()
            while slot == nil {
                writer.waitForSlot(timeout: .seconds(1))
                slot = writer.takeSlot()
            }
            let memory = writer.memory(slot!)
            for tileNumber in 0..<8 {
                let start = memory.baseAddress! + tileNumber * 1000
                for frame in 0..<3 {
                    let header = start + frame * 100 + 15
                    header.storeBytes(of: position + frame, as: Int.self)
                    header.storeBytes(
                        of: UInt8(truncatingIfNeeded: position + frame), toByteOffset: 84, as: UInt8.self)
                }
                let tile = Tile(
                    generation: 1, firstPosition: position, count: 3, partition: 0, stride: 100, dataOffset: 20,
                    holder: writer.holder(slot!), firstHeader: UnsafeRawPointer(start + 15))
                writer.publish(tile, holders: queues.count)
                for queue in queues { #expect(queue.push(.tile(tile))) }
                position += 3
            }
            written.set(position)
            writer.close(slot!)
        }
        for queue in queues { queue.close() }
        isDone.set(1)
        for thread in threads { thread.join() }
        #expect(writer.isQuiet(holding: 0))
        #expect(damaged.value == 0)
        #expect(ring.freeSlots == slots && ring.heldSlots == 0)
        if retainedBytes > 0 { #expect(found.value > 0) }
    }
}

@Suite("Tile queue")
struct TileQueueTests {
    private func ended(_ generation: UInt64) -> AcquisitionEvent {
        .ended(
            AcquisitionSummary(
                id: .random(), generation: generation, reason: .complete, accounting: Accounting(), hasStarted: true,
                duration: .zero))
    }

    @Test("events come in order, a full queue refuses, and the wake-up is called")
    func order() {
        let pushes = Tally()
        let queue = TileQueue(capacity: 3) { pushes.add() }
        for generation in 1...3 { #expect(queue.push(ended(UInt64(generation)))) }
        #expect(!queue.push(ended(4)) && queue.count == 3)
        for generation in 1...3 {
            guard case .ended(let summary) = queue.pop() else { return #expect(Bool(false)) }
            #expect(summary.generation == generation)
        }
        #expect(queue.pop() == nil && pushes.value == 3)
        #expect(queue.next(timeout: .milliseconds(1)) == nil)
        queue.close()
        #expect(queue.isClosed && queue.next(timeout: .seconds(60)) == nil)
    }

    @Test("a waiting consumer is woken, and so is a source that waits for room")
    func waiting() throws {
        let queue = TileQueue(capacity: 2)
        let events = 20_000
        let thread = try NamedThread("queue-source") {
            for generation in 1...events {
                while !queue.push(
                    .ended(
                        AcquisitionSummary(
                            id: AcquisitionID(high: 0, low: 0), generation: UInt64(generation), reason: .complete,
                            accounting: Accounting(), hasStarted: true, duration: .zero)))
                {
                    queue.waitForRoom(timeout: .seconds(60))
                }
            }
            queue.close()
        }
        var last: UInt64 = 0
        var isInOrder = true
        while case .ended(let summary)? = queue.next(timeout: .seconds(60)) {
            isInOrder = isInOrder && summary.generation == last + 1
            last = summary.generation
        }
        thread.join()
        #expect(last == events && isInOrder)
    }
}

/// A number that threads of a test share.
final class Tally: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .acquiring) }
    func set(_ value: Int) { count.store(value, ordering: .releasing) }
    func add() { count.wrappingAdd(1, ordering: .relaxed) }
}

@Suite("Frame memory that others map")
struct SharedRingTests {
    /// The memory as another process has it.
    private func mapped(_ memory: SharedMemory) throws -> UnsafeRawPointer {
        let descriptor = open(memory.path, O_RDONLY)
        try #require(descriptor >= 0, "\(memory.path): errno \(errno)")
        defer { close(descriptor) }
        var attributes = stat()
        #expect(fstat(descriptor, &attributes) == 0 && attributes.st_ino == memory.inode)
        #expect(attributes.st_size == memory.byteCount)
        let base = try #require(mmap(nil, memory.byteCount, PROT_READ, MAP_SHARED, descriptor, 0))
        try #require(base != MAP_FAILED)
        return UnsafeRawPointer(base)
    }

    @Test("a tile is where its place says, and the slot's counter changes before the slot is filled anew")
    func places() throws {
        let ring = try FrameRing(.init(totalBytes: 4 * 8192, slotBytes: 8192, isShared: true))
        let writer = ring.makeWriter()
        let shared = try #require(ring.shared)
        let base = try mapped(shared.memory)
        defer { munmap(UnsafeMutableRawPointer(mutating: base), shared.memory.byteCount) }
        let counters = base.assumingMemoryBound(to: UInt64.self)
        let slot = try #require(writer.takeSlot())
        let memory = writer.memory(slot)
        for index in 0..<300 { memory[100 + index] = UInt8(truncatingIfNeeded: index) }
        let tile = Tile(
            generation: 1, firstPosition: 5, count: 3, partition: 0, stride: 100, dataOffset: 20,
            holder: writer.holder(slot), firstHeader: UnsafeRawPointer(memory.baseAddress! + 115))
        writer.publish(tile, holders: 1)
        let place = try #require(ring.place(of: tile))
        #expect(place.slot == slot && counters[slot] == place.filling)
        #expect(
            (0..<300).allSatisfy { base.load(fromByteOffset: place.offset + $0, as: UInt8.self) == memory[100 + $0] })
        writer.close(slot)
        #expect(counters[slot] == place.filling)
        ring.release(tile)
        #expect(writer.takeSlot() == slot)
        #expect(counters[slot] != place.filling)
        writer.close(slot)
    }

    @Test("cutting the ring anew changes all counters")
    func reshaped() throws {
        let ring = try FrameRing(.init(totalBytes: 8 * 8192, slotBytes: 8192, isShared: true))
        let writer = ring.makeWriter()
        let shared = try #require(ring.shared)
        let base = try mapped(shared.memory)
        defer { munmap(UnsafeMutableRawPointer(mutating: base), shared.memory.byteCount) }
        let counters = UnsafeBufferPointer(start: base.assumingMemoryBound(to: UInt64.self), count: shared.slots)
        let before = Array(counters)
        writer.reshape(slotBytes: 16384)
        #expect(zip(before, counters).allSatisfy { $0 != $1 })
    }

    @Test("others cannot write to it, nor change its size")
    func readOnly() throws {
        let ring = try FrameRing(.init(totalBytes: 4 * 8192, slotBytes: 8192, isShared: true))
        let memory = try #require(ring.shared).memory
        let descriptor = open(memory.path, O_RDWR)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        #expect(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0) == MAP_FAILED)
        #expect(ftruncate(descriptor, 0) != 0)
        var byte: UInt8 = 1
        #expect(write(descriptor, &byte, 1) != 1)
    }

    @Test("a ring that is not shared has no places")
    func notShared() throws {
        let ring = try FrameRing(.init(totalBytes: 4 * 8192, slotBytes: 8192))
        #expect(ring.shared == nil)
    }
}
