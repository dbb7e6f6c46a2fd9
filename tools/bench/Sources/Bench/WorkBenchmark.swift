import CBench
import Foundation
import StemwireProtocol

/// Tiles to a worker with a light UDF, over loopback TCP and over a path, against a bare libzmq ROUTER that sends messages of
/// the same size to a DEALER.
///
/// Rates are of bytes on their way to one peer; the server's include its planning, merging and acknowledgements. Its
/// processor time is that of all its threads but the one that fills the ring.
enum WorkBenchmark {
    private static let setting = {
        // Whole partitions of whole tiles.
        var setting = WorkServer.Setting(frames: 96 * 256)
        setting.udf = "sumsig"
        return setting
    }()

    static func run(pairs: Int) async throws -> [Row] {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("stemwire-bench-\(getpid())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var rows: [Row] = []
        for (name, path) in [("tcp", nil), ("ipc", folder.path + "/sockets")] {
            var setting = setting
            if let path { setting.path = path }
            rows += try await measure(name, setting, bareAt: path.map { "ipc://\($0)-bare" }, pairs: pairs)
        }
        return rows
    }

    /// Of tiles that are not in the cache.
    private static func checksumSeconds(of bytes: Int) -> Double {
        let count = 256
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count * bytes, alignment: 4096)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 1)
        let began = bench_now()
        var all: UInt64 = 0
        for first in stride(from: 0, to: memory.count, by: bytes) {
            all ^= Checksum.xxh3(UnsafeRawBufferPointer(rebasing: memory[first..<first + bytes]))
        }
        return withExtendedLifetime(all) { (bench_now() - began) / Double(count) }
    }

    private static func measure(
        _ name: String, _ setting: WorkServer.Setting, bareAt bareEndpoint: String?, pairs: Int
    ) async throws -> [Row] {
        let tile = WorkServer.framesPerTile * WorkServer.frameBytes
        let tiles = setting.frames / WorkServer.framesPerTile
        let bytes = Double(tiles * tile)
        let server = try await WorkServer(setting)
        let worker = try WorkerRole.start(
            at: setting.path == "-" ? "tcp://127.0.0.1:\(server.workPort)" : "ipc://\(setting.path)/work")
        let (router, port) = try Peer.router(
            bytes: tile, messages: tiles, buffers: 64, at: bareEndpoint ?? "tcp://127.0.0.1:*")
        try await server.awaitWorkers(1)

        var (ours, bare) = ([Double](), [Double]())
        var contest = Contest()
        contest.add("bare") {
            let before = try router.processorSeconds()
            let seconds = bench_deal(bareEndpoint ?? "tcp://127.0.0.1:\(port)", tiles)
            guard seconds > 0 else { throw BenchFailure("the bare ROUTER sends nothing") }
            bare.append(try router.processorSeconds() - before)
            return bytes / seconds
        }
        contest.add("tiles") {
            let outcome = try await server.play()
            _ = try server.peer.readNumbers(1)
            ours.append(outcome.processorSeconds)
            return bytes / outcome.seconds
        }
        let results = try await contest.run(rounds: pairs)
        worker.end()
        router.end()
        await server.end()
        // The first round warms up.
        let costs = zip(ours, bare).dropFirst().map { $0 / $1 }
        let gigabytes = { (name: String) in "\((results[name].median / 1e8).rounded() / 10) GB/s" }
        let microseconds = { (values: [Double]) in "\(Int(Array(values.dropFirst()).median / Double(tiles) * 1e6)) µs" }
        let checksum = checksumSeconds(of: tile) * Double(tiles)
        return [
            Row(
                name: "tiles to a worker, \(name)", target: name == "tcp" ? .atLeast(0.9) : .none,
                values: results.ratios(of: "tiles", to: "bare"),
                beside: "\(gigabytes("tiles")) of \(gigabytes("bare")) (messages of \(tile >> 10) KiB)"),
            Row(
                name: "server's processor time a tile, \(name)", target: name == "tcp" ? .atMost(1.2) : .none,
                values: Array(costs), beside: "\(microseconds(ours)) by \(microseconds(bare))"),
            Row(
                name: "… with a checksum, \(name)", target: .none,
                values: zip(ours, bare).dropFirst().map { ($0 + checksum) / $1 },
                beside: "\(Int(checksum / Double(tiles) * 1e6)) µs more, for a worker on another machine"),
        ]
    }
}
