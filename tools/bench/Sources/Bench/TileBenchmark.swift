import CBench
import StemwireClient

/// Tiles from the server's live socket to one client over loopback TCP, against bare libzmq PUB and SUB with messages
/// of the same size.
///
/// The frames come from memory, since a detector's connection would be what is measured. Ring and `liveShare` are such
/// that a publisher that is ahead waits for its subscriber, in both.
struct TileBenchmark {
    /// Frames of one acquisition, of 128 KiB each.
    static let frames = 256 * 128

    private static let bare = "bare libzmq"
    private static let withChecksums = "tiles, checksums on"
    private static let withoutChecksums = "tiles, checksums off"

    func run(pairs: Int) async throws -> [Row] {
        let checked = try await Server(checksums: true)
        let unchecked = try await Server(checksums: false)
        // The first run tells the size that tiles have.
        let size = try await checked.play().largestTile
        let messages = Self.frames * Server.frameBytes / size
        let (publisher, port) = try Peer.publisher(bytes: size, messages: messages)
        defer { publisher.end() }

        var contest = Contest()
        contest.add(Self.bare) {
            let seconds = bench_subscribe(Int32(port), messages)
            guard seconds > 0 else { throw BenchFailure("the bare publisher sends nothing") }
            return Double((messages - 1) * size) / seconds
        }
        contest.add(Self.withChecksums) { try await checked.play().rate }
        contest.add(Self.withoutChecksums) { try await unchecked.play().rate }
        let results = try await contest.run(rounds: pairs)
        await checked.end()
        await unchecked.end()
        let gigabytes = { (name: String) in "\((results[name].median / 1e8).rounded() / 10) GB/s" }
        return [Self.withChecksums, Self.withoutChecksums].map { name in
            Row(
                name: "U16: \(name)", target: name == Self.withChecksums ? .atLeast(0.9) : .none,
                values: results.ratios(of: name, to: Self.bare),
                beside: "\(gigabytes(name)) of \(gigabytes(Self.bare)) (PUB/SUB, messages of \(size >> 10) KiB)")
        }
    }

    /// A server with frames in memory, and a client of it.
    private struct Server {
        static let frameBytes = 15 + 384 + 256 * 256 * 2

        private let peer: Peer
        private let connection: StemwireConnection

        init(checksums: Bool) async throws {
            peer = try Peer.child(.serveMemory, [checksums ? "checksums" : "no-checksums", "\(TileBenchmark.frames)"])
            let port = try peer.readNumbers(1)[0]
            connection = try await .connect(to: "tcp://127.0.0.1:\(port)", timeout: .seconds(5))
        }

        func end() async {
            await connection.close()
            peer.end()
        }

        /// Has one acquisition sent, and takes its tiles: bytes a second between the first and the last.
        func play() async throws -> (rate: Double, largestTile: Int) {
            let tiles = connection.tiles(options: TileOptions(untilEnd: true, waitsForDetector: true))
            try await tiles.subscribed()
            try peer.tell("play")
            var (first, last) = (0.0, 0.0)
            var (bytes, frames, largest) = (0, 0, 0)
            for try await event in tiles {
                guard case .tile(let tile) = event else { continue }
                last = bench_now()
                if frames == 0 { first = last } else { bytes += tile.byteCount }
                frames += tile.count
                largest = max(largest, tile.byteCount)
            }
            // What a publisher drops in a moment of disturbance is not counted; more would be another measurement.
            guard frames > TileBenchmark.frames / 100 * 99 else {
                throw BenchFailure("\(frames) of \(TileBenchmark.frames) frames arrived; \(tiles.statistics)")
            }
            return (Double(bytes) / (last - first), largest)
        }
    }
}
