import StemwireTestSupport
import Testing

@testable import StemwireClient

/// Two acquisitions over a live stream that loses, repeats and reorders, and a server that repairs.
struct FollowerSimulation {
    var scans: [TestAcquisition] = []
    var record = FollowerRecord()
    /// Positions that the server gave up before they were fetched, by generation.
    var released: [UInt64: PositionSet] = [:]
    private var generator: SeededGenerator
    private var follower: TileFollower
    private var now = ContinuousClock.now
    private var sequence = SequenceTracker()
    private var number: UInt64 = 0
    private var present: TestAcquisition?
    private var fetches: [(UInt64, AcquisitionUUID, Range<Int>)] = []

    init(seed: UInt64, repairs: Bool) throws {
        generator = SeededGenerator(seed: seed)
        follower = TileFollower(.init(repairs: repairs))
        follower.snapshotTaken(now: now)
        for generation in 1...2 as ClosedRange<UInt64> {
            var scan = TestAcquisition(generation: generation, navShape: [4, 16])
            if generator.chance(percent: 50) {
                let first = Int.random(in: 0..<60, using: &generator)
                scan.missing = [first..<min(64, first + Int.random(in: 1..<6, using: &generator))]
            }
            scans.append(scan)
            if generator.chance(percent: 30) {
                let first = Int.random(in: 0..<60, using: &generator)
                released[generation] = PositionSet(CollectionOfOne(first..<first + 4))
            }
        }
    }

    mutating func run() throws {
        for scan in scans { try publish(scan) }
        // The status tells what was lost of ends.
        follower.status(newest: 2, ends: try scans.map { try $0.end() }, now: now)
        try act()
        for _ in 0..<200 {
            now = now + .milliseconds(100)
            follower.tick(now: now)
            try act()
            try serve()
        }
        #expect(fetches.isEmpty)
        #expect(follower.nextDeadline == nil)
    }

    private mutating func publish(_ scan: TestAcquisition) throws {
        present = scan
        if !generator.chance(percent: 20) { follower.started(try scan.start(), isLive: true, now: now) }
        var tiles: [Range<Int>] = []
        var next = 0
        while next < scan.positions {
            let end = min(scan.positions, next + Int.random(in: 1...9, using: &generator))
            let absent = PositionSet(scan.missing)
            tiles += absent.gaps(in: next..<end)
            next = end
        }
        if generator.chance(percent: 30), tiles.count > 3 {
            let index = Int.random(in: 0..<tiles.count - 1, using: &generator)
            tiles.swapAt(index, index + 1)
        }
        for tile in tiles {
            number += 1
            now = now + .milliseconds(Int.random(in: 0..<30, using: &generator))
            if generator.chance(percent: 20) { continue }
            let observation = sequence.observe(number)
            if generator.chance(percent: 5) {
                follower.corrupted(acquisition: scan.id, generation: scan.generation, positions: tile, now: now)
            } else {
                follower.tile(try TestFrames.tile(tile, of: scan), observation: observation, now: now)
            }
            if generator.chance(percent: 5) {
                // A tile that comes again, larger, as a fetched one may.
                let wider = max(0, tile.lowerBound - 2)..<tile.upperBound
                if PositionSet(scan.missing).members(in: wider).isEmpty {
                    follower.fetched(try TestFrames.tile(wider, of: scan, isFetched: true), now: now)
                }
            }
            follower.tick(now: now)
            try act()
            if generator.chance(percent: 50) { try serve() }
        }
        if !generator.chance(percent: 20) { follower.ended(try scan.end(), now: now) }
        try act()
    }

    /// A snapshot is taken at once when something was lost; it knows the newest acquisition only.
    private mutating func act() throws {
        let before = record.refreshes
        fetches += record.take(follower.takeActions())
        guard record.refreshes > before, let present else { return }
        follower.started(try present.start(), isLive: true, now: now)
        follower.snapshotTaken(now: now)
        fetches += record.take(follower.takeActions())
    }

    /// Answers one fetch as a server would.
    private mutating func serve() throws {
        guard !fetches.isEmpty else { return }
        let (request, acquisition, positions) = fetches.removeFirst()
        let scan = try #require(scans.first { $0.id == acquisition })
        if generator.chance(percent: 5) {
            follower.fetchFailed(request: request, why: "broken", now: now)
            return try act()
        }
        let absent = PositionSet(scan.missing)
        let gone = released[scan.generation] ?? PositionSet()
        var unavailable = absent.members(in: positions).map {
            UnavailableFrames(acquisition: acquisition, positions: $0, reason: .missing)
        }
        var blocked = absent
        blocked.formUnion(gone)
        unavailable += gone.members(in: positions).flatMap { absent.gaps(in: $0) }.map {
            UnavailableFrames(acquisition: acquisition, positions: $0, reason: .released)
        }
        for range in blocked.gaps(in: positions) {
            follower.fetched(try TestFrames.tile(range, of: scan, isFetched: true), now: now)
        }
        follower.fetchEnded(request: request, unavailable: unavailable, now: now)
        try act()
    }
}
