import Testing

@testable import StemwireServer

@Suite struct FetchPeerTests {
    @Test func nothingIsSentWithoutCredit() {
        var peer = FetchPeer()
        #expect(!peer.canSend(bytes: 1))
        peer.grant(items: 2, bytes: 100)
        #expect(peer.canSend(bytes: 100))
        let isQueued1 = peer.enqueue(.init(number: 1, acquisition: [], positions: 0..<10))
        #expect(isQueued1)
        peer.sent(upTo: 4, bytes: 60)
        #expect(peer.current?.positions == 4..<10)
        #expect(!peer.canSend(bytes: 60))
        peer.grant(items: 0, bytes: 20)
        #expect(peer.canSend(bytes: 60))
        peer.sent(upTo: 8, bytes: 60)
        #expect(!peer.canSend(bytes: 0), "no items left")
    }

    @Test func aTileLargerThanAllCreditGoesWhenAllIsFree() {
        var peer = FetchPeer()
        peer.grant(items: 2, bytes: 100)
        #expect(peer.canSend(bytes: 1000))
        let isQueued2 = peer.enqueue(.init(number: 1, acquisition: [], positions: 0..<10))
        #expect(isQueued2)
        peer.sent(upTo: 1, bytes: 1000)
        #expect(!peer.canSend(bytes: 1000))
        peer.grant(items: 1, bytes: 100)
        #expect(peer.canSend(bytes: 1000))
    }

    @Test func unavailableRangesAreJoinedByReason() {
        var peer = FetchPeer()
        let isQueued3 = peer.enqueue(.init(number: 1, acquisition: [], positions: 5..<20))
        #expect(isQueued3)
        let early = peer.takeFinished()
        #expect(early == nil)
        peer.skipped(upTo: 7, reason: .missing)
        peer.skipped(upTo: 9, reason: .missing)
        peer.skipped(upTo: 12, reason: .released)
        peer.skipped(upTo: 99, reason: .missing)
        let finished = peer.takeFinished()
        #expect(finished?.unavailable.map(\.range) == [5..<9, 9..<12, 12..<20])
        #expect(finished?.unavailable.map(\.reason) == [.missing, .released, .missing])
        #expect(peer.current == nil)
    }

    @Test func requestsAreBoundedAndCreditCannotOverflow() {
        var peer = FetchPeer()
        for number in 0..<FetchPeer.maximumRequests {
            let isQueued4 = peer.enqueue(.init(number: UInt64(number), acquisition: [], positions: 0..<1))
            #expect(isQueued4)
        }
        let isQueued5 = peer.enqueue(.init(number: 99, acquisition: [], positions: 0..<1))
        #expect(!isQueued5)
        for _ in 0..<3 { peer.grant(items: .max, bytes: .max) }
        #expect(peer.creditBytes == .max)
    }
}
