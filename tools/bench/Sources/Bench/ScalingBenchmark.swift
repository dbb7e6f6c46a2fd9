import Foundation

/// Two workers with one thread each against one, with a UDF that takes long; the server computes nothing itself.
///
/// The frames come from memory as fast as the ring takes them, so that workers wait for nothing but their own work. What
/// two independent processes reach that run the same UDF without any server says how much of a second processor there is:
/// two of a virtual machine may be one core.
enum ScalingBenchmark {
    /// A Fourier transform of each frame, some milliseconds; one number a frame comes of it.
    private static let udf = "crystallinity:rad_in=10,rad_out=128"
    // Long enough for what a scan costs besides: to begin, and to wait for the last partition.
    private static let frames = 1024

    static func run(pairs: Int) async throws -> [Row] {
        var setting = WorkServer.Setting(frames: frames)
        setting.udf = udf
        // So that none has to wait long for the other's last one.
        setting.framesPerPartition = 8
        let server = try await WorkServer(setting)
        let endpoint = "tcp://127.0.0.1:\(server.workPort)"
        let alone = try (0..<2).map { _ in try computing() }

        var contest = Contest()
        var workers: [Peer] = []
        func have(_ count: Int) async throws {
            while workers.count > count { workers.removeLast().end() }
            while workers.count < count { workers.append(try WorkerRole.start(at: endpoint)) }
            try await server.awaitWorkers(count)
        }
        let names = ["one process", "two processes", "one worker", "two workers"]
        contest.add(names[0]) { try compute(alone, 1) }
        contest.add(names[1]) { try compute(alone, 2) }
        for (count, name) in [(1, names[2]), (2, names[3])] {
            contest.add(name) {
                try await have(count)
                let outcome = try await server.play()
                _ = try server.peer.readNumbers(1)
                return Double(frames) / outcome.seconds
            }
        }
        let results = try await contest.run(rounds: pairs)
        for worker in workers { worker.end() }
        for process in alone { process.end() }
        await server.end()
        let absolute = { (name: String) in results[name].median.framesPerSecond }
        let machine = results.ratios(of: names[1], to: names[0])
        let ours = results.ratios(of: names[3], to: names[2])
        return [
            Row(
                name: "two workers of one thread to one", target: .atLeast(1.9), values: ours,
                beside: "\(absolute(names[3])) to \(absolute(names[2])), crystallinity"),
            Row(
                name: "two processes without a server to one", target: .none, values: machine,
                beside: "\(absolute(names[1])) to \(absolute(names[0])): this machine's own scaling"),
            Row(
                name: "the first to the second", target: .none, values: zip(ours, machine).map { $0 / $1 },
                beside: "what the server costs"),
            Row(
                name: "one worker to one process", target: .none,
                values: results.ratios(of: names[2], to: names[0]), beside: "what distribution costs one worker"),
        ]
    }

    private static func computing() throws -> Peer {
        let peer = try Peer.child(.compute, ["\(frames)", udf])
        _ = try peer.readNumbers(1)
        return peer
    }

    /// Frames a second of so many at once.
    private static func compute(_ processes: [Peer], _ count: Int) throws -> Double {
        for process in processes[..<count] { try process.tell("go") }
        return try processes[..<count].map { Double(frames) / (Double(try $0.readNumbers(1)[0]) / 1e9) }.reduce(0, +)
    }
}
