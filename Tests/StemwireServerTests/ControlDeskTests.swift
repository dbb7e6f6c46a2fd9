import StemwireProtocol
import Testing

@testable import StemwireServer

@Suite("Room for control requests") struct ControlDeskTests {
    private typealias Desk = ControlDesk<Int, String>

    private static func request(_ kind: WireRequest.OneOf_Kind) -> WireRequest {
        var request = WireRequest()
        request.kind = kind
        return request
    }

    @Test("when as many wait as can, further requests are refused, but for those that end the acquisition")
    func full() throws {
        var desk = Desk()
        func ask(_ kind: WireRequest.OneOf_Kind, peer: UInt8) -> (ticket: Desk.Ticket?, refusal: Desk.Refusal?) {
            switch desk.take(Self.request(kind), peer: [peer], from: 0, at: .now) {
            case .doIt(let ticket, _): (ticket, nil)
            case .refused(let refusal): (nil, refusal)
            case .wait, .answered: (nil, nil)
            }
        }
        var tickets: [Desk.Ticket] = []
        for number in 0..<Desk.maximumOutstanding {
            let asked = ask(.wait(.init()), peer: UInt8(number / Desk.maximumOfPeer))
            tickets.append(try #require(asked.ticket))
        }
        let late = ask(.status(.init()), peer: 200)
        #expect(late.refusal == .tooManyWaiting(Desk.maximumOutstanding))
        // One peer's share is its share, whatever it asks for.
        let greedy = ask(.abort(.init()), peer: 0)
        #expect(greedy.refusal != nil)
        for number in 0..<Desk.reserve {
            let ending = ask(number % 2 == 0 ? .abort(.init()) : .stop(.init()), peer: 200)
            #expect(ending.ticket != nil)
        }
        let beyond = ask(.abort(.init()), peer: 200)
        #expect(beyond.refusal != nil)
        for ticket in tickets.prefix(Desk.reserve + 1) { _ = desk.finish(ticket, with: "done") }
        let again = ask(.status(.init()), peer: 201)
        #expect(again.ticket != nil)
    }
}
