import MerlinProtocol
import StemwireSystem
import StemwireTestSupport
import Testing

@testable import StemwireAcquisition

/// What a consumer got, with every frame checked when it came.
final class Collector {
    private let ring: FrameRing
    private let queue: TileQueue
    private(set) var starts: [AcquisitionDescription] = []
    private(set) var ends: [AcquisitionSummary] = []
    /// Positions by generation, in the order they came.
    private(set) var positions: [UInt64: [Int]] = [:]
    private(set) var tiles: [Tile] = []
    /// Frames whose pixels say that they belong elsewhere.
    private(set) var misplaced = 0
    var check: (Tile, Int) -> Bool = { _, _ in true }

    init(_ queue: TileQueue, ring: FrameRing) {
        self.queue = queue
        self.ring = ring
    }

    /// Takes events until so many acquisitions have ended, or nothing comes for a while.
    func collect(ends count: Int, patience: Duration = .seconds(5), isReleasing: Bool = true) {
        while ends.count < count, take(patience: patience, isReleasing: isReleasing) {}
    }

    func collect(tiles count: Int, isReleasing: Bool = true) {
        while tiles.count < count, take(patience: .seconds(5), isReleasing: isReleasing) {}
    }

    private func take(patience: Duration, isReleasing: Bool) -> Bool {
        guard let event = queue.next(timeout: patience) else { return false }
        switch event {
        case .started(let description): starts.append(description)
        case .ended(let summary): ends.append(summary)
        case .tile(let tile):
            for frame in 0..<tile.count where !check(tile, frame) { misplaced += 1 }
            positions[tile.generation, default: []] += tile.positions
            tiles.append(tile)
            if isReleasing { ring.release(tile) }
        }
        return true
    }

    func releaseAll() {
        for tile in tiles { ring.release(tile) }
    }
}

/// A receiver with one consumer, fed over a real connection.
final class ReceiverRig {
    let ring: FrameRing
    let queue: TileQueue
    let receiver: MerlinReceiver
    let collector: Collector
    let listener: TCPListener
    private(set) var detector: TCPConnection

    init(
        ring ringConfiguration: FrameRing.Configuration = .init(totalBytes: 8 << 20, slotBytes: 64 << 10),
        _ change: (inout MerlinReceiver.Configuration) -> Void = { _ in }
    ) throws {
        ring = try FrameRing(ringConfiguration)
        queue = TileQueue(for: ring)
        var configuration = MerlinReceiver.Configuration()
        change(&configuration)
        receiver = MerlinReceiver(ring: ring, consumers: [queue], configuration: configuration)
        collector = Collector(queue, ring: ring)
        collector.check = { tile, frame in
            let identity = TestFrames.identity(tile.payload(frame))
            return identity.frame == tile.firstPosition + frame
        }
        listener = try TCPListener(host: "127.0.0.1", port: 0)
        try receiver.start(host: "127.0.0.1", port: listener.port, timeout: .seconds(5))
        guard let accepted = listener.accept(timeout: .seconds(5)) else {
            throw SystemError(operation: "accept", code: 0)
        }
        detector = accepted
    }

    deinit {
        receiver.stop()
        receiver.join()
    }

    func send(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try detector.send($0) }
    }

    func sendAcquisition(_ number: Int, frames: some Sequence<Int>, of total: Int) throws {
        try send(TestFrames.framed(TestFrames.header(frames: total, stamp: number)))
        try send(frames.flatMap { TestFrames.message($0, acquisition: number) })
    }
}

@Suite("Merlin receiver", .serialized)
struct MerlinReceiverTests {
    @Test("acquisition after acquisition on one connection, each frame on its position")
    func consecutive() throws {
        let rig = try ReceiverRig { $0.source.framesPerPartition = 10 }
        for number in 1...3 { try rig.sendAcquisition(number, frames: 1...256, of: 256) }
        rig.collector.collect(ends: 3)
        #expect(rig.collector.ends.map(\.reason) == [.complete, .complete, .complete])
        #expect(rig.collector.ends.allSatisfy { $0.accounting.isComplete && $0.accounting.isBalanced })
        #expect(rig.collector.starts.map(\.navShape.dimensions) == [[16, 16], [16, 16], [16, 16]])
        #expect(rig.collector.starts.map(\.id) == rig.collector.ends.map(\.id))
        #expect(Set(rig.collector.starts.map(\.id)).count == 3)
        for generation in 1...3 { #expect(rig.collector.positions[UInt64(generation)] == Array(0..<256)) }
        #expect(rig.collector.misplaced == 0)
        // No tile reaches over a partition's border.
        #expect(
            rig.collector.tiles.allSatisfy {
                $0.positions.lowerBound / 10 == $0.partition && ($0.positions.upperBound - 1) / 10 == $0.partition
            })
        #expect(rig.receiver.counters.framesPlaced == 768 && rig.receiver.counters.endedAcquisitions == 3)
    }

    @Test("frames are handed on soon although nothing follows")
    func age() throws {
        let rig = try ReceiverRig()
        try rig.send(TestFrames.framed(TestFrames.header(frames: 100)))
        for sequence in 1...3 {
            let sentAt = ContinuousClock.now
            try rig.send(TestFrames.message(sequence))
            rig.collector.collect(tiles: sequence)
            // 20 ms, and what a busy machine adds; by itself, an idle limit later.
            #expect(ContinuousClock.now - sentAt < .seconds(1))
        }
        #expect(rig.collector.positions[1] == [0, 1, 2])
    }

    @Test("lost, repeated, cut and foreign frames and garbage cost only themselves")
    func faults() throws {
        let rig = try ReceiverRig { $0.source.tracker.resolver.shape = [30] }
        var stream = TestFrames.framed(TestFrames.header(frames: 30))
        for sequence in 1...30 {
            switch sequence {
            case 1, 9: continue
            case 12: stream += TestFrames.message(11) + TestFrames.message(12)
            case 15: stream += TestFrames.message(15).prefix(88)
            case 18: stream += TestFrames.message(18, side: 6)
            case 20: stream += Array("MMPX,000".utf8) + TestFrames.message(20)
            default: stream += TestFrames.message(sequence)
            }
        }
        try rig.send(stream)
        rig.collector.collect(ends: 1)
        let accounting = try #require(rig.collector.ends.first).accounting
        #expect(accounting.placed == 26 && accounting.duplicates == 1 && accounting.garbageBytes == 8)
        #expect(accounting.missingRanges == [0..<1, 8..<9] && accounting.rejectedRanges == [14..<15, 17..<18])
        #expect(rig.collector.misplaced == 0)
        let lost: Set = [0, 8, 14, 17]
        #expect(rig.collector.positions[1] == (0..<30).filter { !lost.contains($0) })
    }

    @Test("frames larger than a slot get larger slots")
    func largeFrames() throws {
        let rig = try ReceiverRig(ring: .init(totalBytes: 1 << 20, slotBytes: 8192))
        rig.collector.check = { tile, frame in
            let payload = tile.payload(frame)
            return TestFrames.identity(payload).frame == tile.firstPosition + frame && payload.count == 40_000
        }
        try rig.sendAcquisition(1, frames: 1...4, of: 4)
        try rig.send(TestFrames.framed(TestFrames.header(frames: 9, stamp: 2)))
        for sequence in 1...9 { try rig.send(TestFrames.message(sequence, acquisition: 2, side: 10_000)) }
        rig.collector.collect(ends: 2)
        #expect(rig.collector.ends.map(\.accounting.placed) == [4, 9])
        #expect(rig.collector.misplaced == 4)
        #expect(rig.ring.slotBytes >= 40_064)
    }

    @Test("frames in any order, each a tile of its own, fill a slot's table before its memory", arguments: [1, 3, 8])
    func scatteredFrames(partition: Int) throws {
        let rig = try ReceiverRig(ring: .init(totalBytes: 256 << 10, slotBytes: 16 << 10, tilesPerSlot: 5)) {
            $0.source.framesPerPartition = partition
        }
        for number in 1...20 as ClosedRange<UInt64> {
            var generator = SeededGenerator(seed: number)
            let order = [1] + (2...256).shuffled(using: &generator)
            try rig.sendAcquisition(Int(number), frames: order, of: 256)
            rig.collector.collect(ends: Int(number))
            #expect(rig.collector.ends.last?.accounting.isComplete == true)
            #expect(rig.collector.positions[number]?.sorted() == Array(0..<256))
        }
        #expect(rig.collector.misplaced == 0)
    }

    @Test("a full ring makes the detector wait, and nothing is lost")
    func fullRingWaits() throws {
        let rig = try ReceiverRig(ring: .init(totalBytes: 64 << 10, slotBytes: 8192)) {
            $0.source.tracker.idleLimit = .milliseconds(200)
        }
        let sender = try NamedThread("detector") { [detector = rig.detector] in
            let bytes =
                TestFrames.framed(TestFrames.header(frames: 4096)) + (1...4096).flatMap { TestFrames.message($0) }
            bytes.withUnsafeBytes { bytes in
                do throws(SystemError) { try detector.send(bytes) } catch { Issue.record(error) }
            }
        }
        // Hold all memory for longer than the idle limit.
        while rig.receiver.counters.ringFullWaits == 0 { _ = rig.queue.count }
        let until = ContinuousClock.now + .milliseconds(300)
        while ContinuousClock.now < until {}
        rig.collector.collect(ends: 1)
        sender.join()
        #expect(rig.collector.ends.first?.reason == .complete)
        #expect(rig.collector.ends.first?.accounting.isComplete == true)
        #expect(rig.collector.misplaced == 0 && rig.collector.positions[1]?.count == 4096)
    }

    @Test("or drops frames and counts them, and the detector never waits")
    func fullRingDrops() throws {
        let rig = try ReceiverRig(ring: .init(totalBytes: 64 << 10, slotBytes: 8192)) {
            $0.source.whenRingIsFull = .dropCounted
        }
        try rig.sendAcquisition(1, frames: 1...4096, of: 4096)
        // All is held until the detector is through.
        rig.collector.collect(ends: 1, isReleasing: false)
        let accounting = try #require(rig.collector.ends.first).accounting
        #expect(accounting.droppedByRingFull > 0 && accounting.isBalanced)
        #expect(accounting.placed + accounting.droppedByRingFull == 4096)
        #expect(accounting.missing == accounting.droppedByRingFull)
        #expect(rig.collector.positions[1]?.count == accounting.placed)
        // The frames held are what they were.
        for tile in rig.collector.tiles {
            for frame in 0..<tile.count where !rig.collector.check(tile, frame) { Issue.record("overwritten") }
        }
        rig.collector.releaseAll()
        try rig.sendAcquisition(2, frames: 1...64, of: 64)
        rig.collector.collect(ends: 2)
        #expect(rig.collector.ends.last?.accounting.isComplete == true)
        #expect(rig.collector.misplaced == 0)
    }

    @Test("the end of the connection ends the acquisition, with all that came")
    func closed() throws {
        let rig = try ReceiverRig()
        try rig.sendAcquisition(1, frames: 1...10, of: 100)
        try rig.send(Array(TestFrames.message(11).prefix(90)))
        rig.detector.shutdown()
        rig.collector.collect(ends: 1)
        let end = try #require(rig.collector.ends.first)
        #expect(end.reason == .connectionClosed && end.accounting.placed == 10)
        #expect(end.accounting.rejectedRanges == [10..<11] && end.accounting.missingRanges == [11..<100])
        #expect(rig.receiver.join() == .connectionClosed && rig.queue.isClosed)
    }

    @Test("a new connection continues with the next acquisition's number")
    func reconnect() throws {
        let rig = try ReceiverRig()
        try rig.sendAcquisition(1, frames: 1...10, of: 100)
        rig.collector.collect(tiles: 1)
        rig.detector.resetOnClose()
        rig.detector.shutdown()
        rig.receiver.join()
        let connection = try TCPConnection.connect(host: "127.0.0.1", port: rig.listener.port, timeout: .seconds(5))
        let second = try #require(rig.listener.accept(timeout: .seconds(5)))
        try rig.receiver.start(connection)
        let header = TestFrames.framed(TestFrames.header(frames: 4, stamp: 2))
        let bytes = header + (1...4).flatMap { TestFrames.message($0) }
        try bytes.withUnsafeBytes { try second.send($0) }
        rig.collector.collect(ends: 2)
        #expect(rig.collector.ends.map(\.reason) == [.connectionClosed, .complete])
        #expect(rig.collector.ends.map(\.generation) == [1, 2])
    }

    @Test("stop ends it soon, also while it waits for memory", arguments: [false, true])
    func stop(isRingFull: Bool) throws {
        let rig = try ReceiverRig(ring: .init(totalBytes: 16 << 10, slotBytes: 8192))
        try rig.sendAcquisition(1, frames: 1...(isRingFull ? 1000 : 10), of: 10_000)
        if isRingFull {
            while rig.receiver.counters.ringFullWaits == 0 { _ = rig.queue.count }
        } else {
            rig.collector.collect(tiles: 1)
        }
        let before = ContinuousClock.now
        rig.receiver.stop()
        #expect(rig.receiver.join() == .stopped)
        #expect(ContinuousClock.now - before < .seconds(1))
        rig.collector.collect(ends: 1)
        #expect(rig.collector.ends.map(\.reason) == [.connectionClosed])
        #expect(rig.ring.freeSlots == rig.ring.slotCount)
    }

    @Test("STOP, ABORT and silence end an acquisition; what still comes of it is stray")
    func endings() throws {
        let rig = try ReceiverRig { $0.source.tracker.idleLimit = .milliseconds(300) }
        try rig.sendAcquisition(1, frames: 1...5, of: 100)
        rig.collector.collect(tiles: 1)
        rig.receiver.didStop()
        rig.collector.collect(ends: 1)
        try rig.sendAcquisition(2, frames: 1...5, of: 100)
        rig.collector.collect(tiles: 2)
        rig.receiver.didAbort()
        rig.collector.collect(ends: 2)
        try rig.send(TestFrames.message(6, acquisition: 2))
        try rig.sendAcquisition(3, frames: 1...5, of: 100)
        rig.collector.collect(ends: 3)
        #expect(rig.collector.ends.map(\.reason) == [.stopped, .aborted, .idle])
        #expect(rig.receiver.counters.strayFrames == 1)
        try rig.sendAcquisition(4, frames: 1...4, of: 4)
        rig.collector.collect(ends: 4)
        #expect(rig.collector.ends[3].accounting.isComplete)
    }

    @Test("stale data can be drained before the first acquisition")
    func drain() throws {
        let rig = try ReceiverRig { $0.drain = .milliseconds(60) }
        try rig.send([UInt8](repeating: 0xFF, count: 500_000))
        while rig.receiver.counters.garbageBytes < 500_000 { _ = rig.queue.count }
        // Silence for longer than asked for.
        let until = ContinuousClock.now + .milliseconds(150)
        while ContinuousClock.now < until {}
        try rig.sendAcquisition(1, frames: 1...4, of: 4)
        rig.collector.collect(ends: 1)
        #expect(rig.collector.ends.first?.accounting.isComplete == true)
        #expect(rig.collector.ends.first?.accounting.garbageBytes == 0)
    }

    @Test("frames can be looked up in the ring while they are retained")
    func lookup() throws {
        let rig = try ReceiverRig(ring: .init(totalBytes: 1 << 20, slotBytes: 16 << 10, retainedBytes: 1 << 20))
        try rig.sendAcquisition(1, frames: 1...400, of: 400)
        rig.collector.collect(ends: 1)
        for position in [0, 177, 399] {
            let tile = try #require(rig.ring.lookup(generation: 1, position: position))
            let identity = TestFrames.identity(tile.part(position..<position + 1).payload(0))
            #expect(identity.frame == position)
            rig.ring.release(tile)
        }
        #expect(rig.ring.lookup(generation: 1, position: 400) == nil)
    }

    @Test("nobody there, and nobody answering, are told as what they are")
    func unreachable() throws {
        let ring = try FrameRing(.init(totalBytes: 1 << 20, slotBytes: 8192))
        let receiver = MerlinReceiver(ring: ring, consumers: [])
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        let port = listener.port
        listener.shutdown()
        #expect(throws: SystemError.self) {
            try receiver.start(host: "127.0.0.1", port: port, timeout: .milliseconds(500))
        }
    }
}
