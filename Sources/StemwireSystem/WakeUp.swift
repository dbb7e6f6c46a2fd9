import CStemwireSystem
import Glibc

/// A wake-up for a thread that waits in `poll` or `zmq_poll`: an eventfd. Any thread may signal.
public final class WakeUp: Sendable {
    /// Readable while a signal is pending. Owned by this object.
    public let descriptor: Int32

    public init() throws(SystemError) {
        descriptor = stemwire_eventfd()
        guard descriptor >= 0 else { throw SystemError(operation: "eventfd") }
    }

    deinit { close(descriptor) }

    /// Makes the descriptor readable. Never blocks; several signals before a `drain` count as one.
    public func signal() {
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }

    /// Takes all pending signals.
    public func drain() {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
    }
}
