import Testing
import ZeroMQ

@testable import StemwireServer

@Suite struct SubscriptionTableTests {
    @Test func subscriptionsArePrefixes() {
        var table = SubscriptionTable()
        #expect(!table.wants("1/tile/m/"))
        #expect(table.take(.subscribed(Array("1/tile/".utf8))) == "1/tile/")
        #expect(table.take(.subscribed(Array("1/tile/".utf8))) == nil)
        #expect(table.wants("1/tile/m/"))
        #expect(!table.wants("1/result/m/"))
        #expect(table.take(.subscribed(Array("1/result/m/r/sum/".utf8))) == "1/result/m/r/sum/")
        #expect(table.wantsAny(under: "1/result/m/"))
        #expect(table.wantsAny(under: "1/result/m/r/sum/intensity/"))
        #expect(!table.wantsAny(under: "1/event/"))
        #expect(table.take(.unsubscribed(Array("1/tile/".utf8))) == nil)
        #expect(!table.wants("1/tile/m/"))
        #expect(table.take(.subscribed([])) == "")
        #expect(table.wants("anything"))
    }

    @Test func floodsAndNonsenseAreCountedAndBounded() {
        var table = SubscriptionTable(capacity: 10)
        for number in 0..<100 { _ = table.take(.subscribed(Array("\(number)".utf8))) }
        #expect(table.count == 10)
        #expect(table.refused == 90)
        #expect(table.take(.message([[7]])) == nil)
        #expect(table.refused == 91)
    }
}
