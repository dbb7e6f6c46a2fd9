import Foundation
import StemwireSystem

/// The receiver, and the server's memory, with 10,000 subscribers that are alive and never read.
///
/// Both the server and the subscribers' process need 10,000 descriptors and some more: `ulimit -Hn` must allow 14,000.
enum SubscriberBenchmark {
    private static let count = 10_000
    private static let frames = 128 * 128
    private static let ring = 64
    private static let allowance = 400.0

    static func run(pairs: Int) async throws -> [Row] {
        guard Machine.raiseDescriptorLimit(to: 65536) >= 14_000 else {
            throw BenchFailure("subscribers: \(count) of them need 14,000 descriptors: ulimit -n 14000")
        }
        let quiet = try await DetectorServer(frames: frames, ring: ring)
        let besieged = try await DetectorServer(frames: frames, ring: ring)
        let memoryBefore = try besieged.peer.memory()
        let systemBefore = systemMemory()
        let began = ContinuousClock.now
        let subscribers = try Peer.silentSubscribers(count, port: besieged.livePort)
        let seconds = (.now - began) / .seconds(1)
        var contest = Contest()
        contest.add("without") { try await quiet.receive().framesPerSecond }
        contest.add("with") { try await besieged.receive().framesPerSecond }
        let results = try await contest.run(rounds: pairs)
        let live = try await besieged.connection.status(deadline: DetectorServer.patience).live
        let grown = Double(try besieged.peer.peakMemory() - memoryBefore) / 1_048_576
        let system = systemMemory() - systemBefore
        subscribers.end()
        await quiet.end()
        await besieged.end()
        return [
            Row(
                name: "receiver with \(count.grouped) silent subscribers", target: .atLeast(0.95),
                values: results.ratios(of: "with", to: "without"),
                beside: "\(results["with"].median.framesPerSecond) of \(results["without"].median.framesPerSecond)"),
            Row(
                name: "server's memory for them", target: .atMost(allowance), values: [grown], unit: " MiB",
                beside:
                    "beyond that before they came, ring of \(ring) MiB included; the system holds \(system) MiB for sockets; "
                    + "\(live.tilesPublished) tiles published, \(live.tilesDropped) dropped for all; "
                    + "came within \(Int(seconds)) s"),
        ]
    }

    /// What the system holds for all TCP connections, in MiB.
    private static func systemMemory() -> Int {
        let text = (try? String(contentsOfFile: "/proc/net/sockstat", encoding: .utf8)) ?? ""
        let words = text.split(separator: "\n").first { $0.hasPrefix("TCP:") }?.split(separator: " ") ?? []
        guard let index = words.firstIndex(of: "mem"), index + 1 < words.count else { return 0 }
        return ((Int(words[index + 1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE)))) >> 20
    }
}
