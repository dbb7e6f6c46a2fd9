import StemwireSystem
import Testing

@testable import ZeroMQ

/// What has crashed reactors before: each of these ends well here.
@Suite struct ReactorSafetyTests {
    private func on<Value: Sendable>(
        _ reactor: Reactor, _ body: @escaping @Sendable () throws -> Value
    ) throws -> Value {
        let box = Box<Result<Value, any Error>>()
        reactor.submit { box.put(Result { try body() }) }
        return try box.next().get()
    }

    /// A PULL socket on the reactor's thread, and where it is bound.
    private final class Pull {
        let socket: Socket
        let endpoint: String

        init(_ context: Context) throws {
            let socket = try Socket(.pull, in: context, options: patient())
            endpoint = try socket.bind("tcp://127.0.0.1:*")
            self.socket = socket
        }
    }

    private func pusher(_ context: Context, _ endpoints: [String]) throws -> Socket {
        let socket = try Socket(.push, in: context, options: patient())
        for endpoint in endpoints { try socket.connect(endpoint) }
        return socket
    }

    @Test func aSocketClosedWhileWatchedLapses() throws {
        let reactor = try Reactor("test-lapse")
        let context = try Context()
        for _ in 0..<20 {
            try on(reactor) {
                let pull = try Pull(context)
                reactor.watch(pull.socket) { _ in Issue.record("a closed socket was ready") }
                pull.socket.close()
            }
        }
        // The watches go with the next turn of the loop.
        try on(reactor) {}
        #expect(try on(reactor) { reactor.watchCount } == 0)
        reactor.stop()
    }

    @Test func aSocketReleasedByAnotherThreadIsClosedByTheReactor() throws {
        let reactor = try Reactor("test-foreign")
        let context = try Context()
        let gone = Owner.Count()
        for _ in 0..<20 {
            let handoff = Box<Handoff<Socket>>()
            try on(reactor) {
                let socket = try Socket(.pull, in: context, options: patient())
                try socket.bind("tcp://127.0.0.1:*")
                let owner = Owner(gone, size: 8)
                reactor.watch(socket) { _ in _ = owner.bytes }
                handoff.put(Handoff(socket))
            }
            // Released here, while the reactor polls it.
            let isThere = try handoff.next().take() != nil
            #expect(isThere)
            #expect(gone.wait())
        }
        #expect(try on(reactor) { reactor.watchCount } == 0)
        reactor.stop()
    }

    @Test func aHandlerMayEndOthersWatchesAndCloseTheirSockets() throws {
        let reactor = try Reactor("test-change")
        let context = try Context()
        let told = Box<String>()
        let endpoints = try on(reactor) {
            let pulls = try (0..<4).map { _ in try Pull(context) }
            for (index, pull) in pulls.enumerated() {
                reactor.watch(pull.socket) { _ in
                    // All four are ready; whoever comes first ends the others, each in its own way, and itself.
                    told.put("handler \(index)")
                    for (other, victim) in pulls.enumerated() where other != index { victim.socket.close() }
                    pull.socket.close()
                    reactor.schedule(after: .zero) { told.put("\(reactor.watchCount) left") }
                }
            }
            return pulls.map(\.endpoint)
        }
        let sender = try pusher(context, endpoints)
        for _ in 0..<40 { try sender.send(copying: "x") }
        #expect(try told.next().hasPrefix("handler"))
        #expect(try told.next() == "0 left")
        reactor.stop()
    }

    @Test func aHandlerMayAddWatchesAndEndItsOwn() throws {
        let reactor = try Reactor("test-add")
        let told = Box<Int>()
        let wakeUp = try WakeUp()
        wakeUp.signal()
        try on(reactor) {
            let chain = Chain(reactor, wakeUp, told)
            chain.add(0)
        }
        for index in 0..<10 { #expect(try told.next() == index) }
        #expect(try on(reactor) { reactor.watchCount } == 0)
        reactor.stop()
    }

    private final class Chain {
        private let reactor: Reactor
        private let wakeUp: WakeUp
        private let told: Box<Int>

        init(_ reactor: Reactor, _ wakeUp: WakeUp, _ told: Box<Int>) {
            self.reactor = reactor
            self.wakeUp = wakeUp
            self.told = told
        }

        /// The descriptor stays ready: each watch ends itself and starts the next.
        func add(_ index: Int) {
            guard index < 10 else { return }
            let own = Held<WatchToken>()
            own.value = reactor.watch(descriptor: wakeUp.descriptor) { [self] _ in
                if let token = own.value { reactor.unwatch(token) }
                add(index + 1)
                told.put(index)
            }
        }
    }

    @Test func releasingAHandlerMayCallBack() throws {
        let reactor = try Reactor("test-callback")
        let told = Box<Int>()
        let wakeUp = try WakeUp()
        try on(reactor) {
            let other = reactor.watch(descriptor: wakeUp.descriptor) { _ in }
            let timer = reactor.schedule(after: .seconds(100)) {}
            let last = AtEnd {
                reactor.unwatch(other)
                reactor.cancel(timer)
                told.put(reactor.watchCount)
            }
            let watch = reactor.watch(descriptor: wakeUp.descriptor) { _ in last.touch() }
            reactor.schedule(after: .zero) { reactor.unwatch(watch) }
        }
        #expect(try told.next() == 0)
        reactor.stop()
    }

    @Test func stopReleasesWhatHandlersHoldOnItsThread() throws {
        let reactor = try Reactor("test-end")
        let told = Box<Bool>()
        let wakeUp = try WakeUp()
        try on(reactor) {
            let last = AtEnd {
                told.put(reactor.isCurrent)
                // Enqueued at the very end: still runs on the thread.
                reactor.submit { told.put(reactor.isCurrent) }
            }
            reactor.watch(descriptor: wakeUp.descriptor) { _ in last.touch() }
            reactor.schedule(after: .seconds(100)) { last.touch() }
        }
        reactor.stop()
        #expect(try told.next())
        #expect(try told.next())
    }

    @Test func aShutDownContextEndsItsWatchesAndNoOthers() throws {
        let reactor = try Reactor("test-terminated")
        let ending = try Context()
        let going = try Context()
        let told = Box<PollEvents>()
        let received = Box<String?>()
        let endpoint = try on(reactor) {
            let first = try Pull(ending)
            reactor.watch(first.socket) { events in
                told.put(events)
                #expect(throws: ZMQError.self) { try first.socket.tryReceive() }
            }
            let second = try Pull(going)
            reactor.watch(second.socket) { _ in
                while let parts = try? second.socket.tryReceive() { received.put(parts[0].text) }
            }
            return second.endpoint
        }
        ending.shutdown()
        #expect(try told.next() == .terminated)
        let sender = try pusher(going, [endpoint])
        try sender.send(copying: "still here")
        #expect(try received.next() == "still here")
        #expect(try on(reactor) { reactor.watchCount } == 1)
        reactor.stop()
    }

    @Test func submittedWorkIsLetGoBeforeTheLoopSleeps() throws {
        let reactor = try Reactor("test-letgo")
        let gone = Owner.Count()
        for _ in 0..<3 {
            let owner = Owner(gone, size: 8)
            reactor.submit { _ = owner.bytes }
        }
        for _ in 0..<3 { #expect(gone.wait()) }
        reactor.stop()
    }

    @Test func subscriptionsAreDeliveredOnTheReactor() throws {
        let reactor = try Reactor("test-subscribe")
        let context = try Context()
        let told = Box<SubscriptionChange>()
        let endpoint = try on(reactor) {
            let publisher = try Socket(.xpub, in: context, options: patient())
            let endpoint = try publisher.bind("tcp://127.0.0.1:*")
            reactor.watchSubscriptions(of: publisher) { change, _ in told.put(change) }
            Self.keep(publisher, on: reactor)
            return endpoint
        }
        let subscriber = try Socket(.sub, in: context, options: patient())
        try subscriber.connect(endpoint)
        for index in 0..<600 { try subscriber.subscribe([UInt8(index & 255), UInt8(index >> 8)]) }
        for index in 0..<600 {
            #expect(try told.next() == .subscribed([UInt8(index & 255), UInt8(index >> 8)]))
        }
        subscriber.close()
        for _ in 0..<600 {
            guard case .unsubscribed = try told.next() else {
                Issue.record("not an unsubscription")
                return
            }
        }
        reactor.stop()
    }

    @Test func monitorEventsAreDeliveredOnTheReactor() throws {
        let reactor = try Reactor("test-monitor")
        let context = try Context()
        let told = Box<MonitorEvent>()
        let port = try TCPListener(host: "127.0.0.1", port: 0).port
        // Used on the reactor's thread only.
        nonisolated(unsafe) let kept = Held<Kept>()
        try on(reactor) {
            let socket = try Socket(.dealer, in: context, options: patient { $0.reconnectInterval = .milliseconds(5) })
            try reactor.monitor(socket) { event in
                #expect(reactor.isCurrent)
                told.put(event)
            }
            try socket.connect("tcp://127.0.0.1:\(port)")
            kept.value = Kept(socket)
        }
        while true {
            if case .connectRetried = try told.next() { break }
        }
        try on(reactor) { kept.value?.close() }
        while try told.next() != .stopped {}
        #expect(try on(reactor) { reactor.watchCount } == 0)
        reactor.stop()
    }

    @Test func endingAMonitorLeavesTheSocketAtWork() throws {
        let reactor = try Reactor("test-unmonitor")
        let context = try Context()
        let received = Box<String?>()
        let endpoint = try on(reactor) {
            let pull = try Pull(context)
            let watch = try reactor.monitor(pull.socket) { _ in }
            reactor.watch(pull.socket) { _ in
                while let parts = try? pull.socket.tryReceive() { received.put(parts[0].text) }
            }
            reactor.unwatch(watch)
            return pull.endpoint
        }
        let sender = try pusher(context, [endpoint])
        try sender.send(copying: "x")
        #expect(try received.next() == "x")
        reactor.stop()
    }

    @Test func reactorsComeAndGo() throws {
        for round in 0..<20 {
            let reactor = try Reactor("test-\(round)")
            if round % 2 == 0 { reactor.submit {} }
            reactor.stop()
        }
    }

    /// Keeps a socket until the reactor stops.
    private static func keep(_ socket: consuming Socket, on reactor: Reactor) {
        let kept = Kept(socket)
        reactor.schedule(after: .seconds(1000)) { kept.close() }
    }

    private final class Kept {
        private let socket: Socket
        init(_ socket: consuming Socket) { self.socket = socket }
        func close() { socket.close() }
    }

    /// Runs something when it is released.
    private final class AtEnd {
        private let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
        func touch() {}
        deinit { body() }
    }
}
