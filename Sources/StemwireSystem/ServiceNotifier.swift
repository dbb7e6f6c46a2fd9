import Glibc

/// Tells systemd how a service does (sd_notify): datagrams to the socket that `NOTIFY_SOCKET` names. Without one, nothing happens.
///
/// Threading: any thread; a datagram that cannot be sent at once is left out.
public struct ServiceNotifier: Sendable {
    private let path: String?
    /// How often systemd wants a sign of life, as `WATCHDOG_USEC` says; nil when it does not.
    public let watchdogInterval: Duration?

    /// Takes what the environment says.
    public init() {
        func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
        self.init(
            socket: variable("NOTIFY_SOCKET"), watchdogMicroseconds: variable("WATCHDOG_USEC").flatMap { Int($0) },
            watchdogProcess: variable("WATCHDOG_PID").flatMap { Int32($0) })
    }

    init(socket: String?, watchdogMicroseconds: Int?, watchdogProcess: Int32?) {
        path = socket.flatMap { ["/", "@"].contains($0.prefix(1)) && $0.utf8.count < 108 ? $0 : nil }
        let isMine = watchdogProcess.map { $0 == getpid() } ?? true
        watchdogInterval = watchdogMicroseconds.flatMap { isMine && $0 > 0 ? .microseconds($0) : nil }
    }

    public func ready(_ status: String) { send("READY=1\nSTATUS=\(status)") }
    public func stopping() { send("STOPPING=1\nSTATUS=working off what was received") }
    /// A sign of life.
    public func alive() { send("WATCHDOG=1") }

    private func send(_ text: String) {
        guard let path else { return }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(path.utf8)
        // An abstract name begins with a zero byte.
        if name.first == UInt8(ascii: "@") { name[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let length = socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + name.count)
        let bytes = Array(text.utf8)
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = sendto(descriptor, bytes, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL), $0, length)
            }
        }
    }
}
