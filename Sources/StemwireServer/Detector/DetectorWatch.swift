import Logging
import StemwireAcquisition
import StemwireSystem
import Synchronization

/// Asks the detector's control socket for a sign of life, and keeps what the detector says of itself.
///
/// What is kept holds as long as the connection on which it was said, and until something is asked of the detector that may
/// change it; a detector that was started anew is on another connection, so that nothing of the old one is left.
final class DetectorWatch: Sendable {
    /// From one question to the next, and how long an answer may take: what is wrong is known within two seconds.
    static let interval = Duration.milliseconds(500)
    static let patience = Duration.seconds(1)
    /// Someone else may have changed the detector: the manufacturer's software, another control client.
    static let freshness = Duration.seconds(5)

    struct State: Sendable {
        var isConnected = false
        /// Why there is no connection, or no answer; empty when there is.
        var reason = "not asked yet"
        /// What the detector said last, and when; nil when it may have changed since.
        var facts: DetectorFacts?
        var readAt = ContinuousClock.now
        fileprivate var changes = -1
    }

    private let shared: Shared
    private let task: Task<Void, Never>

    private final class Shared: Sendable {
        let detector: DetectorControl
        let state = Locked(State())
        let logger: Logger
        let onChange: @Sendable (_ isConnected: Bool, _ text: String) -> Void

        init(
            _ detector: DetectorControl, _ logger: Logger,
            _ onChange: @escaping @Sendable (_ isConnected: Bool, _ text: String) -> Void
        ) {
            self.detector = detector
            self.logger = logger
            self.onChange = onChange
        }

        /// Returns what the detector says of itself now; nil when it does not answer, or may have been asked to change meanwhile.
        func look() async -> DetectorFacts? {
            let changes = detector.changes
            let known = state.value
            let isCurrent = known.changes == changes && .now - known.readAt < DetectorWatch.freshness
            do throws(RequestFailure) {
                let facts = try await detector.perform(by: .now + DetectorWatch.patience, isReading: true) {
                    control, timeLeft in
                    if isCurrent, var facts = known.facts {
                        // The sign of life alone.
                        let reply = try control.send(.get("DETECTORSTATUS"), timeout: try timeLeft())
                        facts.isBusy = DetectorFacts.isBusy(reply.code.isOK ? reply.integerValue : nil)
                        return facts
                    }
                    return try DetectorFacts.read(control, timeLeft: timeLeft)
                }
                answered(facts, isNew: !isCurrent || detector.changes != changes, changes)
                return detector.changes == changes ? facts : nil
            } catch {
                if error.code != .wrongState { lost(error.message) }
                return nil
            }
        }

        private func answered(_ facts: DetectorFacts, isNew: Bool, _ changes: Int) {
            let wasConnected = state.withLock { state in
                defer { state.isConnected = true }
                state.reason = ""
                if isNew { state.readAt = .now }
                state.facts = facts
                // Where the connection is another one than was asked about, all is asked again the next time.
                state.changes = changes
                return state.isConnected
            }
            if !wasConnected {
                logger.info("the detector's control socket answers")
                onChange(true, "the detector's control socket answers")
            }
        }

        private func lost(_ reason: String) {
            let isNews = state.withLock { state in
                defer { state = State(isConnected: false, reason: reason) }
                return state.isConnected || state.reason != reason
            }
            guard isNews else { return }
            logger.warning("the detector's control socket does not answer", metadata: ["reason": "\(reason)"])
            onChange(false, reason)
        }
    }

    /// Begins to ask.
    ///
    /// - Parameters:
    ///   - onChange: called when answers begin or cease to come.
    ///   - onLook: called each time, with what the detector says; nil when it does not answer, or may have changed meanwhile.
    init(
        _ detector: DetectorControl, logger: Logger,
        onChange: @escaping @Sendable (_ isConnected: Bool, _ text: String) -> Void,
        onLook: @escaping @Sendable (DetectorFacts?) async -> Void
    ) {
        let shared = Shared(detector, logger, onChange)
        self.shared = shared
        task = Task {
            while !Task.isCancelled {
                await onLook(await shared.look())
                try? await Task.sleep(for: Self.interval)
            }
        }
    }

    var state: State {
        var state = shared.state.value
        if state.changes != shared.detector.changes { state.facts = nil }
        return state
    }

    /// Asks no more.
    func stop() { task.cancel() }
}
