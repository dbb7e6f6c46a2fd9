import StemwireSystem
import Synchronization

/// Why a receiver's connection is over.
public enum ReceiverEnd: Error, Sendable, Hashable, CustomStringConvertible {
    /// `stop()` was called.
    case stopped
    /// The detector closed the data connection.
    case connectionClosed
    /// The data connection broke, with this `errno`.
    case connectionFailed(Int32)

    public var description: String {
        switch self {
        case .stopped: "the receiver was stopped"
        case .connectionClosed: "the detector closed the data connection"
        case .connectionFailed(let code):
            "\(SystemError(operation: "the data connection broke: receive", code: code)); check network and detector"
        }
    }
}

/// Receives a Merlin's data stream into a ring and hands it on as acquisitions and tiles.
///
/// One connection at a time, acquisition after acquisition, on the thread that calls `run(_:)`; or on a thread of its
/// own, by `start(_:)`. When a connection is over, the acquisition running on it has ended, and the next connection can
/// be given: numbers of acquisitions, counters and ring go on. All other methods may be called from any thread.
///
/// The receiving thread makes no ZeroMQ call, writes no log and takes no lock; it allocates nothing for a frame. It
/// waits for nobody but a full ring (`RingFullPolicy`), or a consumer whose queue is too small for the ring.
public final class MerlinReceiver: Sendable {
    public struct Configuration: Sendable {
        public var source = SourceConfiguration()
        /// Before the first byte counts, read and discard what comes until there is silence for so long; nil: no such
        /// thing. Ends after ten times as long in any case.
        public var drain: Duration?
        /// How long one read waits for bytes; bounds the age of a tile and the time that `stop()` takes.
        public var receiveTimeout = Duration.milliseconds(10)

        public init() {}
    }

    public let ring: FrameRing
    public let consumers: [TileQueue]
    public let configuration: Configuration
    public let counters = ReceiverCounters()

    private struct Requests {
        static let arm: UInt32 = 1
        static let stop: UInt32 = 2
        static let abort: UInt32 = 4
        static let abortArmed: UInt32 = 8
    }

    private let requests = Atomic<UInt32>(0)
    private let isStopped = Atomic<Bool>(false)
    /// For `stop()` to wake the thread that waits in a read. Taken when a connection begins and ends, never between.
    private let current = Mutex<TCPConnection?>(nil)
    private let thread = Mutex<NamedThread?>(nil)
    private let end = Mutex<ReceiverEnd?>(nil)
    // Belongs to the thread in `run`.
    nonisolated(unsafe) private var tracker: FrameTracker
    private let isRunning = Atomic<Bool>(false)

    /// - Parameters:
    ///   - ring: the memory for frames; it must have no writer.
    ///   - consumers: each gets all events, and must release all tiles.
    public init(ring: FrameRing, consumers: [TileQueue], configuration: Configuration = Configuration()) {
        self.ring = ring
        self.consumers = consumers
        self.configuration = configuration
        tracker = FrameTracker(configuration.source.tracker)
    }

    // MARK: Running

    /// Receives until the connection is over or `stop()` is called. Blocks; call it on a thread that may.
    public func run(_ connection: TCPConnection) -> ReceiverEnd {
        precondition(
            !isRunning.exchange(true, ordering: .acquiringAndReleasing), "a receiver runs one connection at a time")
        current.withLock { $0 = connection }
        let intake = StreamIntake(
            writer: ring.makeWriter(), consumers: consumers, configuration: configuration.source, counters: counters,
            tracker: tracker, isStopped: { self.isStopped.load(ordering: .acquiring) })
        let end = receive(connection, intake)
        intake.streamEnded(at: .now)
        tracker = intake.tracker
        current.withLock { $0 = nil }
        isRunning.store(false, ordering: .releasing)
        return end
    }

    /// Runs a connection on a thread of its own; `join()` tells its end. The consumers' queues are closed then, and open
    /// again when the next connection is started. To be called again only after `join()`.
    ///
    /// - Throws: `SystemError` when there is no thread to be had.
    public func start(_ connection: TCPConnection) throws(SystemError) {
        end.withLock { $0 = nil }
        for consumer in consumers { consumer.reopen() }
        let new = try NamedThread("merlin-receiver") { [self] in
            let result = run(connection)
            end.withLock { $0 = result }
            for consumer in consumers { consumer.close() }
        }
        thread.withLock { $0 = new }
    }

    /// Connects to the detector's data socket within `timeout` and receives on a thread of its own.
    ///
    /// - Throws: `SystemError` naming host, port and cause.
    public func start(host: String, port: Int, timeout: Duration) throws(SystemError) {
        try start(TCPConnection.connect(host: host, port: port, timeout: timeout))
    }

    /// Waits for the thread of `start`; nil if there is none.
    @discardableResult
    public func join() -> ReceiverEnd? {
        let running = thread.withLock { value in
            let taken = value
            value = nil
            return taken
        }
        running?.join()
        return end.withLock { $0 }
    }

    /// Ends the connection; the acquisition on it ends with `.connectionClosed`. Takes effect within 100 ms, for good.
    public func stop() {
        isStopped.store(true, ordering: .releasing)
        current.withLock { $0 }?.shutdown()
    }

    // MARK: The detector's control

    /// To be called before STARTACQUISITION is sent: the next acquisition header begins a new acquisition in any case.
    public func willArm() { request(Requests.arm) }

    /// To be called after STOPACQUISITION was sent: the acquisition ends when no more frames come.
    public func didStop() { request(Requests.stop) }

    /// To be called after ABORT was sent: the acquisition ends now.
    public func didAbort() {
        let pending = request(Requests.abort)
        // The order of the two tells what is aborted.
        if pending & Requests.arm != 0 { request(Requests.abortArmed) }
    }

    @discardableResult
    private func request(_ bit: UInt32) -> UInt32 {
        requests.bitwiseOr(bit, ordering: .acquiringAndReleasing).oldValue
    }

    // MARK: The receiving thread

    private func receive(_ connection: TCPConnection, _ intake: StreamIntake) -> ReceiverEnd {
        if let drain = configuration.drain { discard(connection, untilSilentFor: drain) }
        connection.setReceiveTimeout(configuration.receiveTimeout)
        var lastBytes: ContinuousClock.Instant?
        while !isStopped.load(ordering: .acquiring) {
            guard let space = intake.space() else { break }
            let received = connection.receive(into: space.bytes, fill: space.isSteady)
            let now = ContinuousClock.now
            carryOutRequests(intake, at: now)
            switch received {
            case .bytes(let count):
                intake.wrote(count)
                if counters.state == .running { if let lastBytes { counters.gaps.add(now - lastBytes) } }
                lastBytes = now
                let isShort = space.isSteady && count < space.bytes.count
                intake.parse(quiet: isShort && !connection.waitReadable(timeout: .zero), at: now)
            case .timedOut:
                intake.parse(quiet: true, at: now)
            case .closed:
                return isStopped.load(ordering: .acquiring) ? .stopped : .connectionClosed
            case .failed(let code):
                return isStopped.load(ordering: .acquiring) ? .stopped : .connectionFailed(code)
            }
            intake.tick(at: now)
        }
        return .stopped
    }

    private func carryOutRequests(_ intake: StreamIntake, at now: ContinuousClock.Instant) {
        guard requests.load(ordering: .relaxed) != 0 else { return }
        let bits = requests.exchange(0, ordering: .acquiringAndReleasing)
        if bits & Requests.abort != 0 { intake.tracker.abort(at: now) }
        if bits & Requests.stop != 0 { intake.tracker.stop(at: now) }
        if bits & Requests.arm != 0 { intake.tracker.armed() }
        if bits & Requests.abortArmed != 0 { intake.tracker.abort(at: now) }
    }

    private func discard(_ connection: TCPConnection, untilSilentFor silence: Duration) {
        let deadline = ContinuousClock.now + silence * 10
        let rest = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
        defer { rest.deallocate() }
        connection.setReceiveTimeout(silence)
        while ContinuousClock.now < deadline, !isStopped.load(ordering: .acquiring) {
            guard case .bytes(let count) = connection.receive(into: rest) else { return }
            counters.garbageTotal.wrappingAdd(count, ordering: .relaxed)
        }
    }
}
