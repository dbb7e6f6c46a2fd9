import MerlinProtocol
import StemwireAcquisition
import StemwireUDF
import Testing

@testable import StemwireServer

@Suite("What is worked on of an acquisition")
struct AcquisitionWorkTests {
    @Test("frames that are in the ring, and still to come by the queue, are not among those that have come")
    func frameInTheQueue() throws {
        let ring = try FrameRing(.init(totalBytes: 8 << 20))
        let queue = TileQueue(for: ring)
        var settings = SourceConfiguration()
        settings.framesPerPartition = 64
        let source = MemorySource(
            frames: [UInt16](repeating: 7, count: 64 * 64 * 64), navShape: try NavShape([8, 8]),
            sigShape: SigShape(height: 64, width: 64), ring: ring, consumers: [queue], configuration: settings)
        try source.run()
        guard case .started(let description)? = queue.pop() else { throw Unexpected() }
        let frames = FrameStore(ring: ring, spool: nil)
        frames.take(.started(description))
        let table = RunTable(registry: .builtIn, lanes: 1) {}
        let work = AcquisitionWork(table.begin(description))
        var received = 0..<0
        while case .tile(let tile)? = queue.pop() {
            // As if the first half of it were a tile of its own.
            let half = tile.part(tile.positions.lowerBound..<tile.positions.lowerBound + tile.count / 2)
            #expect(work.receive(half))
            tile.retain()
            frames.take(.tile(half))
            received = 0..<half.positions.upperBound
            let tiles = work.receivedTiles(0, in: frames)
            #expect(tiles.reduce(0) { $0 + $1.count } == received.count)
            #expect(tiles.last?.positions.upperBound == received.upperBound)
            for tile in tiles { tile.release() }
            #expect(work.receive(tile))
            tile.release()
        }
        #expect(received.upperBound > 0)
        frames.removeAll()
    }

    private struct Unexpected: Error {}
}
