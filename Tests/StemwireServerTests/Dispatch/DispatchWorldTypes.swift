import StemwireTestSupport

@testable import StemwireServer

/// What goes wrong in one simulated case; percentages, or switches.
struct SimulatedFaults {
    /// Of the messages, in percent.
    var lost = 0
    var doubled = 0
    var slow = 0
    /// What happens to workers.
    var crashes = false
    var freezes = false
    var cuts = false
    var leaves = false
    var creditChanges = false
    /// The server stands still for seconds.
    var pauses = false
    /// Items that kill the worker, or on which the UDF fails, in percent.
    var poison = 0
    var bad = 0
    /// Results that cannot be merged, in percent.
    var mergeFailures = 0
    var memoryShort = false
    var abandons = false
    var aborts = false

    init(_ generator: inout SeededGenerator) {
        if generator.chance(percent: 10) { return }
        if generator.chance(percent: 40) { lost = generator.within(1...20) }
        if generator.chance(percent: 30) { doubled = generator.within(1...20) }
        if generator.chance(percent: 40) { slow = generator.within(1...30) }
        crashes = generator.chance(percent: 50)
        freezes = generator.chance(percent: 40)
        cuts = generator.chance(percent: 40)
        leaves = generator.chance(percent: 20)
        creditChanges = generator.chance(percent: 20)
        pauses = generator.chance(percent: 10)
        if generator.chance(percent: 20) { poison = generator.within(5...40) }
        if generator.chance(percent: 20) { bad = generator.within(5...60) }
        if generator.chance(percent: 10) { mergeFailures = generator.within(5...40) }
        memoryShort = generator.chance(percent: 10)
        abandons = generator.chance(percent: 10)
        aborts = generator.chance(percent: 20)
    }
}

/// What the server sends to a worker. Frames are bits.
enum ToWorker {
    case assign(WorkItem, UInt32, frames: UInt8, isAll: Bool)
    case extend(WorkItem, UInt32, frames: UInt8)
    case finish(WorkItem, UInt32, frames: UInt8)
    case ask(WorkItem, UInt32, frames: UInt8, isAll: Bool)
    case withdraw(WorkItem, UInt32)
    case acknowledge(WorkItem, UInt32)
    /// The server does not know the worker by this epoch.
    case helloAgain
}

/// What happens at some time.
enum Happening {
    /// A message arrives; with a result, its frames.
    case toServer(DispatchEvent, frames: UInt8)
    case toWorker(WorkerID, ToWorker)
    /// A worker has worked on what it holds.
    case done(worker: Int, process: Int, hold: Int)
    case beat(worker: Int, process: Int)
    /// Something happens to the worker, and later it recovers.
    case trouble(worker: Int)
    case recover(worker: Int, process: Int)
    case produce(item: Int)
    case merged(item: Int)
    case tick
    case serverTrouble
    /// From now on nothing goes wrong any more.
    case heal
}

/// What happens when, the earliest first; things of the same time in the order in which they were added.
struct HappeningQueue {
    private var heap: [(time: Int, number: Int, what: Happening)] = []
    private var added = 0

    mutating func add(_ what: Happening, at time: Int) {
        heap.append((time, added, what))
        added += 1
        var child = heap.count - 1
        while child > 0, isBefore(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func next() -> (time: Int, what: Happening)? {
        guard !heap.isEmpty else { return nil }
        heap.swapAt(0, heap.count - 1)
        let first = heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isBefore(child, least) {
                least = child
            }
            if least == parent { return (first.time, first.what) }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    private func isBefore(_ a: Int, _ b: Int) -> Bool {
        (heap[a].time, heap[a].number) < (heap[b].time, heap[b].number)
    }
}

/// A worker as it is in truth, whatever the server believes.
struct SimulatedWorker {
    struct Hold {
        let item: WorkItem
        let attempt: UInt32
        let number: Int
        var frames: UInt8
        /// All that there are, once known.
        var all: UInt8?
        var isWorking = false
    }

    struct Result {
        let item: WorkItem
        let attempt: UInt32
        let frames: UInt8
    }

    enum State { case well, frozen, gone }

    var id: WorkerID
    var offer: WorkerOffer
    var state = State.well
    var isConnected = true
    /// Counts up when what was scheduled for the worker is void.
    var process = 0
    var holds: [Hold] = []
    /// Kept until they are acknowledged.
    var results: [Result] = []
    /// What has come while it was frozen.
    var inbox: [ToWorker] = []
    var overdue: [Int] = []
    /// How much longer it takes than others.
    var slowness = 1
    var beats = 0
}
