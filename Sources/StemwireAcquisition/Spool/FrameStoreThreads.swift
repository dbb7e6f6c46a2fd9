import StemwireSystem
import Synchronization

/// The two threads of a store: one takes what comes and never waits; the other moves frames to the spool, and waits for
/// the disk.
///
/// They end when the queue is closed and empty; then `join()`.
public final class FrameStoreThreads: Sendable {
    /// The longest time that passes before a change of the ring is seen.
    static let interval = Duration.milliseconds(20)

    private let taking: NamedThread
    private let moving: NamedThread

    /// - Parameter queue: the store's own, fed by the source of its ring.
    /// - Throws: `SystemError` when there is no thread to be had; the queue is closed then.
    public init(_ store: FrameStore, queue: TileQueue) throws(SystemError) {
        let isOver = Flag()
        let taking = try NamedThread("frame-store") {
            while true {
                if let event = queue.next(timeout: Self.interval) {
                    store.take(event)
                } else if queue.isClosed, queue.count == 0 {
                    break
                }
                store.limit()
            }
            isOver.set()
            store.moveWake.post()
        }
        do throws(SystemError) {
            moving = try NamedThread("frame-spool") {
                while !isOver.isSet {
                    _ = store.moveWake.wait(timeout: Self.interval)
                    store.relieve()
                }
            }
        } catch {
            queue.close()
            taking.join()
            throw error
        }
        self.taking = taking
    }

    /// Waits until both have ended. To be called once.
    public func join() {
        taking.join()
        moving.join()
    }

    private final class Flag: Sendable {
        private let value = Atomic<Bool>(false)
        var isSet: Bool { value.load(ordering: .acquiring) }
        func set() { value.store(true, ordering: .releasing) }
    }
}
