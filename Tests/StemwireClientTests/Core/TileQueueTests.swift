import Synchronization
import Testing
import ZeroMQ

@testable import StemwireClient

@Suite struct TileQueueTests {
    let scan = TestAcquisition()

    private func takeAll(_ queue: inout TileQueue) -> (tiles: [Range<Int>], gaps: [TileGap]) {
        var tiles: [Range<Int>] = []
        var gaps: [TileGap] = []
        while case .element(let event) = queue.take(now: .now) {
            if case .tile(let tile) = event { tiles.append(tile.positions) }
            if case .gap(let gap) = event { gaps.append(gap) }
        }
        return (tiles, gaps)
    }

    @Test func oldestKeepsWhatCameFirst() throws {
        var queue = TileQueue(.oldest(bytes: 4 * TestFrames.stride))
        var dropped: [Range<Int>] = []
        for first in 0..<6 {
            dropped += queue.append(.tile(try TestFrames.tile(2 * first..<2 * first + 2, of: scan))).map(\.positions)
        }
        let (tiles, gaps) = takeAll(&queue)
        #expect(tiles == [0..<2, 2..<4])
        #expect(dropped == [4..<6, 6..<8, 8..<10, 10..<12])
        #expect(gaps.map(\.positions) == [[4..<12]])
        #expect(gaps.map(\.cause) == [.bufferFull])
        #expect(queue.append(.tile(try TestFrames.tile(12..<14, of: scan))).isEmpty, "room again")
    }

    @Test func newestKeepsWhatCameLast() throws {
        var queue = TileQueue(.newest(2))
        var dropped: [Range<Int>] = []
        for first in 0..<100 {
            dropped += queue.append(.tile(try TestFrames.tile(first..<first + 1, of: scan))).map(\.positions)
        }
        #expect(queue.count == 3, "gaps in a row are one")
        let (tiles, gaps) = takeAll(&queue)
        #expect(tiles == [98..<99, 99..<100])
        #expect(gaps.map(\.positions) == [[0..<98]])
        #expect(dropped.count == 98)
    }

    @Test func oneTileAlwaysFitsAndFetchedOnesAreNeverDropped() throws {
        var queue = TileQueue(.oldest(bytes: 1))
        #expect(queue.append(.tile(try TestFrames.tile(0..<8, of: scan))).isEmpty)
        #expect(queue.append(.tile(try TestFrames.tile(8..<9, of: scan))).count == 1)
        for first in 20..<40 {
            #expect(queue.append(.tile(try TestFrames.tile(first..<first + 1, of: scan, isFetched: true))).isEmpty)
        }
        #expect(takeAll(&queue).tiles.count == 21)
    }

    @Test func aFloodOfEventsIsBounded() throws {
        var queue = TileQueue(.standard)
        for generation in 0..<20_000 as Range<UInt64> {
            _ = queue.append(.started(try TestAcquisition(generation: generation, navShape: [1]).start()))
        }
        #expect(queue.count == TileQueue.eventLimit)
        #expect(queue.refusedEvents == 20_000 - TileQueue.eventLimit)
    }

    @Test func takenTilesAreLetGo() throws {
        let count = ReleaseCount()
        var queue = TileQueue(.standard)
        for number in 0..<10 {
            let bytes = TestFrames.payload(number..<number + 1)
            let part = ReceivedPart(count.message(of: bytes))
            _ = queue.append(
                .tile(
                    try FrameTile(
                        TestFrames.wire(number..<number + 1, of: scan), payload: part,
                        decoding: TileDecoding(TestFrames.format), isFetched: false)))
        }
        for taken in 1...10 {
            _ = queue.take(now: .now)
            #expect(count.released == taken, "a taken tile is not kept by its place in the queue")
        }
    }
}

/// Messages whose release is counted.
private final class ReleaseCount: Sendable {
    private let count = Atomic<Int>(0)
    var released: Int { count.load(ordering: .relaxed) }

    private final class Owner: Sendable {
        let bytes: [UInt8]
        let count: ReleaseCount

        init(_ bytes: [UInt8], _ count: ReleaseCount) {
            self.bytes = bytes
            self.count = count
        }

        deinit { count.count.wrappingAdd(1, ordering: .relaxed) }
    }

    func message(of bytes: [UInt8]) -> Message {
        let owner = Owner(bytes, self)
        // The array's storage stays at its place as long as its owner lives.
        let place = owner.bytes.withUnsafeBytes { $0 }
        return Message(place, owner: owner)
    }
}
