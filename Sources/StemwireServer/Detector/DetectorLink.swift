import Logging
import StemwireAcquisition
import StemwireSystem
import Synchronization

/// The server's side of the detector's data socket: connects, receives, and connects again when the connection is lost.
///
/// A detector that is gone without a word is noticed by the system (``TCPConnection/noticeLoss(idle:limit:)``); one that is
/// somebody else by its first bytes. Whatever comes is read, so that the detector is never held up.
final class DetectorLink: Sendable {
    static let connectTimeout = Duration.seconds(2)
    /// Silence of the network after which the detector is asked for a sign of life, and counts as gone.
    static let idle = Duration.seconds(2)
    static let lossLimit = Duration.seconds(6)
    /// How long a peer may show by itself who it is, before it is taken for a detector that waits to be armed.
    private static let introduction = Duration.milliseconds(100)
    private static let recognisedBytes = 16

    let receiver: MerlinReceiver
    private let address: String
    private let shared: Shared
    private let thread: NamedThread
    private let onChange: @Sendable (LinkWatch.Change) -> Void

    private final class Shared: Sendable {
        let watch = Locked(LinkWatch())
        let isStopped = Atomic<Bool>(false)
        let wakeUp = CountingSemaphore()
    }

    /// Starts connecting.
    ///
    /// - Parameter onChange: called when the connection came or went, or is not what it should be; on the link's thread,
    ///   or that of ``look()``.
    init(
        receiver: MerlinReceiver, host: String, port: Int, logger: Logger,
        onChange: @escaping @Sendable (LinkWatch.Change) -> Void
    ) throws(SystemError) {
        self.receiver = receiver
        address = "\(host):\(port)"
        let shared = Shared()
        self.shared = shared
        let tell: @Sendable (LinkWatch.Change) -> Void = { change in
            logger.log(
                level: change.isConnected ? .info : .warning, "detector data", metadata: ["state": "\(change.text)"])
            onChange(change)
        }
        self.onChange = tell
        thread = try NamedThread("merlin-data") {
            while !shared.isStopped.load(ordering: .acquiring) {
                let reason: String
                do throws(SystemError) {
                    let connection = try TCPConnection.connect(host: host, port: port, timeout: Self.connectTimeout)
                    connection.noticeLoss(idle: Self.idle, limit: Self.lossLimit)
                    reason = Self.receive(connection, receiver, shared, tell)
                } catch {
                    reason = "\(error); check that the detector's software runs and serves data at this address"
                }
                guard !shared.isStopped.load(ordering: .acquiring) else { return }
                let (change, pause) = shared.watch.withLock { $0.lost(reason, receiver.traffic, at: .now) }
                if let change { tell(change) }
                _ = shared.wakeUp.wait(timeout: pause)
            }
        }
    }

    /// Receives until the connection is over. Returns why.
    private static func receive(
        _ connection: TCPConnection, _ receiver: MerlinReceiver, _ shared: Shared,
        _ tell: (LinkWatch.Change) -> Void
    ) -> String {
        let change = shared.watch.withLock { $0.connected(to: connection.peer, receiver.traffic, at: .now) }
        if let peer = ForeignPeer.recognise(connection.peek(recognisedBytes, timeout: introduction)) {
            return "at \(connection.peer) is \(peer), not a Merlin's data socket; check host and data port"
        }
        if let change { tell(change) }
        return receiver.run(connection).description
    }

    /// How the connection stands.
    var state: LinkWatch { shared.watch.withLock { $0 } }

    /// Looks whether what comes is a detector's data. Any thread.
    func look() {
        let change = shared.watch.withLock { $0.looked(at: receiver.traffic, peer: address) }
        if let change { onChange(change) }
    }

    /// Ends the connection and the thread. To be called once.
    func stop() {
        shared.isStopped.store(true, ordering: .releasing)
        receiver.stop()
        shared.wakeUp.post()
        thread.join()
    }
}

extension MerlinReceiver {
    fileprivate var traffic: LinkWatch.Traffic {
        LinkWatch.Traffic(
            bytes: counters.bytes, messages: counters.frames + Int(clamping: counters.generation),
            garbage: counters.garbageBytes)
    }
}
