import CLibzmq

/// The libzmq socket behind a ``Socket``, known also to the pollers that watch it.
///
/// Who watches a socket holds this object and not the bare pointer, which is nil once the socket is closed: so a
/// watch that outlives its socket lapses, where libzmq would read freed memory.
final class SocketCore {
    let kind: Socket.Kind
    let context: Context
    private(set) var pointer: UnsafeMutableRawPointer?
    /// The reactor whose thread polls this socket, once there is one.
    var reactor: Reactor?

    init(_ kind: Socket.Kind, in context: Context) throws(ZMQError) {
        guard let pointer = zmq_socket(context.pointer, kind.zmqValue) else {
            throw .last("open socket", subject: "\(kind)")
        }
        self.pointer = pointer
        self.kind = kind
        self.context = context
    }

    deinit { close() }

    var isOpen: Bool { pointer != nil }

    /// Closes on the calling thread.
    func close() {
        guard let pointer else { return }
        self.pointer = nil
        zmq_close(pointer)
    }

    /// Closes on the thread that may be polling this socket just now, if that is not the caller's.
    func closeWhereWatched() {
        guard let reactor, !reactor.isCurrent, reactor.closeOnLoop(self) else { return close() }
    }

    func set(_ name: String, _ option: Int32, _ value: Int32) throws(ZMQError) {
        var value = value
        guard zmq_setsockopt(pointer, option, &value, MemoryLayout<Int32>.size) == 0 else {
            throw .last("set \(name)", subject: "\(value) on \(kind)")
        }
    }

    func set(_ name: String, _ option: Int32, _ value: Int64) throws(ZMQError) {
        var value = value
        guard zmq_setsockopt(pointer, option, &value, MemoryLayout<Int64>.size) == 0 else {
            throw .last("set \(name)", subject: "\(value) on \(kind)")
        }
    }

    func set(_ name: String, _ option: Int32, bytes: [UInt8]) throws(ZMQError) {
        guard bytes.withUnsafeBytes({ zmq_setsockopt(pointer, option, $0.baseAddress, $0.count) }) == 0 else {
            throw .last("set \(name)", subject: "on \(kind)")
        }
    }

    func integer(_ name: String, _ option: Int32) throws(ZMQError) -> Int32 {
        var value: Int32 = 0
        var size = MemoryLayout<Int32>.size
        while zmq_getsockopt(pointer, option, &value, &size) != 0 {
            guard zmq_errno() == EINTR else { throw .last("get \(name)", subject: "of \(kind)") }
        }
        return value
    }

    /// A value of at most `capacity` bytes.
    func bytes(_ name: String, _ option: Int32, capacity: Int) throws(ZMQError) -> [UInt8] {
        var size = capacity
        var failed = false
        let value = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            failed = zmq_getsockopt(pointer, option, buffer.baseAddress, &size) != 0
            count = failed ? 0 : size
        }
        guard !failed else { throw .last("get \(name)", subject: "of \(kind)") }
        return value
    }

    /// Sends one part out of `message`; on success its content has moved to libzmq and it is empty.
    ///
    /// - Returns: false for `EAGAIN`: nothing was taken.
    @inline(__always)
    func send(_ message: UnsafeMutablePointer<zmq_msg_t>, flags: Int32) throws(ZMQError) -> Bool {
        while zmq_msg_send(message, pointer, flags) < 0 {
            let failure = zmq_errno()
            if failure == EAGAIN { return false }
            if failure != EINTR { throw .last("send", subject: "on \(kind)") }
        }
        return true
    }

    /// Receives one part into `message`, which is released first.
    ///
    /// - Returns: false for `EAGAIN`: nothing there.
    @inline(__always)
    func receive(_ message: UnsafeMutablePointer<zmq_msg_t>, flags: Int32) throws(ZMQError) -> Bool {
        while zmq_msg_recv(message, pointer, flags) < 0 {
            let failure = zmq_errno()
            if failure == EAGAIN { return false }
            if failure != EINTR { throw .last("receive", subject: "on \(kind)") }
        }
        return true
    }
}
