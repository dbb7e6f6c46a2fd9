import StemwireClient

/// A server on a detector in C that sends when it is told; each in a process of its own; with a client.
struct DetectorServer {
    /// What was received of one acquisition.
    struct Outcome {
        let framesPerSecond: Double
        /// How often the receiver had to wait for memory.
        let waits: Int
    }

    /// libzmq's one thread may have much to send before an answer.
    static let patience = Duration.seconds(60)

    let frames: Int
    let detector: Peer
    let peer: Peer
    let connection: StemwireConnection
    let livePort: Int
    let workPort: Int

    /// - Parameters:
    ///   - ring: MiB.
    ///   - spool: MiB.
    ///   - udf: left to workers; `none` for none.
    init(frames: Int, ring: Int, spool: Int = 0, udf: String = "none") async throws {
        self.frames = frames
        let port: Int
        (detector, port) = try Peer.detectorOnDemand(.u16, frames: frames)
        peer = try Peer.child(.serveDetector, ["\(ring)", "\(port)", "\(spool)", udf])
        let ports = try peer.readNumbers(3)
        (livePort, workPort) = (ports[1], ports[2])
        connection = try await .connect(to: "tcp://127.0.0.1:\(ports[0])", timeout: .seconds(5))
        for _ in 0..<500 {
            if try await connection.status(deadline: Self.patience).detector.dataConnected { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw BenchFailure("the server does not find its detector")
    }

    func end() async {
        await connection.close()
        peer.end()
        detector.end()
    }

    /// Has one acquisition sent, and waits until it has been received.
    func receive() async throws -> Outcome {
        let before = try await connection.status(deadline: Self.patience)
        detector.demand()
        for _ in 0..<3000 {
            try await Task.sleep(for: .milliseconds(20))
            let status = try await connection.status(deadline: Self.patience)
            let last = status.previousAcquisition
            guard last.generation > before.previousAcquisition.generation, !last.endReason.isEmpty else { continue }
            guard last.accounting.placed == UInt64(frames), last.accounting.droppedByRingFull == 0 else {
                throw BenchFailure("\(last.accounting.placed) of \(frames) frames were placed")
            }
            return Outcome(
                framesPerSecond: Double(frames) / last.seconds,
                waits: Int(status.ring.waitsForSpace - before.ring.waitsForSpace))
        }
        throw BenchFailure("the acquisition does not end")
    }
}
