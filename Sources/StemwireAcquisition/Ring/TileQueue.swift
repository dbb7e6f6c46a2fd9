import StemwireSystem
import Synchronization

/// The way of events from a source to one consumer: bounded, in order, without locks.
///
/// One thread pushes, one thread pops. Tiles in the queue hold their slots; a consumer that gives up must pop and
/// release what is left.
public final class TileQueue: Sendable {
    /// Events the queue has room for.
    public let capacity: Int
    private let onPush: (@Sendable () -> Void)?

    // Owned by producer and consumer in turn, by the two counters.
    nonisolated(unsafe) private let events: UnsafeMutablePointer<AcquisitionEvent>
    private let pushed = Atomic<Int>(0)
    private let popped = Atomic<Int>(0)
    private let isClosedFlag = Atomic<Bool>(false)
    private let isConsumerWaiting = Atomic<Bool>(false)
    private let consumerWake = CountingSemaphore()
    private let isProducerWaiting = Atomic<Bool>(false)
    private let producerWake = CountingSemaphore()

    /// - Parameters:
    ///   - capacity: at least `FrameRing.maximumTiles` and a few, if the source shall never wait for this queue.
    ///   - onPush: called on the source's thread after every push and at the end; must not block.
    public init(capacity: Int, onPush: (@Sendable () -> Void)? = nil) {
        self.capacity = max(2, capacity)
        self.onPush = onPush
        events = .allocate(capacity: self.capacity)
    }

    /// A queue that can take all tiles of `ring` and a few starts and ends.
    public convenience init(for ring: FrameRing, onPush: (@Sendable () -> Void)? = nil) {
        self.init(capacity: ring.maximumTiles + 64, onPush: onPush)
    }

    deinit {
        while pop() != nil {}
        events.deallocate()
    }

    /// Events in the queue. A glance while it is in use.
    public var count: Int { pushed.load(ordering: .acquiring) - popped.load(ordering: .acquiring) }

    /// Whether the source has ended; events may still be in the queue.
    public var isClosed: Bool { isClosedFlag.load(ordering: .acquiring) }

    // MARK: Source

    /// Adds an event; false if the queue is full. Source's thread only.
    public func push(_ event: AcquisitionEvent) -> Bool {
        let index = pushed.load(ordering: .relaxed)
        guard index - popped.load(ordering: .acquiring) < capacity else { return false }
        (events + index % capacity).initialize(to: event)
        pushed.store(index + 1, ordering: .sequentiallyConsistent)
        wakeConsumer()
        return true
    }

    /// Waits until there may be room, at most `timeout`. Source's thread only.
    public func waitForRoom(timeout: Duration) {
        isProducerWaiting.store(true, ordering: .sequentiallyConsistent)
        if pushed.load(ordering: .relaxed) - popped.load(ordering: .sequentiallyConsistent) >= capacity {
            _ = producerWake.wait(timeout: timeout)
        }
        isProducerWaiting.store(false, ordering: .sequentiallyConsistent)
    }

    /// Tells the consumer that nothing more will come.
    public func close() {
        isClosedFlag.store(true, ordering: .sequentiallyConsistent)
        wakeConsumer()
    }

    /// Tells the consumer that there may be more, after all. Only while no source is using the queue.
    public func reopen() {
        isClosedFlag.store(false, ordering: .sequentiallyConsistent)
    }

    private func wakeConsumer() {
        if isConsumerWaiting.load(ordering: .sequentiallyConsistent),
            isConsumerWaiting.exchange(false, ordering: .sequentiallyConsistent)
        {
            consumerWake.post()
        }
        onPush?()
    }

    // MARK: Consumer

    /// Takes the next event; nil if there is none now. Consumer's thread only, never blocks.
    public func pop() -> AcquisitionEvent? {
        let index = popped.load(ordering: .relaxed)
        guard index < pushed.load(ordering: .acquiring) else { return nil }
        let event = (events + index % capacity).move()
        popped.store(index + 1, ordering: .sequentiallyConsistent)
        if isProducerWaiting.load(ordering: .sequentiallyConsistent),
            isProducerWaiting.exchange(false, ordering: .sequentiallyConsistent)
        {
            producerWake.post()
        }
        return event
    }

    /// Takes the next event, waiting at most `timeout` for it; nil when none came, or the source has ended.
    /// Consumer's thread only.
    public func next(timeout: Duration) -> AcquisitionEvent? {
        let deadline = ContinuousClock.now + timeout
        while true {
            if let event = pop() { return event }
            if isClosed { return pop() }
            isConsumerWaiting.store(true, ordering: .sequentiallyConsistent)
            let isEmpty = popped.load(ordering: .relaxed) == pushed.load(ordering: .sequentiallyConsistent)
            if isEmpty, !isClosed {
                let left = deadline - ContinuousClock.now
                guard left > .zero, consumerWake.wait(timeout: left) else {
                    isConsumerWaiting.store(false, ordering: .sequentiallyConsistent)
                    return pop()
                }
            }
            isConsumerWaiting.store(false, ordering: .sequentiallyConsistent)
        }
    }
}
