import StemwireAcquisition
import StemwireUDF

/// One run on one acquisition, here or on a server, in the steps that `RunProcedure` takes it through.
protocol RunEngine: AcquisitionBackend {
    var requests: [UDFRequest] { get }
    /// Makes the detector's control available.
    func prepare() async throws(RunError)
    /// Connects to the data and begins the run: from now on no frame of the acquisition is missed.
    func begin() async throws(RunError)
    /// Follows the run to its end. Cancelling the task ends it.
    func follow(_ observer: RunObserver) async throws(RunError) -> RunOutcome
    /// Changes parameters of UDFs while the run goes on.
    func changeParameters(_ requests: [UDFRequest], recompute: Bool) async throws(RunError)
    /// Leaves nothing behind.
    func end() async
}

/// What a script can have the detector do.
protocol AcquisitionBackend: Sendable {
    func arm(frames: Int?, trigger: DetectorTrigger?) async throws(RunError)
    /// Arms and triggers, or begins to give the frames of a recording or an array.
    func start(trigger: DetectorTrigger) async throws(RunError)
    func trigger() async throws(RunError)
    func stop() async throws(RunError)
    func abort() async throws(RunError)
    func get(_ name: String) async throws(RunError) -> String
    func set(_ name: String, to value: String) async throws(RunError)
    func command(_ name: String) async throws(RunError)
}

/// Takes a run through its steps: set-up, user code, frames, tear-down.
struct RunProcedure: Sendable {
    let engine: any RunEngine
    /// What happens once the run is ready for frames.
    let opening: Opening
    var hooks = AcquisitionHooks()
    var observer = RunObserver()

    enum Opening: Sendable {
        /// Nothing: somebody else starts the acquisition.
        case none
        case start(DetectorTrigger)
        /// The user's code starts it; if it fails, the detector is stopped.
        case body(PreparationBody)
    }

    /// - Throws: `RunError`, or what the user's code threw.
    func run() async throws -> RunOutcome {
        let session = AcquisitionSession(engine)
        let result: Result<RunOutcome, any Error>
        do {
            result = .success(try await perform(session))
        } catch {
            result = .failure(error)
        }
        // In a task of its own, since it must be done also when this one is cancelled.
        await Task { [engine, hooks, opening] in
            if case .body = opening, case .failure = result { await session.stopIfStarted() }
            await session.tearDown()
            await engine.end()
            await hooks.onAcquisitionDone?(session, result)
        }.value
        return try result.get()
    }

    private func perform(_ session: AcquisitionSession) async throws -> RunOutcome {
        try await engine.prepare()
        try await hooks.onSetUp?(session)
        try await engine.begin()
        let following = Task { [engine, observer] () -> Result<RunOutcome, RunError> in
            do throws(RunError) {
                return .success(try await engine.follow(observer))
            } catch {
                return .failure(error)
            }
        }
        session.following.value = following
        let opening = Task { try await open(session) }
        // User code that waits for something else would never hear that the run has failed.
        let watching = Task {
            if case .failure = await following.value { opening.cancel() }
        }
        let opened = await withTaskCancellationHandler {
            await opening.result
        } onCancel: {
            following.cancel()
            opening.cancel()
        }
        if case .failure = opened { following.cancel() }
        let outcome = await withTaskCancellationHandler {
            await following.value
        } onCancel: {
            following.cancel()
        }
        await watching.value
        // What became of the run tells more than that code which waited for it was cancelled.
        if case .failure(let error) = opened, !(error is CancellationError) { throw error }
        let result = try outcome.get()
        try opened.get()
        return result
    }

    private func open(_ session: AcquisitionSession) async throws {
        switch opening {
        case .none: break
        case .start(let trigger):
            if let onReadyForData = hooks.onReadyForData {
                try await onReadyForData(session)
            } else {
                try await session.start(trigger: trigger)
            }
        case .body(let body): try await body(session, engine.requests)
        }
    }
}
