import Glibc
import StemwireSystem
import Testing

@testable import ZeroMQ

/// High-water marks, time limits, the end of the context, and other limits.
@Suite struct FlowTests {
    @Test func aFullQueueMeansNotNow() throws {
        let context = try Context()
        let place = try Place(.inproc)
        let pusher = try Socket(.push, in: context, options: patient { $0.sendHighWaterMark = 2 })
        let puller = try Socket(.pull, in: context, options: patient { $0.receiveHighWaterMark = 3 })
        try puller.bind(place.endpoint)
        try pusher.connect(place.endpoint)
        var sent = 0
        while sent < 100 {
            var message = Message(copying: [UInt8(sent)])
            guard try pusher.trySend(&message) else { break }
            sent += 1
        }
        // Within a process the two marks add up.
        #expect(sent == 5)
        #expect(try !pusher.events.contains(.writable))
        for index in 0..<sent { #expect(try puller.receive()[0].bytes == [UInt8(index)]) }
        let isEmpty = try puller.tryReceive() == nil
        #expect(isEmpty)
    }

    @Test func aPublisherDropsUnlessToldNotTo() throws {
        let context = try Context()
        for isLossless in [false, true] {
            let publisher = try Socket(
                .xpub, in: context,
                options: patient {
                    $0.sendHighWaterMark = 1
                    $0.xpubNoDrop = isLossless
                })
            let place = try Place(.inproc)
            try publisher.bind(place.endpoint)
            let subscriber = try Socket(.sub, in: context, options: patient { $0.receiveHighWaterMark = 1 })
            try subscriber.subscribe("")
            try subscriber.connect(place.endpoint)
            #expect(try publisher.nextSubscription() == .subscribed([]))
            var taken = 0
            for index in 0..<10 {
                var message = Multipart(copying: [UInt8(index)], [1])
                if try publisher.trySend(&message) { taken += 1 }
            }
            #expect(taken == (isLossless ? 2 : 10))
            for index in 0..<2 { #expect(try subscriber.receive().map(\.bytes) == [[UInt8(index)], [1]]) }
            let isEmpty = try subscriber.tryReceive() == nil
            #expect(isEmpty)
        }
    }

    @Test func blockingCallsEndByTheirTimeLimit() throws {
        let context = try Context()
        let socket = try Socket(.dealer, in: context) {
            $0.receiveTimeout = .milliseconds(1)
            $0.sendTimeout = .milliseconds(1)
        }
        #expect(throws: ZMQError(.timedOut, "receive", subject: "on DEALER")) { try socket.receive() }
        #expect(throws: ZMQError(.timedOut, "send", subject: "on DEALER")) { try socket.send(copying: "x") }
        #expect(throws: ZMQError(.timedOut, "send", subject: "on DEALER")) {
            try socket.send(Multipart(copying: [1], [2]))
        }
    }

    @Test func shutdownUnblocksWaitingThreads() throws {
        let context = try Context()
        let results = Box<ZMQError?>()
        var threads: [NamedThread] = []
        for isSending in [true, false] {
            let handoff = Handoff(try Socket(isSending ? .push : .pull, in: context))
            threads.append(
                try NamedThread("waiting") {
                    guard let socket = handoff.take() else { return }
                    do throws(ZMQError) {
                        if isSending { try socket.send(copying: "x") } else { _ = try socket.receive() }
                        results.put(nil)
                    } catch {
                        results.put(error)
                    }
                })
        }
        context.shutdown()
        context.shutdown()
        for _ in threads { #expect(try results.next()?.code == .terminated) }
        for thread in threads { thread.join() }
    }

    /// A signal that interrupts a wait is no failure.
    @Test func signalsDoNotEndWaits() throws {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in }
        #expect(sigaction(SIGUSR2, &action, nil) == 0)
        let context = try Context()
        let place = try Place(.inproc)
        let puller = try Socket(.pull, in: context, options: patient())
        try puller.bind(place.endpoint)
        let pusher = try Socket(.push, in: context, options: patient())
        try pusher.connect(place.endpoint)
        let handoff = Handoff(puller)
        let waiting = Box<pthread_t>()
        let results = Box<String>()
        let thread = try NamedThread("interrupted") {
            guard let socket = handoff.take(), var poller = try? Poller() else { return }
            _ = poller.add(socket)
            // A thread of the pool, which started this one, lets no signal in.
            var signals = sigset_t()
            sigaddset(&signals, SIGUSR2)
            pthread_sigmask(SIG_UNBLOCK, &signals, nil)
            waiting.put(pthread_self())
            do throws(ZMQError) {
                results.put(try socket.receive()[0].text ?? "")
                results.put("ready \(try poller.wait(timeout: .seconds(60)).count)")
            } catch {
                results.put("\(error)")
            }
        }
        let target = try waiting.next()
        for message in ["text", "ready 1"] {
            // Long enough for the thread to be in its wait for most of them.
            let end = ContinuousClock.now + .milliseconds(20)
            while ContinuousClock.now < end {
                pthread_kill(target, SIGUSR2)
                sched_yield()
            }
            try pusher.send(copying: "text")
            #expect(try results.next() == message)
        }
        thread.join()
    }

    @Test func aHandoffGivesOnce() throws {
        let handoff = Handoff(try Socket(.pair, in: try Context()))
        let isThere = handoff.take() != nil
        let isThereAgain = handoff.take() != nil
        #expect(isThere && !isThereAgain)
    }

    @Test func aClosedSocketRefusesEverything() throws {
        let context = try Context()
        let socket = try Socket(.router, in: context)
        let endpoint = try socket.bind("tcp://127.0.0.1:*")
        let wasOpen = socket.isOpen
        socket.close()
        socket.close()
        let isOpen = socket.isOpen
        #expect(wasOpen && !isOpen)
        var codes: [ZMQError.Code] = []
        func note(_ body: () throws(ZMQError) -> Void) {
            do throws(ZMQError) { try body() } catch { codes.append(error.code) }
        }
        note { () throws(ZMQError) in try socket.send(copying: "x") }
        note { () throws(ZMQError) in _ = try socket.tryReceive() }
        note { () throws(ZMQError) in _ = try socket.events }
        note { () throws(ZMQError) in try socket.bind("tcp://127.0.0.1:*") }
        note { () throws(ZMQError) in try socket.connect(endpoint) }
        note { () throws(ZMQError) in try socket.configure { $0.linger = .zero } }
        note { () throws(ZMQError) in _ = try SocketMonitor(socket) }
        #expect(codes == [ZMQError.Code](repeating: .closed, count: 7))
    }

    @Test func bindingTwiceNamesTheAddress() throws {
        let context = try Context()
        let first = try Socket(.router, in: context)
        let endpoint = try first.bind("tcp://127.0.0.1:*")
        #expect(endpoint.hasPrefix("tcp://127.0.0.1:") && !endpoint.hasSuffix("*"))
        #expect(try first.lastEndpoint == endpoint)
        let second = try Socket(.router, in: context)
        let failure = #expect(throws: ZMQError.self) { try second.bind(endpoint) }
        #expect(failure?.code == .addressInUse)
        #expect(failure?.description.contains(endpoint) == true)
        try first.unbind(endpoint)
        #expect(throws: ZMQError.self) { try first.unbind(endpoint) }
    }

    @Test(arguments: ["7400", "tcp:/127.0.0.1:7400", "http://127.0.0.1:1", "tcp://127.0.0.1", "tcp://127.0.0.1:x", ""])
    func nonsenseEndpointsAreRefused(_ endpoint: String) throws {
        let context = try Context()
        let socket = try Socket(.router, in: context)
        #expect(throws: ZMQError.self) { try socket.bind(endpoint) }
    }

    @Test func disconnectEndsTheFlow() throws {
        let context = try Context()
        let place = try Place(.inproc)
        let puller = try Socket(.pull, in: context, options: patient())
        try puller.bind(place.endpoint)
        let pusher = try Socket(.push, in: context, options: patient())
        try pusher.connect(place.endpoint)
        try pusher.send(copying: "x")
        #expect(try puller.receiveTexts() == ["x"])
        try pusher.disconnect(place.endpoint)
        var message = Message(copying: "y")
        #expect(try !pusher.trySend(&message))
        #expect(throws: ZMQError.self) { try pusher.disconnect(place.endpoint) }
    }

    @Test func socketsRunOut() throws {
        let context = try Context(maxSockets: 2)
        let first = try Socket(.pair, in: context)
        let second = try Socket(.pair, in: context)
        let failure = #expect(throws: ZMQError.self) { _ = try Socket(.pair, in: context) }
        #expect(failure?.code == .tooManySockets)
        #expect(failure?.advice?.contains("maxSockets") == true)
        let areOpen = first.isOpen && second.isOpen
        #expect(areOpen)
    }

    @Test func anOversizedMessageCutsItsSenderOff() throws {
        let context = try Context()
        let puller = try Socket(.pull, in: context, options: patient { $0.maxMessageSize = 1000 })
        let endpoint = try puller.bind("tcp://127.0.0.1:*")
        let hostile = try Socket(.push, in: context, options: patient())
        let monitor = try SocketMonitor(hostile)
        try hostile.connect(endpoint)
        try hostile.send(Message(size: 1001))
        while true {
            if case .disconnected = try monitor.next(timeout: .seconds(60)) { break }
        }
        let good = try Socket(.push, in: context, options: patient())
        try good.connect(endpoint)
        try good.send(Message(size: 1000))
        #expect(try puller.receive()[0].count == 1000)
    }
}
