import StemwireSystem
import Synchronization

/// The thread that moves a store's frames to the spool, and waits for the disk; for a consumer that calls `take` itself.
public final class FrameMover: Sendable {
    private let thread: NamedThread
    private let isStopped: Flag
    private let store: FrameStore

    private final class Flag: Sendable {
        let value = Atomic<Bool>(false)
    }

    public init(_ store: FrameStore) throws(SystemError) {
        let isStopped = Flag()
        self.store = store
        self.isStopped = isStopped
        thread = try NamedThread("frame-spool") {
            while !isStopped.value.load(ordering: .acquiring) {
                _ = store.moveWake.wait(timeout: FrameStoreThreads.interval)
                store.relieve()
            }
        }
    }

    /// Ends the thread. Blocks; to be called once.
    public func stop() {
        isStopped.value.store(true, ordering: .releasing)
        store.moveWake.post()
        thread.join()
    }
}
