import CBench
import StemwireClient

/// The server's memory at the full rate, with a subscriber that takes everything and one that never reads.
enum MemoryBenchmark {
    /// What a server may hold besides its ring.
    private static let allowance = 64.0
    private static let frames = 192 * 192

    static func run() async throws -> [Row] {
        var rows: [Row] = []
        for ring in [64, 256] {
            let besides = try await besidesRing(mebibytes: ring)
            rows.append(
                Row(
                    name: "server's memory besides a ring of \(ring) MiB", target: .atMost(allowance),
                    values: [besides],
                    unit: " MiB", beside: "peak \(Int(besides) + ring) MiB, one subscriber never reads"))
        }
        return rows
    }

    private static func besidesRing(mebibytes: Int) async throws -> Double {
        let (detector, port) = try Peer.detector(.u16, frames: frames)
        defer { detector.end() }
        let server = try Peer.child(.serve, ["\(mebibytes)", "\(port)"])
        defer { server.end() }
        let ports = try server.readNumbers(2)
        let silent = bench_begin_silent_subscriber(Int32(ports[1]))
        defer { bench_end_silent_subscriber(silent) }
        let connection = try await StemwireConnection.connect(to: "tcp://127.0.0.1:\(ports[0])", timeout: .seconds(5))
        var placed = 0
        for try await event in connection.tiles(options: TileOptions(untilEnd: true, waitsForDetector: true)) {
            if case .ended(let end) = event { placed = end.accounting.placed }
        }
        await connection.close()
        guard placed == frames else { throw BenchFailure("the server placed \(placed) of \(frames) frames") }
        return Double(try server.peakMemory() - mebibytes << 20) / 1_048_576
    }
}
