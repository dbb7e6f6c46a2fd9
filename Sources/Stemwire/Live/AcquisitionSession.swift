import StemwireAcquisition
import StemwireSystem

/// An acquisition while a run goes on: what hooks and user code have in hand to control it.
///
/// All methods from any task. Requests to the detector wait for its answer, five seconds at most, and throw `RunError`:
/// `.unreachable`, `.refused` (with the detector's reason), `.timedOut`. With a server they go through it.
public final class AcquisitionSession: Sendable {
    private let backend: any AcquisitionBackend
    let following = Locked<Task<Result<RunOutcome, RunError>, Never>?>(nil)
    private let cleanUps = Locked<[@Sendable () async -> Void]>([])
    private let hasStarted = Locked(false)

    init(_ backend: any AcquisitionBackend) { self.backend = backend }

    /// Starts the acquisition: arms the detector for the frames of the scan, and triggers it. Recordings and arrays begin
    /// to give their frames.
    ///
    /// - Parameter trigger: `.soft` for SOFTTRIGGER on the control socket, `.internal` for a detector that begins by itself.
    public func start(trigger: DetectorTrigger = .soft) async throws {
        hasStarted.value = true
        try await backend.start(trigger: trigger)
    }

    /// Sets up the detector and has it wait for its trigger.
    ///
    /// - Parameters:
    ///   - frames: to be acquired; nil: those of the nav shape if that is given in full, else as the detector is set.
    ///   - trigger: nil: as the detector is set, such as for a trigger line from the scan generator.
    public func arm(frames: Int? = nil, trigger: DetectorTrigger? = nil) async throws {
        hasStarted.value = true
        try await backend.arm(frames: frames, trigger: trigger)
    }

    /// Sends SOFTTRIGGER.
    public func trigger() async throws { try await backend.trigger() }

    /// Sends STOPACQUISITION; frames on their way still count.
    public func stop() async throws { try await backend.stop() }

    /// Sends ABORT; the acquisition ends at once, and the result is incomplete.
    public func abort() async throws { try await backend.abort() }

    /// The value of a detector variable, such as `COUNTERDEPTH`, as the detector writes it.
    public func get(_ variable: String) async throws -> String { try await backend.get(variable) }

    /// Sets a detector variable.
    public func set(_ variable: String, to value: String) async throws { try await backend.set(variable, to: value) }

    /// Sets a detector variable to a whole number.
    public func set(_ variable: String, to value: Int) async throws { try await set(variable, to: String(value)) }

    /// Has the detector do a command, such as `SOFTTRIGGER`.
    public func command(_ name: String) async throws { try await backend.command(name) }

    /// Waits until the last frame has been processed, or the run has ended otherwise.
    ///
    /// For the code of `prepareAcquisition`, which may go on behind it with the frames all there. The run waits for its
    /// end in any case.
    ///
    /// - Returns: what the run gives, complete or not.
    /// - Throws: `RunError` when the run failed or its task was cancelled.
    @discardableResult
    public func waitUntilDone() async throws -> RunOutcome {
        guard let following = following.value else {
            throw RunError.badRequest("the run has not begun yet; it can be waited for after onSetUp")
        }
        let done = try await following.value.get()
        try Task.checkCancellation()
        return done
    }

    /// Has something done when the run is over, however it ends: also when code threw or the task was cancelled.
    ///
    /// What was asked for last is done first. Unlike a `defer` block it may wait; it runs in a task that is not cancelled,
    /// before the connection to the detector is closed.
    public func onTearDown(_ action: @escaping @Sendable () async -> Void) {
        cleanUps.withLock { $0.append(action) }
    }

    func tearDown() async {
        while let action = cleanUps.withLock({ $0.popLast() }) { await action() }
    }

    /// Stops the detector where this session started it; a detector that cannot be reached has to be stopped by hand.
    func stopIfStarted() async {
        if hasStarted.value { try? await backend.stop() }
    }
}
