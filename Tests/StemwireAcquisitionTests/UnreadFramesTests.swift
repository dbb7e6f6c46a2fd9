import Foundation
import MerlinProtocol
import StemwireSystem
import Testing

@testable import StemwireAcquisition

/// Frames that consumers read for themselves, against the same ones read by the source.
@Suite("Frames read by consumers")
struct UnreadFramesTests {
    private static let shape = SigShape(height: 128, width: 256)

    /// A U08 frame from `MQ1` on, whose pixels tell its number at both ends.
    private static func body(_ sequence: Int) -> [UInt8] {
        let digits = String(sequence)
        let text = "MQ1,\(String(repeating: "0", count: 6 - digits.count))\(digits),00256,01,0256,0128,U08,   1x1,01,"
        var bytes = Array(text.utf8)
        bytes += repeatElement(0, count: 256 - bytes.count)
        var pixels = [UInt8](repeating: UInt8(truncatingIfNeeded: sequence), count: shape.pixelCount)
        for place in [0, pixels.count - 8] {
            pixels.withUnsafeMutableBytes { $0.storeBytes(of: sequence * 77, toByteOffset: place, as: Int.self) }
        }
        return bytes + pixels
    }

    /// What a run gave: the pixels of each position, and how it ended.
    private struct Outcome: Equatable {
        var pixels: [Int: [UInt8]] = [:]
        var counts: [Int] = []
        var accounting = Accounting()
        var reason: EndReason?
    }

    private func collect(_ ring: FrameRing, _ queue: TileQueue, _ run: @escaping @Sendable () -> Void) throws -> Outcome
    {
        let thread = try NamedThread("source") {
            run()
            queue.close()
        }
        defer { thread.join() }
        var outcome = Outcome()
        var reader: TileReader?
        while let event = queue.next(timeout: .seconds(120)) {
            switch event {
            case .started(let start):
                reader = start.unread.map { TileReader($0) }
            case .tile(let tile):
                let note = { (tile: Tile) in
                    for frame in 0..<tile.count {
                        outcome.pixels[tile.firstPosition + frame] = Array(tile.payload(frame))
                        #expect(MPXPrefix.bodyBytes(tile.bytes) == tile.message(frame).count)
                    }
                }
                if let reader { reader.forEachPart(of: tile, note) } else { note(tile) }
                tile.release()
            case .ended(let summary):
                (outcome.accounting, outcome.reason) = (summary.accounting, summary.reason)
            }
        }
        return outcome
    }

    private func withFolder(_ body: (URL) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("stemwire-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder)
    }

    @Test(
        "same frames at the same positions, same accounting",
        arguments: [[1...37], [1...9, 10...26, 30...37], [1...1]], [0, 3, -2])
    func recording(files: [ClosedRange<Int>], offset: Int) throws {
        guard files[0].count > offset else { return }
        try withFolder { folder in
            for (number, numbers) in files.enumerated() {
                try Data(numbers.flatMap(Self.body)).write(to: folder.appendingPathComponent("scan\(number + 1).mib"))
            }
            let set = try MIBFileSet(
                path: folder.appendingPathComponent("scan1.mib").path, synchronisationOffset: offset)
            let outcomes = try [PixelReading.bySource, .byConsumers].map { reading in
                // So few slots that the source must wait for the consumer.
                let ring = try FrameRing(.init(totalBytes: 512 << 10, slotBytes: 128 << 10))
                let queue = TileQueue(for: ring)
                var configuration = SourceConfiguration()
                configuration.framesPerPartition = 5
                configuration.tracker.resolver.margins = ScanMargins(leadIn: files[0].count > 1 ? 1 : 0)
                let source = MIBFileSource(
                    set: set, ring: ring, consumers: [queue], configuration: configuration, reading: reading)
                let outcome = try collect(ring, queue) {
                    do throws(MIBError) { try source.run() } catch { Issue.record(error) }
                }
                #expect(ring.freeSlots == ring.slotCount && source.readingFailure == nil)
                return outcome
            }
            #expect(outcomes[0] == outcomes[1])
            #expect(outcomes[1].reason == .complete && outcomes[1].pixels.count == outcomes[1].accounting.placed)
            #expect(outcomes[1].pixels.count >= set.storedFrameCount - max(0, offset) - 2)
        }
    }

    @Test("frames of an array are made on the consumer's thread")
    func memory() throws {
        let outcomes = try [PixelReading.bySource, .byConsumers].map { reading in
            let ring = try FrameRing(.init(totalBytes: 1 << 20, slotBytes: 256 << 10))
            let queue = TileQueue(for: ring)
            let source = MemorySource(
                navShape: try NavShape([5, 4]), sigShape: Self.shape, pixelType: .u08, ring: ring, consumers: [queue],
                reading: reading
            ) { frame, pixels in
                pixels.initializeMemory(as: UInt8.self, repeating: UInt8(frame + 1))
            }
            return try collect(ring, queue) { try? source.run() }
        }
        #expect(outcomes[0] == outcomes[1] && outcomes[1].pixels.count == 20)
        #expect(outcomes[1].pixels[7]?.allSatisfy { $0 == 8 } == true)
    }

    @Test("a file that becomes shorter is told by source or reader, and only its frames are left out")
    func truncation() throws {
        try withFolder { folder in
            let file = folder.appendingPathComponent("scan.mib")
            try Data((1...24).flatMap(Self.body)).write(to: file)
            let set = try MIBFileSet(path: file.path)
            let ring = try FrameRing(.init(totalBytes: 4 << 20, slotBytes: 1 << 20))
            let queue = TileQueue(for: ring)
            var configuration = SourceConfiguration()
            configuration.framesPerPartition = 4
            let source = MIBFileSource(
                set: set, ring: ring, consumers: [queue], configuration: configuration, reading: .byConsumers)
            let thrown = Locked<MIBError?>(nil)
            let thread = try NamedThread("source") {
                do throws(MIBError) { try source.run() } catch { thrown.value = error }
                queue.close()
            }
            defer { thread.join() }
            var reader: TileReader?
            var seen: [Int] = []
            while let event = queue.next(timeout: .seconds(120)) {
                if case .started(let start) = event { reader = start.unread.map { TileReader($0) } }
                guard case .tile(let tile) = event else { continue }
                if tile.firstPosition == 8 {
                    // Frame 10 ends in the middle.
                    #expect(truncate(file.path, off_t(10 * Self.body(1).count + 5000)) == 0)
                }
                reader?.forEachPart(of: tile) { seen += $0.positions }
                tile.release()
            }
            let error = try #require(thrown.value ?? source.readingFailure as? MIBError)
            guard case .endedEarly(file.path, _) = error else { throw error }
            #expect(seen == Array(0..<8))
        }
    }

    @Test("small frames are read by the source in any case")
    func small() throws {
        let ring = try FrameRing(.init(totalBytes: 64 << 10, slotBytes: 8192))
        let queue = TileQueue(for: ring)
        let source = MemorySource(
            navShape: try NavShape([3]), sigShape: SigShape(height: 4, width: 4), pixelType: .u08, ring: ring,
            consumers: [queue], reading: .byConsumers
        ) { frame, pixels in pixels[0] = UInt8(frame) }
        try source.run()
        guard case .started(let start) = queue.pop() else { return #expect(Bool(false)) }
        #expect(start.unread == nil)
        let none = MemorySource.ring(
            sigShape: start.sigShape, pixelType: .u08, framesPerPartition: nil, consumers: 2)
        #expect(none == nil)
    }

    @Test(
        "the ring has room for a partition of each thread, within reason", arguments: [1, 64, 10_000, .max], [1, 32])
    func ring(framesPerPartition: Int, consumers: Int) throws {
        let configuration = try #require(
            MemorySource.ring(
                sigShape: SigShape(height: 2048, width: 2048), pixelType: .u16,
                framesPerPartition: framesPerPartition, consumers: consumers))
        let ring = try FrameRing(configuration)
        #expect(ring.slotCount * ring.slotBytes < 5 << 30)
        #expect(ring.slotCount >= 16 && ring.slotCount * ring.slotBytes / (2048 * 2048 * 2) >= 480)
    }
}
