import ZeroMQ

/// Holds messages back, in their order and not for long, until those before them have left the queues of who reads.
///
/// Bursts of small messages would fill the queues before libzmq's own thread has looked, and what comes next, an end
/// perhaps, would be dropped for all.
///
/// Threading: the reactor's thread only.
package final class PacedQueue<Element> {
    /// How a message is to be treated.
    package enum Kind {
        /// A start or an end, which nobody is to miss: waits longest.
        case landmark
        /// One of so many bytes. Large ones do not come in bursts, and do not wait.
        case bytes(Int)
    }

    private struct Waiting {
        let element: Element
        let kind: Kind
        let until: ContinuousClock.Instant
    }

    private static var longestHold: Duration { .milliseconds(20) }
    private static var usualHold: Duration { .milliseconds(1) }
    private static var largeBytes: Int { 64 << 10 }

    private let reactor: Reactor
    /// None but landmarks waits when there are more.
    private let longestBacklog: Int
    private let hasRoom: () -> Bool
    private let send: (Element) -> Void
    private var waiting: [Waiting] = []
    private var isAwaitingRoom = false

    package init(
        on reactor: Reactor, longestBacklog: Int, hasRoom: @escaping () -> Bool, send: @escaping (Element) -> Void
    ) {
        self.reactor = reactor
        self.longestBacklog = longestBacklog
        self.hasRoom = hasRoom
        self.send = send
    }

    package var isEmpty: Bool { waiting.isEmpty }

    /// Sends an element, now or as soon as there is room.
    package func add(_ element: Element, _ kind: Kind) {
        let hold = if case .landmark = kind { Self.longestHold } else { Self.usualHold }
        waiting.append(Waiting(element: element, kind: kind, until: .now + hold))
        if waiting.count == 1 || waiting.count > longestBacklog { flush() }
    }

    /// Sends all, whether there is room or not.
    package func sendAll() {
        let all = waiting
        waiting = []
        for next in all { send(next.element) }
    }

    private func mayWait(_ next: Waiting, of count: Int) -> Bool {
        switch next.kind {
        case .landmark: true
        case .bytes(let bytes): bytes < Self.largeBytes && count <= longestBacklog
        }
    }

    private func flush() {
        var sent = 0
        while sent < waiting.count {
            let next = waiting[sent]
            guard !mayWait(next, of: waiting.count - sent) || hasRoom() || ContinuousClock.now >= next.until else {
                break
            }
            send(next.element)
            sent += 1
        }
        waiting.removeFirst(sent)
        guard !waiting.isEmpty, !isAwaitingRoom else { return }
        isAwaitingRoom = true
        reactor.schedule(after: .milliseconds(1)) { [self] in
            isAwaitingRoom = false
            flush()
        }
    }
}
