@testable import StemwireServer

/// A dispatcher, a clock that stands unless told to move, and short names.
struct DispatchScene {
    var dispatcher: Dispatcher
    private(set) var now = ContinuousClock.now

    static let run = RunID(generation: 1, number: 0)
    static let sum = UDFKey(name: "sum", contentHash: 1)

    init(_ configuration: Dispatcher.Configuration = .init(), needs: Set<UDFKey> = [DispatchScene.sum]) {
        dispatcher = Dispatcher(configuration, at: now)
        tell(.runBegan(Self.run, needs: needs))
    }

    static func item(_ partition: Int, run: RunID = run) -> WorkItem {
        WorkItem(generation: run.generation, run: run.number, partition: partition)
    }

    static func worker(_ number: Int, epoch: UInt64 = 1) -> WorkerID {
        WorkerID(uuid: .init(high: 0, low: UInt64(number)), epoch: epoch)
    }

    @discardableResult
    mutating func tell(_ events: DispatchEvent...) -> [DispatchAction] {
        var actions: [DispatchAction] = []
        for event in events { dispatcher.handle(event, at: now, into: &actions) }
        return actions
    }

    /// Adds a worker.
    @discardableResult
    mutating func join(
        _ worker: Int, epoch: UInt64 = 1, items: Int = 4, bytes: Int = 1000, threads: Int = 1, udfs: Set<UDFKey>? = nil,
        isLocal: Bool = false
    ) -> [DispatchAction] {
        tell(
            .joined(
                Self.worker(worker, epoch: epoch),
                WorkerOffer(udfs: udfs, items: items, bytes: bytes, threads: threads, isLocal: isLocal)))
    }

    /// Adds an item of 100 bytes that is all there.
    @discardableResult
    mutating func open(_ partition: Int, run: RunID = run, bytes: Int = 100) -> [DispatchAction] {
        let item = Self.item(partition, run: run)
        return tell(.opened(item, bytes: bytes), .grew(item, bytes: bytes), .closed(item))
    }

    /// A worker gives the result of an item, and it is merged.
    @discardableResult
    mutating func finish(_ partition: Int, _ attempt: UInt32 = 1, by worker: Int) -> [DispatchAction] {
        tell(
            .result(Self.item(partition), attempt: attempt, from: Self.worker(worker)), .merged(Self.item(partition)))
    }

    /// All that is assigned by these actions, and in consequence, is done and merged.
    mutating func work(_ actions: [DispatchAction]) {
        var left = actions[...]
        while let action = left.popFirst() {
            guard case .assign(let item, let worker, let attempt) = action else { continue }
            left += tell(.result(item, attempt: attempt, from: worker), .merged(item))
        }
    }

    /// Time passes, and the server does not run.
    mutating func sleep(_ time: Duration) { now += time }

    /// Time passes, with ticks; these workers are heard all the time.
    @discardableResult
    mutating func pass(
        _ time: Duration, every interval: Duration = .milliseconds(100), heard: Int...
    ) -> [DispatchAction] {
        var actions: [DispatchAction] = []
        let end = now + time
        while now < end {
            now = min(now + interval, end)
            for worker in heard { actions += tell(.heard(Self.worker(worker))) }
            actions += tell(.tick)
        }
        return actions
    }

    /// How many workers died over each of the items, by partition.
    var deaths: [Int] {
        dispatcher.items.slots.map { dispatcher.items[$0] }.sorted { $0.key.partition < $1.key.partition }
            .map(\.deaths.count)
    }

    /// Partitions, from 0 without gaps, over which workers died.
    var suspects: [Int] { deaths.indices.filter { deaths[$0] > 0 } }

    var status: RunStatus? { dispatcher.status(of: Self.run) }

    func status(of worker: Int) -> WorkerStatus? {
        dispatcher.workerStatus(at: now).first { $0.id.uuid == Self.worker(worker).uuid }
    }
}

extension [DispatchAction] {
    /// Who gets what, by partition and number of the worker.
    var assigned: [[Int]] {
        compactMap { if case .assign(let item, let to, _) = $0 { [item.partition, Int(to.uuid.low)] } else { nil } }
    }

    var withdrawn: [[Int]] {
        compactMap {
            if case .withdraw(let item, let from, _) = $0 { [item.partition, Int(from.uuid.low)] } else { nil }
        }
    }

    var released: [Int] { compactMap { if case .release(let item) = $0 { item.partition } else { nil } } }

    var quarantined: [QuarantineReason] {
        compactMap { if case .quarantine(_, let reason) = $0 { reason } else { nil } }
    }

    var dead: [WorkerID] { compactMap { if case .workerDead(let worker, _) = $0 { worker } else { nil } } }
}
