import Glibc

/// A value behind a POSIX mutex, in a class so that it can be shared.
///
/// In place of `Synchronization.Mutex`, which the thread sanitizer misreads: when it is contended the kernel hands it
/// over, unseen, and every access behind it is reported as a race.
public final class Locked<Value>: @unchecked Sendable {
    // Unchecked: `stored` is reached under the mutex only.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var stored: Value

    public init(_ value: Value) {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        stored = value
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Runs `body` with the value; nobody else has it meanwhile. `body` must not lock the same value again.
    public func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&stored)
    }

    /// The value now, or another one from now on.
    public var value: Value {
        get { withLock { $0 } }
        set { withLock { $0 = newValue } }
    }
}
