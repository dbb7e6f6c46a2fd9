import StemwireClient
import StemwireUDF

/// Which thread does what next: a value without locks or threads.
///
/// A partition is worked on by one thread, in the order in which its frames came, so that the tiles that UDFs see have
/// the borders they have everywhere. A thread goes on with the oldest partition it has begun, else with what is to be
/// prepared or merged, else it takes a partition that nobody has begun.
struct ComputeQueue {
    enum Step {
        case job(ComputeJob, RunPlan?)
        case tile(FrameTileWork)
        case close(item: Serial, WorkItemID, plan: Serial, RunPlan)
        /// Let go of what the thread keeps for these.
        case release(items: [Serial], plans: [Serial])
        /// Nothing to do; the thread is to be woken.
        case wait
        case stop
    }

    struct FrameTileWork {
        let item: Serial
        let id: WorkItemID
        let planSerial: Serial
        let plan: RunPlan
        let tile: StemwireClient.FrameTile
    }

    private struct Item {
        let id: WorkItemID
        let plan: Serial
        /// The frames that wait, from `next` on; they are let go one by one.
        var tiles: [StemwireClient.FrameTile?] = []
        var next = 0
        var isClosed = false
        /// The thread that has begun it.
        var thread: Int?

        var hasWork: Bool { next < tiles.count || isClosed }
    }

    private struct Plan {
        /// nil while it is being prepared, and when it cannot be done.
        var run: RunPlan?
        var isPrepared = false
        var isForgotten = false
        var items = 0
    }

    private struct Thread {
        var isIdle = false
        var items: [Serial] = []
        var releasedItems: [Serial] = []
        var releasedPlans: [Serial] = []
    }

    private var plans: [Serial: Plan] = [:]
    private var items: [Serial: Item] = [:]
    /// Partitions that no thread has begun, the oldest first.
    private var fresh: [Serial] = []
    private var jobs: [ComputeJob] = []
    private var threads: [Thread]
    private var isStopping = false
    /// Threads that are to be woken.
    private var toWake: [Int] = []

    init(threads count: Int) { threads = Array(repeating: Thread(), count: count) }

    /// Threads that wait and have something to do now; to be asked after each change.
    mutating func takeWoken() -> [Int] {
        defer { toWake.removeAll() }
        return toWake
    }

    // MARK: What there is to do

    mutating func prepare(_ job: ComputeJob, plan: Serial) {
        plans[plan] = Plan()
        jobs.append(job)
        wakeOne()
    }

    mutating func prepared(_ serial: Serial, _ run: RunPlan?) {
        guard plans[serial] != nil else { return }
        plans[serial]?.run = run
        plans[serial]?.isPrepared = true
        releaseIfUnused(serial)
        wakeAll()
    }

    mutating func forget(plan serial: Serial) {
        plans[serial]?.isForgotten = true
        releaseIfUnused(serial)
        wakeAll()
    }

    mutating func merge(_ job: ComputeJob) {
        jobs.append(job)
        wakeOne()
    }

    mutating func begin(_ serial: Serial, _ id: WorkItemID, plan: Serial) {
        items[serial] = Item(id: id, plan: plan)
        plans[plan]?.items += 1
        fresh.append(serial)
    }

    mutating func add(_ tile: StemwireClient.FrameTile, to serial: Serial) {
        guard items[serial] != nil else { return }
        items[serial]?.tiles.append(tile)
        wake(for: serial)
    }

    mutating func close(_ serial: Serial) {
        items[serial]?.isClosed = true
        wake(for: serial)
    }

    /// Ends an item: it is done, or nobody wants it.
    mutating func remove(_ serial: Serial) {
        guard let item = items.removeValue(forKey: serial) else { return }
        if let thread = item.thread {
            threads[thread].items.removeAll { $0 == serial }
            threads[thread].releasedItems.append(serial)
            wake(thread)
        } else {
            fresh.removeAll { $0 == serial }
        }
        plans[item.plan]?.items -= 1
        releaseIfUnused(item.plan)
    }

    mutating func stop() {
        isStopping = true
        items.removeAll()
        jobs.removeAll()
        wakeAll()
    }

    // MARK: What a thread does next

    mutating func next(for thread: Int) -> Step {
        threads[thread].isIdle = false
        if isStopping { return .stop }
        if !threads[thread].releasedItems.isEmpty || !threads[thread].releasedPlans.isEmpty {
            defer {
                threads[thread].releasedItems.removeAll()
                threads[thread].releasedPlans.removeAll()
            }
            return .release(items: threads[thread].releasedItems, plans: threads[thread].releasedPlans)
        }
        for serial in threads[thread].items where items[serial]?.hasWork == true { return step(serial) }
        if let index = jobs.firstIndex(where: isPossible) {
            let job = jobs.remove(at: index)
            guard case .merge(_, let plan, _, _) = job else { return .job(job, nil) }
            return .job(job, plans[plan]?.run)
        }
        if let index = fresh.firstIndex(where: { items[$0]?.hasWork == true && run(of: $0) != nil }) {
            let serial = fresh.remove(at: index)
            items[serial]?.thread = thread
            threads[thread].items.append(serial)
            return step(serial)
        }
        threads[thread].isIdle = true
        return .wait
    }

    private func run(of serial: Serial) -> RunPlan? { items[serial].flatMap { plans[$0.plan]?.run } }

    /// A merge has to wait for its plan.
    private func isPossible(_ job: ComputeJob) -> Bool {
        guard case .merge(_, let serial, _, _) = job, let plan = plans[serial] else { return true }
        return plan.isPrepared
    }

    /// - Precondition: the item has work, and its plan is ready.
    private mutating func step(_ serial: Serial) -> Step {
        guard let item = items[serial], let run = plans[item.plan]?.run else { return .wait }
        guard item.next < item.tiles.count else {
            return .close(item: serial, item.id, plan: item.plan, run)
        }
        items[serial]?.next += 1
        guard let tile = items[serial]?.tiles[item.next].take() else { return .wait }
        return .tile(FrameTileWork(item: serial, id: item.id, planSerial: item.plan, plan: run, tile: tile))
    }

    // MARK: Details

    private mutating func releaseIfUnused(_ serial: Serial) {
        guard let plan = plans[serial], plan.isForgotten, plan.items == 0 else { return }
        plans[serial] = nil
        for thread in threads.indices {
            threads[thread].releasedPlans.append(serial)
            wake(thread)
        }
    }

    private mutating func wake(for serial: Serial) {
        if let thread = items[serial]?.thread { wake(thread) } else { wakeOne() }
    }

    private mutating func wake(_ thread: Int) {
        guard threads[thread].isIdle else { return }
        threads[thread].isIdle = false
        toWake.append(thread)
    }

    private mutating func wakeOne() {
        if let thread = threads.firstIndex(where: \.isIdle) { wake(thread) }
    }

    private mutating func wakeAll() {
        for thread in threads.indices { wake(thread) }
    }
}
