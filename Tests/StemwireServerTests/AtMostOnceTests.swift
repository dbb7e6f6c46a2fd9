import Foundation
import StemwireClient
import StemwireProtocol
import StemwireTestSupport
import Testing

@testable import StemwireServer

/// The control desk on a simulated network that loses, doubles and delays, with a detector that does as it is told.
///
/// Everything is drawn from a seed; times are numbers.
@Suite("At most once, on a network that loses, doubles and delays") struct AtMostOnceTests {
    /// STEMWIRE_CONTROL_REQUESTS.
    static let requests =
        ProcessInfo.processInfo.environment["STEMWIRE_CONTROL_REQUESTS"].flatMap { Int($0) } ?? 10_000

    @Test(
        "many requests: none done twice, each id answered the same, each state reported one that there was",
        arguments: [1, 2])
    func requests(seed: UInt64) throws {
        var world = SimulatedControl(seed: seed, clients: 24, requestsOfEach: Self.requests / 2 / 24)
        world.run()
        let total = 24 * (Self.requests / 2 / 24)
        #expect(world.asked == total && world.answered + world.givenUp == total)
        // Losing one message in ten must not cost answers, as long as there is time to ask again.
        #expect(world.answered > total * 95 / 100)
        #expect(world.lost > total / 10 && world.doubled > total / 20 && world.repeated > total / 10)
        #expect(world.doneTwice == [])
        #expect(world.answeredDifferently == [])
        #expect(world.history.violations().prefix(3) == [])
        #expect(world.states.count > total / 8)
    }

    @Test("the checker of histories finds a state that there was not, and one that came too late")
    func checker() {
        var history = ControlHistory()
        history.states = [(0, "idle"), (10, "armed"), (20, "idle")]
        history.records = [.init(id: "a", asked: 5, answered: 15, before: "idle", after: "armed")]
        #expect(history.violations() == [])
        history.records = [.init(id: "b", asked: 11, answered: 15, before: "idle", after: "armed")]
        #expect(history.violations().count == 1)
        history.records = [.init(id: "c", asked: 5, answered: 30, before: "armed", after: "acquiring")]
        #expect(history.violations().count == 1)
        history.records = [.init(id: "d", asked: 5, answered: 30, before: "armed", after: "idle")]
        #expect(history.violations() == [])
        // In the wrong order.
        history.records = [.init(id: "e", asked: 12, answered: 30, before: "idle", after: "armed")]
        #expect(history.violations().count == 1)
    }
}

/// What a server said, against what it was.
struct ControlHistory {
    struct Record {
        let id: String
        /// When the first copy was sent, and the answer came.
        let asked: Int
        let answered: Int
        let before: String
        let after: String
    }

    /// Since when the server was in which state; rising.
    var states: [(since: Int, state: String)] = []
    var records: [Record] = []

    /// Records whose states the server was not in, one after the other, between question and answer.
    func violations() -> [String] {
        records.compactMap { record in
            var hasBegun = false
            for index in firstState(reaching: record.asked)..<states.count {
                guard states[index].since <= record.answered else { break }
                if states[index].state == record.before { hasBegun = true }
                if hasBegun, states[index].state == record.after { return nil }
            }
            return "\(record)"
        }
    }

    private func firstState(reaching time: Int) -> Int {
        var (low, high) = (0, states.count)
        while low < high {
            let middle = (low + high) / 2
            if states[middle].since <= time { low = middle + 1 } else { high = middle }
        }
        return max(0, low - 1)
    }
}

/// Clients, network, desk and detector on one clock, in microseconds.
struct SimulatedControl {
    private enum Event {
        case ask(client: Int)
        case arrives(WireRequest, client: Int)
        case detectorDone(ControlDesk<Int, String>.Ticket, WireRequest, before: String)
        case expires(ControlDesk<Int, String>.Ticket, id: String, before: String)
        case answer(String, client: Int)
        case impatient(client: Int, id: String)
    }

    private struct Client {
        var left: Int
        var request: WireRequest?
        var askedAt = 0
        var attempts = 0
    }

    private var dice: SeededGenerator
    private let start = ContinuousClock.now
    private var now = 0
    private var queue: [(at: Int, order: Int, event: Event)] = []
    private var order = 0
    private var clients: [Client]
    private var desk = ControlDesk<Int, String>(memory: 4096)
    private var state = "idle"
    private var busyUntil = 0

    private(set) var asked = 0
    private(set) var answered = 0
    private(set) var givenUp = 0
    private(set) var lost = 0
    private(set) var doubled = 0
    private(set) var repeated = 0
    private(set) var doneTwice: [String] = []
    private(set) var answeredDifferently: [String] = []
    private(set) var history = ControlHistory()
    private var done: Set<String> = []
    private var answers: [String: String] = [:]

    var states: [(since: Int, state: String)] { history.states }

    init(seed: UInt64, clients: Int, requestsOfEach: Int) {
        dice = .init(seed: seed)
        self.clients = (0..<clients).map { _ in Client(left: requestsOfEach) }
        history.states = [(0, "idle")]
        for client in self.clients.indices { schedule(.ask(client: client), after: client) }
    }

    mutating func run() {
        while let next = popFirst() {
            now = next.at
            happen(next.event)
        }
    }

    // MARK: The clock

    private mutating func schedule(_ event: Event, after delay: Int) {
        order += 1
        queue.append((now + delay, order, event))
        var child = queue.count - 1
        while child > 0, isBefore(child, (child - 1) / 2) {
            queue.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func popFirst() -> (at: Int, order: Int, event: Event)? {
        guard let first = queue.first else { return nil }
        let last = queue.removeLast()
        guard !queue.isEmpty else { return first }
        queue[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < queue.count && isBefore(child, least) {
                least = child
            }
            guard least != parent else { return first }
            queue.swapAt(parent, least)
            parent = least
        }
    }

    private func isBefore(_ left: Int, _ right: Int) -> Bool {
        (queue[left].at, queue[left].order) < (queue[right].at, queue[right].order)
    }

    private mutating func happens(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &dice) < percent }

    // MARK: The network

    /// One message in ten is lost, one doubled, one late by far.
    private mutating func deliver(_ event: Event) {
        if happens(10) {
            lost += 1
            return
        }
        let copies = happens(10) ? 2 : 1
        if copies == 2 { doubled += 1 }
        for _ in 0..<copies {
            schedule(
                event,
                after: Int.random(in: 50...400, using: &dice)
                    + (happens(10) ? Int.random(in: 1000...60_000, using: &dice) : 0))
        }
    }

    // MARK: What happens

    private mutating func happen(_ event: Event) {
        switch event {
        case .ask(let client): ask(client)
        case .arrives(let request, let client): arrive(request, client)
        case .detectorDone(let ticket, let request, let before): finish(ticket, request, before)
        case .expires(let ticket, let id, let before):
            let answer = "\(before)|\(state)|timedOut"
            for address in desk.expire(ticket, with: answer) { deliver(.answer("\(id)|\(answer)", client: address)) }
        case .answer(let answer, let client): take(answer, client)
        case .impatient(let client, let id): insist(client, id)
        }
    }

    private mutating func ask(_ client: Int) {
        guard clients[client].left > 0 else { return }
        clients[client].left -= 1
        asked += 1
        var request = WireRequest()
        request.id = "\(client)-\(clients[client].left)"
        request.deadlineMs = 20
        switch Int.random(in: 0..<5, using: &dice) {
        case 0: request.arm = .init()
        case 1: request.trigger = .init()
        case 2: request.abort = .init()
        case 3: request.stop = .init()
        default:
            request.status = .init()
            request.id = "status-" + request.id
        }
        clients[client].request = request
        clients[client].askedAt = now
        clients[client].attempts = 0
        send(client)
    }

    private mutating func send(_ client: Int) {
        guard let request = clients[client].request else { return }
        clients[client].attempts += 1
        deliver(.arrives(request, client: client))
        schedule(.impatient(client: client, id: request.id), after: 15_000)
    }

    private mutating func insist(_ client: Int, _ id: String) {
        guard let request = clients[client].request, request.id == id else { return }
        guard clients[client].attempts < 6 else {
            givenUp += 1
            return next(client)
        }
        repeated += 1
        send(client)
    }

    private mutating func next(_ client: Int) {
        clients[client].request = nil
        schedule(.ask(client: client), after: Int.random(in: 1...2000, using: &dice))
    }

    private mutating func arrive(_ request: WireRequest, _ client: Int) {
        let verdict = desk.take(
            request, peer: [UInt8(client)], from: client, at: start.advanced(by: .microseconds(now)))
        switch verdict {
        case .doIt(let ticket, let deadline):
            // One request after the other, some of them slow.
            let works = Int.random(in: 20...200, using: &dice) + (happens(2) ? 40_000 : 0)
            let before = state
            busyUntil = max(now, busyUntil) + works
            schedule(.detectorDone(ticket, request, before: before), after: busyUntil - now)
            schedule(
                .expires(ticket, id: request.id, before: before),
                after: Int((deadline - start) / .microseconds(1)) - now)
        case .wait: break
        case .answered(let answer): deliver(.answer("\(request.id)|\(answer)", client: client))
        case .refused: break
        }
    }

    /// The detector has done it: this is where it must not be done twice.
    private mutating func finish(_ ticket: ControlDesk<Int, String>.Ticket, _ request: WireRequest, _ before: String) {
        var outcome = "done"
        if request.changesSomething {
            if !done.insert(request.id).inserted { doneTwice.append(request.id) }
            switch (request.kind, state) {
            case (.arm, "idle"): become("armed")
            case (.trigger, "armed"): become("acquiring")
            case (.abort, _), (.stop, _): become("idle")
            default: outcome = "refused"
            }
        }
        let answer = "\(before)|\(state)|\(outcome)"
        for address in desk.finish(ticket, with: answer) {
            deliver(.answer("\(request.id)|\(answer)", client: address))
        }
    }

    private mutating func become(_ new: String) {
        guard new != state else { return }
        state = new
        history.states.append((now, new))
    }

    private mutating func take(_ answer: String, _ client: Int) {
        let parts = answer.split(separator: "|", maxSplits: 3).map(String.init)
        let id = parts[0]
        // What changes nothing may be asked twice, and be answered by what is true then.
        if !id.hasPrefix("status"), let known = answers[id], known != answer { answeredDifferently.append(id) }
        answers[id] = answer
        guard let request = clients[client].request, request.id == id else { return }
        history.records.append(
            .init(id: id, asked: clients[client].askedAt, answered: now, before: parts[1], after: parts[2]))
        answered += 1
        next(client)
    }
}

extension ServerTests {
    @Suite("At most once, through real sockets and a bad network") struct LossyControl {
        static let requests = 120

        @Test("arming, triggering and ending through a proxy that loses, doubles and delays: all of it once")
        func lossy() async throws {
            try await Bench.run(simulator: { $0.dwellMicroseconds = 300 }) { bench in
                let client = try await bench.connect()
                let records = try await onThread { [bench] in
                    let proxy = try LossyProxy(to: bench.endpoints.controlPort, seed: 11)
                    defer { proxy.stop() }
                    let peer = try Stranger(.dealer, port: proxy.port, patience: .milliseconds(60))
                    var dice = SeededGenerator(seed: 12)
                    var records: [Exchange] = []
                    for number in 0..<Self.requests {
                        var request = Control.request("request-\(number)", Self.kind(&dice))
                        request.deadlineMs = 5000
                        records.append(try Self.insist(request, peer))
                    }
                    #expect(proxy.lostMessages > 10 && proxy.doubledMessages > 10)
                    return records
                }
                // What was done is what the detector has seen: it refuses a second arming, and counts refusals.
                let refusals = records.count { $0.reply.failure.code == "detectorRefused" }
                #expect(bench.simulator.statistics.refusedRequests == refusals)
                let armings = records.count { $0.kind == "arm" && $0.reply.failure.code.isEmpty }
                let status = try await client.status()
                #expect(armings > 5 && status.acquisitions <= UInt64(armings))
                #expect(records.allSatisfy { $0.isConsistent })
                // Each reported state follows from the one before by what was asked, or by the detector's own doing.
                for (before, after) in zip(records, records.dropFirst()) {
                    #expect(
                        Self.mayFollow(after.reply.stateBefore, before.reply.stateAfter),
                        "\(before.kind): \(before.reply.stateAfter), then \(after.kind): \(after.reply.stateBefore)")
                    #expect(
                        Self.isPossible(after), "\(after.kind): \(after.reply.stateBefore) → \(after.reply.stateAfter)")
                }
                try await client.abort()
                await client.close()
            }
        }

        struct Exchange: Sendable {
            let kind: String
            let reply: WireReply
            /// All replies to this id were equal.
            var isConsistent = true
        }

        static func kind(_ dice: inout SeededGenerator) -> WireRequest.OneOf_Kind {
            switch Int.random(in: 0..<6, using: &dice) {
            case 0, 1: .arm(.init())
            case 2, 3: .trigger(.init())
            case 4: .abort(.init())
            default: .status(.init())
            }
        }

        /// Asks until there is an answer; late ones to earlier requests are compared with what was answered then.
        static func insist(_ request: WireRequest, _ peer: borrowing Stranger) throws -> Exchange {
            let name: String =
                switch request.kind {
                case .arm: "arm"
                case .trigger: "trigger"
                case .abort: "abort"
                default: "status"
                }
            for _ in 0..<200 {
                try peer.send(request)
                while let reply = try? peer.reply() {
                    guard reply.id == request.id else { continue }
                    var exchange = Exchange(kind: name, reply: reply)
                    guard request.changesSomething else { return exchange }
                    // Once more: the same answer.
                    try peer.send(request)
                    if let again = try? peer.reply(), again.id == reply.id { exchange.isConsistent = again == reply }
                    return exchange
                }
            }
            throw Stranger.Unexpected()
        }

        /// An armed acquisition may run by an earlier trigger; one that runs may end.
        static func mayFollow(_ state: String, _ before: String) -> Bool {
            switch before {
            case "idle": state == "idle"
            case "armed": state != "disconnected"
            case "acquiring": state == "acquiring" || state == "idle"
            default: false
            }
        }

        static func isPossible(_ exchange: Exchange) -> Bool {
            let (before, after) = (exchange.reply.stateBefore, exchange.reply.stateAfter)
            switch exchange.kind {
            case "arm" where exchange.reply.failure.code.isEmpty: return before == "idle" && after == "armed"
            case "abort": return after == "idle"
            case "trigger": return mayFollow(after, before)
            default: return mayFollow(after, before)
            }
        }
    }
}
