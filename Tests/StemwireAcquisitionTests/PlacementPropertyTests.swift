import Foundation
import MerlinProtocol
import StemwireTestSupport
import Testing

@testable import StemwireAcquisition

/// Random faulty acquisitions, each followed by a clean one, from bytes in random pieces to the accounting.
///
/// `STEMWIRE_PROPERTY_CASES` sets their number and `STEMWIRE_PROPERTY_SEED` the first; a case's seed is first + number.
@Suite("Placement under random faults")
struct PlacementPropertyTests {
    private static var cases: Int {
        if let text = ProcessInfo.processInfo.environment["STEMWIRE_PROPERTY_CASES"], let count = Int(text) {
            return count
        }
        #if DEBUG
            return 2_000
        #else
            return 100_000
        #endif
    }

    private static var firstSeed: UInt64 {
        ProcessInfo.processInfo.environment["STEMWIRE_PROPERTY_SEED"].flatMap { UInt64($0) } ?? 1
    }

    @Test("no frame on a wrong position; every acquisition ends balanced; the next one is right")
    func faultyThenClean() {
        let cases = Self.cases
        var frames = 0
        var failures = 0
        for number in 0..<cases {
            let seed = Self.firstSeed &+ UInt64(number)
            var run = StreamRun(seed: seed)
            run.play()
            frames += run.framesPlaced
            for problem in run.problems {
                failures += 1
                Issue.record("seed \(seed): \(problem)")
            }
            if failures > 20 { break }
        }
        print("placement property: \(cases) faulty acquisitions, \(frames) frames placed, seeds from \(Self.firstSeed)")
    }
}

/// Plays one case through parser and tracker.
private struct StreamRun {
    private var generator: SeededGenerator
    private let faulty: FaultyAcquisition
    private var parser = MPXStreamParser()
    private var tracker: FrameTracker
    private var now = ContinuousClock.now
    private var unread: [UInt8] = []
    private(set) var problems: [String] = []
    private(set) var framesPlaced = 0
    private var ends: [TrackedEnd] = []
    private var starts: [TrackedStart] = []
    /// Which acquisition's frames are to be placed now, by generation.
    private var placed: [UInt64: [(position: Int, acquisition: Int, frame: Int)]] = [:]
    private var garbageBytes = 0

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed &* 0x2545_F491_4F6C_DD1D)
        faulty = FaultyAcquisition(&generator)
        var configuration = FrameTracker.Configuration()
        configuration.resolver.shape = faulty.geometry.navShape.dimensions
        configuration.resolver.margins = faulty.geometry.margins
        tracker = FrameTracker(configuration)
    }

    mutating func play() {
        var oracle = Oracle(faulty.geometry)
        for item in faulty.items {
            if case .pause = item {
                feed([])
                pass(.milliseconds(1 + generator.below(320)), step: .milliseconds(50))
                continue
            }
            oracle.take(item)
            feed(FaultyAcquisition.bytes(item, acquisition: 1))
        }
        let isCutAtEnd = endFaulty()
        checkFaulty(oracle, isCutAtEnd: isCutAtEnd)
        playClean()
    }

    /// Lets the detector leave the acquisition; true if its last message may be known to be cut too late to count.
    private mutating func endFaulty() -> Bool {
        let hadAcquisition = tracker.state != .idle
        parse(quiet: true)
        switch faulty.end {
        case .silence:
            pass(.milliseconds(2500), step: .milliseconds(10))
            if tracker.state == .running { problems.append("did not end in silence") }
        case .abort:
            tracker.abort(at: now)
        case .stop:
            tracker.stop(at: now)
            pass(.milliseconds(2500), step: .milliseconds(10))
            if tracker.state == .running { problems.append("did not end after STOP") }
        case .close:
            unread = []
            parser.reset()
            tracker.connectionClosed()
        case .nextHeader, .sameHeader:
            break
        }
        takeEvents()
        if hadAcquisition, tracker.state == .idle, ends.isEmpty { problems.append("ended without telling") }
        return true
    }

    private mutating func playClean() {
        let before = ends.count
        var items: [FaultyAcquisition.Item] = (0..<faulty.frames).map { .good($0) }
        if faulty.hasHeader {
            let stamp = faulty.end == .sameHeader ? 1 : 2
            items.insert(.header(TestFrames.header(frames: faulty.frames, stamp: stamp)), at: 0)
        }
        for item in items { feed(FaultyAcquisition.bytes(item, acquisition: 2)) }
        parse(quiet: true)
        pass(.milliseconds(2500), step: .milliseconds(100))
        let new = ends[before...].filter { placed[$0.generation]?.first?.acquisition == 2 }
        guard let last = new.last else {
            problems.append("the clean acquisition was not seen; \(description)")
            return
        }
        let isRight = last.reason == .complete && last.accounting.isComplete && last.accounting.isBalanced
        if new.count != 1 || !isRight || last.accounting.duplicates > 0 {
            problems.append("the clean acquisition: \(last.reason) \(last.accounting); \(description)")
        }
        checkPlaces()
        let accounted = ends.reduce(0) { $0 + $1.accounting.garbageBytes } + tracker.unattributed.garbageBytes
        let counted = accounted + (tracker.state == .idle ? 0 : tracker.balance().garbageBytes)
        if counted != garbageBytes { problems.append("\(garbageBytes) bytes of garbage, \(counted) accounted for") }
    }

    private mutating func checkFaulty(_ oracle: Oracle, isCutAtEnd: Bool) {
        // An end may still be to come: with the clean acquisition's header.
        let end = ends.first { placed[$0.generation] != nil || $0.hasStarted }
        guard end != nil || tracker.state == .running else {
            if !oracle.received.isEmpty, faulty.items.contains(where: { if case .good = $0 { true } else { false } }) {
                problems.append("no acquisition was seen; \(description)")
            }
            return
        }
        let accounting = end?.accounting ?? tracker.balance()
        if !accounting.isBalanced { problems.append("unbalanced: \(accounting)") }
        let geometry = faulty.geometry
        let positions = 0..<geometry.navShape.size
        let expected = Set(positions.filter { oracle.received.contains(geometry.frame(ofPosition: $0)) })
        let generation = end?.generation ?? tracker.generation
        let actual = Set((placed[generation] ?? []).map(\.position))
        if actual != expected {
            problems.append("placed \(actual.sorted()), not \(expected.sorted()); \(description)")
        }
        if accounting.placed != expected.count { problems.append("says \(accounting.placed) placed; \(description)") }
        let told = Set(accounting.missingRanges.joined()).union(accounting.rejectedRanges.joined())
        if told != Set(positions).subtracting(expected) {
            problems.append(
                "missing \(accounting.missingRanges), rejected \(accounting.rejectedRanges); \(description)")
        }
        let rejected = Set(positions.filter { oracle.rejected.contains(geometry.frame(ofPosition: $0)) })
        let isRejectedRight =
            Set(accounting.rejectedRanges.joined()).symmetricDifference(rejected).count <= (isCutAtEnd ? 1 : 0)
        if !isRejectedRight {
            problems.append("rejected \(accounting.rejectedRanges), not \(rejected.sorted()); \(description)")
        }
        let repeated = Set(positions.filter { oracle.repeated.contains(geometry.frame(ofPosition: $0)) })
        let isRepeatedRight =
            Set(accounting.duplicateRanges.joined()).symmetricDifference(repeated).count <= (isCutAtEnd ? 1 : 0)
        if !isRepeatedRight {
            problems.append("duplicate \(accounting.duplicateRanges), not \(repeated.sorted()); \(description)")
        }
        if abs(accounting.duplicates - oracle.duplicates) > (isCutAtEnd ? 1 : 0) {
            problems.append("\(accounting.duplicates) duplicates, not \(oracle.duplicates); \(description)")
        }
        if accounting.strays != oracle.strays {
            problems.append("\(accounting.strays) strays, not \(oracle.strays); \(description)")
        }
    }

    private mutating func checkPlaces() {
        for (generation, frames) in placed {
            for frame in frames {
                let place = faulty.geometry.place(ofFrame: frame.frame)
                if place != .position(frame.position) || frame.acquisition != frames[0].acquisition {
                    problems.append("generation \(generation) has frame \(frame); \(description)")
                }
            }
            framesPlaced += frames.count
        }
    }

    private var description: String {
        "\(faulty.geometry.navShape) \(faulty.geometry.margins) \(faulty.end): \(faulty.text)"
    }

    // MARK: Stream

    private mutating func feed(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(1 + generator.below(generator.chance(percent: 20) ? 5 : 400))
            rest = rest.dropFirst(piece.count)
            unread += piece
            now += .microseconds(generator.below(1000))
            parse(quiet: false)
        }
    }

    private mutating func pass(_ time: Duration, step: Duration) {
        var left = time
        while left > .zero {
            now += step
            left -= step
            parse(quiet: true)
            tracker.tick(at: now)
            takeEvents()
        }
    }

    private mutating func parse(quiet: Bool) {
        var start = 0
        parsing: while true {
            let step = unread.withUnsafeBytes {
                parser.next(UnsafeRawBufferPointer(rebasing: $0[start...]), quiet: quiet)
            }
            switch step {
            case .needMore: break parsing
            case .skipped(let count):
                tracker.garbage(bytes: count)
                garbageBytes += count
                start += count
            case .message(let message):
                let range = start + message.bodyRange.lowerBound..<start + message.bodyRange.upperBound
                take(message, body: Array(unread[range]))
                start += message.totalBytes
            }
        }
        unread.removeFirst(start)
    }

    private mutating func take(_ message: MPXMessage, body: [UInt8]) {
        body.withUnsafeBytes { bytes in
            switch message.kind {
            case .acquisitionHeader:
                tracker.acquisitionHeader(bytes, intact: message.intact, at: now)
                takeEvents()
            case .other:
                tracker.otherMessage()
            case .frame:
                let decision = tracker.frame(bytes, intact: message.intact, at: now)
                for _ in 0..<decision.eventsBefore { takeEvent() }
                if case .placed(let position) = decision.placement {
                    let identity = TestFrames.identity(
                        UnsafeRawBufferPointer(rebasing: bytes[TestFrames.dataOffset...]))
                    let generation = starts.last?.generation ?? 0
                    placed[generation, default: []].append((position, identity.acquisition, identity.frame))
                }
                takeEvents()
            }
        }
    }

    private mutating func takeEvents() { while takeEvent() {} }

    @discardableResult
    private mutating func takeEvent() -> Bool {
        switch tracker.takeEvent() {
        case .started(let start): starts.append(start)
        case .ended(let end): ends.append(end)
        case nil: return false
        }
        return true
    }
}
