import StemwireTestSupport
import Testing

@testable import StemwireServer

@Suite("Dispatcher: containers and estimates")
struct DispatchContainerTests {
    @Test("the heap's best is the best of all that suit")
    func heap() {
        var generator = SeededGenerator(seed: 1)
        var heap = CreditHeap()
        var credits: [Int: UInt64] = [:]
        for _ in 0..<3000 {
            let worker = generator.below(40)
            if generator.chance(percent: 25) {
                heap.remove(worker)
                credits[worker] = nil
            } else {
                credits[worker] = UInt64(generator.below(10))
                heap.set(worker, credit: credits[worker] ?? 0)
            }
            #expect(heap.count == credits.count)
            #expect(heap.contains(worker) == (credits[worker] != nil))
            #expect(heap.mostCredit == credits.values.max() ?? 0)
            let odd = generator.below(3)
            let suits = { (worker: Int) in worker % 3 == odd }
            let most = credits.filter { suits($0.key) }.values.max() ?? 0
            let best = heap.best(limit: 100, where: suits)
            #expect(best.flatMap { credits[$0] } ?? 0 == most)
            #expect(best.map(suits) ?? true)
        }
    }

    @Test("the heap looks at no more workers than it may")
    func heapLimit() {
        var heap = CreditHeap()
        for worker in 0..<100 { heap.set(worker, credit: UInt64(worker + 1)) }
        var seen: [Int] = []
        let best = heap.best(limit: 5) { worker in
            seen.append(worker)
            return false
        }
        #expect(best == nil)
        #expect(seen == [99, 98, 97, 96, 95])
    }

    @Test("lists keep their order while slots come, go and move to the end")
    func lists() {
        var generator = SeededGenerator(seed: 2)
        var links = SlotLinks()
        var lists = [SlotList(), SlotList()]
        var expected: [[Int]] = [[], []]
        for _ in 0..<2000 {
            let slot = generator.below(20)
            if let list = expected.firstIndex(where: { $0.contains(slot) }) {
                expected[list].removeAll { $0 == slot }
                if generator.chance(percent: 50) {
                    links.remove(slot, from: &lists[list])
                } else {
                    links.moveToEnd(slot, of: &lists[list])
                    expected[list].append(slot)
                }
            } else {
                let list = generator.below(2)
                links.append(slot, to: &lists[list])
                expected[list].append(slot)
            }
            for (list, expected) in zip(lists, expected) {
                let slots = Array(
                    sequence(state: list.first) { next in
                        defer { next = next.flatMap { links.next($0) } }
                        return next
                    })
                #expect(slots == expected && list.last == expected.last && list.count == expected.count)
            }
        }
    }

    @Test("places are used again")
    func slab() {
        var slab = Slab<String>()
        let a = slab.insert("a")
        let b = slab.insert("b")
        #expect(slab.remove(a) == "a")
        #expect(slab.insert("c") == a)
        slab[b] += "!"
        #expect(slab[b] == "b!" && slab.count == 2 && slab.slots == [a, b])
    }

    @Test(
        "a quantile is at most a quarter too large and never too small",
        arguments: [1, 2, 3, 5, 17, 1000, 123_456, 80_000_000])
    func quantiles(_ unit: Int) {
        var histogram = DurationHistogram()
        #expect(histogram.quantile(percent: 95) == nil)
        for number in 1...100 { histogram.add(.microseconds(unit * number)) }
        for percent in [1, 50, 95, 100] {
            let exact = Duration.microseconds(unit * percent)
            let found = histogram.quantile(percent: percent) ?? .zero
            #expect(found >= exact && found <= exact * 1.25 + .microseconds(1), "\(percent) %: \(found)")
        }
    }

    @Test("old durations fade, and the extremes are taken")
    func histogramFades() {
        var histogram = DurationHistogram()
        for _ in 0..<100_000 { histogram.add(.milliseconds(1)) }
        for _ in 0..<5_000 { histogram.add(.seconds(1)) }
        #expect(histogram.count <= 4096)
        #expect(histogram.quantile(percent: 50) ?? .zero >= .seconds(1))
        histogram.add(.seconds(-1))
        histogram.add(.seconds(1 << 40))
        #expect(histogram.quantile(percent: 0) == .microseconds(2))
    }

    @Test("the rate is that of the last seconds")
    func rate() {
        var rate = DecayingRate()
        var now = ContinuousClock.now
        #expect(rate.perSecond(at: now) == 0)
        for _ in 0..<600 {
            now += .milliseconds(100)
            rate.count(at: now)
        }
        #expect(abs(rate.perSecond(at: now) - 10) < 0.5)
        #expect(rate.perSecond(at: now + .seconds(10)) < 4.2)
        #expect(rate.perSecond(at: now + .seconds(600)) < 0.05)
    }

    @Test("the lists of a manifest are bounded, the counts are not")
    func manifest() {
        var configuration = Dispatcher.Configuration()
        configuration.manifestLimit = 5
        var scene = DispatchScene(configuration)
        for worker in 1...20 {
            scene.join(worker)
            scene.open(worker)
            scene.tell(.left(DispatchScene.worker(worker), .goodbye))
            let got = scene.join(100 + worker)
            scene.work(got)
            scene.tell(.left(DispatchScene.worker(100 + worker), .goodbye))
        }
        #expect(scene.status?.redone == 20)
        #expect(scene.status?.redos.map(\.partition) == [1, 2, 3, 4, 5])
        #expect(scene.status?.workers.count == 5)
    }

    @Test("a worker's figures: what it holds, since when, how fast it is")
    func workerStatus() throws {
        var scene = DispatchScene()
        scene.join(1)
        scene.open(0)
        scene.pass(.seconds(1), heard: 1)
        scene.open(1)
        scene.pass(.milliseconds(500))
        let status = try #require(scene.status(of: 1))
        #expect(status.inFlight == 2 && status.inFlightBytes == 200)
        #expect(status.lag == .milliseconds(1500) && status.silence == .milliseconds(500))
        scene.finish(0, by: 1)
        #expect(scene.status(of: 1)?.rate ?? 0 > 0.05)
        #expect(scene.status?.usualDuration ?? .zero >= .milliseconds(1500))
    }
}
