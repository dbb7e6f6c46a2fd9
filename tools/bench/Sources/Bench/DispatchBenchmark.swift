import Foundation
import Glibc

/// The dispatcher alone, far beyond this machine: what an event costs with many workers and after many partitions.
///
/// The dispatcher's own files are compiled in, by a link to their folder, since they are nobody's interface.
enum DispatchBenchmark {
    private static let fewWorkers = 10
    private static let manyWorkers = 1000
    private static let fewPartitions = 10_000
    private static let manyPartitions = 10_000_000

    static func run(pairs: Int) -> [Row] {
        var rows: [Row] = []
        var times: [[Int]: [Double]] = [:]
        for workers in [1, fewWorkers, 100, manyWorkers] {
            for partitions in [fewPartitions, 100_000, 1_000_000, manyPartitions] {
                let isExtreme = partitions == manyPartitions
                guard !isExtreme || workers == 1 || workers == manyWorkers else { continue }
                let rounds = isExtreme ? 1 : max(1, min(pairs, 1_000_000 / partitions))
                var outcomes: [DispatchLoad.Outcome] = []
                for _ in 0..<rounds { outcomes.append(DispatchLoad.run(workers: workers, partitions: partitions)) }
                times[[workers, partitions]] = outcomes.map(\.nanoseconds)
                rows.append(row(workers, partitions, outcomes))
            }
        }
        let few = times[[manyWorkers, fewPartitions], default: []].median
        let small = times[[fewWorkers, 1_000_000], default: []].median
        rows += [
            Row(
                name: "dispatcher, time per event after 10,000,000 partitions to that after 10,000",
                target: .atMost(1.2), values: times[[manyWorkers, manyPartitions], default: []].map { $0 / few },
                beside: "\(manyWorkers) workers"),
            Row(
                name: "dispatcher, time per event with 1000 workers to that with 10", target: .atMost(3),
                values: times[[manyWorkers, 1_000_000], default: []].map { $0 / small },
                beside: "1,000,000 partitions; log 1000 : log 10 is 3"),
        ]
        return rows
    }

    private static func row(_ workers: Int, _ partitions: Int, _ outcomes: [DispatchLoad.Outcome]) -> Row {
        let last = outcomes[outcomes.count - 1]
        return Row(
            name: "dispatcher, \(workers) workers, \(partitions) partitions", target: .none,
            values: outcomes.map(\.nanoseconds), unit: " ns/event",
            beside: "\(last.events) events, at most \(last.inFlight) items in flight, \(last.redone) redone; "
                + "\(last.kibibytesAtFirst) KiB for these, \(last.kibibytesSince) KiB more at the end")
    }
}

/// Partitions that are opened, done by workers in random order and merged, while workers break down and come back.
private struct DispatchLoad {
    struct Outcome {
        var nanoseconds = 0.0
        var events = 0
        var inFlight = 0
        var redone = 0
        /// Memory taken when a few partitions were done.
        var kibibytesAtFirst = 0
        /// And what came on top of that.
        var kibibytesSince = 0
    }

    private static let itemsPerWorker = 8
    private static let timePerPartition = Duration.microseconds(100)
    private static let partitionsPerTick = 1000
    private static let partitionsPerBreakdown = 5000
    private static let run = RunID(generation: 1, number: 0)

    private var dispatcher: Dispatcher
    private var now = ContinuousClock.now
    private var actions: [DispatchAction] = []
    private var inWork: [(item: WorkItem, attempt: UInt32, worker: WorkerID)] = []
    private var epochs: [UInt64]
    private var random: UInt64 = 1
    private var outcome = Outcome()

    static func run(workers: Int, partitions: Int) -> Outcome {
        let before = residentKibibytes()
        var load = DispatchLoad(workers: workers)
        let start = processorSeconds()
        load.play(partitions, before: before)
        load.outcome.nanoseconds = (processorSeconds() - start) * 1e9 / Double(load.outcome.events)
        return load.outcome
    }

    private init(workers: Int) {
        dispatcher = Dispatcher(at: now)
        epochs = [UInt64](repeating: 1, count: workers)
    }

    private mutating func play(_ partitions: Int, before: Int) {
        tell(.runBegan(Self.run, needs: [UDFKey(name: "sum", contentHash: 1)]))
        for worker in epochs.indices { join(worker) }
        for partition in 0..<partitions {
            now += Self.timePerPartition
            let item = WorkItem(generation: 1, run: 0, partition: partition)
            tell(.opened(item, bytes: 1 << 20))
            tell(.grew(item, bytes: 1 << 19))
            tell(.grew(item, bytes: 1 << 19))
            tell(.closed(item))
            // Each of a thousand workers once a second.
            if partition % 10 == 0 { tell(.heard(id(partition / 10 % epochs.count))) }
            if partition % Self.partitionsPerTick == 0 { tell(.tick) }
            if partition % Self.partitionsPerBreakdown == 1 { breakDown() }
            outcome.inFlight = max(outcome.inFlight, dispatcher.items.count)
            while dispatcher.items.count > epochs.count * Self.itemsPerWorker * 3 / 4 { finishOne() }
            if partition == 9_999 { outcome.kibibytesAtFirst = Self.residentKibibytes() - before }
        }
        while !inWork.isEmpty { finishOne() }
        precondition(dispatcher.counts.merged + dispatcher.counts.quarantined == partitions)
        outcome.kibibytesSince = Self.residentKibibytes() - before - outcome.kibibytesAtFirst
        outcome.redone = dispatcher.status(of: Self.run)?.redone ?? 0
    }

    private func id(_ worker: Int) -> WorkerID {
        WorkerID(uuid: .init(high: 0, low: UInt64(worker)), epoch: epochs[worker])
    }

    private mutating func join(_ worker: Int) {
        tell(
            .joined(
                id(worker),
                WorkerOffer(udfs: nil, items: Self.itemsPerWorker, bytes: 1 << 30, threads: 4, isLocal: false)))
    }

    private mutating func below(_ bound: Int) -> Int {
        random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(random >> 33) % bound
    }

    private mutating func finishOne() {
        let done = inWork.swapRemove(at: below(inWork.count))
        tell(.result(done.item, attempt: done.attempt, from: done.worker))
    }

    private mutating func breakDown() {
        let worker = below(epochs.count)
        tell(.left(id(worker), .unreachable))
        epochs[worker] += 1
        join(worker)
    }

    private mutating func tell(_ event: DispatchEvent) {
        actions.removeAll(keepingCapacity: true)
        dispatcher.handle(event, at: now, into: &actions)
        outcome.events += 1
        var told: [DispatchEvent] = []
        for action in actions {
            switch action {
            case .assign(let item, let worker, let attempt): inWork.append((item, attempt, worker))
            case .merge(let item, _, _): told.append(.merged(item))
            case .withdraw(let item, let worker, let attempt):
                told.append(.withdrew(item, attempt: attempt, from: worker))
            case .ask(let item, let worker, let attempt):
                told.append(.working(item, attempt: attempt, from: worker))
            default: break
            }
        }
        for event in told { tell(event) }
    }

    /// Of this process, so that others do not count.
    private static func processorSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private static func residentKibibytes() -> Int {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line?.split(separator: " ").compactMap { Int($0) }.first ?? 0
    }
}

extension Array {
    /// Takes an element out, and puts the last one in its place.
    fileprivate mutating func swapRemove(at index: Int) -> Element {
        swapAt(index, count - 1)
        return removeLast()
    }
}
