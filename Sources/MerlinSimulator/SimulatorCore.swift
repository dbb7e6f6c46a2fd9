import Glibc
import StemwireSystem
import Synchronization

/// What the simulator's threads share.
final class SimulatorCore: Sendable {
    let configuration: SimulatorConfiguration
    let source: any FrameSource
    let state: Locked<DetectorState>
    let statistics = Locked(SimulatorStatistics())
    let observer: (@Sendable (SimulatorEvent) -> Void)?

    /// Wakes the data thread when the state has changed.
    let dataWakeUp: WakeUp
    /// Wakes the trigger thread when frames were sent or the state has changed.
    let triggerWakeUp: WakeUp
    /// Set once, never taken: ends sleeps.
    private let stopWakeUp: WakeUp
    private let stopping = Atomic(false)
    private let finished = CountingSemaphore()
    private let outcome = Locked<(any Error)?>(nil)
    private let open = Locked(OpenSockets())

    private struct OpenSockets: Sendable {
        var listeners: [TCPListener] = []
        var connections: [ObjectIdentifier: TCPConnection] = [:]
    }

    init(
        configuration: SimulatorConfiguration, source: any FrameSource,
        observer: (@Sendable (SimulatorEvent) -> Void)?
    ) throws(SystemError) {
        self.configuration = configuration
        self.source = source
        self.observer = observer
        state = Locked(DetectorState(source.setup))
        dataWakeUp = try WakeUp()
        triggerWakeUp = try WakeUp()
        stopWakeUp = try WakeUp()
    }

    var isStopping: Bool { stopping.load(ordering: .acquiring) }

    /// Ends everything: sockets are shut down, sleeps end, threads run out. Any thread may call it.
    func finish(_ error: (any Error)? = nil) {
        guard !stopping.exchange(true, ordering: .acquiringAndReleasing) else { return }
        outcome.withLock { $0 = error }
        stopWakeUp.signal()
        stateChanged()
        open.withLock { open in
            for listener in open.listeners { listener.shutdown() }
            for connection in open.connections.values { connection.shutdown() }
            open.listeners = []
        }
        if let error { observer?(.failed("\(error)")) }
        finished.post()
    }

    /// Waits for ``finish(_:)``; false when the time ran out. Any number of threads may wait.
    func waitUntilFinished(timeout: Duration?) throws -> Bool {
        if let timeout {
            guard finished.wait(timeout: timeout) else { return false }
        } else {
            finished.wait()
        }
        finished.post()
        if let error = outcome.value { throw error }
        return true
    }

    /// Wakes whoever waits for a change of the detector's state.
    func stateChanged() {
        dataWakeUp.signal()
        triggerWakeUp.signal()
    }

    // MARK: - Sockets

    func register(_ listener: TCPListener) {
        open.withLock { $0.listeners.append(listener) }
    }

    /// Makes a connection end when the simulator does; false if it is ending already.
    func register(_ connection: TCPConnection) -> Bool {
        open.withLock { open in
            guard !isStopping else { return false }
            open.connections[ObjectIdentifier(connection)] = connection
            return true
        }
    }

    func unregister(_ connection: TCPConnection) {
        open.withLock { $0.connections[ObjectIdentifier(connection)] = nil }
    }

    /// The next connection; nil when the simulator ends.
    func accept(_ listener: TCPListener) -> TCPConnection? {
        while !isStopping {
            if let connection = listener.accept(timeout: .seconds(60)) {
                if register(connection) { return connection }
            } else {
                // The wait is over or there are no descriptors left: not to be tried again at once.
                sleep(until: .now + .milliseconds(5))
            }
        }
        return nil
    }

    /// What happened to a connection while it was waited for.
    enum Happened {
        case woken, readable
    }

    /// Waits for a wake-up or for bytes from, or the end of, a connection.
    func wait(for wakeUp: WakeUp, or connection: TCPConnection) -> Happened {
        var entries = [
            pollfd(fd: wakeUp.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: connection.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        while poll(&entries, 2, 60_000) < 0, errno == EINTR {}
        if entries[0].revents != 0 { wakeUp.drain() }
        return entries[1].revents != 0 ? .readable : .woken
    }

    // MARK: - Time

    /// Sleeps until a point in time, or until the simulator ends.
    func sleep(until deadline: ContinuousClock.Instant) {
        while !isStopping {
            let (seconds, attoseconds) = (deadline - ContinuousClock.now).components
            let nanoseconds = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
            guard nanoseconds > 0 else { return }
            if nanoseconds > 2_000_000 {
                // poll counts in ms; the rest is slept exactly.
                var entry = pollfd(fd: stopWakeUp.descriptor, events: Int16(POLLIN), revents: 0)
                poll(&entry, 1, Int32(clamping: nanoseconds / 1_000_000 - 1))
            } else {
                var time = timespec(tv_sec: 0, tv_nsec: Int(nanoseconds))
                nanosleep(&time, nil)
            }
        }
    }
}
