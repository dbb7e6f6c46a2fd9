import CLibzmq
import Synchronization

/// Tells what happens to a socket's connections; the only way to learn that a connect leads nowhere.
///
/// Make it before `bind` or `connect`, or the first events are missed. One monitor a socket: a second one ends the
/// first. Events queue without limit until they are read, since libzmq's I/O thread would stop for all sockets when
/// it could not queue one: read them, or end the monitor.
///
/// Threading: the thread of the monitored socket.
public struct SocketMonitor: ~Copyable {
    private static let count = Atomic<UInt>(0)
    let core: SocketCore
    private let monitored: SocketCore

    /// - Throws: `ZMQError`: the socket is closed or the context has no socket left.
    public init(_ socket: borrowing Socket) throws(ZMQError) {
        let monitored = socket.core
        let number = Self.count.wrappingAdd(1, ordering: .relaxed).newValue
        let endpoint = "inproc://stemwire-monitor-\(number)"
        let core = try SocketCore(.pair, in: monitored.context)
        try core.set("receiveHighWaterMark", ZMQ_RCVHWM, Int32(0))
        try core.set("linger", ZMQ_LINGER, Int32(0))
        guard zmq_socket_monitor(monitored.pointer, endpoint, ZMQ_EVENT_ALL) == 0 else {
            throw .last("monitor", subject: "\(monitored.kind)")
        }
        guard zmq_connect(core.pointer, endpoint) == 0 else {
            let failure = ZMQError.last("monitor", subject: "\(monitored.kind)")
            zmq_socket_monitor(monitored.pointer, nil, 0)
            throw failure
        }
        self.core = core
        self.monitored = monitored
    }

    deinit {
        // First: without a reader, libzmq waits for ever when it has an event to tell.
        if let pointer = monitored.pointer { zmq_socket_monitor(pointer, nil, 0) }
        core.close()
    }

    /// Waits for the next event.
    ///
    /// - Throws: `ZMQError` with ``ZMQError/Code/timedOut`` when `timeout` passed without one.
    public func next(timeout: TimeLimit = .unlimited) throws(ZMQError) -> MonitorEvent {
        try core.set("receiveTimeout", ZMQ_RCVTIMEO, timeout.zmqValue)
        while true {
            guard let parts = try core.receiveParts(limit: 4, flags: 0) else {
                throw ZMQError(.timedOut, "wait for an event", subject: "of \(monitored.kind)")
            }
            if let event = MonitorEvent(parts) { return event }
        }
    }

    /// The next event, nil when there is none now.
    public func tryNext() throws(ZMQError) -> MonitorEvent? {
        while let parts = try core.receiveParts(limit: 4, flags: ZMQ_DONTWAIT) {
            if let event = MonitorEvent(parts) { return event }
        }
        return nil
    }
}

extension Reactor {
    /// Keeps a monitor of `socket` on the reactor and calls `handler` for each of its events, until the watch is ended
    /// or the socket closed, which ``MonitorEvent/stopped`` tells.
    ///
    /// - Throws: `ZMQError`: the socket is closed or the context has no socket left.
    @discardableResult
    public func monitor(
        _ socket: borrowing Socket, handler: @escaping (MonitorEvent) -> Void
    ) throws(ZMQError) -> WatchToken {
        precondition(isCurrent, "monitors of the reactor \(name) belong to its own thread")
        let box = MonitorBox(try SocketMonitor(socket))
        socket.core.reactor = self
        let token = watch(core: box.monitor.core, events: .readable) { [unowned self] _ in
            for _ in 0..<256 {
                // An error here is the context's shutdown, which ends the watch by itself.
                guard let event = try? box.monitor.tryNext() else { return }
                if event == .stopped, let token = box.token { unwatch(token) }
                handler(event)
            }
        }
        box.token = token
        return token
    }
}

/// Lets a closure own a monitor.
private final class MonitorBox {
    let monitor: SocketMonitor
    var token: WatchToken?

    init(_ monitor: consuming SocketMonitor) { self.monitor = monitor }
}
