import StemwireClient

/// A detector at full speed, a small ring, and a worker that is far too slow: what the ring cannot keep goes to the spool,
/// and the receiver waits for nobody as long as that has room.
enum SpoolBenchmark {
    private static let frames = 128 * 128
    private static let ring = 64
    private static let rounds = 3
    /// Of the worker, for a frame.
    private static let milliseconds = 20

    static func run() async throws -> [Row] {
        let idle = try await DetectorServer(frames: frames, ring: ring)
        var (ratios, waits, rates) = ([Double](), [Double](), [(Double, Double)]())
        _ = try await idle.receive()
        var spooled = 0
        for _ in 0..<rounds {
            // A spool that has the whole scan's room, and a worker that has done little of it when it ends.
            let server = try await DetectorServer(frames: frames, ring: ring, spool: 4096, udf: "paused-sum")
            let worker = try WorkerRole.start(at: "tcp://127.0.0.1:\(server.workPort)", pause: milliseconds)
            let without = try await idle.receive()
            let with = try await server.receive()
            spooled = max(
                spooled,
                Int(try await server.connection.status(deadline: DetectorServer.patience).dispatch.spoolBytesUsed) >> 20
            )
            ratios.append(with.framesPerSecond / without.framesPerSecond)
            rates.append((with.framesPerSecond, without.framesPerSecond))
            waits.append(Double(with.waits))
            worker.end()
            await server.end()
        }
        await idle.end()
        return [
            Row(
                name: "receiver with a slow worker and a spool", target: .none, values: ratios,
                beside:
                    "\(rates.map(\.0).median.framesPerSecond) of \(rates.map(\.1).median.framesPerSecond) without any work; "
                    + "ring \(ring) MiB, \(spooled) MiB spooled, worker \(milliseconds) ms a frame"),
            Row(
                name: "waits of the receiver for memory", target: .atMost(0), values: waits,
                beside: "in a scan of \(frames.grouped) frames, \((frames * WorkServer.frameBytes) >> 20) MiB"),
        ]
    }
}
