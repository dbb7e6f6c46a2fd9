import StemwireSystem
import Synchronization
import ZeroMQ

/// Whether the server's threads still turn: each of them notes the time again and again. Any thread.
final class TurnWatch: Sendable {
    private static let interval = Duration.milliseconds(250)

    private final class Mark: Sendable {
        let name: String
        let time = Atomic<UInt64>(0)
        init(_ name: String) { self.name = name }
    }

    private let marks: [Mark]

    init(_ reactors: [Reactor]) {
        marks = reactors.map { reactor in
            let mark = Mark(reactor.name)
            mark.time.store(WallClock.sinceBoot(), ordering: .relaxed)
            reactor.submit {
                reactor.schedule(every: Self.interval) {
                    mark.time.store(WallClock.sinceBoot(), ordering: .relaxed)
                }
            }
            return mark
        }
    }

    /// Threads that have not turned for so long.
    func stuck(for limit: Duration) -> [String] {
        let now = WallClock.sinceBoot()
        let longest = UInt64(max(0, limit / .nanoseconds(1)))
        return marks.filter { now > $0.time.load(ordering: .relaxed) + longest }.map(\.name)
    }
}
