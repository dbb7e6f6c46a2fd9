/// Gives work items to workers, keeps them until their results are merged, and has them done anew when a worker is
/// lost: a state machine without I/O or clock.
///
/// - An item goes to the worker with the most free credit, by items and bytes; where several have the same number of
///   items free, to the one that has the partition before it. Items wait while nobody is there who can do them.
/// - **First result wins**, from whomever it comes; what comes later is ignored, but acknowledged.
/// - A worker of which nothing is heard is dead; what it held goes to others at once. One that lives but does not
///   answer for an item is asked, and loses it in the end.
/// - An item that is late gets a second copy, when credit is idle.
/// - A partition that kills workers, or whose UDF fails, is given up after a few attempts: *quarantined*.
/// - Items of local workers have no second copy and are not redone.
///
/// Takes memory for what is in flight only: done items leave nothing but a count. An event takes O(log workers),
/// whatever has been done before; where it concerns many items, so much for each.
/// Times must not run backwards.
struct Dispatcher: Sendable {
    struct Configuration: Sendable {
        /// How often workers get a sign of life.
        var beatInterval = Duration.seconds(1)
        /// Silence after which a worker is dead.
        var deadAfter = Duration.seconds(3)
        /// How long a worker may work on an item before it is asked; and from then, how long for an answer.
        var leaseTime = Duration.seconds(10)
        /// Questions without an answer after which the worker loses the item.
        var askLimit = 3
        /// Workers that may die over a partition before it is given up.
        var deathLimit = 3
        /// Failures of the UDF on different workers before a partition is given up.
        var failureLimit = 2
        /// Attempts, for whatever reason, before a partition is given up.
        var attemptLimit: UInt32 = 32
        /// A second copy is sent when an item is this many times older than 95 % of all were when they were done.
        var lateFactor = 3
        /// But never before this age.
        var lateMinimum = Duration.milliseconds(100)
        /// Until so many items of the run have been done nobody knows what is usual.
        var lateSamples = 16
        /// When an item is late as long as that is so: a worker whose UDF hangs must not hold up a small run for ever.
        var lateUnknown = Duration.seconds(30)
        /// Entries of the list of redone partitions that a run keeps, and of its workers.
        var manifestLimit = 4096
        /// Workers that have left, and are remembered.
        var departedLimit = 4096

        init() {}

        /// How often time is to be told, so that nobody is found dead, or gets a beat, much too late.
        var tickInterval: Duration { min(.milliseconds(100), beatInterval / 4) }

        /// When there was no tick for so long the server itself did not run, and what workers sent meanwhile is to be read
        /// before one of them can be judged. A worker that sends its beats in time is not silent for longer than is
        /// allowed even so.
        var longestPause: Duration { (deadAfter - beatInterval) / 2 }
    }

    /// How many items are in which state; `opened` is the sum of all others.
    struct Counts: Sendable, Hashable {
        var opened = 0
        var waiting = 0
        var assigned = 0
        var merging = 0
        var merged = 0
        var quarantined = 0
        /// Given up with their run.
        var dropped = 0

        var isBalanced: Bool { opened == waiting + assigned + merging + merged + quarantined + dropped }
    }

    let configuration: Configuration
    /// Of all runs since the dispatcher was made.
    var counts = Counts()

    var now: ContinuousClock.Instant
    var output: [DispatchAction] = []
    var lastTick: ContinuousClock.Instant
    /// Silence counts from here: before, the server itself did not run.
    var awakeSince: ContinuousClock.Instant

    var workers = Slab<Worker>()
    var workerSlots: [WorkerID.UUID: Int] = [:]
    /// Remote workers, the one longest silent first.
    var heard = SlotList()
    var heardLinks = SlotLinks()
    /// Remote workers, the one that is due for a beat first.
    var beats = SlotList()
    var beatLinks = SlotLinks()
    var departed = Slab<DepartedWorker>()
    var departedSlots: [WorkerID.UUID: Int] = [:]
    var departedOrder = SlotList()
    var departedLinks = SlotLinks()

    var runs = Slab<Run>()
    var runSlots: [RunID: Int] = [:]
    var groups = Slab<Group>()
    var groupSlots: [Set<UDFKey>: Int] = [:]
    /// The groups' slots, the one whose turn it is first.
    var groupOrder: [Int] = []

    var items = Slab<Item>()
    var itemSlots: [WorkItem: Int] = [:]
    /// All items of a run.
    var runLinks = SlotLinks()
    /// An item's place in one of the queues named by `Item.Queue`.
    var queueLinks = SlotLinks()

    var leases = Slab<Lease>()
    /// Leases that have been withdrawn, and not yet let go.
    var withdrawals: [Attempt: Int] = [:]
    /// Leases of remote workers, the one that expires first at the front.
    var deadlines = SlotList()
    var deadlineLinks = SlotLinks()
    /// A worker's leases, oldest first.
    var holdLinks = SlotLinks()

    init(_ configuration: Configuration = Configuration(), at now: ContinuousClock.Instant) {
        self.configuration = configuration
        self.now = now
        lastTick = now
        awakeSince = now
    }

    /// Takes an event in.
    ///
    /// - Parameter actions: what is to be done is added to it, in order.
    mutating func handle(
        _ event: DispatchEvent, at now: ContinuousClock.Instant, into actions: inout [DispatchAction]
    ) {
        self.now = max(now, self.now)
        swap(&output, &actions)
        defer { swap(&output, &actions) }
        switch event {
        case .joined(let worker, let offer): joined(worker, offer)
        case .credit(let worker, let items, let bytes): credit(worker, items: items, bytes: bytes)
        case .heard(let worker): return touch(worker)
        case .left(let worker, let reason): left(worker, reason)
        case .runBegan(let run, let needs): began(run, needs: needs)
        case .runEnded(let run): runSlots[run].map { drop(run: $0) }
        case .acquisitionDropped(let generation): drop(generation: generation)
        case .opened(let item, let bytes): opened(item, bytes: bytes)
        case .grew(let item, let bytes): return grew(item, bytes: bytes)
        case .closed(let item): closed(item)
        case .abandoned(let item, let reason): abandoned(item, reason: reason)
        case .memoryShort(let bytes): giveUp(bytes: bytes)
        case .result(let item, let attempt, let worker): result(Attempt(item, attempt), from: worker)
        case .failed(let item, let attempt, let worker, let failure):
            failed(Attempt(item, attempt), from: worker, failure)
        case .working(let item, let attempt, let worker): return working(Attempt(item, attempt), from: worker)
        case .missing(let item, let attempt, let worker): missing(Attempt(item, attempt), from: worker)
        case .withdrew(let item, let attempt, let worker): missing(Attempt(item, attempt), from: worker)
        case .merged(let item): merged(item)
        case .mergeFailed(let item, let reason): mergeFailed(item, reason: reason)
        case .tick: tick()
        }
        distribute()
    }
}
