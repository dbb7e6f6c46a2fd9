import CLibzmq
import Glibc
import StemwireSystem

/// What a socket or descriptor is ready for.
public struct PollEvents: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A message, or bytes, can be received.
    public static let readable = PollEvents(rawValue: 1)
    /// A message, or bytes, can be sent.
    public static let writable = PollEvents(rawValue: 2)
    /// A descriptor is broken or was closed.
    public static let error = PollEvents(rawValue: 4)
    /// The socket's context was shut down: every call on it fails from now on.
    public static let terminated = PollEvents(rawValue: 16)

    init(zmqEvents: Int16) { self.init(rawValue: UInt8(truncatingIfNeeded: zmqEvents & 7)) }

    var zmqEvents: Int16 { Int16(rawValue & 7) }
}

/// Waits for several sockets and descriptors at once, and for ``wakeUp`` from other threads.
///
/// For threads with a loop of their own, such as a data-plane publisher; everything else lives on a ``Reactor``.
/// Registrations are level-triggered: what was not drained makes the next wait return at once. A registration of a
/// socket that was closed lapses by itself; descriptors must be removed before they are closed.
///
/// Threading: one thread; ``wakeUp`` may be signalled from any.
public struct Poller: ~Copyable {
    /// Names a registration.
    public struct Token: Sendable, Hashable {
        let id: Int
    }

    /// A registration that is ready, and for what.
    public struct Ready: Sendable, Hashable {
        public let token: Token
        public let events: PollEvents
    }

    private struct Entry {
        let token: Token
        let core: SocketCore?
        let descriptor: Int32
        var events: PollEvents

        var hasLapsed: Bool { core.map { !$0.isOpen } ?? false }
    }

    /// Ends a wait; several signals before it count as one.
    public let wakeUp: WakeUp

    private var entries: [Entry] = []
    private var items: [zmq_pollitem_t] = []
    private var itemsAreCurrent = false
    private var ready: [Ready] = []
    private var lastID = 0

    /// - Throws: `ZMQError` when the system has no descriptor left for the wake-up.
    public init() throws(ZMQError) {
        do { wakeUp = try WakeUp() } catch { throw ZMQError(error) }
    }

    init(wakeUp: WakeUp) { self.wakeUp = wakeUp }

    /// Number of registrations.
    public var count: Int { entries.count }

    /// Registers a socket.
    public mutating func add(_ socket: borrowing Socket, events: PollEvents = .readable) -> Token {
        add(core: socket.core, descriptor: -1, events: events)
    }

    /// Registers a descriptor, which stays the caller's.
    public mutating func add(descriptor: Int32, events: PollEvents = .readable) -> Token {
        add(core: nil, descriptor: descriptor, events: events)
    }

    mutating func add(core: SocketCore?, descriptor: Int32, events: PollEvents) -> Token {
        lastID += 1
        let token = Token(id: lastID)
        entries.append(Entry(token: token, core: core, descriptor: descriptor, events: events))
        itemsAreCurrent = false
        return token
    }

    /// Changes what a registration waits for; none is allowed. Unknown tokens are ignored.
    public mutating func modify(_ token: Token, events: PollEvents) {
        guard let index = entries.firstIndex(where: { $0.token == token }) else { return }
        entries[index].events = events
        itemsAreCurrent = false
    }

    /// Ends a registration. Unknown tokens are ignored.
    public mutating func remove(_ token: Token) {
        guard let index = entries.firstIndex(where: { $0.token == token }) else { return }
        entries.remove(at: index)
        itemsAreCurrent = false
    }

    /// Whether a registration still stands: it was not removed, nor its socket closed.
    func isCurrent(_ token: Token) -> Bool {
        entries.contains { $0.token == token && !$0.hasLapsed }
    }

    /// Waits until something is ready, ``wakeUp`` is signalled or `timeout` has passed.
    ///
    /// - Returns: what is ready; empty after a wake-up or the time limit.
    public mutating func wait(timeout: TimeLimit = .unlimited) throws(ZMQError) -> [Ready] {
        let deadline = timeout.milliseconds.map { ContinuousClock.now + .milliseconds(Int($0)) }
        var left = timeout
        while true {
            if let ready = try waitOnce(timeout: left) { return ready }
            if let deadline { left = TimeLimit(deadline - ContinuousClock.now) }
        }
    }

    /// As ``wait(timeout:)``, but nil when a signal interrupted the wait.
    mutating func waitOnce(timeout: TimeLimit) throws(ZMQError) -> [Ready]? {
        dropLapsed()
        if !itemsAreCurrent { rebuildItems() }
        ready.removeAll(keepingCapacity: true)
        guard zmq_poll(&items, Int32(items.count), Int(timeout.zmqValue)) >= 0 else {
            switch zmq_errno() {
            case EINTR: return nil
            case ZMQError.Code.terminated.rawValue:
                collectTerminated()
                return ready
            default: throw .last("poll")
            }
        }
        if items[0].revents != 0 { wakeUp.drain() }
        for (entry, item) in zip(entries, items.dropFirst()) where item.revents != 0 {
            ready.append(Ready(token: entry.token, events: PollEvents(zmqEvents: item.revents)))
        }
        return ready
    }

    /// Drops the registrations whose socket was closed, and names them.
    @discardableResult
    mutating func dropLapsed() -> [Token] {
        guard entries.contains(where: \.hasLapsed) else { return [] }
        let lapsed = entries.filter(\.hasLapsed).map(\.token)
        entries.removeAll(where: \.hasLapsed)
        itemsAreCurrent = false
        return lapsed
    }

    private mutating func rebuildItems() {
        items.removeAll(keepingCapacity: true)
        items.append(
            zmq_pollitem_t(socket: nil, fd: wakeUp.descriptor, events: PollEvents.readable.zmqEvents, revents: 0))
        for entry in entries {
            items.append(
                zmq_pollitem_t(
                    socket: entry.core?.pointer, fd: entry.descriptor, events: entry.events.zmqEvents, revents: 0))
        }
        itemsAreCurrent = true
    }

    /// One socket of a shut-down context makes the whole poll fail and says nothing about the others: ask each.
    private mutating func collectTerminated() {
        for entry in entries {
            guard let core = entry.core else { continue }
            do {
                _ = try core.integer("events", ZMQ_EVENTS)
            } catch {
                ready.append(Ready(token: entry.token, events: .terminated))
            }
        }
    }
}
