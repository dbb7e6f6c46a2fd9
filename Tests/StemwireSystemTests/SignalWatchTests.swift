import Glibc
import StemwireSystem
import Testing

@Suite struct SignalWatchTests {
    @Test func signalsAreHeardFromTheFirstMomentOn() throws {
        let heard = Locked<[Int32]>([])
        let arrival = CountingSemaphore()
        let watch = try SignalWatch([SIGUSR1, SIGUSR2]) { number in
            heard.withLock { $0.append(number) }
            arrival.post()
        }
        kill(getpid(), SIGUSR2)
        #expect(arrival.wait(timeout: .seconds(60)))
        kill(getpid(), SIGUSR1)
        #expect(arrival.wait(timeout: .seconds(60)))
        watch.end()
        #expect(heard.value == [SIGUSR2, SIGUSR1])
    }
}
