import StemwireSystem
import StemwireTestSupport
import Synchronization
import ZeroMQ

/// A control socket on a bad network: messages in either direction are lost, doubled and late, one in ten each, as a seed
/// has it. For one client.
final class LossyProxy: Sendable {
    let port: Int
    private let isStopped: Shared
    private let thread: NamedThread

    private final class Shared: Sendable { let flag = Atomic<Bool>(false) }

    init(to server: Int, seed: UInt64) throws {
        let found = Locked<Result<Int, any Error>?>(nil)
        let ready = CountingSemaphore()
        let shared = Shared()
        isStopped = shared
        let counts = (Locked(0), Locked(0))
        self.counts = counts
        thread = try NamedThread("lossy") {
            do {
                var options = SocketOptions()
                options.linger = .zero
                let context = try Context()
                let near = try Socket(.router, in: context, options: options)
                let far = try Socket(.dealer, in: context, options: options)
                let bound = try near.bind("tcp://127.0.0.1:*")
                try far.connect("tcp://127.0.0.1:\(server)")
                found.value = .success(bound.split(separator: ":").last.flatMap { Int($0) } ?? 0)
                ready.post()
                try Self.pump(near, far, seed, shared, counts)
            } catch {
                found.value = .failure(error)
                ready.post()
            }
        }
        ready.wait()
        port = try found.value!.get()
    }

    private let counts: (Locked<Int>, Locked<Int>)
    var lostMessages: Int { counts.0.value }
    var doubledMessages: Int { counts.1.value }

    func stop() {
        isStopped.flag.store(true, ordering: .releasing)
        thread.join()
    }

    private static func pump(
        _ near: borrowing Socket, _ far: borrowing Socket, _ seed: UInt64, _ shared: Shared,
        _ counts: (Locked<Int>, Locked<Int>)
    ) throws {
        var dice = SeededGenerator(seed: seed)
        var client: [UInt8] = []
        var waiting: [(at: ContinuousClock.Instant, body: [UInt8], isRequest: Bool)] = []
        let pause = CountingSemaphore()
        func take(_ body: [UInt8], isRequest: Bool) {
            if Int.random(in: 0..<10, using: &dice) == 0 { return counts.0.withLock { $0 += 1 } }
            let isDoubled = Int.random(in: 0..<10, using: &dice) == 0
            if isDoubled { counts.1.withLock { $0 += 1 } }
            for _ in 0..<(isDoubled ? 2 : 1) {
                let isLate = Int.random(in: 0..<10, using: &dice) == 0
                waiting.append(
                    (.now + (isLate ? .milliseconds(Int.random(in: 5...40, using: &dice)) : .zero), body, isRequest))
            }
        }
        while !shared.flag.load(ordering: .acquiring) {
            var isIdle = true
            while let parts = try near.tryReceive(limit: 4), parts.count == 2 {
                client = parts[0].bytes
                take(parts[1].bytes, isRequest: true)
                isIdle = false
            }
            while let parts = try far.tryReceive(limit: 4), let body = parts.last {
                take(body.bytes, isRequest: false)
                isIdle = false
            }
            let now = ContinuousClock.now
            for entry in waiting where entry.at <= now {
                var message = Multipart()
                if !entry.isRequest { message.append(copying: client) }
                message.append(copying: entry.body)
                _ = entry.isRequest ? try far.trySend(&message) : try near.trySend(&message)
                isIdle = false
            }
            waiting.removeAll { $0.at <= now }
            if isIdle { _ = pause.wait(timeout: .microseconds(300)) }
        }
    }
}
