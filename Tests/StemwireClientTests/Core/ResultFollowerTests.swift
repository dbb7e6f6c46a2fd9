import StemwireProtocol
import StemwireTestSupport
import Testing

@testable import StemwireClient

@Suite struct ResultFollowerTests {
    let now = ContinuousClock.now

    private func takeAll(_ follower: inout ResultFollower, at time: ContinuousClock.Instant) -> [String] {
        var told: [String] = []
        while case .element(let event) = follower.take(now: time) {
            switch event {
            case .started(let start): told.append("started \(start.generation)")
            case .update(let update):
                told.append("\(update.name.udf) v\(update.version)\(update.isFinal ? " final" : "")")
            case .ended(let end): told.append("ended \(end.generation) \(end.reason)")
            }
        }
        return told
    }

    private func wantsSnapshot(_ follower: inout ResultFollower) -> Bool { follower.takeSnapshotWish() }

    @Test func onlyTheNewestStateIsDelivered() throws {
        let scan = TestAcquisition()
        var follower = ResultFollower(.init())
        follower.started(try scan.start(), now: now)
        for version in [1, 3, 2, 3, 5] as [UInt64] {
            follower.update(try TestResult(version: version).update(of: scan), now: now)
        }
        follower.update(try TestResult(udf: "max", version: 1).update(of: scan), now: now)
        #expect(takeAll(&follower, at: now) == ["started 1", "sum v5", "max v1"])
        follower.update(try TestResult(version: 4).update(of: scan), now: now)
        #expect(takeAll(&follower, at: now).isEmpty)
        #expect(follower.counts.staleUpdates == 3)
        #expect(follower.counts.supersededUpdates == 2)
    }

    @Test func lateJoinTakesTheSnapshotAndDropsOlderUpdates() throws {
        let scan = TestAcquisition()
        var follower = ResultFollower(.init())
        follower.update(try TestResult(version: 9).update(of: scan), now: now)
        #expect(wantsSnapshot(&follower), "the start was not heard")
        follower.snapshot(
            start: try scan.start(), end: nil, updates: [try TestResult(version: 8).update(of: scan)], now: now)
        follower.update(try TestResult(version: 7).update(of: scan), now: now)
        #expect(takeAll(&follower, at: now) == ["started 1", "sum v9"])
        follower.snapshot(
            start: try scan.start(), end: nil, updates: [try TestResult(version: 12).update(of: scan)], now: now)
        #expect(takeAll(&follower, at: now) == ["sum v12"])
    }

    @Test func theEndIsToldAtOnceWhenAllThatItNamesIsFinal() throws {
        let scan = TestAcquisition()
        var wire = scan.wireEnd("complete")
        for udf in ["sum", "max"] {
            var name = WireResultName()
            (name.run, name.udf, name.channel) = ("r1", udf, "intensity")
            wire.results.append(name)
        }
        for filter in [ChannelFilter(), ChannelFilter(udf: "sum")] {
            var follower = ResultFollower(.init(filter: filter))
            follower.started(try scan.start(), now: now)
            follower.update(try TestResult(version: 2, isFinal: true).update(of: scan), now: now)
            follower.ended(try AcquisitionEnd(wire), now: now)
            let told = takeAll(&follower, at: now)
            guard filter.udf == nil else {
                #expect(told == ["started 1", "sum v2 final", "ended 1 complete"])
                continue
            }
            #expect(told == ["started 1", "sum v2 final"])
            follower.update(try TestResult(udf: "max", version: 5, isFinal: true).update(of: scan), now: now)
            #expect(takeAll(&follower, at: now) == ["max v5 final", "ended 1 complete"])
        }
    }

    @Test func theEndWaitsForTheFinalStates() throws {
        let scan = TestAcquisition()
        var follower = ResultFollower(.init())
        follower.started(try scan.start(), now: now)
        follower.update(try TestResult(version: 1).update(of: scan), now: now)
        follower.ended(try scan.end(), now: now)
        #expect(takeAll(&follower, at: now) == ["started 1", "sum v1"])
        #expect(!wantsSnapshot(&follower))
        follower.tick(now: now + .milliseconds(300))
        #expect(wantsSnapshot(&follower))
        let notYet = TestResult(version: 2)
        follower.snapshot(
            start: try scan.start(), end: try scan.end(), updates: [try notYet.update(of: scan)], now: now)
        #expect(takeAll(&follower, at: now) == ["sum v2"])
        follower.tick(now: now + .milliseconds(1400))
        #expect(wantsSnapshot(&follower), "asked for again")
        let final = TestResult(version: 3, isFinal: true)
        follower.snapshot(start: try scan.start(), end: try scan.end(), updates: [try final.update(of: scan)], now: now)
        #expect(takeAll(&follower, at: now) == ["sum v3 final", "ended 1 complete"])
        #expect(follower.nextDeadline == nil)
    }

    /// A scan may be over long before a worker has made anything of it.
    @Test func theEndWaitsForResultsOfWhichNothingIsThereYet() throws {
        let scan = TestAcquisition()
        var wire = scan.wireEnd()
        wire.results = [.with { ($0.run, $0.udf, $0.channel) = ("r1", "sum", "intensity") }]
        let end = try AcquisitionEnd(wire)
        var follower = ResultFollower(.init())
        follower.started(try scan.start(), now: now)
        follower.ended(try scan.end(), now: now)
        var time = now
        for _ in 0..<600 {
            time += .milliseconds(100)
            follower.tick(now: time)
            if wantsSnapshot(&follower) {
                follower.snapshot(start: try scan.start(), end: end, updates: [], now: time)
            }
            follower.status(newest: scan.generation, ends: [try scan.end()], isWorking: true, now: time)
        }
        #expect(takeAll(&follower, at: time) == ["started 1"])
        follower.update(try TestResult(version: 1).update(of: scan), now: time)
        follower.update(try TestResult(version: 2, isFinal: true).update(of: scan), now: time)
        #expect(takeAll(&follower, at: time) == ["sum v2 final", "ended 1 complete"])
        // And is let go when the server works on nothing any more.
        var other = ResultFollower(.init())
        other.started(try scan.start(), now: now)
        other.ended(end, now: now)
        other.status(newest: scan.generation, ends: [end], isWorking: false, now: now)
        other.tick(now: now + .seconds(11))
        #expect(takeAll(&other, at: now + .seconds(11)) == ["started 1", "ended 1 complete"])
    }

    /// What results a worker's UDF has, nobody can name before there is such a worker.
    @Test func theEndWaitsForResultsThatItCannotName() throws {
        let scan = TestAcquisition()
        var follower = ResultFollower(.init())
        follower.started(try scan.start(), now: now)
        follower.ended(try scan.end(), now: now)
        func look(isWorking: Bool?, at time: ContinuousClock.Instant) throws {
            if let isWorking {
                follower.status(newest: scan.generation, ends: [try scan.end()], isWorking: isWorking, now: time)
            }
            follower.snapshot(start: try scan.start(), end: try scan.end(), updates: [], now: time)
        }
        try look(isWorking: nil, at: now + .milliseconds(300))
        try look(isWorking: true, at: now + .seconds(9))
        try look(isWorking: true, at: now + .seconds(18))
        follower.tick(now: now + .seconds(20))
        #expect(takeAll(&follower, at: now + .seconds(20)) == ["started 1"])
        try look(isWorking: false, at: now + .seconds(21))
        #expect(takeAll(&follower, at: now + .seconds(21)) == ["ended 1 complete"])
    }

    @Test func channelsThatNeverBecomeFinalAreLetGo() throws {
        let scan = TestAcquisition()
        var follower = ResultFollower(.init())
        follower.started(try scan.start(), now: now)
        follower.update(try TestResult(version: 1).update(of: scan), now: now)
        follower.ended(try scan.end("aborted"), now: now)
        var time = now
        for _ in 0..<200 where time < now + .seconds(11) {
            time = time + .milliseconds(100)
            follower.tick(now: time)
        }
        #expect(takeAll(&follower, at: time) == ["started 1", "sum v1", "ended 1 aborted"])
    }

    @Test func theSameStateIsToldAgainAsFinal() throws {
        let scan = TestAcquisition()
        var follower = ResultFollower(.init())
        follower.started(try scan.start(), now: now)
        follower.update(try TestResult(version: 4).update(of: scan), now: now)
        _ = takeAll(&follower, at: now)
        follower.update(try TestResult(version: 4, isFinal: true).update(of: scan), now: now)
        follower.update(try TestResult(version: 5).update(of: scan), now: now)
        #expect(takeAll(&follower, at: now) == ["sum v4 final"], "nothing comes behind a final state")
    }

    @Test func theRateIsBoundedButFinalStatesDoNotWait() throws {
        let scan = TestAcquisition()
        var follower = ResultFollower(.init(interval: .milliseconds(100)))
        follower.started(try scan.start(), now: now)
        var taken: [String] = []
        for step in 0..<1000 as Range<UInt64> {
            let time = now + .milliseconds(Int(step))
            follower.update(try TestResult(version: step + 1).update(of: scan), now: time)
            taken += takeAll(&follower, at: time)
        }
        #expect(taken.count == 11, "one at once, then ten a second: \(taken)")
        #expect(taken.last == "sum v901", "each is the newest of its time")
        let time = now + .milliseconds(999)
        guard case .later(let due) = follower.take(now: time) else { return #expect(Bool(false), "one waits") }
        #expect(due == now + .milliseconds(1000))
        follower.update(try TestResult(version: 2000, isFinal: true).update(of: scan), now: time)
        #expect(takeAll(&follower, at: time) == ["sum v2000 final"])
    }

    @Test func acquisitionsWithoutAnyFrameEndToo() throws {
        var follower = ResultFollower(.init())
        let first = TestAcquisition(generation: 1)
        let empty = TestAcquisition(generation: 2)
        follower.snapshot(start: try first.start(), end: try first.end(), updates: [], now: now)
        follower.status(newest: 2, ends: [try first.end(), try empty.end("idle")], now: now)
        #expect(wantsSnapshot(&follower))
        follower.snapshot(start: try first.start(), end: try first.end(), updates: [], now: now)
        #expect(takeAll(&follower, at: now) == ["started 1", "ended 1 complete", "ended 2 idle"])
        follower.status(newest: 2, ends: [try first.end(), try empty.end("idle")], now: now)
        #expect(!wantsSnapshot(&follower))
    }

    @Test func aRestartedServerEndsWhatRan() throws {
        var follower = ResultFollower(.init())
        let old = TestAcquisition(generation: 9)
        let new = TestAcquisition(generation: 1)
        follower.started(try old.start(), now: now)
        follower.update(try TestResult(version: 50).update(of: old), now: now)
        follower.serverRestarted()
        #expect(wantsSnapshot(&follower))
        follower.snapshot(
            start: try new.start(), end: nil, updates: [try TestResult(version: 1).update(of: new)], now: now)
        #expect(
            takeAll(&follower, at: now) == ["started 9", "sum v50", "ended 9 serverRestarted", "started 1", "sum v1"])
    }

    /// Random losses of anything: versions grow, final states and ends always come, in order.
    @Test func randomLosses() throws {
        for seed in 0..<200 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            var follower = ResultFollower(.init())
            var time = now
            var told: [String] = []
            var versions: [String: UInt64] = [:]
            let channels = ["sum", "max", "disk"]
            for generation in 1...3 as ClosedRange<UInt64> {
                let scan = TestAcquisition(generation: generation, navShape: [2, 4])
                var state: [String: TestResult] = [:]
                var isOver = false
                if !generator.chance(percent: 30) { follower.started(try scan.start(), now: time) }
                func snapshot() throws {
                    follower.snapshot(
                        start: try scan.start(), end: isOver ? try scan.end() : nil,
                        updates: try state.values.map { try $0.update(of: scan) }, now: time)
                }
                func consume() throws {
                    while follower.takeSnapshotWish() { try snapshot() }
                    while case .element(let event) = follower.take(now: time) {
                        switch event {
                        case .started(let start): told.append("started \(start.generation)")
                        case .ended(let end): told.append("ended \(end.generation)")
                        case .update(let update):
                            let key = "\(update.generation)/\(update.name.udf)"
                            #expect(update.version > versions[key] ?? 0 || update.isFinal, "seed \(seed)")
                            versions[key] = update.version
                            if update.isFinal { told.append("final \(key)") }
                        }
                    }
                }
                for step in 1...30 as ClosedRange<UInt64> {
                    time = time + .milliseconds(20)
                    let name = channels.randomElement(using: &generator)!
                    state[name] = TestResult(udf: name, version: step)
                    if !generator.chance(percent: 40) { follower.update(try state[name]!.update(of: scan), now: time) }
                    if generator.chance(percent: 50) { try consume() }
                }
                isOver = true
                for name in state.keys {
                    state[name]?.isFinal = true
                    if !generator.chance(percent: 50) { follower.update(try state[name]!.update(of: scan), now: time) }
                }
                if generator.chance(percent: 50) {
                    follower.ended(try scan.end(), now: time)
                } else {
                    follower.status(newest: generation, ends: [try scan.end()], now: time)
                }
                for _ in 0..<15 {
                    time = time + .milliseconds(100)
                    follower.tick(now: time)
                    try consume()
                }
                #expect(told.first { $0 == "started \(generation)" } != nil, "seed \(seed)")
                for name in state.keys {
                    #expect(told.filter { $0 == "final \(generation)/\(name)" }.count == 1, "seed \(seed)")
                }
                #expect(told.last == "ended \(generation)", "seed \(seed): \(told)")
            }
        }
    }
}
