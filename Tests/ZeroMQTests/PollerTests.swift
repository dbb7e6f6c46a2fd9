import StemwireSystem
import Testing

@testable import ZeroMQ

@Suite struct PollerTests {
    @Test func aWakeUpEndsTheWait() throws {
        let waking = Box<WakeUp>()
        let ended = Box<Int>()
        let thread = try NamedThread("poller") {
            guard var poller = try? Poller() else { return }
            waking.put(poller.wakeUp)
            for _ in 0..<2 { ended.put((try? poller.wait().count) ?? -1) }
        }
        let wakeUp = try waking.next()
        for _ in 0..<2 {
            wakeUp.signal()
            #expect(try ended.next() == 0)
        }
        thread.join()
    }

    @Test func timeLimitsEndTheWait() throws {
        var poller = try Poller()
        let started = ContinuousClock.now
        #expect(try poller.wait(timeout: .milliseconds(3)).isEmpty)
        #expect(ContinuousClock.now - started >= .milliseconds(3))
        #expect(try poller.wait(timeout: .zero).isEmpty)
    }

    @Test func socketsAndDescriptorsAreWatchedTogether() throws {
        let context = try Context()
        let place = try Place(.inproc)
        let puller = try Socket(.pull, in: context, options: patient())
        try puller.bind(place.endpoint)
        let pusher = try Socket(.push, in: context, options: patient())
        try pusher.connect(place.endpoint)
        let wakeUp = try WakeUp()
        var poller = try Poller()
        let reading = poller.add(puller)
        let writing = poller.add(pusher, events: .writable)
        let plain = poller.add(descriptor: wakeUp.descriptor)
        #expect(try poller.wait(timeout: .seconds(60)) == [.init(token: writing, events: .writable)])
        poller.modify(writing, events: [])
        #expect(try poller.wait(timeout: .zero).isEmpty)
        try pusher.send(copying: "x")
        #expect(try poller.wait(timeout: .seconds(60)) == [.init(token: reading, events: .readable)])
        wakeUp.signal()
        // Level-triggered: what was not drained stays.
        for _ in 0..<2 { #expect(try poller.wait(timeout: .zero).map(\.token) == [reading, plain]) }
        wakeUp.drain()
        _ = try puller.receive()
        poller.remove(writing)
        poller.remove(writing)
        #expect(try poller.wait(timeout: .zero).isEmpty)
        let count = poller.count
        #expect(count == 2)
    }

    @Test func aClosedSocketLapses() throws {
        let context = try Context()
        var poller = try Poller()
        let kept = try Socket(.pull, in: context, options: patient())
        let endpoint = try kept.bind("tcp://127.0.0.1:*")
        for _ in 0..<20 {
            let gone = try Socket(.pull, in: context)
            _ = poller.add(gone)
            _ = try poller.wait(timeout: .zero)
        }
        let token = poller.add(kept)
        let pusher = try Socket(.push, in: context, options: patient())
        try pusher.connect(endpoint)
        try pusher.send(copying: "x")
        #expect(try poller.wait(timeout: .seconds(60)) == [.init(token: token, events: .readable)])
        let count = poller.count
        #expect(count == 1)
    }

    @Test func aShutDownContextIsToldOfItsSocketsOnly() throws {
        let ending = try Context()
        let going = try Context()
        let ended = try Socket(.pull, in: ending)
        let alive = try Socket(.pull, in: going)
        var poller = try Poller()
        let token = poller.add(ended)
        let other = poller.add(alive)
        ending.shutdown()
        #expect(try poller.wait(timeout: .seconds(60)) == [.init(token: token, events: .terminated)])
        poller.remove(token)
        #expect(try poller.wait(timeout: .zero).isEmpty)
        going.shutdown()
        #expect(try poller.wait(timeout: .seconds(60)).map(\.token) == [other])
    }
}
