import StemwireSystem
import Synchronization
import Testing

@testable import ZeroMQ

/// An actor as the pattern has it: lives on a reactor and owns its socket.
actor EchoService {
    private let reactor: Reactor
    private let socket: Socket
    private var watch: WatchToken?
    private(set) var answered = 0
    private let gone: Owner.Count?
    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    init(on reactor: Reactor, in context: Context, gone: Owner.Count? = nil) throws {
        self.reactor = reactor
        self.gone = gone
        socket = try Socket(.router, in: context, options: patient { $0.routerMandatory = true })
    }

    deinit { gone?.add() }

    func start() throws -> String {
        let bound = try socket.bind("tcp://127.0.0.1:*")
        watch = reactor.watch(socket) { [self] _ in answer() }
        return bound
    }

    private func answer() {
        reactor.checkIsolated()
        while let request = try? socket.tryReceive() {
            var reply = Multipart()
            for part in request { reply.append(part) }
            try? socket.send(reply)
            answered += 1
        }
    }

    func isOnTheReactor() -> Bool { reactor.isCurrent && reactor.isIsolatingCurrentContext() == true }

    func unwatch() { if let watch { reactor.unwatch(watch) } }

    func close() { socket.close() }

    func isOpen() -> Bool { socket.isOpen }
}

@Suite struct ReactorTests {
    /// Runs `body` on the reactor and waits for its result.
    private func on<Value: Sendable>(
        _ reactor: Reactor, _ body: @escaping @Sendable () throws -> Value
    ) throws -> Value {
        let box = Box<Result<Value, any Error>>()
        reactor.submit { box.put(Result { try body() }) }
        return try box.next().get()
    }

    @Test func anActorLivesOnTheReactorAndAnswers() async throws {
        let reactor = try Reactor("test-echo")
        let context = try Context()
        let service = try EchoService(on: reactor, in: context)
        #expect(!reactor.isCurrent)
        #expect(reactor.isIsolatingCurrentContext() == false)
        #expect(await service.isOnTheReactor())
        let endpoint = try await service.start()
        try await withThrowingTaskGroup { group in
            for client in 0..<4 {
                group.addTask {
                    let socket = try Socket(.dealer, in: context, options: patient())
                    try socket.connect(endpoint)
                    for round in 0..<50 {
                        try socket.send(copying: "\(client) \(round)")
                        #expect(try socket.receiveTexts() == ["\(client) \(round)"])
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(await service.answered == 200)
        await service.close()
        #expect(await !service.isOpen())
        reactor.stop()
        reactor.stop()
    }

    @Test func callsRunInOrderOnTheThread() throws {
        let reactor = try Reactor("test-order")
        let order = Box<Int>()
        for index in 0..<200 { reactor.submit { order.put(reactor.isCurrent ? index : -1) } }
        for index in 0..<200 { #expect(try order.next() == index) }
        reactor.stop()
    }

    @Test func stopRunsWhatIsThereAndLateCallersDoNotHang() async throws {
        let reactor = try Reactor("test-stop")
        let service = try EchoService(on: reactor, in: try Context())
        _ = try await service.start()
        let ran = Box<Int>()
        for index in 0..<50 { reactor.submit { ran.put(index) } }
        reactor.stop()
        for index in 0..<50 { #expect(try ran.next() == index) }
        #expect(!reactor.isCurrent)
        // One at a time still, and the actor's state is as it was.
        try await withThrowingTaskGroup { group in
            for _ in 0..<20 { group.addTask { #expect(await service.isOnTheReactor()) } }
            try await group.waitForAll()
        }
        #expect(await service.isOpen())
        await service.unwatch()
        await service.close()
        #expect(await !service.isOpen())
    }

    @Test func stopLetsHandlersAndTheirActorsGo() async throws {
        let gone = Owner.Count()
        let reactor = try Reactor("test-release")
        let context = try Context()
        var service: EchoService? = try EchoService(on: reactor, in: context, gone: gone)
        _ = try await service?.start()
        service = nil
        // The watch alone holds the actor now.
        #expect(try on(reactor) { reactor.watchCount } == 1)
        #expect(gone.released == 0)
        reactor.stop()
        #expect(gone.wait())
    }

    @Test func timersComeInOrderAndCanBeCancelled() throws {
        let reactor = try Reactor("test-timers")
        let told = Box<String>()
        reactor.submit {
            let now = ContinuousClock.now
            reactor.schedule(at: now + .milliseconds(6)) {
                told.put("third")
                reactor.schedule(after: .zero) { told.put("then") }
            }
            reactor.schedule(at: now + .milliseconds(2)) { told.put("first") }
            let cancelled = reactor.schedule(at: now + .milliseconds(3)) { told.put("cancelled") }
            reactor.schedule(at: now + .milliseconds(4)) {
                told.put(ContinuousClock.now >= now + .milliseconds(4) ? "second" : "early")
            }
            reactor.cancel(cancelled)
            reactor.cancel(cancelled)
        }
        for expected in ["first", "second", "third", "then"] { #expect(try told.next() == expected) }
        reactor.stop()
    }

    @Test func equalDeadlinesKeepTheirOrderAndOneMayCancelTheNext() throws {
        let reactor = try Reactor("test-equal")
        let told = Box<Int>()
        reactor.submit {
            let deadline = ContinuousClock.now
            let holder = Held<TimerToken>()
            for index in 0..<5 {
                reactor.schedule(at: deadline) { told.put(index) }
            }
            reactor.schedule(at: deadline) { if let token = holder.value { reactor.cancel(token) } }
            holder.value = reactor.schedule(at: deadline) { told.put(-1) }
            reactor.schedule(at: deadline) { told.put(5) }
        }
        for index in 0...5 { #expect(try told.next() == index) }
        reactor.stop()
    }

    @Test func repeatedTimersGoOnUntilCancelled() throws {
        let reactor = try Reactor("test-repeat")
        let told = Box<Int>()
        reactor.submit {
            let timer = Held<TimerToken>()
            let count = Held<Int>()
            timer.value = reactor.schedule(every: .milliseconds(1)) {
                count.value = (count.value ?? 0) + 1
                told.put(count.value!)
                if count.value == 4, let token = timer.value { reactor.cancel(token) }
            }
        }
        for expected in 1...4 { #expect(try told.next() == expected) }
        let deadline = try on(reactor) { reactor.loop.nextDeadline }
        #expect(deadline == nil)
        reactor.stop()
    }

    @Test func descriptorsAreWatched() throws {
        let reactor = try Reactor("test-descriptor")
        let wakeUp = try WakeUp()
        let told = Box<PollEvents>()
        let watch = try on(reactor) {
            reactor.watch(descriptor: wakeUp.descriptor) { events in
                wakeUp.drain()
                told.put(events)
            }
        }
        for _ in 0..<3 {
            wakeUp.signal()
            #expect(try told.next() == .readable)
        }
        try on(reactor) { reactor.change(watch, to: []) }
        wakeUp.signal()
        try on(reactor) {}
        try on(reactor) { reactor.change(watch, to: .readable) }
        #expect(try told.next() == .readable)
        try on(reactor) {
            reactor.unwatch(watch)
            reactor.unwatch(watch)
        }
        #expect(try on(reactor) { reactor.watchCount } == 0)
        reactor.stop()
    }
}

/// State of one reactor, shared by its handlers.
final class Held<Value> {
    var value: Value?
}
