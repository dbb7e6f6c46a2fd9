import Glibc

/// A path at which the work socket is to listen. libzmq takes away what lies there, whatever it is and whoever uses it.
enum WorkPath {
    /// The limit of a socket's name in the system, without its end mark.
    static let longest = 107

    /// - Throws: `ServerError` when something is there that is not the socket of a server that is gone.
    static func check(_ path: String) throws(ServerError) {
        guard (1...longest).contains(path.utf8.count) else {
            throw .badSetting("work socket path", "it has \(path.utf8.count) bytes; 1 to \(longest) are possible")
        }
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw .badSetting("work socket path", "\(path) is there already, and is no socket")
        }
        guard !isServed(path) else { throw .badSetting("work socket path", "another program listens at \(path)") }
    }

    private static func isServed(_ path: String) -> Bool {
        let descriptor = socket(
            AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let outcome = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, length) }
        }
        // One whose queue is full has somebody behind it, too.
        return outcome == 0 || errno == EAGAIN
    }
}
