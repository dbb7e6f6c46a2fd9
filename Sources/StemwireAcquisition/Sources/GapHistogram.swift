import Synchronization

/// How long nothing came between two reads that brought bytes, while an acquisition ran. Written by one thread, read by any;
/// no lock, no allocation.
public final class GapHistogram: Sendable {
    /// Upper ends of the classes, seconds; longer ones are in a last class without an end.
    public static let bounds = [0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1]

    private let nanoseconds = Atomic<UInt64>(0)
    // One for each class: atomics cannot be kept in an array.
    private let classes: AtomicCounts

    init() { classes = AtomicCounts(Self.bounds.count + 1) }

    func add(_ gap: Duration) {
        let seconds = gap / .seconds(1)
        var index = 0
        while index < Self.bounds.count, seconds > Self.bounds[index] { index += 1 }
        classes.increment(index)
        nanoseconds.wrappingAdd(UInt64(max(0, gap / .nanoseconds(1))), ordering: .relaxed)
    }

    /// Gaps of each class, and all of them together, seconds.
    public var counts: [UInt64] { classes.values }
    public var seconds: Double { Double(nanoseconds.load(ordering: .relaxed)) / 1e9 }
}

/// Counters side by side.
private final class AtomicCounts: Sendable {
    // Allocated once, and freed with the object; atomics may be used from all threads.
    nonisolated(unsafe) private let memory: UnsafeMutablePointer<Atomic<UInt64>>
    private let count: Int

    init(_ count: Int) {
        self.count = count
        memory = .allocate(capacity: count)
        for index in 0..<count { (memory + index).initialize(to: Atomic(0)) }
    }

    deinit {
        memory.deinitialize(count: count)
        memory.deallocate()
    }

    func increment(_ index: Int) { memory[index].wrappingAdd(1, ordering: .relaxed) }

    var values: [UInt64] { (0..<count).map { memory[$0].load(ordering: .relaxed) } }
}
