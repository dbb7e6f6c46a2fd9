import StemwireKernels
import StemwireTestSupport
import StemwireUDF
import Testing

/// Runs whose parameters change twice while results come in any order, driven as an engine would.
@Suite("Parameters that change: any order of old, new and recomputed results")
struct RecomputationTests {
    private let scan = ScanFixture()
    private let registry: UDFRegistry
    private static let framesPerPartition = 4

    init() throws {
        registry = try UDFRegistry.builtIn.adding(Weighted.self).adding(Counted.self).adding(Rooted.self)
            .adding(FloatMean.self).adding(PartitionCount.self).adding(Extremes.self)
    }

    /// What the run looks at first, and what changes afterwards, change by change.
    private static let requests = [
        UDFRequest(name: "sum"), UDFRequest(name: "weighted"), UDFRequest(name: "float-mean"),
        UDFRequest(name: "counted"), UDFRequest(id: "bf", name: "disk", parameters: ["r": 2]),
        UDFRequest(name: "rooted"), UDFRequest(name: "partition-count"),
        UDFRequest(name: "pick", parameters: ["frames": "3,20-21"]), UDFRequest(name: "extremes"),
    ]
    private static let changes: [[UDFRequest]] = [
        [
            UDFRequest(name: "counted", parameters: ["factor": 3]),
            UDFRequest(name: "weighted", parameters: ["factor": 0.7]),
            UDFRequest(id: "bf", name: "disk", parameters: ["r": 3]),
        ],
        [
            UDFRequest(name: "counted", parameters: ["factor": 4]),
            UDFRequest(name: "weighted", parameters: ["factor": 0.3, "columns": 2]),
            UDFRequest(name: "rooted", parameters: ["pixel": 5]),
            UDFRequest(name: "pick", parameters: ["frames": "20,7"]),
            UDFRequest(name: "extremes", parameters: ["factor": 3]),
        ],
    ]

    /// The plans, generation by generation.
    private func plans() throws -> [RunPlan] {
        let meta = try scan.meta(framesPerPartition: Self.framesPerPartition)
        var plans = [
            try RunPlan(
                Self.requests, registry: registry, meta: meta, blockBytes: 3 * scan.sigShape.pixelCount * 2)
        ]
        for change in Self.changes { plans.append(try plans[plans.count - 1].changed(to: change, registry: registry)) }
        return plans
    }

    /// A run with the last parameters from its beginning.
    private func reference(missing: Set<Int>) throws -> ResultMerger {
        var requests = Self.requests
        for change in Self.changes.joined() {
            requests = requests.map { $0.id == change.id ? change : $0 }
        }
        let meta = try scan.meta(framesPerPartition: Self.framesPerPartition)
        let plan = try RunPlan(
            requests, registry: registry, meta: meta, blockBytes: 3 * scan.sigShape.pixelCount * 2)
        return try scan.run(plan, .init(seed: 77, missing: missing))
    }

    /// The results of one attempt at a partition.
    private func attempt(
        _ plan: RunPlan, _ partition: Int, flush: Double, missing: Set<Int>, _ generator: inout SeededGenerator
    ) throws -> [PartitionResult] {
        let task = try UDFLane(plan, decoder: scan.decoder).begin(partition: partition)
        var results: [PartitionResult] = []
        for position in task.positions.shuffled(using: &generator) where !missing.contains(position) {
            try scan.feed(task, position..<position + 1)
            if Double.random(in: 0..<1, using: &generator) < flush, let early = try task.flush() {
                results.append(early)
            }
        }
        results.append(try task.finish())
        return results
    }

    /// Which generation a partition was begun with, and what has been made of it.
    private struct Run {
        var merger: ResultMerger
        /// Results that are on their way.
        var pending: [PartitionResult] = []
        var begun: [Int: UInt32] = [:]
        /// The generation under which each partition is being recomputed.
        var redone: [Int: UInt32] = [:]
        var hasChanged = false
    }

    /// - Parameters:
    ///   - recomputes: Whether outdated partitions are worked on again, at any time.
    private func run(seed: UInt64, missing: Set<Int>, recomputes: Bool) throws -> Run {
        let plans = try plans()
        var generator = SeededGenerator(seed: seed)
        var run = Run(merger: ResultMerger(plans[0]))
        var waiting = Array(0..<plans[0].meta.partitionCount)
        var isOver: Bool { waiting.isEmpty && run.pending.isEmpty && run.merger.plan.generation == 2 }
        var steps = 0
        while !isOver || recomputes && !run.merger.outdated.isEmpty, steps < 10_000 {
            steps += 1
            let now = plans[Int(run.merger.plan.generation)]
            switch Int.random(in: 0..<10, using: &generator) {
            case 0 where now.generation < 2 && run.begun.count >= 2 * Int(now.generation):
                try run.merger.adopt(plans[Int(now.generation) + 1])
            case 1...3 where !waiting.isEmpty:
                let partition = waiting.remove(at: Int.random(in: waiting.indices, using: &generator))
                run.begun[partition] = now.generation
                run.pending += try attempt(now, partition, flush: 0.4, missing: missing, &generator)
            case 4...5 where recomputes:
                let outdated = run.merger.outdatedPartitions
                guard let partition = outdated.randomElement(using: &generator),
                    run.redone[partition] != now.generation || run.pending.isEmpty,
                    let again = run.merger.recomputation(ofPartition: partition)
                else { continue }
                run.redone[partition] = now.generation
                run.pending += try attempt(again, partition, flush: 0, missing: missing, &generator)
            default:
                guard !run.pending.isEmpty else { continue }
                let result = run.pending.remove(at: Int.random(in: run.pending.indices, using: &generator))
                try run.merger.merge(result)
                // Another worker was as fast.
                if Bool.random(using: &generator), result.isFinal, result.parts.allSatisfy({ !$0.positions.isEmpty }) {
                    #expect(try run.merger.merge(result) == .duplicate)
                }
            }
        }
        #expect(steps < 10_000, "seed \(seed) does not come to an end")
        #expect(run.merger.failures.isEmpty)
        return run
    }

    @Test(arguments: [Set<Int>(), [0, 3, 17, 18, 34]])
    func recomputedRunsHaveTheBitsOfRunsWithTheNewParameters(missing: Set<Int>) throws {
        var reference = try reference(missing: missing)
        for seed in 1...60 as ClosedRange<UInt64> {
            var run = try run(seed: seed, missing: missing, recomputes: true)
            for (found, expected) in zip(run.merger.channels(), reference.channels()) {
                #expect(found.array == expected.array, "\(found.key), seed \(seed)")
                #expect(found.valid == expected.valid && found.outdated == nil, "\(found.key), seed \(seed)")
            }
            #expect(run.merger.isComplete == missing.isEmpty)
            let generations = run.merger.coverage.processedGenerations
            #expect(generations.allSatisfy { $0.generation == 2 })
            #expect(generations.reduce(0) { $0 + $1.positions.count } == 35 - missing.count)
        }
    }

    @Test(arguments: [Set<Int>(), [0, 3, 17, 18, 34]])
    func withoutRecomputationEachPositionKeepsItsParameters(missing: Set<Int>) throws {
        for seed in 1...60 as ClosedRange<UInt64> {
            var run = try run(seed: seed, missing: missing, recomputes: false)
            let begun = scan.frames.indices.map { run.begun[$0 / Self.framesPerPartition]! }
            let there = scan.frames.indices.filter { !missing.contains($0) }
            let factors: [UInt64] = [1, 3, 4]
            let value = try run.merger.require("counted", "value").counts
            let bf = try run.merger.require("bf").counts
            let root = try run.merger.require("rooted", "root").elements(as: Double.self)
            for position in there {
                let frame = scan.frames[position]
                let factor = factors[Int(begun[position])]
                #expect(value[position] == frame[0] * factor, "seed \(seed), position \(position)")
                let radius = begun[position] == 0 ? 2 : 3
                let disk = frame.indices.filter { index in
                    let (y, x) = (index / 9 - 3, index % 9 - 4)
                    return y * y + x * x <= radius * radius
                }
                #expect(bf[position] == disk.reduce(0) { $0 + frame[$1] }, "seed \(seed), position \(position)")
                #expect(root[position] == Double(frame[begun[position] == 2 ? 5 : 0]).squareRoot())
            }
            // Sums over the frames that were worked on with the last parameters alone.
            let last = there.filter { begun[$0] == 2 }
            let total = try run.merger.require("counted", "total").counts
            #expect(total == scan.frames[0].indices.map { pixel in last.reduce(0) { $0 + scan.frames[$1][pixel] * 4 } })
            let frames = try run.merger.require("weighted", "frames").counts
            #expect(frames == [UInt64(last.count)], "seed \(seed)")
            let sum = try run.merger.require("sum").counts
            #expect(sum == scan.frames[0].indices.map { pixel in there.reduce(0) { $0 + scan.frames[$1][pixel] } })
            #expect(run.merger.coverage.ranges(.processed).flatMap { $0 } == last)
            #expect(run.merger.outdated.ranges.flatMap { $0 } == there.filter { begun[$0] != 2 })
            let channel = try #require(run.merger.channels().first { $0.key == "bf.intensity" })
            // The disk has stayed as it is since the first change.
            #expect((channel.outdated?.ranges ?? []).flatMap { $0 } == there.filter { begun[$0] == 0 })
            #expect(channel.generation == 1)
        }
    }

    @Test func generationsOfRowsShowInTheCoverage() throws {
        // Only UDFs whose results are rows: positions stay processed whatever the parameters were.
        let requests = [UDFRequest(id: "bf", name: "disk", parameters: ["r": 2]), UDFRequest(name: "rooted")]
        let meta = try scan.meta(framesPerPartition: Self.framesPerPartition)
        for seed in 1...40 as ClosedRange<UInt64> {
            var generator = SeededGenerator(seed: seed)
            let first = try RunPlan(requests, registry: registry, meta: meta)
            let second = try first.changed(
                to: [UDFRequest(id: "bf", name: "disk", parameters: ["r": 3])], registry: registry)
            let third = try second.changed(
                to: [UDFRequest(name: "rooted", parameters: ["pixel": 1])], registry: registry)
            let plans = [first, second, third]
            let begun = (0..<9).map { _ in Int.random(in: 0...2, using: &generator) }
            var results: [PartitionResult] = []
            for partition in 0..<9 {
                results += try attempt(plans[begun[partition]], partition, flush: 0.3, missing: [], &generator)
            }
            results.shuffle(using: &generator)
            var merger = ResultMerger(first)
            // Changes come as early as they must.
            for result in results {
                while merger.plan.generation < result.generation {
                    try merger.adopt(plans[Int(merger.plan.generation) + 1])
                }
                try merger.merge(result)
            }
            while merger.plan.generation < 2 { try merger.adopt(plans[Int(merger.plan.generation) + 1]) }
            #expect(merger.isComplete)
            for position in 0..<35 {
                #expect(merger.coverage.generation(at: position) == UInt32(begun[position / 4]), "seed \(seed)")
            }
        }
    }
}
