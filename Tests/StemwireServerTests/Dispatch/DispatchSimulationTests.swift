import Foundation
import Testing

@testable import StemwireServer

/// Servers and workers in a world of crashes, freezes, and lost, late, doubled and reordered messages.
///
/// `STEMWIRE_DISPATCH_CASES` sets their number and `STEMWIRE_DISPATCH_SEED` the first; a case's seed is first + number.
@Suite("Dispatcher under random faults")
struct DispatchSimulationTests {
    private static func setting<Number: LosslessStringConvertible>(_ name: String) -> Number? {
        ProcessInfo.processInfo.environment[name].flatMap { Number($0) }
    }

    @Test("every item is merged once or given up for a reason; no credit is exceeded; nothing is left over")
    func world() {
        let cases: Int = Self.setting("STEMWIRE_DISPATCH_CASES") ?? 300
        let firstSeed: UInt64 = Self.setting("STEMWIRE_DISPATCH_SEED") ?? 1
        var failures = 0
        var steps = 0
        var totals = Dispatcher.Counts()
        var redone = 0
        for number in 0..<cases {
            let seed = firstSeed &+ UInt64(number)
            var world = DispatchWorld(seed: seed, traced: cases == 1)
            world.play()
            steps += world.steps
            totals.merged += world.dispatcher.counts.merged
            totals.quarantined += world.dispatcher.counts.quarantined
            totals.dropped += world.dispatcher.counts.dropped
            redone += world.model.redone
            if cases == 1 { print(world.trace?.joined(separator: "\n") ?? "") }
            guard !world.model.problems.isEmpty else { continue }
            failures += 1
            Issue.record("seed \(seed): \(world.model.problems.prefix(3).joined(separator: "; "))")
            if failures >= 20 { break }
        }
        print(
            """
            dispatcher simulation: \(cases) worlds, \(steps) steps, items merged \(totals.merged), redone \(redone), \
            given up \(totals.quarantined), dropped \(totals.dropped), seeds from \(firstSeed)
            """)
    }

    @Test("the same seed gives the same world")
    func isReproducible() {
        for seed in UInt64(1)...5 {
            var worlds = [DispatchWorld(seed: seed, traced: true), DispatchWorld(seed: seed, traced: true)]
            for index in worlds.indices { worlds[index].play() }
            // Events name sets, which have no order.
            let said = worlds.map { ($0.trace ?? []).filter { $0.hasPrefix(" ") } }
            #expect(said[0] == said[1])
        }
    }
}
