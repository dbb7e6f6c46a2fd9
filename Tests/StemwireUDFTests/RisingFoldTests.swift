import Testing

@testable import StemwireUDF

@Suite struct RisingFoldTests {
    private struct Refused: Error {}

    /// Text shows in which order leaves were taken in.
    private func join(_ left: inout String, _ right: String) throws(Refused) { left = "(\(left)\(right))" }

    @Test func leavesAreTakenInRisingOrderHoweverTheyCome() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            var fold = RisingFold<String>()
            for leaf in (0..<5).shuffled(using: &generator) {
                try fold.insert("\(leaf)", at: leaf, combine: join)
                // Looking changes nothing.
                if Bool.random(using: &generator) { _ = try fold.root(combine: join) }
            }
            #expect(try fold.root(combine: join) == "((((01)2)3)4)")
            #expect(fold.keptCount == 1)
        }
    }

    @Test func aLeafThatNeverComesCountsAsNothing() throws {
        var fold = RisingFold<String>()
        #expect(try fold.root(combine: join) == nil)
        try fold.insert("3", at: 3, combine: join)
        #expect(try fold.root(combine: join) == "3")
        try fold.insert("1", at: 1, combine: join)
        #expect(try fold.root(combine: join) == "(13)")
        try fold.insert("4", at: 4, combine: join)
        #expect(try fold.root(combine: join) == "((13)4)")
    }

    @Test func whatIsShownMeanwhileIsMadeOnce() throws {
        var fold = RisingFold<String>()
        var count = 0
        func counting(_ left: inout String, _ right: String) throws(Refused) {
            count += 1
            try join(&left, right)
        }
        for leaf in 1..<20 {
            try fold.insert("\(leaf)", at: leaf, combine: counting)
            _ = try fold.root(combine: counting)
        }
        #expect(count == 18)
    }

    @Test func whatCannotBeTakenInIsTold() throws {
        var fold = RisingFold<String>()
        try fold.insert("0", at: 0, combine: join)
        #expect(throws: Refused.self) {
            try fold.insert("1", at: 1) { (_, _) throws(Refused) in throw Refused() }
        }
    }
}
