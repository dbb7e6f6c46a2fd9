import StemwireTestSupport
import Testing

@testable import StemwireClient

@Suite struct PositionSetTests {
    @Test func behavesAsASetOfNumbers() {
        for seed in 0..<200 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            var set = PositionSet()
            var oracle = Set<Int>()
            for _ in 0..<60 {
                let low = Int.random(in: 0..<100, using: &generator)
                let range = low..<low + Int.random(in: 0..<20, using: &generator)
                if generator.chance(percent: 60) {
                    set.insert(range)
                    oracle.formUnion(range)
                } else {
                    set.remove(range)
                    oracle.subtract(range)
                }
                let probe = Int.random(in: 0..<60, using: &generator)..<Int.random(in: 60..<130, using: &generator)
                #expect(set.count == oracle.count, "seed \(seed)")
                #expect(set.gaps(in: probe).flatMap { $0 } == probe.filter { !oracle.contains($0) }, "seed \(seed)")
                #expect(set.members(in: probe).flatMap { $0 } == probe.filter { oracle.contains($0) }, "seed \(seed)")
                #expect(set.contains(probe.lowerBound) == oracle.contains(probe.lowerBound), "seed \(seed)")
            }
            #expect(set.members(in: 50..<50).isEmpty && set.gaps(in: 50..<50).isEmpty)
            let ranges = set.ranges
            let areApart = zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound }
            #expect(areApart, "seed \(seed): \(ranges)")
            #expect(ranges.flatMap { $0 } == oracle.sorted(), "seed \(seed)")
        }
    }

    @Test func popFirstTakesPortionsInOrder() {
        var set = PositionSet([3..<10, 20..<22])
        var portions: [Range<Int>] = []
        while let portion = set.popFirst(atMost: 4) { portions.append(portion) }
        #expect(portions == [3..<7, 7..<10, 20..<22])
        #expect(set.isEmpty)
    }
}
