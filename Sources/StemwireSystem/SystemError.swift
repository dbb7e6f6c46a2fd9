import Glibc

/// A system call that failed: which, with what errno, and on what.
public struct SystemError: Error, Sendable, CustomStringConvertible {
    /// The call or step that failed, such as `bind` or `connect`.
    public let operation: String
    /// The value of `errno`.
    public let code: Int32
    /// What it was done to, such as `127.0.0.1:6341`; empty when there is nothing to name.
    public let subject: String

    public init(operation: String, code: Int32 = errno, subject: String = "") {
        self.operation = operation
        self.code = code
        self.subject = subject
    }

    public var description: String {
        let reason = String(cString: strerror(code))
        return subject.isEmpty ? "\(operation): \(reason)" : "\(operation) \(subject): \(reason)"
    }
}
