import Glibc

/// A listening TCP socket. One thread accepts; `shutdown()` may come from any thread and ends the wait.
public final class TCPListener: Sendable {
    private let descriptor: Int32
    /// The port that is listened on: the one asked for, or the free one taken for 0.
    public let port: Int

    /// Binds and listens; port 0 takes a free one.
    ///
    /// - Throws: `SystemError`, such as `EADDRINUSE`.
    public init(host: String, port: Int, backlog: Int32 = 16) throws(SystemError) {
        let subject = "\(host):\(port)"
        var address = try TCPAddress.resolve(host: host, port: port, passive: true)
        let descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SystemError(operation: "socket", subject: subject) }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        guard address.withSocketAddress({ bind(descriptor, $0, $1) }) == 0, listen(descriptor, backlog) == 0 else {
            let failure = SystemError(operation: "listen on", subject: subject)
            close(descriptor)
            throw failure
        }
        var bound = TCPAddress(storage: sockaddr_storage(), length: 0, family: address.family)
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        _ = bound.withSocketAddress { pointer, _ in getsockname(descriptor, pointer, &length) }
        // The port lies at the same place in the IPv4 and the IPv6 form, in network byte order.
        self.port = withUnsafeBytes(of: &bound.storage) { bytes in
            Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// The next connection, or nil when `timeout` passed or the listener was shut down.
    public func accept(timeout: Duration) -> TCPConnection? {
        guard TCPConnection.waitReady(descriptor, Int16(POLLIN), timeout) else { return nil }
        var peer = TCPAddress(storage: sockaddr_storage(), length: 0, family: 0)
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let accepted = peer.withSocketAddress { pointer, _ in Glibc.accept(descriptor, pointer, &length) }
        guard accepted >= 0 else { return nil }
        _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        var service = [CChar](repeating: 0, count: Int(NI_MAXSERV))
        _ = peer.withSocketAddress { pointer, _ in
            getnameinfo(
                pointer, length, &host, socklen_t(host.count), &service, socklen_t(service.count),
                NI_NUMERICHOST | NI_NUMERICSERV)
        }
        let text = { (characters: [CChar]) in
            String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        return TCPConnection(descriptor: accepted, peer: "\(text(host)):\(text(service))")
    }

    /// Ends listening; a thread that waits in `accept` gets nil.
    public func shutdown() {
        _ = Glibc.shutdown(descriptor, Int32(SHUT_RDWR))
    }
}
