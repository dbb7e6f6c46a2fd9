import CStemwireSystem
import Glibc
import Synchronization

/// A plain thread with a name, for code that may block: receivers, reactors, workers.
///
/// Swift's cooperative pool must not block; whatever waits for a socket, a file or a semaphore runs on one of these.
/// `join()` must be called by the owner before state that the thread uses is torn down; a thread that nobody joins goes by
/// itself when it has ended.
public final class NamedThread: Sendable {
    public let name: String
    private let handle: pthread_t
    private let isJoined = Atomic<Bool>(false)

    private final class Start {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts `body` on a new thread at once.
    ///
    /// - Throws: `SystemError` when the system has no thread to give.
    public init(_ name: String, body: @escaping @Sendable () -> Void) throws(SystemError) {
        self.name = name
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var handle = pthread_t()
        let failure = pthread_create(
            &handle, nil,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                stemwire_name_this_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        guard failure == 0 else {
            start.release()
            throw SystemError(operation: "start thread", code: failure, subject: name)
        }
        self.handle = handle
    }

    deinit {
        if !isJoined.load(ordering: .relaxed) { pthread_detach(handle) }
    }

    /// Waits until the thread has ended. To be called once, and not from the thread itself.
    public func join() {
        isJoined.store(true, ordering: .relaxed)
        pthread_join(handle, nil)
    }

    /// Whether the caller runs on this thread.
    public var isCurrent: Bool { pthread_equal(pthread_self(), handle) != 0 }
}
