import Foundation
import MerlinProtocol
import StemwireSystem
import Testing

@testable import StemwireAcquisition

@Suite("Sources: memory and files")
struct SourceTests {
    /// Runs a source on a thread of its own and collects what it gives.
    private func collect(
        _ ring: FrameRing, _ queue: TileQueue, check: @escaping (Tile, Int) -> Bool,
        run: @escaping @Sendable () -> Void
    ) throws -> Collector {
        let collector = Collector(queue, ring: ring)
        collector.check = check
        let thread = try NamedThread("source") {
            run()
            queue.close()
        }
        collector.collect(ends: .max)
        thread.join()
        return collector
    }

    private func pixels<Pixel: FixedWidthInteger & BitwiseCopyable>(_ tile: Tile, _ frame: Int, as: Pixel.Type)
        -> [Pixel]
    {
        let payload = tile.payload(frame)
        return stride(from: 0, to: payload.count, by: MemoryLayout<Pixel>.size).map {
            Pixel(bigEndian: payload.loadUnaligned(fromByteOffset: $0, as: Pixel.self))
        }
    }

    @Test("an array of frames comes back frame by frame, in every type")
    func memory() throws {
        try check(UInt8.self, .u08)
        try check(UInt16.self, .u16)
        try check(UInt32.self, .u32)
        try check(UInt64.self, .u64)
    }

    private func check<Pixel: FixedWidthInteger & UnsignedInteger & BitwiseCopyable & Sendable>(
        _: Pixel.Type, _ expected: PixelType
    ) throws {
        let ring = try FrameRing(.init(totalBytes: 256 << 10, slotBytes: 16 << 10))
        let queue = TileQueue(for: ring)
        let sig = SigShape(height: 3, width: 5)
        let frames = (0..<24 * 15).map { Pixel(truncatingIfNeeded: $0 &* 40_503) }
        let source = MemorySource(
            frames: frames, navShape: try NavShape([4, 6]), sigShape: sig, ring: ring, consumers: [queue])
        let collector = try collect(
            ring, queue,
            check: { tile, frame in
                let position = tile.firstPosition + frame
                return pixels(tile, frame, as: Pixel.self) == Array(frames[position * 15..<position * 15 + 15])
            }, run: { try? source.run() })
        #expect(collector.misplaced == 0 && collector.positions[1] == Array(0..<24))
        #expect(collector.starts.first?.navShape.dimensions == [4, 6])
        #expect(collector.starts.first?.format.pixelType == expected && collector.starts.first?.sigShape == sig)
        #expect(collector.ends.map(\.reason) == [.complete] && ring.freeSlots == ring.slotCount)
    }

    @Test("more frames than the ring can hold wait for the consumer; stop ends them")
    func memoryBackPressure() throws {
        let ring = try FrameRing(.init(totalBytes: 16 << 10, slotBytes: 8192))
        let queue = TileQueue(for: ring)
        let source = MemorySource(
            navShape: try NavShape([1000]), sigShape: SigShape(height: 4, width: 4), pixelType: .u08, ring: ring,
            consumers: [queue]
        ) { frame, bytes in bytes[0] = UInt8(truncatingIfNeeded: frame) }
        let collector = try collect(
            ring, queue,
            check: { tile, frame in tile.payload(frame)[0] == UInt8(truncatingIfNeeded: tile.firstPosition + frame) },
            run: { try? source.run() })
        #expect(collector.misplaced == 0 && collector.ends.first?.accounting.isComplete == true)

        let stopped = MemorySource(
            navShape: try NavShape([1000]), sigShape: SigShape(height: 4, width: 4), pixelType: .u08, ring: ring,
            consumers: [queue]
        ) { _, _ in }
        let thread = try NamedThread("source") { try? stopped.run() }
        while stopped.counters.ringFullWaits == 0 { _ = queue.count }
        stopped.stop()
        thread.join()
        while case .some(let event) = queue.pop() { if case .tile(let tile) = event { ring.release(tile) } }
        #expect(ring.freeSlots == ring.slotCount)
    }

    /// Writes `.mib` files of consecutive frames, and a `.hdr` file if asked for, into a folder that is removed.
    private func withRecording(
        files: [ClosedRange<Int>], header: [UInt8]?, _ body: (String) throws -> Void
    ) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("stemwire-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (number, numbers) in files.enumerated() {
            let bytes = numbers.flatMap { TestFrames.body($0) }
            try Data(bytes).write(to: folder.appendingPathComponent("scan\(number + 1).mib"))
        }
        if let header { try Data(header).write(to: folder.appendingPathComponent("scan.hdr")) }
        try body(folder.appendingPathComponent(header == nil ? "scan1.mib" : "scan.hdr").path)
    }

    private func run(_ set: MIBFileSet, _ change: (inout SourceConfiguration) -> Void = { _ in }) throws -> Collector {
        let ring = try FrameRing(.init(totalBytes: 64 << 10, slotBytes: 8192))
        let queue = TileQueue(for: ring)
        var configuration = SourceConfiguration()
        change(&configuration)
        let source = MIBFileSource(set: set, ring: ring, consumers: [queue], configuration: configuration)
        return try collect(
            ring, queue,
            check: { tile, frame in
                TestFrames.identity(tile.payload(frame)).frame == tile.firstPosition + frame + set.synchronisationOffset
            },
            run: {
                do throws(MIBError) { try source.run() } catch { Issue.record(error) }
            })
    }

    @Test("a recording of several files with its header")
    func recording() throws {
        try withRecording(
            files: [1...20, 21...40, 41...48], header: TestFrames.header(frames: 48, scan: (6, 8))
        ) { path in
            let collector = try run(MIBFileSet(path: path))
            #expect(collector.positions[1] == Array(0..<48) && collector.misplaced == 0)
            #expect(collector.starts.first?.navShape.dimensions == [6, 8])
            #expect(collector.ends.map(\.reason) == [.complete])
        }
    }

    @Test("files without a header, with a gap between them: the numbers place the frames")
    func gap() throws {
        try withRecording(files: [1...20, 31...64], header: nil) { path in
            let collector = try run(MIBFileSet(path: path))
            #expect(collector.starts.first?.navShape.dimensions == [8, 8] && collector.misplaced == 0)
            #expect(collector.ends.first?.accounting.missingRanges == [20..<30])
            #expect(collector.ends.map(\.reason) == [.complete])
        }
    }

    @Test("a synchronisation offset skips leading frames, or leaves leading positions missing", arguments: [3, -4])
    func synchronisation(offset: Int) throws {
        try withRecording(files: [1...16], header: nil) { path in
            let set = try MIBFileSet(path: path, synchronisationOffset: offset)
            let collector = try run(set) { $0.tracker.resolver.shape = [16 - offset] }
            #expect(collector.misplaced == 0)
            #expect(collector.positions[1] == Array(max(0, -offset)..<16 - offset))
            #expect(collector.ends.first?.accounting.missing == max(0, -offset))
            #expect(collector.ends.map(\.reason) == [.complete])
        }
    }
}
