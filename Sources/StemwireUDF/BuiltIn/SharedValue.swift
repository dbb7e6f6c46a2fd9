import Glibc

/// A value that the threads of a run share, behind a mutex: what a UDF makes once, when the first frames come.
///
/// A POSIX mutex, since the thread sanitizer misreads `Synchronization.Mutex`.
final class SharedValue<Value>: @unchecked Sendable {
    // Unchecked: `stored` is reached under the mutex only.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var stored: Value

    init(_ value: Value) {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        stored = value
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Runs `body` with the value; nobody else has it meanwhile.
    func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&stored)
    }
}
