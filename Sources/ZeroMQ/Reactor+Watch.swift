/// Names a watch of a reactor.
public struct WatchToken: Sendable, Hashable {
    let token: Poller.Token
}

/// Names a timer of a reactor.
public struct TimerToken: Sendable, Hashable {
    let id: Int
}

extension Reactor {
    /// Calls `handler` whenever `socket` is ready for `events`, until the watch is ended or the socket closed.
    ///
    /// From now on the socket may be used on this reactor's thread only; it may be let go of anywhere.
    /// `handler` may be called though nothing is there to receive. With `.writable` it is called all the time while
    /// there is room: ask for it only while something waits to be sent (``change(_:to:)``).
    @discardableResult
    public func watch(
        _ socket: borrowing Socket, for events: PollEvents = .readable, handler: @escaping (PollEvents) -> Void
    ) -> WatchToken {
        requireCurrent()
        socket.core.reactor = self
        return watch(core: socket.core, events: events, handler: handler)
    }

    /// Calls `handler` whenever `descriptor` is ready for `events` or broken, until the watch is ended: end it before
    /// the descriptor is closed.
    @discardableResult
    public func watch(
        descriptor: Int32, for events: PollEvents = .readable, handler: @escaping (PollEvents) -> Void
    ) -> WatchToken {
        requireCurrent()
        return WatchToken(token: loop.watch(core: nil, descriptor: descriptor, events: events, handler: handler))
    }

    func watch(
        core: SocketCore, events: PollEvents, handler: @escaping (PollEvents) -> Void
    ) -> WatchToken {
        WatchToken(token: loop.watch(core: core, descriptor: -1, events: events, handler: handler))
    }

    /// Calls `handler` for each change of subscriptions on an XPUB socket.
    ///
    /// - Parameter failure: called when receiving failed: the context was shut down (the watch has ended then), or a
    ///   peer sent a message of too many parts (it was dropped).
    @discardableResult
    public func watchSubscriptions(
        of socket: borrowing Socket,
        handler: @escaping (SubscriptionChange, SubscriptionOrigin) -> Void,
        failure: @escaping (ZMQError) -> Void = { _ in }
    ) -> WatchToken {
        let core = socket.core
        return watch(socket) { _ in
            do throws(ZMQError) {
                // A bounded turn: a peer that floods must not keep the others from theirs.
                for _ in 0..<256 {
                    guard let (change, origin) = try core.tryReceiveSubscription() else { return }
                    handler(change, origin)
                }
            } catch {
                failure(error)
            }
        }
    }

    /// Changes what a watch waits for; none is allowed. A token of an ended watch is ignored.
    public func change(_ watch: WatchToken, to events: PollEvents) {
        requireCurrent()
        loop.modify(watch.token, events: events)
    }

    /// Ends a watch: its handler is not called again, and released. A token of an ended watch is ignored.
    public func unwatch(_ watch: WatchToken) {
        requireCurrent()
        loop.unwatch(watch.token)
    }

    /// Calls `handler` once, at `deadline` or, by the cost of what runs then, soon after.
    ///
    /// Timers that are due are called in the order of their deadlines. Setting costs O(n) in the number of timers.
    @discardableResult
    public func schedule(at deadline: ContinuousClock.Instant, handler: @escaping () -> Void) -> TimerToken {
        requireCurrent()
        return TimerToken(id: loop.schedule(at: deadline, every: nil, handler: handler))
    }

    /// Calls `handler` once, `delay` from now.
    @discardableResult
    public func schedule(after delay: Duration, handler: @escaping () -> Void) -> TimerToken {
        schedule(at: .now + delay, handler: handler)
    }

    /// Calls `handler` every `interval`, first one interval from now. Turns that were missed are left out.
    @discardableResult
    public func schedule(every interval: Duration, handler: @escaping () -> Void) -> TimerToken {
        requireCurrent()
        precondition(interval > .zero, "a timer's interval is above zero")
        return TimerToken(id: loop.schedule(at: .now + interval, every: interval, handler: handler))
    }

    /// Cancels a timer. One that was called, or was cancelled before, is ignored.
    public func cancel(_ timer: TimerToken) {
        requireCurrent()
        loop.cancel(timer.id)
    }

    /// The number of watches, monitors included.
    public var watchCount: Int {
        requireCurrent()
        return loop.watchCount
    }

    private func requireCurrent() {
        precondition(isCurrent, "watches and timers of the reactor \(name) belong to its own thread")
    }
}
