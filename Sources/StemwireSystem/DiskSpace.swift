import Glibc

/// How much room a file system has.
public struct DiskSpace: Sendable, Hashable {
    public let directory: String
    public let bytesTotal: Int
    /// What a process without privileges can still write.
    public let bytesFree: Int

    /// The file system that `directory` is on; nil when there is no such directory.
    public init?(of directory: String) {
        var found = statvfs()
        guard statvfs(directory, &found) == 0 else { return nil }
        self.directory = directory
        bytesTotal = Int(found.f_blocks) * Int(found.f_frsize)
        bytesFree = Int(found.f_bavail) * Int(found.f_frsize)
    }
}
