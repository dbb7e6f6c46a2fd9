import Glibc

/// A connection of another library's socket, by its descriptor: so that it can be ended from outside.
public struct ForeignConnection: Sendable, Hashable {
    public let descriptor: Int32
    /// Tells it from a later connection with the same descriptor.
    private let inode: UInt

    /// Nil unless the descriptor is an open socket.
    public init?(_ descriptor: Int32) {
        guard let inode = Self.inode(of: descriptor) else { return nil }
        self.descriptor = descriptor
        self.inode = inode
    }

    /// Whether the descriptor is still this connection's.
    public var isOpen: Bool { Self.inode(of: descriptor) == inode }

    /// Whether a program of this machine is at the other end, through a name in the file system.
    public var isLocal: Bool {
        var domain: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX
    }

    /// Ends the connection if it still stands; its owner finds it closed by the peer. Harmless in any case: should the number
    /// change hands just now, a bystander has to connect again.
    ///
    /// - Returns: whether it stood.
    @discardableResult
    public func cut() -> Bool {
        guard isOpen else { return false }
        return shutdown(descriptor, Int32(SHUT_RDWR)) == 0
    }

    private static func inode(of descriptor: Int32) -> UInt? {
        var attributes = stat()
        guard fstat(descriptor, &attributes) == 0, attributes.st_mode & S_IFMT == S_IFSOCK else { return nil }
        return UInt(attributes.st_ino)
    }
}
