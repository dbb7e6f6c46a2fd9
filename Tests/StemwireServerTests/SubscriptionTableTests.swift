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

    @Test func aFloodIsToldAlsoByWhatWasRefused() {
        var table = SubscriptionTable(capacity: 2)
        let topic = [UInt8](repeating: 0x31, count: 500)
        for number in 0..<UInt16(SubscriptionTable.floodBytes / 502) {
            _ = table.take(.subscribed(topic + [UInt8(number >> 8), UInt8(number & 255)]))
        }
        #expect(!table.isFlooded)
        for number in 0..<9 as Range<UInt8> { _ = table.take(.subscribed(topic + [255, number])) }
        #expect(table.isFlooded)
        for number in 0..<9 as Range<UInt8> { _ = table.take(.unsubscribed(topic + [255, number])) }
        #expect(!table.isFlooded)
        table.dismissAll()
        #expect(table.count == 0 && !table.wants("1/tile/"))
    }
}
