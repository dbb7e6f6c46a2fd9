import StemwireProtocol
import Testing

@testable import StemwireClient

/// What a consumer would have seen, and what the follower asked for.
struct FollowerRecord {
    var delivered: [UInt64: PositionSet] = [:]
    var deliveredTwice = 0
    var gaps: [TileGap] = []
    var unavailable: [UnavailableFrames] = []
    var started: [UInt64] = []
    var ended: [AcquisitionEnd] = []
    var afterEnd = 0
    var refreshes = 0
    var isFinished = false

    /// Takes actions; gives back the fetches.
    mutating func take(_ actions: [TileFollower.Action]) -> [(UInt64, AcquisitionUUID, Range<Int>)] {
        var fetches: [(UInt64, AcquisitionUUID, Range<Int>)] = []
        for action in actions {
            switch action {
            case .refresh: refreshes += 1
            case .finish: isFinished = true
            case .fetch(let request, let acquisition, let positions): fetches.append((request, acquisition, positions))
            case .event(.started(let start)): started.append(start.generation)
            case .event(.ended(let end)): ended.append(end)
            case .event(.gap(let gap)): gaps.append(gap)
            case .event(.unavailable(let frames)): unavailable.append(frames)
            case .event(.tile(let tile)):
                let known = delivered[tile.generation, default: PositionSet()]
                if known.gaps(in: tile.positions) != [tile.positions] { deliveredTwice += 1 }
                delivered[tile.generation, default: PositionSet()].insert(tile.positions)
                if ended.contains(where: { $0.generation == tile.generation }) { afterEnd += 1 }
            }
        }
        return fetches
    }
}

@Suite struct TileFollowerTests {
    let now = ContinuousClock.now

    private func joined(_ options: TileFollower.Options = .init()) -> TileFollower {
        var follower = TileFollower(options)
        follower.snapshotTaken(now: now)
        return follower
    }

    @Test func aCleanScanIsTilesBetweenStartAndEnd() throws {
        let scan = TestAcquisition()
        var follower = joined(.init(endsWithAcquisition: true))
        var record = FollowerRecord()
        follower.started(try scan.start(), isLive: true, now: now)
        for first in stride(from: 0, to: 128, by: 16) {
            follower.tile(try TestFrames.tile(first..<first + 16, of: scan), observation: .next, now: now)
        }
        follower.ended(try scan.end(), now: now)
        _ = record.take(follower.takeActions())
        #expect(record.started == [1])
        #expect(record.delivered[1]?.ranges == [0..<128])
        #expect(record.gaps.isEmpty)
        #expect(record.ended.map(\.reason) == [.complete])
        #expect(record.isFinished && record.refreshes == 0)
        #expect(follower.nextDeadline == nil)
    }

    @Test func theCauseOfAGapIsTold() throws {
        let scan = TestAcquisition()
        var follower = TileFollower(.init())
        follower.started(try scan.start(), isLive: false, now: now)
        follower.snapshotTaken(now: now)
        follower.tile(try TestFrames.tile(20..<24, of: scan), observation: .first, now: now)
        follower.tile(try TestFrames.tile(30..<32, of: scan), observation: .jump(lost: 2), now: now)
        follower.tile(try TestFrames.tile(40..<42, of: scan), observation: .next, now: now)
        follower.corrupted(acquisition: scan.id, generation: 1, positions: 42..<44, now: now)
        follower.tile(try TestFrames.tile(44..<46, of: scan), observation: .next, now: now)
        var record = FollowerRecord()
        _ = record.take(follower.takeActions())
        #expect(record.gaps.map(\.cause) == [.beforeJoining, .lost, .skipped, .corrupted])
        #expect(record.gaps.map(\.positions) == [[0..<20], [24..<30], [32..<40], [42..<44]])
        #expect(follower.counts.lostMessages == 2)
        #expect(follower.counts.corruptedTiles == 1)
    }

    @Test func anEndWaitsForTilesOnTheirWay() throws {
        let scan = TestAcquisition(navShape: [1, 8])
        var follower = joined()
        var record = FollowerRecord()
        follower.started(try scan.start(), isLive: true, now: now)
        follower.tile(try TestFrames.tile(0..<4, of: scan), observation: .first, now: now)
        follower.ended(try scan.end(), now: now)
        _ = record.take(follower.takeActions())
        #expect(record.ended.isEmpty)
        follower.tick(now: now + .milliseconds(100))
        follower.tile(try TestFrames.tile(4..<6, of: scan), observation: .next, now: now + .milliseconds(200))
        follower.tick(now: now + .milliseconds(300))
        _ = record.take(follower.takeActions())
        #expect(record.ended.isEmpty, "the last tile puts the end off")
        follower.tick(now: now + .milliseconds(460))
        _ = record.take(follower.takeActions())
        #expect(record.gaps.map(\.positions) == [[6..<8]])
        #expect(record.ended.count == 1)
        follower.tile(try TestFrames.tile(6..<8, of: scan), observation: .next, now: now + .seconds(1))
        _ = record.take(follower.takeActions())
        #expect(record.afterEnd == 0)
        #expect(follower.counts.staleTiles == 1)
    }

    @Test func missingFramesAreNoLoss() throws {
        let scan = TestAcquisition(navShape: [1, 16], missing: [4..<6, 14..<16])
        var follower = joined(.init(repairs: true))
        var record = FollowerRecord()
        follower.started(try scan.start(), isLive: true, now: now)
        follower.tile(try TestFrames.tile(0..<4, of: scan), observation: .first, now: now)
        follower.tile(try TestFrames.tile(6..<14, of: scan), observation: .next, now: now)
        follower.ended(try scan.end(), now: now)
        let fetches = record.take(follower.takeActions())
        #expect(fetches.isEmpty, "nobody has them")
        #expect(record.gaps.map(\.cause) == [.skipped])
        #expect(record.unavailable.map(\.reason) == [.missing])
        #expect(record.ended.count == 1)
    }

    @Test func aLostEndComesFromTheStatus() throws {
        let scan = TestAcquisition(navShape: [1, 4])
        var follower = joined()
        var record = FollowerRecord()
        follower.started(try scan.start(), isLive: true, now: now)
        follower.tile(try TestFrames.tile(0..<4, of: scan), observation: .first, now: now)
        follower.status(newest: 1, ends: [], now: now)
        _ = record.take(follower.takeActions())
        #expect(record.ended.isEmpty)
        follower.status(newest: 1, ends: [try scan.end("stopped")], now: now)
        _ = record.take(follower.takeActions())
        #expect(record.ended.map(\.reason) == [.stopped])
    }

    @Test func anAcquisitionThatWasMissedWholeComesFromTheStatusAndByRepair() throws {
        let missed = TestAcquisition(generation: 1, navShape: [1, 4])
        let newest = TestAcquisition(generation: 2, navShape: [1, 4])
        var follower = joined(.init(repairs: true))
        var record = FollowerRecord()
        // Back from an absence, the snapshot has the newest only.
        follower.started(try newest.start(), isLive: true, now: now)
        follower.ended(try newest.end(), isLive: false, now: now)
        for _ in 0..<2 { follower.status(newest: 2, ends: [try missed.end(), try newest.end()], now: now) }
        follower.snapshotTaken(now: now)
        follower.tick(now: now + .seconds(2))
        let fetches = record.take(follower.takeActions())
        #expect(Set(fetches.map(\.1)) == [missed.id, newest.id])
        for (request, acquisition, positions) in fetches {
            let scan = acquisition == missed.id ? missed : newest
            follower.fetched(try TestFrames.tile(positions, of: scan), now: now)
            follower.fetchEnded(request: request, unavailable: [], now: now)
        }
        follower.status(newest: 2, ends: [try missed.end(), try newest.end()], now: now)
        _ = record.take(follower.takeActions())
        #expect(record.delivered.mapValues(\.count) == [1: 4, 2: 4])
        #expect(Set(record.ended.map(\.generation)) == [1, 2] && record.ended.count == 2)
    }

    @Test func whatWasOverBeforeJoiningIsNotTold() throws {
        var follower = TileFollower(.init())
        var record = FollowerRecord()
        follower.isOver(try TestAcquisition(generation: 3).end(), now: now)
        follower.snapshotTaken(now: now)
        follower.status(newest: 3, ends: [try TestAcquisition(generation: 3).end()], now: now)
        follower.tile(try TestFrames.tile(0..<4, of: TestAcquisition(generation: 2)), observation: .first, now: now)
        _ = record.take(follower.takeActions())
        #expect(record.started.isEmpty && record.ended.isEmpty && record.delivered.isEmpty && record.refreshes == 0)
        #expect(follower.counts.staleTiles == 1)
    }

    @Test func aRestartedServerEndsWhatRan() throws {
        let scan = TestAcquisition(generation: 7)
        let next = TestAcquisition(generation: 1)
        var follower = joined(.init(repairs: true))
        var record = FollowerRecord()
        follower.started(try scan.start(), isLive: true, now: now)
        follower.tile(try TestFrames.tile(0..<4, of: scan), observation: .first, now: now)
        follower.serverRestarted(now: now)
        follower.started(try next.start(), isLive: true, now: now)
        follower.tile(try TestFrames.tile(0..<4, of: next), observation: .first, now: now)
        _ = record.take(follower.takeActions())
        #expect(record.ended.map(\.reason) == [.other("serverRestarted")])
        #expect(record.gaps.map(\.positions) == [[4..<128]])
        #expect(record.started == [7, 1])
        #expect(record.delivered[1]?.count == 4)
    }

    @Test func acquisitionsWhoseEndNobodyKnowsAreClosed() throws {
        var follower = joined()
        var record = FollowerRecord()
        for generation in 1...3 as ClosedRange<UInt64> {
            follower.started(try TestAcquisition(generation: generation).start(), isLive: true, now: now)
        }
        follower.status(newest: 3, ends: [try TestAcquisition(generation: 2).end()], now: now)
        _ = record.take(follower.takeActions())
        #expect(record.ended.map(\.generation) == [1])
        #expect(record.ended.map(\.reason) == [.other("notTold")])
    }

    @Test func failingRepairsAreGivenUpWithTheReason() throws {
        let scan = TestAcquisition(navShape: [1, 16])
        var follower = joined(.init(repairs: true))
        var record = FollowerRecord()
        follower.started(try scan.start(), isLive: true, now: now)
        follower.tile(try TestFrames.tile(0..<4, of: scan), observation: .first, now: now)
        follower.tile(try TestFrames.tile(8..<16, of: scan), observation: .jump(lost: 1), now: now)
        let fetches = record.take(follower.takeActions())
        #expect(fetches.map(\.2) == [4..<8])
        follower.ended(try scan.end(), now: now)
        follower.tick(now: now + .seconds(1))
        _ = record.take(follower.takeActions())
        #expect(record.ended.isEmpty, "the repair is still under way")
        follower.fetchFailed(request: fetches[0].0, why: "no way", now: now + .seconds(1))
        _ = record.take(follower.takeActions())
        #expect(record.unavailable.map(\.reason) == [.failed("no way")])
        #expect(record.ended.count == 1)
    }

    @Test func pendingFramesAreAskedForAgainAtTheEnd() throws {
        let scan = TestAcquisition(navShape: [1, 16])
        var follower = joined(.init(repairs: true))
        var record = FollowerRecord()
        follower.started(try scan.start(), isLive: true, now: now)
        follower.tile(try TestFrames.tile(8..<16, of: scan), observation: .jump(lost: 1), now: now)
        let first = try #require(record.take(follower.takeActions()).first)
        let pending = UnavailableFrames(acquisition: scan.id, positions: 0..<8, reason: .pending)
        follower.fetchEnded(request: first.0, unavailable: [pending], now: now)
        #expect(record.take(follower.takeActions()).isEmpty)
        #expect(record.unavailable.isEmpty)
        follower.ended(try scan.end(), now: now)
        var time = now + .milliseconds(300)
        follower.tick(now: time)
        var asked = 0
        while let again = record.take(follower.takeActions()).first {
            asked += 1
            follower.fetchEnded(request: again.0, unavailable: [pending], now: time)
            time = time + .milliseconds(300)
            follower.tick(now: time)
            if asked > 100 { break }
        }
        #expect(asked > 1 && asked < 40)
        #expect(record.unavailable.map(\.reason) == [.pending])
        #expect(record.ended.count == 1)
    }

    /// Random scans with random losses: nothing twice, and with repair all that the server has.
    @Test(arguments: [false, true]) func randomLosses(repairs: Bool) throws {
        for seed in 0..<150 as Range<UInt64> {
            var simulation = try FollowerSimulation(seed: seed, repairs: repairs)
            try simulation.run()
            let record = simulation.record
            #expect(record.deliveredTwice == 0 && record.afterEnd == 0, "seed \(seed)")
            #expect(record.started.sorted() == [1, 2], "seed \(seed)")
            #expect(record.ended.map(\.generation).sorted() == [1, 2], "seed \(seed)")
            for scan in simulation.scans {
                let delivered = record.delivered[scan.generation] ?? PositionSet()
                var absent = PositionSet(CollectionOfOne(0..<scan.positions))
                absent.subtract(delivered)
                for range in scan.missing { absent.remove(range) }
                if repairs {
                    for frames in record.unavailable where frames.acquisition == scan.id {
                        absent.remove(frames.positions)
                    }
                } else {
                    for gap in record.gaps where gap.generation == scan.generation {
                        for range in gap.positions { absent.remove(range) }
                    }
                }
                #expect(absent.isEmpty, "seed \(seed), generation \(scan.generation): \(absent.ranges) untold")
                for range in scan.missing { #expect(delivered.members(in: range).isEmpty, "seed \(seed)") }
                let released = simulation.released[scan.generation] ?? PositionSet()
                for frames in record.unavailable where frames.acquisition == scan.id && frames.reason == .released {
                    #expect(released.gaps(in: frames.positions).isEmpty, "seed \(seed)")
                }
            }
        }
    }
}
