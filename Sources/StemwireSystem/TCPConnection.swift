import Glibc

/// One TCP connection with blocking calls that end: each wait has a time limit, and `shutdown()` ends them all.
///
/// One thread receives and one thread sends; `shutdown()` may come from any thread. The descriptor is closed when the
/// last reference goes.
public final class TCPConnection: Sendable {
    public let descriptor: Int32
    /// Where the other side is, `host:port`, for messages.
    public let peer: String

    /// Takes over a connected descriptor.
    init(descriptor: Int32, peer: String) {
        self.descriptor = descriptor
        self.peer = peer
        var yes: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit { close(descriptor) }

    /// Connects within `timeout`.
    ///
    /// - Throws: `SystemError` with the cause: `ECONNREFUSED` nobody listens, `ETIMEDOUT` no answer,
    ///   `ENXIO` the name is not known.
    public static func connect(host: String, port: Int, timeout: Duration) throws(SystemError) -> TCPConnection {
        let subject = "\(host):\(port)"
        var address = try TCPAddress.resolve(host: host, port: port, passive: false)
        let descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SystemError(operation: "socket", subject: subject) }
        let connection = TCPConnection(descriptor: descriptor, peer: subject)
        let flags = fcntl(descriptor, F_GETFL)
        _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
        if address.withSocketAddress({ Glibc.connect(descriptor, $0, $1) }) != 0 {
            guard errno == EINPROGRESS else { throw SystemError(operation: "connect", subject: subject) }
            guard waitReady(descriptor, Int16(POLLOUT), timeout) else {
                throw SystemError(operation: "connect", code: ETIMEDOUT, subject: subject)
            }
            var failure: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &length)
            guard failure == 0 else { throw SystemError(operation: "connect", code: failure, subject: subject) }
        }
        _ = fcntl(descriptor, F_SETFL, flags)
        return connection
    }

    /// What a receive brought.
    public enum Received: Equatable, Sendable {
        case bytes(Int)
        /// Nothing within the receive time limit.
        case timedOut
        /// The other side ended the connection (or `shutdown()` was called).
        case closed
        /// The connection broke, with this errno.
        case failed(Int32)
    }

    /// Limits how long one receive waits for bytes.
    public func setReceiveTimeout(_ timeout: Duration) {
        setTimeout(SO_RCVTIMEO, timeout)
    }

    /// Limits how long one send waits for the peer to take bytes.
    public func setSendTimeout(_ timeout: Duration) {
        setTimeout(SO_SNDTIMEO, timeout)
    }

    /// Reads into `buffer`: what is there, or with `fill` until it is full, the time limit or the end.
    ///
    /// Does not allocate.
    public func receive(into buffer: UnsafeMutableRawBufferPointer, fill: Bool = false) -> Received {
        guard buffer.count > 0 else { return .bytes(0) }
        while true {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, fill ? Int32(MSG_WAITALL) : 0)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .closed }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .timedOut
            default: return .failed(errno)
            }
        }
    }

    /// Sends all of `bytes`.
    ///
    /// - Throws: `SystemError`; `EAGAIN` when the peer took nothing for the whole send time limit.
    public func send(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        var sent = 0
        while sent < bytes.count {
            let count = Glibc.send(
                descriptor, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            if count > 0 {
                sent += count
            } else if errno != EINTR {
                throw SystemError(operation: "send", subject: peer)
            }
        }
    }

    /// Sends all of `text` as UTF-8.
    public func send(_ text: String) throws(SystemError) {
        let bytes = Array(text.utf8)
        var failure: SystemError?
        bytes.withUnsafeBytes { raw in
            do throws(SystemError) { try send(raw) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Ends the connection in both directions; a thread that waits in `receive` gets `.closed`.
    public func shutdown() {
        _ = Glibc.shutdown(descriptor, Int32(SHUT_RDWR))
    }

    /// Ends sending; the other side reads to the end and can still send.
    public func shutdownSending() {
        _ = Glibc.shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Makes the close that follows a reset (RST) instead of an orderly end.
    public func resetOnClose() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    /// Has the system notice a peer that is gone without a word: its machine is off, or the network cut. Receiving and
    /// sending then fail with `ETIMEDOUT`.
    ///
    /// - Parameters:
    ///   - idle: silence after which the peer is asked for a sign of life; whole seconds, 1 at least.
    ///   - limit: silence after which it counts as gone; whole seconds above `idle`.
    public func noticeLoss(idle: Duration, limit: Duration) {
        var (first, pause) = (Int32(max(1, idle.components.seconds)), Int32(1))
        var probes = Int32(max(1, limit.components.seconds - Int64(first)))
        var yes: Int32 = 1
        var unacknowledged = UInt32(clamping: Int64(limit / .milliseconds(1)))
        let size = socklen_t(MemoryLayout<Int32>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &yes, size)
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, &first, size)
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, &pause, size)
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, &probes, size)
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &unacknowledged, size)
    }

    /// The first bytes that wait to be read, which stay where they are: at most `count`, as many as have come within
    /// `timeout`. Empty when nothing came, or the connection has ended.
    public func peek(_ count: Int, timeout: Duration) -> [UInt8] {
        guard waitReadable(timeout: timeout) else { return [] }
        var bytes = [UInt8](repeating: 0, count: count)
        let received = recv(descriptor, &bytes, count, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
        return Array(bytes.prefix(max(0, received)))
    }

    /// Waits until bytes, or the end, can be read; false when `timeout` passed.
    public func waitReadable(timeout: Duration) -> Bool {
        Self.waitReady(descriptor, Int16(POLLIN), timeout)
    }

    private func setTimeout(_ option: Int32, _ timeout: Duration) {
        let (seconds, attoseconds) = timeout.components
        var value = timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
        setsockopt(descriptor, SOL_SOCKET, option, &value, socklen_t(MemoryLayout<timeval>.size))
    }

    static func waitReady(_ descriptor: Int32, _ events: Int16, _ timeout: Duration) -> Bool {
        let deadline = ContinuousClock.now + timeout
        while true {
            let left = deadline - ContinuousClock.now
            let milliseconds = max(
                0, left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000)
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            let ready = poll(&entry, 1, Int32(clamping: milliseconds))
            if ready > 0 { return true }
            if ready == 0 || errno != EINTR { return false }
        }
    }
}
