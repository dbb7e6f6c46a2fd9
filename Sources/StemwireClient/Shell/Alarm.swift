import ZeroMQ

/// One timer that is set anew whenever the next deadline of a state machine changes.
///
/// Threading: the reactor's thread only.
package final class Alarm {
    private let reactor: Reactor
    private let handler: () -> Void
    private var timer: TimerToken?
    private var deadline: ContinuousClock.Instant?

    package init(on reactor: Reactor, handler: @escaping () -> Void) {
        self.reactor = reactor
        self.handler = handler
    }

    /// Calls the handler at `instant`; nil: not at all.
    package func set(_ instant: ContinuousClock.Instant?) {
        guard instant != deadline || timer == nil else { return }
        if let timer { reactor.cancel(timer) }
        deadline = instant
        timer = instant.map { instant in
            reactor.schedule(at: instant) { [self] in
                timer = nil
                deadline = nil
                handler()
            }
        }
    }
}
