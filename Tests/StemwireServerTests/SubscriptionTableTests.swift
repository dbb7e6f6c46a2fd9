import Testing
import ZeroMQ

@testable import StemwireServer

@Suite struct SubscriptionTableTests {
    private func subscribed(_ topic: String) -> SubscriptionChange { .subscribed(Array(topic.utf8)) }
    private func unsubscribed(_ topic: String) -> SubscriptionChange { .unsubscribed(Array(topic.utf8)) }

    @Test func subscriptionsArePrefixes() {
        var table = SubscriptionTable()
        #expect(!table.wants("1/tile/m/"))
        let outcomes = [
            table.take(subscribed("1/tile/"), from: 5), table.take(subscribed("1/tile/"), from: 5),
            table.take(subscribed("1/tile/"), from: 6),
        ]
        #expect(outcomes == [.changed, .nothingNew, .nothingNew])
        #expect(table.wants("1/tile/m/"))
        #expect(!table.wants("1/result/m/"))
        let isNew = table.take(subscribed("1/result/m/r/sum/"), from: 5) == .changed
        #expect(isNew && table.wants("1/result/m/r/sum/intensity/"))
        _ = table.take(unsubscribed("1/tile/"), from: 5)
        #expect(table.wants("1/tile/m/"))
        _ = table.take(unsubscribed("1/tile/"), from: 6)
        #expect(!table.wants("1/tile/m/"))
        _ = table.take(subscribed(""), from: 5)
        #expect(table.wants("anything"))
    }

    @Test func nobodyEndsTheSubscriptionsOfOthers() {
        var table = SubscriptionTable()
        _ = table.take(subscribed("1/tile/"), from: 5)
        for _ in 0..<3 { _ = table.take(unsubscribed("1/tile/"), from: 6) }
        #expect(table.wants("1/tile/m/"))
        // Its own, twice.
        _ = table.take(subscribed("1/tile/"), from: 6)
        for _ in 0..<2 { _ = table.take(unsubscribed("1/tile/"), from: 6) }
        #expect(table.wants("1/tile/m/"))
    }

    @Test func whatAConnectionWantedEndsWithIt() {
        var table = SubscriptionTable()
        _ = table.take(subscribed("1/tile/"), from: 5)
        _ = table.take(subscribed("1/tile/"), from: 6)
        table.ended(5)
        _ = table.take(unsubscribed("1/tile/"), from: nil)
        #expect(table.wants("1/tile/m/"))
        table.ended(6)
        _ = table.take(unsubscribed("1/tile/"), from: nil)
        #expect(!table.wants("1/tile/m/") && table.count == 0)
    }

    @Test func floodsAndNonsenseAreCountedAndBounded() {
        var table = SubscriptionTable(capacity: 10, topicsOfConnection: 50)
        var outcomes: [SubscriptionTable.Outcome] = []
        for number in 0..<100 { outcomes.append(table.take(subscribed("\(number)"), from: 5)) }
        #expect(table.count == 10)
        #expect(table.refused == 90)
        #expect(outcomes[..<10].allSatisfy { $0 == .changed } && outcomes[10..<50].allSatisfy { $0 == .refused })
        #expect(outcomes[50...].allSatisfy { $0 == .flood })
        // Others are not to blame.
        let other = [table.take(subscribed("1"), from: 6), table.take(.message([[7]]), from: 6)]
        #expect(other == [.nothingNew, .refused] && table.refused == 91)
    }

    @Test func aFloodIsToldAlsoByWhatWasRefused() {
        var table = SubscriptionTable(capacity: 2)
        let topic = [UInt8](repeating: 0x31, count: 500)
        for number in 0..<UInt16(SubscriptionTable.floodBytes / 502) {
            _ = table.take(.subscribed(topic + [UInt8(number >> 8), UInt8(number & 255)]), from: Int32(number))
        }
        #expect(!table.isFlooded)
        for number in 0..<9 as Range<UInt8> { _ = table.take(.subscribed(topic + [255, number]), from: 9) }
        #expect(table.isFlooded)
        for number in 0..<9 as Range<UInt8> { _ = table.take(.unsubscribed(topic + [255, number]), from: 9) }
        #expect(!table.isFlooded)
        table.dismissAll()
        #expect(table.count == 0 && !table.wants("1/tile/"))
    }
}
