import StemwireSystem

/// The reactor's watches and timers; touched by its thread only.
final class ReactorLoop {
    private struct Timer {
        let id: Int
        var deadline: ContinuousClock.Instant
        let interval: Duration?
        let handler: () -> Void
    }

    private var poller: Poller
    private var handlers: [Poller.Token: (PollEvents) -> Void] = [:]
    /// Latest first, so that the next one is taken off the end.
    private var timers: [Timer] = []
    private var lastTimer = 0
    private var isClosed = false

    init(wakeUp: WakeUp) {
        poller = Poller(wakeUp: wakeUp)
    }

    // MARK: Watches

    func watch(
        core: SocketCore?, descriptor: Int32, events: PollEvents, handler: @escaping (PollEvents) -> Void
    ) -> Poller.Token {
        let token = poller.add(core: core, descriptor: descriptor, events: events)
        if isClosed {
            poller.remove(token)
        } else {
            handlers[token] = handler
        }
        return token
    }

    func modify(_ token: Poller.Token, events: PollEvents) {
        poller.modify(token, events: events)
    }

    func unwatch(_ token: Poller.Token) {
        poller.remove(token)
        release(token)
    }

    /// What a handler holds may call back while it goes, so that it must go after the table's change is complete.
    private func release(_ token: Poller.Token) {
        _ = handlers.removeValue(forKey: token)
    }

    var watchCount: Int {
        releaseLapsed()
        return handlers.count
    }

    /// Lets go of the handlers of sockets that were closed; to be done before each wait, which may be a long one.
    func releaseLapsed() {
        for token in poller.dropLapsed() { release(token) }
    }

    func wait(timeout: TimeLimit) -> [Poller.Ready] {
        do throws(ZMQError) {
            return try poller.waitOnce(timeout: timeout) ?? []
        } catch {
            preconditionFailure("the reactor cannot wait for its sockets: \(error)")
        }
    }

    func dispatch(_ ready: [Poller.Ready]) {
        for item in ready {
            // A handler before this one may have ended this watch or closed its socket.
            guard poller.isCurrent(item.token), let handler = handlers[item.token] else { continue }
            if item.events.contains(.terminated) { unwatch(item.token) }
            handler(item.events)
        }
    }

    // MARK: Timers

    func schedule(
        at deadline: ContinuousClock.Instant, every interval: Duration?, handler: @escaping () -> Void
    ) -> Int {
        lastTimer += 1
        if !isClosed {
            insert(Timer(id: lastTimer, deadline: deadline, interval: interval, handler: handler))
        }
        return lastTimer
    }

    func cancel(_ id: Int) {
        guard let index = timers.firstIndex(where: { $0.id == id }) else { return }
        _ = timers.remove(at: index)
    }

    var nextDeadline: ContinuousClock.Instant? { timers.last?.deadline }

    /// Calls the timers due at `now`, the earliest first; those set meanwhile wait for the next turn.
    func fireTimers(now: ContinuousClock.Instant) {
        guard let next = nextDeadline, next <= now else { return }
        let due = timers.reversed().prefix { $0.deadline <= now }.map(\.id)
        for id in due {
            // A handler before this one may have cancelled it.
            guard let index = timers.lastIndex(where: { $0.id == id }) else { continue }
            var timer = timers.remove(at: index)
            let handler = timer.handler
            if let interval = timer.interval {
                let following = timer.deadline + interval
                timer.deadline = following > now ? following : now + interval
                insert(timer)
            }
            handler()
        }
    }

    private func insert(_ timer: Timer) {
        // Behind (so before, in time) all that are later; equal deadlines keep their order of setting.
        var low = 0
        var high = timers.count
        while low < high {
            let middle = (low + high) / 2
            if timers[middle].deadline > timer.deadline { low = middle + 1 } else { high = middle }
        }
        timers.insert(timer, at: low)
    }

    /// Lets go of everything, for good.
    func removeAll() {
        isClosed = true
        for token in Array(handlers.keys) { unwatch(token) }
        while timers.popLast() != nil {}
    }
}
