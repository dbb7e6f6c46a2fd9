import Testing

@testable import StemwireAdapter

struct FrameOrderTests {
    /// Stacks of ten bytes a frame, which are their own positions.
    private func add(_ order: inout FrameOrder<Range<Int>>, _ positions: Range<Int>) -> [Range<Int>] {
        order.add(positions, positions, bytes: positions.count * 10)
    }

    @Test func whatComesInOrderGoesOnAtOnce() {
        var order = FrameOrder<Range<Int>>(limit: 100)
        #expect(add(&order, 0..<4) == [0..<4])
        #expect(add(&order, 4..<5) == [4..<5])
        #expect(order.next == 5)
    }

    @Test func framesWaitForEarlierOnes() {
        var order = FrameOrder<Range<Int>>(limit: 1000)
        #expect(add(&order, 8..<12).isEmpty)
        #expect(add(&order, 4..<8).isEmpty)
        #expect(add(&order, 0..<4) == [0..<4, 4..<8, 8..<12])
    }

    @Test func whatNeverComesIsNotWaitedFor() {
        var order = FrameOrder<Range<Int>>(limit: 1000)
        #expect(add(&order, 2..<4).isEmpty)
        #expect(order.skip(0..<1).isEmpty)
        #expect(order.skip(1..<2) == [2..<4])
        #expect(order.skip(4..<6).isEmpty)
        #expect(add(&order, 6..<7) == [6..<7])
    }

    @Test func aGapIsGivenUpWhenTooMuchWaits() {
        var order = FrameOrder<Range<Int>>(limit: 45)
        #expect(add(&order, 2..<4).isEmpty)
        #expect(add(&order, 6..<8).isEmpty)
        #expect(add(&order, 8..<9) == [2..<4])
        #expect(add(&order, 0..<2).isEmpty)
        #expect(order.late == 2)
        #expect(add(&order, 4..<6) == [4..<6, 6..<8, 8..<9])
    }

    @Test func theRestGoesOnAtTheEnd() {
        var order = FrameOrder<Range<Int>>(limit: 1000)
        #expect(add(&order, 5..<6).isEmpty)
        #expect(add(&order, 2..<4).isEmpty)
        #expect(order.finish() == [2..<4, 5..<6])
    }
}
