import Foundation
import MerlinProtocol
import StemwireAcquisition
import StemwireClient
@_spi(Benchmarks) import StemwireServer
import StemwireSystem
import StemwireUDF

/// A server without threads of its own for UDFs, in a process of its own, that plays frames from memory; with a client.
struct WorkServer {
    /// What a server is like; travels as words to its process.
    struct Setting {
        var frames = 0
        var ring = 256
        var spool = 0
        var framesPerPartition = 256
        var checksums = true
        var udf = "sum"
        /// A folder for sockets of this machine; `-` for none.
        var path = "-"

        var words: [String] {
            ["\(frames)", "\(ring)", "\(spool)", "\(framesPerPartition)", "\(checksums)", udf, path]
        }

        init(frames: Int) { self.frames = frames }

        init(_ words: [String]) {
            frames = Int(words[0]) ?? 0
            ring = Int(words[1]) ?? 0
            spool = Int(words[2]) ?? 0
            framesPerPartition = Int(words[3]) ?? 0
            checksums = words[4] == "true"
            (udf, path) = (words[5], words[6])
        }
    }

    /// The thread that fills the ring in the detector's place, whose time is not the server's.
    static let sourceName = "source"
    /// As in the ring: prefix, header, and 256 × 256 counts of two bytes.
    static let frameBytes = 15 + 384 + 256 * 256 * 2
    /// Frames in a tile, which a slot has room for.
    static let framesPerTile = FrameRing.usualSlotBytes / frameBytes

    /// What one scan took.
    struct Outcome {
        let seconds: Double
        /// Processor time of the server for it, but for what filled the ring.
        let processorSeconds: Double
    }

    let setting: Setting
    let peer: Peer
    let connection: StemwireConnection
    let workPort: Int

    init(_ setting: Setting) async throws {
        self.setting = setting
        peer = try Peer.child(.serveWork, setting.words)
        let ports = try peer.readNumbers(2)
        connection = try await .connect(to: "tcp://127.0.0.1:\(ports[0])", timeout: .seconds(5))
        workPort = ports[1]
    }

    func end() async {
        await connection.close()
        peer.end()
    }

    /// Waits for so many workers to be there.
    func awaitWorkers(_ count: Int) async throws {
        for _ in 0..<500 {
            if try await connection.status().workers.count == count { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw BenchFailure("\(count) workers did not come")
    }

    /// Has one scan played, and waits for its final results.
    func play() async throws -> Outcome {
        let updates = connection.updates(run: AcquisitionServer.defaultRun)
        try await updates.subscribed()
        let status = try await connection.status()
        let before = max(status.acquisition.generation, status.previousAcquisition.generation)
        let processorBefore = try peer.processorSeconds(besides: Self.sourceName)
        let began = ContinuousClock.now
        try peer.tell("play")
        for try await event in updates {
            guard case .update(let update) = event, update.generation > before, update.isFinal else { continue }
            let seconds = (.now - began) / .seconds(1)
            let used = try peer.processorSeconds(besides: Self.sourceName) - processorBefore
            guard update.positionsProcessed == setting.frames else {
                throw BenchFailure("\(update.positionsProcessed) of \(setting.frames) frames were worked on")
            }
            return Outcome(seconds: seconds, processorSeconds: used)
        }
        throw BenchFailure("no final results came")
    }

    // MARK: In the process

    static func serve(_ setting: Setting) async throws {
        var configuration = ServerConfiguration()
        (configuration.controlPort, configuration.livePort, configuration.workPort) = (0, 0, 0)
        // Nobody serves data there.
        configuration.detectorDataPort = 1
        configuration.threads = 0
        configuration.ringBytes = setting.ring << 20
        configuration.spoolBytes = setting.spool << 20
        configuration.sendsChecksums = setting.checksums
        configuration.trust.ipcDirectory = setting.path == "-" ? nil : setting.path
        configuration.udfs = [try UDFRequest(argument: setting.udf)]
        // A worker that is told to take its time is not there to be found dead.
        configuration.registry = try WorkerRole.registry(pause: 0)
        let server = try AcquisitionServer(configuration)
        let endpoints = try await server.start()
        Console.line("\(endpoints.controlPort) \(endpoints.workPort)")
        let pixels = CountPool()
        var source = SourceConfiguration()
        source.framesPerPartition = setting.framesPerPartition
        // Tiles of one size: those of a waiting source would be handed on half full.
        source.tileAgeLimit = .seconds(1)
        let navShape = try NavShape([setting.frames])
        while readLine() != nil {
            defer { source.tracker.firstGeneration += 1 }
            let began = ContinuousClock.now
            let thread = try NamedThread(sourceName) { [source] in
                do {
                    try server.play { ring, consumers in
                        MemorySource(
                            navShape: navShape, sigShape: FrameMemory.sigShape, pixelType: .u16, ring: ring,
                            consumers: consumers, configuration: source
                        ) { frame, bytes in pixels.copy(frame, to: bytes) }
                    }
                } catch {
                    Console.error("frames from memory: \(error)")
                    Console.exit(1)
                }
            }
            thread.join()
            Console.line("\(Int((ContinuousClock.now - began) / .nanoseconds(1)))")
        }
        await server.stop()
    }
}

/// Counts of a few frames, to be handed out in turn.
final class CountPool: Sendable {
    private static let frames = 64
    private static let payloadBytes = 256 * 256 * 2
    // Written before anybody has it.
    nonisolated(unsafe) private let bytes: UnsafeMutableRawBufferPointer

    init() {
        bytes = .allocate(byteCount: Self.frames * Self.payloadBytes, alignment: 4096)
        var random: UInt64 = 1
        for word in bytes.bindMemory(to: UInt64.self).indices {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            // Counts of 12 bits, the most significant byte first.
            bytes.storeBytes(of: (random >> 8) & 0xFF0F_FF0F_FF0F_FF0F, toByteOffset: word * 8, as: UInt64.self)
        }
    }

    deinit { bytes.deallocate() }

    func copy(_ frame: Int, to payload: UnsafeMutableRawBufferPointer) {
        let first = frame % Self.frames * Self.payloadBytes
        payload.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[first..<first + Self.payloadBytes]))
    }
}
