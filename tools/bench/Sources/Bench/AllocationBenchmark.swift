import CBench
import Foundation
import StemwireAcquisition
import StemwireSystem
import Synchronization

/// Allocations of the receiving thread, counted by a library that stands before the C library's `malloc`.
enum AllocationBenchmark {
    private static let frames = 320 * 320

    static func run() async throws -> [Row] {
        let (detector, port) = try Peer.detector(.u16, frames: frames)
        defer { detector.end() }
        let counter = try Peer.child(
            .countAllocations, ["\(port)", "\(frames)"], preloading: "libAllocationCounter.so")
        defer { counter.end() }
        let count = try counter.readNumbers(1)[0]
        return [
            Row(
                name: "allocations a frame, receiver thread", target: .atMost(0.005),
                values: [Double(count) / Double(frames)],
                beside: "\(count) in an acquisition of \(frames.grouped) frames, its start and end included")
        ]
    }

    /// Receives on this thread, and counts what it allocates.
    static func count(port: Int, frames: Int) throws -> Int {
        guard let symbol = dlsym(nil, "bench_allocations_of_this_thread") else {
            throw BenchFailure("the library that counts allocations was not loaded")
        }
        let allocations = unsafeBitCast(symbol, to: (@convention(c) () -> UInt64).self)
        let ring = try FrameRing()
        let queue = TileQueue(for: ring)
        let receiver = MerlinReceiver(ring: ring, consumers: [queue])
        let connection = try TCPConnection.connect(host: "127.0.0.1", port: port, timeout: .seconds(5))
        let placed = Atomic<Int>(0)
        return try withExtendedLifetime(placed) {
            let counted = Counted()
            let consumer = try NamedThread("consumer") {
                let summary = ReceiveBenchmark.release(queue, ring)
                counted.placed.store(summary?.accounting.placed ?? 0, ordering: .releasing)
                receiver.stop()
            }
            let before = allocations()
            _ = receiver.run(connection)
            let after = allocations()
            consumer.join()
            guard counted.placed.load(ordering: .acquiring) == frames else { throw BenchFailure("frames were lost") }
            return Int(after - before)
        }
    }

    private final class Counted: Sendable {
        let placed = Atomic<Int>(0)
    }
}
