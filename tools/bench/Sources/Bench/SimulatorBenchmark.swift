import CBench

/// The simulator's memory cache against the C sender, both drained by the same plain loop.
enum SimulatorBenchmark {
    private static let frames = Peer.Format.u16.frames
    private static let simulated = "stemwire sim"
    private static let sender = "C sender"
    private static let server = "receive and place"

    static func run(pairs: Int) async throws -> [Row] {
        let (detector, detectorPort) = try Peer.detector(.u16, frames: frames)
        defer { detector.end() }
        let simulator = try Peer.child(.simulate, [])
        defer { simulator.end() }
        let simulatorPort = try simulator.readNumbers(1)[0]
        let reading = BENCH_ONE_BUFFER
        var contest = Contest()
        contest.add(sender) { try ReceiveBenchmark.drain(port: detectorPort, frames: frames, reading) }
        contest.add(simulated) { try ReceiveBenchmark.drain(port: simulatorPort, frames: frames, reading) }
        contest.add(server) {
            try Double(frames) / ReceiveBenchmark.receiveAndPlace(port: detectorPort, frames: frames)
        }
        let results = try await contest.run(rounds: pairs)
        return [
            Row(
                name: "simulator to the server's rate", target: .atLeast(1),
                values: results.ratios(of: simulated, to: server),
                beside: "\(results[simulated].median.framesPerSecond) sent, "
                    + "\(results[server].median.framesPerSecond) received and placed of the C sender's"),
            Row(
                name: "simulator to the C sender", target: .none, values: results.ratios(of: simulated, to: sender),
                beside: "\(results[simulated].median.framesPerSecond) of \(results[sender].median.framesPerSecond)"),
        ]
    }
}
