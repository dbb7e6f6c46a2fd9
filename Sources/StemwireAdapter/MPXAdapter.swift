import MerlinProtocol
import StemwireClient
import StemwireSystem

/// What an adapter tells while it works.
public enum MPXAdapterEvent: Sendable, Hashable, CustomStringConvertible {
    case connected(peer: String)
    case left(peer: String, why: String)
    case refused(peer: String)
    case began(generation: UInt64)
    /// With frames that were handed on, and those of the scan that were not: the detector never sent them, or the server had
    /// let them go.
    case ended(generation: UInt64, frames: Int, absent: Int)

    public var description: String {
        switch self {
        case .connected(let peer): "\(peer) receives"
        case .left(let peer, let why): "\(peer) receives no more: \(why)"
        case .refused(let peer): "\(peer) was refused: too many clients"
        case .began(let generation): "acquisition \(generation) begins"
        case .ended(let generation, let frames, let absent):
            "acquisition \(generation) is over: \(frames) frames handed on, \(absent) absent"
        }
    }
}

/// Serves the Merlin detector's own data and control protocol to any number of programs, from an acquisition server.
///
/// A lossless subscriber: frames that the live stream lost are fetched, and all are handed on in the order of the scan,
/// byte by byte as the detector sent them. A client receives from the next acquisition on. One that takes nothing for long
/// is let go when what waits for it passes the limit; that costs nobody else anything.
///
/// **Threading.** A thread for each client; the subscription runs in the caller's task.
public final class MPXAdapter: Sendable {
    public struct Configuration: Sendable {
        public var host = "127.0.0.1"
        /// 0 takes a free one.
        public var dataPort = 6342
        public var controlPort = 6341
        /// Bytes that may wait for one client.
        public var queueBytes = 512 << 20
        /// Whether clients may only ask, and not set or command.
        public var isReadOnly = false

        public init() {}
    }

    public struct Ports: Sendable, Hashable {
        public let data: Int
        public let control: Int
    }

    public let ports: Ports
    private let server: StemwireConnection
    private let fanOut: FanOut
    private let data: MPXDataService
    private let control: MPXControlService
    private let tell: @Sendable (MPXAdapterEvent) -> Void
    private let threads = Locked<[NamedThread]>([])
    private static let heldBytes = 256 << 20

    /// Opens the ports.
    ///
    /// - Parameter onEvent: called on any thread; must not block.
    /// - Throws: `SystemError` when a port cannot be had.
    public init(
        _ configuration: Configuration, server: StemwireConnection,
        onEvent: @escaping @Sendable (MPXAdapterEvent) -> Void = { _ in }
    ) throws(SystemError) {
        let dataListener = try TCPListener(host: configuration.host, port: configuration.dataPort)
        let controlListener = try TCPListener(host: configuration.host, port: configuration.controlPort)
        ports = Ports(data: dataListener.port, control: controlListener.port)
        self.server = server
        tell = onEvent
        fanOut = FanOut(queueBytes: configuration.queueBytes)
        data = MPXDataService(dataListener, fanOut, tell: onEvent)
        control = MPXControlService(controlListener, server, isReadOnly: configuration.isReadOnly)
        for (name, body) in [("mpx data", data.run), ("mpx control", control.run)] {
            let thread = try NamedThread(name) { body() }
            threads.withLock { $0.append(thread) }
        }
    }

    /// Hands on acquisitions until the task is cancelled or the server is lost. To be called once.
    ///
    /// - Throws: `SubscriptionError`, `CancellationError`.
    public func run() async throws {
        defer { stop() }
        var options = TileOptions(repair: true, waitsForDetector: true)
        options.buffering = .standard
        var orders: [AcquisitionUUID: FrameOrder<FrameTile>] = [:]
        var counts: [AcquisitionUUID: Int] = [:]
        for try await event in server.tiles(options: options) {
            switch event {
            case .started(let start):
                orders[start.acquisition] = FrameOrder(limit: Self.heldBytes)
                control.began(start)
                tell(.began(generation: start.generation))
                if !start.header.isEmpty {
                    hand(.header(MPXPrefix.encoded(bodyBytes: start.header.count) + start.header))
                } else {
                    hand(.header([]))
                }
            case .tile(let tile):
                let due = orders[tile.acquisition]?.add(tile, tile.positions, bytes: tile.byteCount) ?? []
                counts[tile.acquisition, default: 0] += hand(due)
            case .unavailable(let frames):
                // What the detector has still to send is asked for again.
                guard frames.reason != .pending else { continue }
                let due = orders[frames.acquisition]?.skip(frames.positions) ?? []
                counts[frames.acquisition, default: 0] += hand(due)
            case .gap: break
            case .ended(let end):
                var order = orders.removeValue(forKey: end.acquisition)
                let handed = (counts.removeValue(forKey: end.acquisition) ?? 0) + hand(order?.finish() ?? [])
                fanOut.endAcquisition()
                tell(
                    .ended(
                        generation: end.generation, frames: handed, absent: max(0, end.accounting.expected - handed)))
            }
        }
        try Task.checkCancellation()
    }

    /// Ends all services; ``run()`` does it too.
    public func stop() {
        fanOut.end()
        data.stop()
        control.stop()
    }

    private func hand(_ tiles: [FrameTile]) -> Int {
        for tile in tiles { hand(.frames(tile)) }
        return tiles.reduce(0) { $0 + $1.count }
    }

    private func hand(_ message: DataMessage) { _ = fanOut.send(message) }
}
