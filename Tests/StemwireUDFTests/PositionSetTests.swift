import StemwireTestSupport
import StemwireUDF
import Testing

@Suite("Sets of scan positions")
struct PositionSetTests {
    @Test func agreesWithASet() {
        var generator = SeededGenerator(seed: 3)
        for size in [0, 1, 63, 64, 65, 200] {
            var positions = PositionSet(size: size)
            var plain: Set<Int> = []
            for _ in 0..<12 {
                let first = Int.random(in: 0...size, using: &generator)
                let run = first..<Int.random(in: first...min(size, first + 70), using: &generator)
                #expect(positions.count(in: run) == plain.intersection(run).count)
                #expect(positions.insert(run) == Set(run).subtracting(plain).count)
                plain.formUnion(run)
                #expect(positions.count == plain.count)
                #expect(positions.ranges.flatMap { $0 } == plain.sorted())
                #expect(positions.gaps(in: 0..<size).flatMap { $0 } == Set(0..<size).subtracting(plain).sorted())
                #expect(positions.ranges(in: run).flatMap { $0 } == Array(run))
            }
            #expect(positions.booleans == (0..<size).map { plain.contains($0) })
            #expect(positions == PositionSet(positions.booleans))
            for (left, right) in zip(positions.ranges, positions.ranges.dropFirst()) {
                #expect(left.upperBound < right.lowerBound)
            }
            #expect(positions.isFull == (plain.count == size) && positions.isEmpty == plain.isEmpty)
        }
    }

    @Test func bitmapHasTheLowestBitFirst() {
        for size in [0, 1, 8, 13, 130] {
            let positions = PositionSet((0..<size).map { $0 % 3 == 0 || (60..<80).contains($0) })
            let bitmap = positions.bitmap
            #expect(bitmap.count == (size + 7) / 8)
            for position in 0..<8 * bitmap.count {
                let bit = bitmap[position / 8] >> UInt8(position % 8) & 1
                #expect((bit == 1) == (position < size && positions.contains(position)))
            }
        }
    }

    @Test func intersection() {
        let even = PositionSet((0..<100).map { $0 % 2 == 0 })
        let third = PositionSet((0..<100).map { $0 % 3 == 0 })
        #expect(even.intersection(third) == PositionSet((0..<100).map { $0 % 6 == 0 }))
        #expect(even.intersection(third).count == 17)
        #expect(even.subtracting(third) == PositionSet((0..<100).map { $0 % 2 == 0 && $0 % 3 != 0 }))
        #expect(even.subtracting(third).count == 33 && even.subtracting(even).isEmpty)
        #expect(even.union(third) == PositionSet((0..<100).map { $0 % 2 == 0 || $0 % 3 == 0 }))
        #expect(even.union(third).count == 67)
    }
}

@Suite("Coverage")
struct CoverageTests {
    @Test func statesOnlyRise() {
        var coverage = Coverage(size: 10)
        coverage.markReceived(2..<8)
        coverage.markRecorded(4..<6)
        coverage.markReceived(3..<9)
        #expect(coverage.ranges(.received) == [2..<4, 6..<9])
        #expect(coverage.ranges(.recorded) == [4..<6])
        coverage.markProcessed(3..<5, generation: 0)
        coverage.markRecorded(0..<10)
        coverage.markFailed(4..<7)
        #expect(coverage.ranges(.processed) == [3..<5])
        #expect(coverage.ranges(.failed) == [5..<7])
        #expect(coverage.ranges(.recorded) == [0..<3, 7..<10])
        // Somebody else managed it.
        coverage.markProcessed(6..<7, generation: 0)
        #expect(coverage[6] == .processed && coverage[5] == .failed)
        for state in PositionState.allCases {
            #expect(coverage.count(state) == coverage.ranges(state).reduce(0) { $0 + $1.count })
        }
        #expect(PositionState.allCases.reduce(0) { $0 + coverage.count($1) } == coverage.size)
    }

    @Test func generationsMarkWhoMadeWhat() {
        var coverage = Coverage(size: 6, generation: 4)
        coverage.markProcessed(0..<2, generation: 4)
        #expect(coverage.generation(at: 1) == 4 && coverage.generation(at: 2) == nil)
        coverage.markProcessed(3..<5, generation: 7)
        #expect(coverage.processedGenerations.map(\.positions) == [0..<2, 3..<5])
        #expect(coverage.processedGenerations.map(\.generation) == [4, 7])
        coverage.markProcessed(0..<1, generation: 7)
        #expect(coverage.processedGenerations.map(\.generation) == [7, 4, 7])
    }
}
