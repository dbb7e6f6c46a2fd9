import StemwireAcquisition
import StemwireSystem

/// Decides which acquisitions of a source are worked on: those that a run awaits. The next one is held until a run takes
/// it or it is passed over; its frames wait in the ring and then in the detector, so that none is lost.
final class AcquisitionGate: Sendable {
    private struct State {
        var awaited = 0
        /// Begun, and nobody has decided.
        var held: AcquisitionDescription?
        var isHeldTold = false
        var decisions: [UInt64: Bool] = [:]
        var waiting: [CountingSemaphore] = []
        var isShut = false

        mutating func decide(_ generation: UInt64, _ isAdmitted: Bool) {
            decisions[generation] = isAdmitted
            decisions = decisions.filter { $0.key &+ 64 > generation }
            held = nil
            isHeldTold = false
            wake()
        }

        mutating func wake() {
            for semaphore in waiting { semaphore.post() }
            waiting = []
        }
    }

    private let holds: Bool
    private let state = Locked(State())
    private let onHold: @Sendable () -> Void

    /// - Parameters:
    ///   - holds: false lets acquisitions go that nobody awaits.
    ///   - onHold: called when an acquisition is held.
    init(holds: Bool, onHold: @escaping @Sendable () -> Void) {
        self.holds = holds
        self.onHold = onHold
    }

    /// Asked by each lane on its own thread; blocks while the acquisition is held.
    func admits(_ description: AcquisitionDescription) -> Bool {
        while true {
            let semaphore = CountingSemaphore()
            var isNew = false
            let decision: Bool? = state.withLock { state in
                if let decision = state.decisions[description.generation] { return decision }
                if state.awaited > 0 {
                    state.awaited -= 1
                    state.decide(description.generation, true)
                    return true
                }
                if !holds || state.isShut {
                    state.decide(description.generation, false)
                    return false
                }
                isNew = state.held?.generation != description.generation
                state.held = description
                state.waiting.append(semaphore)
                return nil
            }
            if let decision { return decision }
            if isNew { onHold() }
            semaphore.wait()
        }
    }

    /// Admits the acquisition that is held, or the next one.
    func awaitNext() {
        state.withLock { state in
            if let held = state.held { state.decide(held.generation, true) } else { state.awaited += 1 }
        }
    }

    /// Takes back an `awaitNext()` whose acquisition has not begun.
    func awaitNoMore() { state.withLock { $0.awaited = max(0, $0.awaited - 1) } }

    /// The acquisition that is held, each only once.
    func takeHeld() -> AcquisitionDescription? {
        state.withLock { state in
            guard let held = state.held, !state.isHeldTold else { return nil }
            state.isHeldTold = true
            return held
        }
    }

    /// Lets an acquisition go that was told by `takeHeld()` and that nobody wanted.
    func passOverTold() {
        state.withLock { state in
            if let held = state.held, state.isHeldTold { state.decide(held.generation, false) }
        }
    }

    /// Holds nothing any more; what is awaited is still admitted.
    func shut() {
        state.withLock { state in
            state.isShut = true
            if let held = state.held { state.decide(held.generation, false) }
            state.wake()
        }
    }
}
