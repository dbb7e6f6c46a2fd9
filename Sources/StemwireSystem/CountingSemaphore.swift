import Glibc

/// A POSIX semaphore: the wake-up between a producer that must not block and a thread that waits.
public final class CountingSemaphore: Sendable {
    // A sem_t is made to be shared between threads; the pointer itself never changes.
    nonisolated(unsafe) private let semaphore: UnsafeMutablePointer<sem_t>

    public init(_ value: UInt32 = 0) {
        semaphore = .allocate(capacity: 1)
        sem_init(semaphore, 0, value)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    /// Adds one. Never blocks, takes no lock, does not allocate.
    public func post() {
        sem_post(semaphore)
    }

    /// Waits until there is one to take, and takes it.
    public func wait() {
        while sem_wait(semaphore) != 0 && errno == EINTR {}
    }

    /// Waits at most `timeout`; false when the time ran out.
    public func wait(timeout: Duration) -> Bool {
        var until = timespec()
        clock_gettime(CLOCK_REALTIME, &until)
        let (seconds, attoseconds) = timeout.components
        until.tv_sec += Int(seconds)
        until.tv_nsec += Int(attoseconds / 1_000_000_000)
        if until.tv_nsec >= 1_000_000_000 {
            until.tv_sec += 1
            until.tv_nsec -= 1_000_000_000
        }
        while sem_timedwait(semaphore, &until) != 0 {
            if errno != EINTR { return false }
        }
        return true
    }
}
