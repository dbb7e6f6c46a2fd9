extension Dispatcher {
    /// One of an item's attempts; numbers count from 1 in each item.
    struct Attempt: Hashable, Sendable {
        let item: WorkItem
        let number: UInt32

        init(_ item: WorkItem, _ number: UInt32) {
            self.item = item
            self.number = number
        }
    }

    struct Worker: Sendable {
        let id: WorkerID
        var offer: WorkerOffer
        var lastHeard: ContinuousClock.Instant
        var nextBeat: ContinuousClock.Instant
        /// Leases, oldest first; withdrawn ones until the worker says that it has let go.
        var held = SlotList()
        var heldBytes = 0
        /// Leases on items over which a worker has died.
        var suspects = 0
        var record = WorkerRecord()

        /// Whether the credit takes an item of so many bytes. One that is larger than all credit goes when all is free.
        func hasRoom(for bytes: Int) -> Bool {
            held.count < offer.items && (held.isEmpty || (heldBytes < offer.bytes && bytes <= offer.bytes - heldBytes))
        }

        /// What workers are ordered by: free items, then free bytes; 0 if none.
        var freeCredit: UInt64 {
            guard held.count < offer.items, held.isEmpty || heldBytes < offer.bytes else { return 0 }
            let items = UInt64(min(offer.items - held.count, 1 << 20))
            return items << 43 | UInt64(min(max(offer.bytes - heldBytes, 0), 1 << 42))
        }
    }

    /// What is counted of a worker, for as long as it is known.
    struct WorkerRecord: Sendable {
        var done = 0
        var redone = 0
        var failed = 0
        var rate = DecayingRate()
    }

    struct DepartedWorker: Sendable {
        let id: WorkerID
        let lastHeard: ContinuousClock.Instant
        var record: WorkerRecord
        /// Items that may have killed it.
        let blamed: [WorkItem]
    }

    /// Runs that need the same UDFs, and the workers that have them.
    struct Group: Sendable {
        let needs: Set<UDFKey>
        var runs: [Int] = []
        /// Workers that take items, by free credit.
        var workers = CreditHeap()
        /// Items that wait for the second time; they go first.
        var redo = SlotList()
        /// Items that wait for the first time.
        var fresh = SlotList()
    }

    struct Run: Sendable {
        let id: RunID
        let group: Int
        var items = SlotList()
        /// Items all of whose frames a remote worker has, the one that has been so longest first; without second copies
        /// and those that cannot be sent again.
        var running = SlotList()
        var durations = DurationHistogram()
        /// The age from which items are late; nil while too little is known.
        var lateLimit: Duration?
        var counts = Counts()
        /// The worker of the item that was assigned last, for its neighbour.
        var lastAssigned: (partition: Int, worker: WorkerID)?
        var redone = 0
        var redos: [Redo] = []
        /// Items done, by worker.
        var workers: [WorkerID.UUID: Int] = [:]
    }

    struct Item: Sendable {
        enum State: Sendable { case waiting, assigned, merging }
        /// Which of the queues it stands in.
        enum Queue: Sendable { case none, redo, fresh, running }

        let key: WorkItem
        let run: Int
        var state = State.waiting
        var queue = Queue.none
        /// As announced.
        let expectedBytes: Int
        /// Of the frames that are there.
        var bytes = 0
        var isClosed = false
        /// Whether its frames are there to be sent again.
        var isHeld = true
        var waitingSince: ContinuousClock.Instant
        /// Whether a local worker has it, so that nobody else's result counts.
        var isExclusive = false
        var attempts: UInt32 = 0
        /// Its leases that are not withdrawn.
        var lease: Int?
        var secondLease: Int?
        /// Whose result is being merged.
        var merging: (attempt: UInt32, from: WorkerID)?
        /// Workers that died over it.
        var deaths: [WorkerID.UUID] = []
        /// Workers on which the UDF failed, or whose result could not be merged; as often as it did.
        var failures: [WorkerID.UUID] = []
        /// Workers that are not to get it if others can.
        var avoided: [WorkerID.UUID] = []

        /// What it takes of a worker's credit.
        var charge: Int { max(bytes, expectedBytes) }
    }

    struct Lease: Sendable {
        let attempt: Attempt
        let item: Int
        let worker: Int
        let isLocal: Bool
        let isSuspect: Bool
        let assignedAt: ContinuousClock.Instant
        /// When the worker had all frames.
        var readyAt: ContinuousClock.Instant?
        var bytes: Int
        var deadline: ContinuousClock.Instant
        var asked = 0
        var isWithdrawn = false
    }
}

/// Events a second, older ones counting less.
struct DecayingRate: Sendable {
    /// The time in which an event's weight falls to 1/e.
    private static let memory = 10.0
    private var rate = 0.0
    private var last: ContinuousClock.Instant?

    mutating func count(at now: ContinuousClock.Instant) {
        rate = perSecond(at: now) + 1 / Self.memory
        last = now
    }

    func perSecond(at now: ContinuousClock.Instant) -> Double {
        guard let last else { return 0 }
        let age = max(0, (now - last) / .seconds(1)) / Self.memory
        // e^-age to within a few percent where it matters.
        return rate / (1 + age * (1 + age * (0.5 + age / 6)))
    }
}
