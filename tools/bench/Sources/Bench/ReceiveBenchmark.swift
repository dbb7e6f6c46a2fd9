import CBench
import MerlinProtocol
import Stemwire
import StemwireAcquisition
import StemwireUDF

/// A detector's stream, received and placed, and summed, against a plain `recv` loop that drains the same sender.
struct ReceiveBenchmark {
    let format: Peer.Format

    private static let receive = "receive and place"
    private static let sums = "with sum and sumsig"

    static func otherFormats(pairs: Int) async throws -> [Row] {
        var rows: [Row] = []
        for format in [Peer.Format.u08, .raw6, .raw1] {
            rows += try await ReceiveBenchmark(format: format).run(pairs: pairs)
        }
        return rows
    }

    func run(pairs: Int) async throws -> [Row] {
        let frames = format.frames
        let (detector, port) = try Peer.detector(format, frames: frames)
        defer { detector.end() }
        var contest = Contest()
        let readings = (0..<BENCH_READINGS.rawValue).map { bench_reading(rawValue: $0) }
        for reading in readings {
            contest.add(Self.name(reading)) { try Self.drain(port: port, frames: frames, reading) }
        }
        contest.add(Self.receive) { try Double(frames) / Self.receiveAndPlace(port: port, frames: frames) }
        contest.add(Self.sums) { try await Double(frames) / Self.runSums(port: port) }
        let results = try await contest.run(rounds: pairs)

        let base = results.best(of: readings.map(Self.name))
        let isSpecified = format == .u16
        let absolute = { (name: String) in
            "\(results[name].median.framesPerSecond) of \(results[base].median.framesPerSecond) (recv, \(base))"
        }
        return [
            Row(
                name: "\(format.name): \(Self.receive)", target: isSpecified ? .atLeast(0.85) : .none,
                values: results.ratios(of: Self.receive, to: base), beside: absolute(Self.receive)),
            Row(
                name: "\(format.name): \(Self.sums)", target: isSpecified ? .atLeast(0.65) : .none,
                values: results.ratios(of: Self.sums, to: base), beside: absolute(Self.sums)),
        ]
    }

    static func name(_ reading: bench_reading) -> String { String(cString: bench_reading_name(reading)) }

    /// Frames a second of the plain loop.
    static func drain(port: Int, frames: Int, _ reading: bench_reading) throws -> Double {
        let seconds = bench_drain(Int32(port), frames, reading)
        guard seconds > 0 else { throw BenchFailure("the sender ended too early") }
        return Double(frames) / seconds
    }

    /// Seconds from before connecting until a consumer that does nothing else has let go of the last frame.
    static func receiveAndPlace(port: Int, frames: Int) throws -> Double {
        let ring = try FrameRing()
        let queue = TileQueue(for: ring)
        let receiver = MerlinReceiver(ring: ring, consumers: [queue])
        let start = bench_now()
        try receiver.start(host: "127.0.0.1", port: port, timeout: .seconds(5))
        let summary = release(queue, ring)
        let seconds = bench_now() - start
        receiver.stop()
        receiver.join()
        guard let summary, summary.accounting.placed == frames else {
            throw BenchFailure("not all of \(frames) frames were placed: \(String(describing: summary?.accounting))")
        }
        return seconds
    }

    /// Lets go of all tiles until the acquisition ends.
    static func release(_ queue: TileQueue, _ ring: FrameRing) -> AcquisitionSummary? {
        while let event = queue.next(timeout: .seconds(10)) {
            switch event {
            case .started: break
            case .tile(let tile): ring.release(tile)
            case .ended(let summary): return summary
            }
        }
        return nil
    }

    /// Seconds from before connecting until the results are final.
    private static func runSums(port: Int) async throws -> Double {
        let start = bench_now()
        let outcome = try await LocalRun(
            source: .merlin(host: "127.0.0.1", controlPort: 1, dataPort: port),
            requests: [UDFRequest(name: "sum"), UDFRequest(name: "sumsig")]
        ).run()
        let seconds = bench_now() - start
        guard outcome.isComplete else { throw BenchFailure("not all frames were summed: \(outcome.json())") }
        return seconds
    }
}
