import StemwireSystem

/// Hands what a reactor puts into a queue to one consumer task, which waits without blocking a thread.
///
/// Threading: ``update(_:)`` and ``finish(_:)`` from the reactor, ``next()`` from the consumer, ``cancel()`` from anywhere.
final class Mailbox<Queue: ConsumerQueue, Failure: Error>: Sendable {
    typealias Outcome = Result<Queue.Element?, Failure>

    private struct State {
        var queue: Queue
        var waiter: CheckedContinuation<Outcome, Never>?
        /// How the sequence ends once the queue is empty.
        var ending: Outcome?
        var isCancelled = false
        var alarm: ContinuousClock.Instant?
        var hooks: Hooks?
    }

    /// What a mailbox tells its reactor; called on the consumer's thread, so they only post there.
    struct Hooks: Sendable {
        /// The consumer has taken an element.
        var taken: @Sendable (Queue.Element) -> Void = { _ in }
        /// Something becomes due for a waiting consumer: call ``Mailbox/poke()`` then.
        var wake: @Sendable (ContinuousClock.Instant) -> Void = { _ in }
        /// The consumer has gone. Called once.
        var cancelled: @Sendable () -> Void = {}
    }

    private let state: Locked<State>

    init(_ queue: Queue) { state = Locked(State(queue: queue)) }

    /// To be called once, before anybody waits.
    func connect(_ hooks: Hooks) { state.withLock { $0.hooks = hooks } }

    /// Changes the queue and wakes the consumer if there is something for it.
    func update<Value: Sendable>(_ body: (inout Queue) -> Value) -> Value {
        let (value, delivery) = state.withLock { state in
            let value = body(&state.queue)
            return (value, Self.deliver(&state))
        }
        delivery?.perform()
        return value
    }

    /// Looks again whether something is due.
    func poke() {
        let delivery = state.withLock { state in
            state.alarm = nil
            return Self.deliver(&state)
        }
        delivery?.perform()
    }

    /// Ends the sequence behind what waits in the queue. Only the first call counts.
    func finish(_ failure: Failure? = nil) {
        let delivery = state.withLock { state in
            state.ending = state.ending ?? failure.map { .failure($0) } ?? .success(nil)
            return Self.deliver(&state)
        }
        delivery?.perform()
    }

    /// The consumer is no more: nothing is delivered from now on.
    func cancel() {
        let (waiter, hooks) = state.withLock { state in
            state.isCancelled = true
            defer {
                state.waiter = nil
                state.hooks = nil
            }
            return (state.waiter, state.hooks)
        }
        waiter?.resume(returning: .success(nil))
        hooks?.cancelled()
    }

    var isFinished: Bool { state.withLock { $0.isCancelled || $0.ending != nil } }

    /// The next element; nil at the end and after a cancellation.
    ///
    /// - Precondition: one call at a time.
    func next() async -> Outcome {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let delivery = state.withLock { state -> Delivery? in
                    precondition(state.waiter == nil, "a subscription has one consumer at a time")
                    guard !state.isCancelled else {
                        return Delivery(waiter: continuation, outcome: .success(nil), hooks: nil)
                    }
                    state.waiter = continuation
                    return Self.deliver(&state)
                }
                delivery?.perform()
            }
        } onCancel: {
            cancel()
        }
    }

    /// What is to be done outside the lock.
    private struct Delivery {
        var waiter: CheckedContinuation<Outcome, Never>?
        var outcome: Outcome?
        var wakeAt: ContinuousClock.Instant?
        var hooks: Hooks?

        func perform() {
            if let wakeAt { hooks?.wake(wakeAt) }
            guard let outcome else { return }
            if case .success(let element?) = outcome { hooks?.taken(element) }
            waiter?.resume(returning: outcome)
        }
    }

    private static func deliver(_ state: inout State) -> Delivery? {
        guard let waiter = state.waiter else { return nil }
        switch state.queue.take(now: .now) {
        case .element(let element):
            state.waiter = nil
            return Delivery(waiter: waiter, outcome: .success(element), hooks: state.hooks)
        case .later(let instant):
            if let ending = state.ending {
                state.waiter = nil
                return Delivery(waiter: waiter, outcome: ending, hooks: state.hooks)
            }
            if let alarm = state.alarm, alarm <= instant { return nil }
            state.alarm = instant
            return Delivery(wakeAt: instant, hooks: state.hooks)
        case .nothing:
            guard let ending = state.ending else { return nil }
            state.waiter = nil
            // The failure is told once; after it the sequence is at its end.
            state.ending = .success(nil)
            return Delivery(waiter: waiter, outcome: ending, hooks: state.hooks)
        }
    }
}
