import Glibc

/// Why there can be no spool.
public enum SpoolError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The disk has less free space than the spool would take, a twentieth of it left alone for others.
    case noSpace(directory: String, wantedBytes: Int, freeBytes: Int)
    /// A system call failed with this `errno`.
    case system(directory: String, operation: String, code: Int32)

    public var description: String {
        switch self {
        case .noSpace(let directory, let wanted, let free):
            "a spool of \(wanted >> 20) MiB does not fit into \(directory), where \(free >> 20) MiB are free and a part of "
                + "them is left for others; make the spool smaller or give another directory"
        case .system(let directory, let operation, let code):
            "cannot \(operation) a spool in \(directory): \(String(cString: strerror(code)))"
        }
    }
}
