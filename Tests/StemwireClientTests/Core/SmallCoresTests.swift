import StemwireProtocol
import StemwireTestSupport
import Testing

@testable import StemwireClient

@Suite struct SequenceTrackerTests {
    @Test func jumpsAreCountedAndOldNumbersAreStale() {
        var tracker = SequenceTracker()
        #expect(tracker.observe(5) == .first)
        #expect(tracker.observe(6) == .next)
        #expect(tracker.observe(9) == .jump(lost: 2))
        #expect(tracker.observe(9) == .stale)
        #expect(tracker.observe(3) == .stale)
        #expect(tracker.observe(10) == .next)
        #expect(tracker.observe(.max) == .jump(lost: Int(clamping: UInt64.max - 11)))
    }

    @Test func topicsAndSessionsAreCountedApart() {
        var sessions = SessionTracker()
        var restarts = [sessions.enter([1])]
        #expect(sessions.observe(topic: "a", sequence: 1) == .first)
        #expect(sessions.observe(topic: "b", sequence: 7) == .first)
        #expect(sessions.observe(topic: "a", sequence: 2) == .next)
        restarts.append(sessions.enter([1]))
        #expect(sessions.observe(topic: "b", sequence: 9) == .jump(lost: 1))
        restarts.append(sessions.enter([2]))
        #expect(restarts == [false, false, true])
        #expect(sessions.observe(topic: "a", sequence: 1) == .first)
    }

    @Test func aFloodOfTopicsTakesNoMemory() {
        var sessions = SessionTracker()
        for number in 0..<10_000 { _ = sessions.observe(topic: "\(number)", sequence: 1) }
        #expect(sessions.observe(topic: "0", sequence: 3) == .jump(lost: 1))
        #expect(sessions.observe(topic: "9999", sequence: 3) == .first)
    }
}

@Suite struct RequestTableTests {
    @Test func eachRequestIsResolvedOnce() {
        var resolved = 0
        for seed in 0..<100 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            var table = RequestTable()
            let start = ContinuousClock.now
            var open: [String: ContinuousClock.Instant] = [:]
            var late = 0
            for step in 0..<100 {
                let now = start + .milliseconds(step)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0, 1:
                    let deadline = now + .milliseconds(Int.random(in: 0..<30, using: &generator))
                    table.add("\(step)", deadline: deadline)
                    open["\(step)"] = deadline
                case 2:
                    let id = "\(Int.random(in: 0...step, using: &generator))"
                    let isKnown = open.removeValue(forKey: id) != nil
                    #expect(table.resolve(id) == isKnown)
                    if isKnown { resolved += 1 } else { late += 1 }
                default:
                    let due = open.filter { $0.value <= now }
                    let expired = table.expire(now: now)
                    #expect(Set(expired) == Set(due.keys))
                    #expect(expired.map { due[$0]! } == expired.map { due[$0]! }.sorted())
                    for id in expired { open[id] = nil }
                }
                #expect(table.count == open.count)
                #expect(table.nextDeadline == open.values.min())
            }
            #expect(table.late == late)
        }
        #expect(resolved > 100)
    }
}

@Suite struct ServerEndpointTests {
    @Test(arguments: [
        ("tcp://host:7400", "host", 7400), ("host", "host", 7400), ("host:81", "host", 81),
        ("stemwire://merlin-1.lab", "merlin-1.lab", 7400), ("stemwire://10.0.0.1:9/", "10.0.0.1", 9),
        ("tcp://[::1]:5", "::1", 5), ("[fe80::1%eth0]", "fe80::1%eth0", 7400),
    ])
    func readsAllForms(_ text: String, _ host: String, _ port: Int) throws {
        let endpoint = try ServerEndpoint(text)
        #expect(endpoint.host == host)
        #expect(endpoint.controlPort == port)
        #expect(try ServerEndpoint(endpoint.description) == endpoint)
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("localhost", true), ("[::1]", true), ("10.127.0.0", false), ("scope", false),
    ])
    func knowsThisMachine(_ host: String, _ isLoopback: Bool) throws {
        #expect(try ServerEndpoint(host).isLoopback == isLoopback)
    }

    @Test(arguments: [
        "", "http://host:80", "host:", "host:0", "host:65536", "host:+7", "host:seven", "::1", "[::1", "[::1]7",
        "ho st", "host/path", "tcp://", "tcp://*:7400", "a:b:c",
    ])
    func refusesWhatIsNoEndpoint(_ text: String) {
        #expect { try ServerEndpoint(text) } throws: { error in
            guard case ConnectError.badEndpoint(let told, _) = error else { return false }
            return told == text && "\(error)".contains("tcp://merlin-server:7400")
        }
    }
}

@Suite struct EventQueueTests {
    @Test func keepsABoundedNumberAndTheNewestStatus() throws {
        var queue = EventQueue(limit: 3)
        for number in 0..<10 {
            var event = WireEvent()
            event.code = "\(number)"
            queue.append(event)
            var status = WireStatus()
            status.uptimeMs = UInt64(number)
            queue.append(status)
        }
        var told: [String] = []
        while case .element(let event) = queue.take(now: .now) {
            switch event {
            case .missed(let count): told.append("missed \(count)")
            case .event(let event): told.append(event.code)
            case .status(let status): told.append("status \(status.uptimeMs)")
            default: Issue.record("unexpected \(event)")
            }
        }
        #expect(told == ["missed 7", "0", "1", "2", "status 9"])
    }

    @Test func startsAndEndsAreToldOnce() throws {
        var queue = EventQueue()
        let acquisition = TestAcquisition(generation: 4)
        for _ in 0..<3 {
            queue.started(try acquisition.start())
            queue.ended(try acquisition.end())
        }
        var count = 0
        while case .element = queue.take(now: .now) { count += 1 }
        #expect(count == 2)
    }
}

@Suite struct ConnectAttemptTests {
    @Test func whatWasSeenDecidesWhatIsSaid() throws {
        let endpoint = try ServerEndpoint("host")
        func error(_ changes: Link.Change...) -> ConnectError {
            var attempt = ConnectAttempt(endpoint)
            for change in changes { if let error = attempt.observe(change) { return error } }
            return attempt.timedOut(after: .seconds(1))
        }
        if case .timedOut = error() {} else { Issue.record("silence is a time-out") }
        if case .nobodyThere = error(.notReached, .notReached) {} else { Issue.record("refused: nobody there") }
        if case .silent = error(.notReached, .reached) {} else { Issue.record("mute: silent") }
        if case .notStemwire = error(.reached, .lost) {} else { Issue.record("closes: not Stemwire") }
        if case .notStemwire = error(.reached, .connected) {} else { Issue.record("no reply: not Stemwire") }
        if case .notStemwire(_, let why) = error(.reached, .refused(.protocolViolation(7))) {
            #expect(why.contains("ZMTP"))
        } else {
            Issue.record("no")
        }
    }
}
