import Glibc
import StemwireSystem
import Synchronization

/// One thread that owns sockets: it waits for them, calls their handlers, keeps timers, and executes actors.
///
/// ## How sockets are owned in Stemwire
///
/// A ZeroMQ socket belongs to one thread, and libzmq's calls have no place on Swift's cooperative pool. So each role
/// (control, live, work) has a reactor, and an actor that lives on it has the sockets as its stored state. The
/// compiler then proves that nobody else touches them, and the rest of the program simply awaits the actor:
///
/// ```swift
/// actor ControlService {
///     private let reactor: Reactor
///     private let socket: Socket
///     nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }
///
///     init(on reactor: Reactor, in context: Context) throws(ZMQError) {
///         self.reactor = reactor
///         socket = try Socket(.router, in: context) { $0.routerMandatory = true }
///     }
///
///     func start(at endpoint: String) throws(ZMQError) -> String {
///         let bound = try socket.bind(endpoint)
///         reactor.watch(socket) { [self] _ in answer() }
///         return bound
///     }
///
///     private func answer() {
///         while let request = try? socket.tryReceive() { … }
///     }
///
///     func stop() { socket.close() }
/// }
/// ```
///
/// - The handler is isolated to the actor that registers it and holds the actor: an actor that is watched lives until
///   its socket is closed, the watch is ended, or the reactor stops. End it explicitly.
/// - Handlers and actor methods run one at a time and must not block: only the `try…` calls of a socket. What is not
///   drained makes the handler called again, after the others had their turn.
/// - A watch lapses when its socket is closed. A handler may add, change and end watches and timers, its own included.
/// - When the socket's context is shut down, its handler gets ``PollEvents/terminated`` once, and the watch ends.
/// - A frame needs no actor: the data plane is a thread with sockets of its own (``Handoff``, ``Poller``).
///
/// Threading: `enqueue`, ``submit(_:)``, ``stop()`` and ``isCurrent`` from anywhere; watches, timers and monitors from
/// the reactor's own thread only, which means from its actors, its handlers and from what was submitted.
public final class Reactor: SerialExecutor {
    enum Work {
        case job(UnownedJob)
        case call(@Sendable () -> Void)
        case close(SocketCore)
    }

    enum Phase {
        case running, stopping, stopped
    }

    // Work holds sockets that are not Sendable; each is handed over for closing and then left alone.
    struct Inbox: @unchecked Sendable {
        var work: [Work] = []
        var phase = Phase.running
        var isAsleep = false
        /// After the stop: whether a spare thread is at work on what came late.
        var hasLateThread = false
    }

    public let name: String
    let inbox = Locked(Inbox())
    /// The thread that may touch the loop now, as a number; 0 for none.
    let owner = Atomic<UInt>(0)
    // Touched by the owner only.
    nonisolated(unsafe) let loop: ReactorLoop
    private let wakeUp: WakeUp
    private let thread = Locked<NamedThread?>(nil)

    /// Starts the thread. It ends by ``stop()`` only, and keeps the reactor alive until then.
    ///
    /// - Parameter name: the thread's name, for debuggers; the first 15 bytes count.
    /// - Throws: `ZMQError` when the system has no thread or descriptor to give.
    public init(_ name: String) throws(ZMQError) {
        self.name = name
        do { wakeUp = try WakeUp() } catch { throw ZMQError(error) }
        loop = ReactorLoop(wakeUp: wakeUp)
        do {
            let started = try NamedThread(name) { [self] in run() }
            thread.withLock { $0 = started }
        } catch {
            throw ZMQError(error)
        }
    }

    /// Ends the loop and waits for its thread: what was enqueued before still runs, then watches, timers and monitors
    /// are let go, on the reactor's thread.
    ///
    /// Waits for the handler or job that runs now, and for those queued. What actors are asked later still runs, one
    /// at a time, on a spare thread, so that no caller waits for ever; it finds its sockets unwatched. A second call
    /// does nothing.
    ///
    /// - Precondition: not called on the reactor's own thread.
    public func stop() {
        precondition(!isCurrent, "a reactor cannot wait for its own end: stop \(name) from outside")
        let isAsleep = inbox.withLock { inbox in
            if inbox.phase == .running { inbox.phase = .stopping }
            return inbox.isAsleep
        }
        if isAsleep { wakeUp.signal() }
        thread.withLock { $0.take() }?.join()
    }

    /// Whether the caller runs on the reactor's thread.
    public var isCurrent: Bool { owner.load(ordering: .relaxed) == UInt(pthread_self()) }

    /// Runs `body` on the reactor's thread, after what was enqueued before.
    public func submit(_ body: @escaping @Sendable () -> Void) {
        add(.call(body))
    }

    // MARK: SerialExecutor

    public func enqueue(_ job: consuming ExecutorJob) {
        add(.job(UnownedJob(job)))
    }

    public func checkIsolated() {
        precondition(isCurrent, "this runs outside the reactor \(name)")
    }

    public func isIsolatingCurrentContext() -> Bool? { isCurrent }

    // MARK: The loop

    private func add(_ work: Work) {
        // The work may release the last actor that holds this reactor, on its thread, before this thread is done here.
        let kept = Unmanaged.passRetained(self)
        defer { kept.release() }
        let (isAsleep, isLate) = inbox.withLock { inbox in
            inbox.work.append(work)
            let isAsleep = inbox.isAsleep
            inbox.isAsleep = false
            let isLate = inbox.phase == .stopped && !inbox.hasLateThread
            if isLate { inbox.hasLateThread = true }
            return (isAsleep, isLate)
        }
        if isAsleep { wakeUp.signal() }
        if isLate { startLateThread() }
    }

    /// Has `core` closed by the thread that polls it; false after the stop, when nobody does any more.
    func closeOnLoop(_ core: SocketCore) -> Bool {
        // The closing must not be the job of the spare thread: it may never come to be.
        let isRunning = inbox.withLock { inbox in
            guard inbox.phase != .stopped else { return false }
            inbox.work.append(.close(core))
            return true
        }
        if isRunning { wakeUp.signal() }
        return isRunning
    }

    private func run() {
        owner.store(UInt(pthread_self()), ordering: .relaxed)
        while true {
            if performInbox() == .running {
                loop.fireTimers(now: .now)
                waitAndDispatch()
            } else {
                loop.removeAll()
                if finish() { return }
            }
        }
    }

    /// Runs what has come, and lets go of it before the loop waits, which may be for long.
    private func performInbox() -> Phase {
        let (work, phase) = inbox.withLock { inbox in
            let work = inbox.work
            inbox.work.removeAll()
            return (work, inbox.phase)
        }
        for item in work { perform(item) }
        return phase
    }

    private func waitAndDispatch() {
        loop.releaseLapsed()
        let deadline = loop.nextDeadline
        let timeout = inbox.withLock { inbox -> TimeLimit in
            guard inbox.work.isEmpty, inbox.phase == .running else { return .zero }
            inbox.isAsleep = true
            return deadline.map { TimeLimit($0 - .now) } ?? .unlimited
        }
        let ready = loop.wait(timeout: timeout)
        inbox.withLock { $0.isAsleep = false }
        loop.dispatch(ready)
    }

    func perform(_ work: Work) {
        switch work {
        case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
        case .call(let body): body()
        case .close(let core): core.close()
        }
    }

    /// Marks the end unless letting go of the handlers brought new work.
    private func finish() -> Bool {
        let isDone = inbox.withLock { inbox in
            guard inbox.work.isEmpty else { return false }
            inbox.phase = .stopped
            // Within the lock: the spare thread, which may start at once, sets itself as the owner.
            owner.store(0, ordering: .relaxed)
            return true
        }
        return isDone
    }
}
