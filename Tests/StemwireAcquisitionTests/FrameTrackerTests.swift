import MerlinProtocol
import Testing

@testable import StemwireAcquisition

@Suite("Frame tracker: placement")
struct FrameTrackerPlacementTests {
    @Test("a clean acquisition places every frame and ends complete at the last one")
    func clean() throws {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 12, perTrigger: 4))
        #expect(run.tracker.state == .armed)
        for sequence in 1...12 { #expect(run.frame(sequence) == .placed(sequence - 1)) }
        let start = try #require(run.starts.first)
        #expect(start.scan.geometry.navShape.dimensions == [3, 4])
        #expect(start.format.sigShape == SigShape(height: 4, width: 4))
        let end = try #require(run.ends.first)
        #expect(end.reason == .complete && end.accounting.isComplete && end.accounting.missingRanges.isEmpty)
        #expect(end.generation == start.generation && end.hasStarted)
        #expect(run.tracker.state == .idle)
    }

    @Test("a lost frame leaves its own position missing, and no other moves")
    func lost() throws {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 9))
        for sequence in [1, 2, 5, 6, 8, 9] { #expect(run.frame(sequence) == .placed(sequence - 1)) }
        #expect(run.ends.isEmpty)
        run.pass(.milliseconds(249))
        #expect(run.ends.isEmpty)
        run.pass(.milliseconds(1))
        let end = try #require(run.ends.first)
        #expect(end.reason == .complete)
        #expect(end.accounting.placed == 6 && end.accounting.missing == 3 && end.accounting.isBalanced)
        #expect(end.accounting.missingRanges == [2..<4, 6..<7])
    }

    @Test("a frame that comes late within the late limit is placed, after it is stray")
    func late() {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 4))
        for sequence in [1, 4] { run.frame(sequence) }
        run.pass(.milliseconds(200))
        #expect(run.frame(2) == .placed(1))
        run.pass(.milliseconds(240))
        #expect(run.ends.isEmpty)
        run.pass(.milliseconds(10))
        #expect(run.ends.first?.accounting.missingRanges == [2..<3])
        #expect(run.frame(3) == .stray)
        #expect(run.tracker.unattributed.strays == 1)
    }

    @Test("the first copy counts, also against a bad one; a good one replaces a rejected one")
    func copies() {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 4))
        #expect(run.frame(TestFrames.body(1), intact: false) == .rejected(0))
        #expect(run.starts.isEmpty)
        #expect(run.frame(TestFrames.body(1), intact: false) == .duplicate)
        #expect(run.frame(1) == .placed(0))
        #expect(run.starts.count == 1)
        #expect(run.frame(1) == .duplicate)
        #expect(run.frame(TestFrames.body(1, side: 7)) == .duplicate)
        #expect(run.frame(TestFrames.body(2, side: 6)) == .rejected(1))
        #expect(run.frame(TestFrames.body(3, side: 3)) == .rejected(2))
        #expect(run.frame(3) == .placed(2))
        run.frame(4)
        run.pass(.seconds(1))
        let accounting = run.ends[0].accounting
        #expect(accounting.placed == 3 && accounting.rejected == 1 && accounting.missing == 0)
        #expect(accounting.duplicates == 3 && accounting.rejectedRanges == [1..<2] && accounting.isBalanced)
        #expect(accounting.duplicateRanges == [0..<1])
    }

    @Test("a malformed or cut first frame does not decide the format")
    func malformedFirst() {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 4))
        #expect(run.frame(Array("MQ1,garbage".utf8)) == .malformed)
        var short = TestFrames.body(1)
        short.removeLast(5)
        #expect(run.frame(short) == .rejected(0))
        for sequence in 2...4 { #expect(run.frame(sequence) == .placed(sequence - 1)) }
        run.pass(.seconds(1))
        #expect(run.ends[0].accounting.malformed == 1 && run.ends[0].accounting.rejectedRanges == [0..<1])
        #expect(run.ends[0].firstFormatError != nil)
    }

    @Test("numbers outside the acquisition are stray and do not keep it alive")
    func strays() {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 4))
        #expect(run.frame(5) == .stray)
        #expect(run.frame(0) == .stray)
        #expect(run.tracker.state == .armed)
        run.frame(1)
        for _ in 0..<19 {
            run.pass(.milliseconds(100))
            #expect(run.frame(77) == .stray)
        }
        run.pass(.milliseconds(100))
        #expect(run.ends.first?.reason == .idle)
        #expect(run.ends.first?.accounting.strays == 21)
    }

    @Test("lead-in, fly-back and tail frames are counted and take no position")
    func margins() {
        var run = TrackerRun {
            $0.resolver.shape = [2, 3]
            $0.resolver.margins = ScanMargins(leadIn: 2, flybackPerLine: 1, tail: 1)
        }
        run.header(TestFrames.header(frames: 11))
        let placements = (1...11).map { run.frame($0) }
        #expect(
            placements == [
                .leadIn, .leadIn, .placed(0), .placed(1), .placed(2), .flyback, .placed(3), .placed(4), .placed(5),
                .flyback, .tail,
            ])
        #expect(run.ends.first?.reason == .complete)
        let accounting = run.ends[0].accounting
        #expect(accounting.expected == 6 && accounting.placed == 6)
        #expect(accounting.leadInFrames == 2 && accounting.flybackFrames == 2 && accounting.tailFrames == 1)
    }

    @Test("missing ranges are in positions, also with fly-back frames between the lines")
    func missingAcrossFlyback() {
        var run = TrackerRun {
            $0.resolver.shape = [2, 3]
            $0.resolver.margins = ScanMargins(flybackPerLine: 2)
        }
        run.header(TestFrames.header(frames: 10))
        for sequence in [1, 2, 7, 8, 9, 10] { run.frame(sequence) }
        run.pass(.seconds(1))
        #expect(run.ends[0].accounting.missingRanges == [2..<4])
        #expect(run.ends[0].accounting.placed == 4 && run.ends[0].accounting.isBalanced)
    }

    @Test("a six-digit counter that wraps goes on", arguments: [100, 99])
    func wrap(modulus: Int) {
        var run = TrackerRun {
            $0.counterModulus = modulus
            $0.resolver.shape = [350]
        }
        run.header(TestFrames.header(frames: 350))
        for frame in 0..<350 where frame != 100 && frame != 230 {
            let printed = modulus == 100 ? (frame + 1) % 100 : frame % 99 + 1
            #expect(run.frame(TestFrames.body(printed, frame: frame)) == .placed(frame))
        }
        run.pass(.seconds(1))
        #expect(run.ends[0].accounting.missingRanges == [100..<101, 230..<231])
    }

    @Test("numbers of seven digits do not wrap")
    func sevenDigits() {
        var run = TrackerRun {
            $0.resolver.shape = [20]
            $0.firstSequence = .number(999_991)
        }
        run.header(TestFrames.header(frames: 20))
        for sequence in 999_991...1_000_010 { #expect(run.frame(sequence) == .placed(sequence - 999_991)) }
        #expect(run.ends.first?.reason == .complete)
    }

    @Test("frames that cannot be kept are counted, missing, and may still come")
    func dropped() {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 4))
        #expect(run.frame(TestFrames.body(1), isKept: false) == .dropped(0))
        #expect(run.starts.isEmpty)
        run.frame(2)
        #expect(run.frame(TestFrames.body(3), isKept: false) == .dropped(2))
        #expect(run.frame(3) == .placed(2))
        run.frame(4)
        run.pass(.seconds(1))
        #expect(run.ends[0].accounting.droppedByRingFull == 2 && run.ends[0].accounting.missingRanges == [0..<1])
    }

    @Test("the first number may be the first received")
    func firstReceived() {
        var run = TrackerRun { $0.firstSequence = .firstReceived }
        run.header(TestFrames.header(frames: 4))
        for sequence in 101...104 { #expect(run.frame(sequence) == .placed(sequence - 101)) }
        #expect(run.ends.first?.reason == .complete && run.starts.first?.firstSequenceNumber == 101)
    }
}
