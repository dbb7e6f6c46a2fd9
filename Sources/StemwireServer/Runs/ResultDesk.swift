import StemwireSystem
import StemwireUDF
import ZeroMQ

/// Plans runs and computes their results: results that are there at once on one thread for all; plans, and results that take a
/// while, or may, each on a thread of its own, so that no run waits for another. Any thread.
final class ResultDesk: Sendable {
    private let reactor: Reactor
    private let state = Locked(State())

    private struct State: Sendable {
        /// Runs whose results are being computed, and who waits for them to be computed once more.
        var runs: [ObjectIdentifier: [@Sendable () -> Void]] = [:]
        /// Runs that are being planned.
        var plans = 0
        /// Posted when there are none of both.
        var waiting: [CountingSemaphore] = []

        var isSettled: Bool { runs.isEmpty && plans == 0 }

        mutating func tellIfSettled() {
            guard isSettled else { return }
            for semaphore in waiting { semaphore.post() }
            waiting = []
        }
    }

    init() throws(ZMQError) { reactor = try Reactor("results") }

    /// Plans a run, and tells on the thread that did.
    func plan(_ run: ActiveRun, whenDone: @escaping @Sendable (RunPlan?) -> Void) {
        state.withLock { $0.plans += 1 }
        let work: @Sendable () -> Void = { [self] in
            whenDone(run.makePlan())
            state.withLock { state in
                state.plans -= 1
                state.tellIfSettled()
            }
        }
        guard (try? NamedThread("plan", body: work)) != nil else { return reactor.submit(work) }
    }

    /// Computes a run's results as they are now or a little later, and tells on the thread that did.
    func compute(_ run: ActiveRun, whenDone: @escaping @Sendable () -> Void) {
        let isFree = state.withLock { state in
            let isFree = state.runs[ObjectIdentifier(run)] == nil
            if isFree {
                state.runs[ObjectIdentifier(run)] = []
            } else {
                state.runs[ObjectIdentifier(run)]?.append(whenDone)
            }
            return isFree
        }
        if isFree { begin(run, [whenDone]) }
    }

    private func begin(_ run: ActiveRun, _ asked: [@Sendable () -> Void]) {
        let work: @Sendable () -> Void = { [self] in
            run.computeResults()
            for tell in asked { tell() }
            next(run)
        }
        guard run.mayBeSlow, (try? NamedThread("result", body: work)) != nil else { return reactor.submit(work) }
    }

    private func next(_ run: ActiveRun) {
        let asked = state.withLock { state -> [@Sendable () -> Void] in
            let asked = state.runs[ObjectIdentifier(run)] ?? []
            state.runs[ObjectIdentifier(run)] = asked.isEmpty ? nil : []
            state.tellIfSettled()
            return asked
        }
        if !asked.isEmpty { begin(run, asked) }
    }

    /// Computes a run's results, and waits for them, but not beyond `deadline`.
    func compute(_ run: ActiveRun, by deadline: ContinuousClock.Instant) async {
        let waiting = Locked<CheckedContinuation<Void, Never>?>(nil)
        let goOn: @Sendable () -> Void = { waiting.withLock { $0.take() }?.resume() }
        let timer = Task {
            try? await Task.sleep(until: deadline, clock: .continuous)
            goOn()
        }
        await withCheckedContinuation { continuation in
            waiting.value = continuation
            if deadline <= .now { goOn() }
            compute(run, whenDone: goOn)
        }
        timer.cancel()
    }

    /// Waits until all is done that was asked for. Blocks.
    func settle() {
        let isSettled = CountingSemaphore()
        let mustWait = state.withLock { state in
            if !state.isSettled { state.waiting.append(isSettled) }
            return !state.isSettled
        }
        if mustWait { isSettled.wait() }
    }

    /// Ends the thread for all, after what was asked for. Blocks.
    func stop() {
        settle()
        reactor.stop()
    }
}
