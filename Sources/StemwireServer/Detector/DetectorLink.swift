import Logging
import StemwireAcquisition
import StemwireSystem
import Synchronization

/// The server's side of the detector's data socket: connects, receives, and connects again when the connection is lost.
final class DetectorLink: Sendable {
    /// How the connection stands.
    struct State: Sendable {
        var isConnected = false
        /// Why there is no connection.
        var reason = "not connected yet"
        var connections = 0
    }

    static let connectTimeout = Duration.seconds(2)
    static let longestPause = Duration.seconds(2)

    let receiver: MerlinReceiver
    private let shared: Shared
    private let thread: NamedThread

    private final class Shared: Sendable {
        let state = Locked(State())
        let isStopped = Atomic<Bool>(false)
        let wakeUp = CountingSemaphore()
    }

    /// Starts connecting.
    ///
    /// - Parameter onChange: called on the link's thread when the connection came or went, with a sentence about it.
    init(
        receiver: MerlinReceiver, host: String, port: Int, logger: Logger,
        onChange: @escaping @Sendable (_ isConnected: Bool, _ text: String) -> Void
    ) throws(SystemError) {
        self.receiver = receiver
        let shared = Shared()
        self.shared = shared
        thread = try NamedThread("merlin-data") {
            var pause = Duration.milliseconds(100)
            var lastReason = ""
            while !shared.isStopped.load(ordering: .acquiring) {
                let reason: String
                do throws(SystemError) {
                    let connection = try TCPConnection.connect(host: host, port: port, timeout: Self.connectTimeout)
                    pause = .milliseconds(100)
                    shared.state.withLock { state in
                        state.isConnected = true
                        state.reason = ""
                        state.connections += 1
                    }
                    logger.info("connected to the detector's data socket", metadata: ["peer": "\(connection.peer)"])
                    onChange(true, "connected to the detector's data socket at \(connection.peer)")
                    reason = receiver.run(connection).description
                } catch {
                    reason = "\(error); check that the detector's software runs and serves data at this address"
                }
                guard !shared.isStopped.load(ordering: .acquiring) else { return }
                let wasConnected = shared.state.withLock { state in
                    defer { state = State(isConnected: false, reason: reason, connections: state.connections) }
                    return state.isConnected
                }
                if wasConnected || reason != lastReason {
                    logger.warning("no data connection to the detector", metadata: ["reason": "\(reason)"])
                    onChange(false, reason)
                }
                lastReason = wasConnected ? "" : reason
                _ = shared.wakeUp.wait(timeout: pause)
                pause = min(pause * 2, Self.longestPause)
            }
        }
    }

    var state: State { shared.state.withLock { $0 } }

    /// Ends the connection and the thread. To be called once.
    func stop() {
        shared.isStopped.store(true, ordering: .releasing)
        receiver.stop()
        shared.wakeUp.post()
        thread.join()
    }
}
