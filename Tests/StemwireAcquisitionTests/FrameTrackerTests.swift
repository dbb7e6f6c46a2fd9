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

@Suite("Frame tracker: life")
struct FrameTrackerLifeTests {
    @Test("armed waits for ever; silence counts from the first frame")
    func idle() {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 4))
        run.pass(.seconds(3600))
        #expect(run.ends.isEmpty && run.tracker.state == .armed)
        run.frame(1)
        run.pass(.milliseconds(1999))
        #expect(run.ends.isEmpty)
        run.pass(.milliseconds(1))
        #expect(run.ends.first?.reason == .idle)
        #expect(run.ends.first?.accounting.missingRanges == [1..<4])
    }

    @Test("a frame that takes long to come, and waiting for memory, are no silence")
    func activity() {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 4))
        run.frame(1)
        run.pass(.milliseconds(1500))
        run.tracker.activity(at: run.now)
        run.pass(.milliseconds(1500))
        #expect(run.ends.isEmpty)
        run.now += .seconds(60)
        run.tracker.resumed(at: run.now)
        run.pass(.milliseconds(1))
        #expect(run.ends.isEmpty)
    }

    @Test("stop waits for frames on their way, abort does not")
    func stopAndAbort() {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 9))
        run.frame(1)
        run.tracker.stop(at: run.now)
        #expect(run.frame(2) == .placed(1))
        run.pass(.milliseconds(249))
        #expect(run.ends.isEmpty)
        run.pass(.milliseconds(10))
        #expect(run.ends.first?.reason == .stopped && run.ends.first?.accounting.placed == 2)

        run.header(TestFrames.header(frames: 9, stamp: 2))
        run.frame(1, acquisition: 2)
        run.tracker.abort()
        run.takeEvents()
        #expect(run.ends.last?.reason == .aborted)
        #expect(run.frame(2, acquisition: 2) == .stray)
        #expect(run.tracker.state == .idle)
    }

    @Test("a detector that ignores STOP does not keep the acquisition open")
    func stopIgnored() {
        var run = TrackerRun { $0.resolver.shape = [100_000] }
        run.header(TestFrames.header(frames: 0))
        run.frame(1)
        run.tracker.stop(at: run.now)
        var sequence = 2
        while run.ends.isEmpty, sequence < 10_000 {
            run.frame(sequence)
            run.pass(.milliseconds(1))
            sequence += 1
        }
        #expect(run.ends.first?.reason == .stopped)
        #expect(run.frame(sequence) == .stray)
    }

    @Test("an armed acquisition ends by stop, abort, another header or the end of the connection", arguments: 0..<4)
    func armedEnds(how: Int) {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 4))
        switch how {
        case 0:
            run.tracker.stop(at: run.now)
            run.pass(.milliseconds(250))
        case 1: run.tracker.abort()
        case 2: run.header(TestFrames.header(frames: 4, stamp: 1))
        default: run.tracker.connectionClosed()
        }
        run.takeEvents()
        #expect(run.ends.map(\.reason) == [[.stopped, .aborted, .newHeader, .connectionClosed][how]])
        #expect(run.ends[0].hasStarted == false && run.ends[0].accounting.missing == 4)
    }

    @Test("a closed connection ends it, and says complete if the last frame had come")
    func closed() {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 4))
        run.frame(1)
        run.tracker.connectionClosed()
        run.takeEvents()
        run.header(TestFrames.header(frames: 4))
        run.frame(1)
        run.frame(4)
        run.tracker.connectionClosed()
        run.takeEvents()
        #expect(run.ends.map(\.reason) == [.connectionClosed, .complete])
    }

    @Test("A7: a second copy of the header in mid-stream means nothing when the numbers go on")
    func spuriousHeader() {
        var run = TrackerRun()
        let header = TestFrames.header(frames: 4)
        run.header(header)
        run.header(header)
        run.frame(1)
        run.frame(2)
        run.header(header)
        #expect(run.frame(2) == .duplicate)
        #expect(run.frame(3) == .placed(2))
        run.frame(4)
        #expect(run.ends.map(\.reason) == [.complete])
        #expect(run.ends[0].accounting.spuriousHeaders == 2)
        // And one behind the end is no acquisition.
        run.header(header)
        run.header(TestFrames.header(frames: 4, stamp: 2))
        #expect(run.ends.count == 1)
    }

    @Test("A7: it begins a new acquisition when the numbers begin anew")
    func sameHeaderAgain() {
        var run = TrackerRun()
        let header = TestFrames.header(frames: 4)
        run.header(header)
        for sequence in 2...3 { run.frame(sequence) }
        run.header(header)
        #expect(run.frame(1, acquisition: 2) == .placed(0))
        for sequence in 2...4 { #expect(run.frame(sequence, acquisition: 2) == .placed(sequence - 1)) }
        #expect(run.ends.map(\.reason) == [.newHeader, .complete])
        #expect(run.ends[0].accounting.placed == 2 && run.ends[1].accounting.isComplete)
    }

    @Test("A7: it begins a new acquisition when STARTACQUISITION was sent, or the last frame had come")
    func sameHeaderArmed() {
        var run = TrackerRun()
        let header = TestFrames.header(frames: 4)
        run.header(header)
        run.frame(1)
        run.tracker.armed()
        run.header(header)
        #expect(run.ends.map(\.reason) == [.newHeader])
        #expect(run.frame(2, acquisition: 2) == .placed(1))
        run.frame(4, acquisition: 2)
        run.header(header)
        #expect(run.ends.map(\.reason) == [.newHeader, .complete])
        #expect(run.frame(3, acquisition: 3) == .placed(2))
    }

    @Test("A7: a header that nothing followed is in force after the idle end")
    func sameHeaderThenSilence() {
        var run = TrackerRun()
        let header = TestFrames.header(frames: 4)
        run.header(header)
        run.frame(1)
        run.frame(2)
        run.header(header)
        run.pass(.seconds(2))
        #expect(run.ends.map(\.reason) == [.idle])
        for sequence in 1...4 { #expect(run.frame(sequence, acquisition: 2) == .placed(sequence - 1)) }
        #expect(run.ends.map(\.reason) == [.idle, .complete])
    }

    @Test("another header ends the acquisition and begins the next")
    func newHeader() {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 4))
        run.frame(1)
        run.header(TestFrames.header(frames: 9, stamp: 1))
        #expect(run.ends.map(\.reason) == [.newHeader])
        for sequence in 1...9 { #expect(run.frame(sequence, acquisition: 2) == .placed(sequence - 1)) }
        #expect(run.ends.map(\.reason) == [.newHeader, .complete])
        #expect(run.starts.map(\.generation) == [1, 2])
    }

    @Test("A16: the end may be told by the number of messages, or by the nav shape")
    func endRules() {
        var run = TrackerRun { $0.endRule = .messageCount }
        run.header(TestFrames.header(frames: 4))
        for sequence in [1, 1, 2, 2] { run.frame(sequence) }
        run.pass(.milliseconds(250))
        #expect(run.ends.map(\.reason) == [.complete])

        var byShape = TrackerRun {
            $0.endRule = .navShape
            $0.resolver.shape = [2, 2, 4]
        }
        byShape.header(TestFrames.header(frames: 4))
        for sequence in 1...16 { #expect(byShape.frame(sequence) == .placed(sequence - 1)) }
        #expect(byShape.ends.map(\.reason) == [.complete])
    }

    @Test("a nav shape larger than the acquisition ends with it, at once; a smaller one has strays")
    func shapeMismatch() {
        var larger = TrackerRun { $0.resolver.shape = [2, 3] }
        larger.header(TestFrames.header(frames: 5))
        for sequence in 1...5 { larger.frame(sequence) }
        #expect(larger.ends.map(\.reason) == [.complete])
        #expect(larger.ends[0].accounting.missingRanges == [5..<6] && larger.starts[0].warnings.count == 1)

        var smaller = TrackerRun { $0.resolver.shape = [2, 2] }
        smaller.header(TestFrames.header(frames: 6))
        for sequence in 1...6 { smaller.frame(sequence) }
        #expect(smaller.ends.map(\.reason) == [.complete])
        #expect(smaller.ends[0].accounting.strays == 2 && smaller.ends[0].accounting.isComplete)
    }

    @Test("a shape that cannot be is told, and no frame is lost for it")
    func impossibleShape() throws {
        var run = TrackerRun { $0.resolver.shape = [-1, 4] }
        run.header(TestFrames.header(frames: 9))
        for sequence in 1...9 { run.frame(sequence) }
        #expect(
            try #require(run.starts.first).navShapeError
                == .notDivisible(shape: [-1, 4], frames: 9, margins: 0, unit: 4))
        #expect(run.starts[0].scan.geometry.navShape.dimensions == [9])
        #expect(run.ends.map(\.reason) == [.complete])
    }
}

@Suite("Frame tracker: endless streams")
struct FrameTrackerEndlessTests {
    @Test("A15: an endless stream is cut into acquisitions of the nav shape's size")
    func windows() {
        var run = TrackerRun { $0.resolver.shape = [2, 3] }
        run.header(TestFrames.header(frames: 0))
        for sequence in 1...18 where sequence != 12 && sequence != 13 {
            #expect(run.frame(sequence) == .placed((sequence - 1) % 6))
        }
        #expect(run.starts.map(\.firstSequenceNumber) == [1, 7, 13])
        #expect(run.ends.map(\.accounting.missingRanges) == [[], [5..<6]])
        run.pass(.seconds(2))
        #expect(run.ends.map(\.reason) == [.complete, .complete, .complete])
        #expect(run.ends[2].accounting.missingRanges == [0..<1])
    }

    @Test("without a nav shape, into windows; a stream joined late is cut where it would have been")
    func joinedLate() {
        var run = TrackerRun { $0.resolver.windowLength = 10 }
        run.header(TestFrames.header(frames: 0))
        #expect(run.frame(995) == .placed(4))
        for sequence in 996...1000 { run.frame(sequence) }
        #expect(run.frame(1001) == .placed(0))
        #expect(run.ends[0].accounting.missingRanges == [0..<4] && run.ends[0].accounting.lostBeforeStart == 0)
    }

    @Test("a pause ends the acquisition by idle, and the stream goes on in a new one")
    func pause() {
        var run = TrackerRun { $0.resolver.shape = [10] }
        run.header(TestFrames.header(frames: 0))
        for sequence in 1...4 { run.frame(sequence) }
        run.pass(.seconds(2))
        #expect(run.ends.map(\.reason) == [.idle])
        run.pass(.seconds(100))
        #expect(run.ends.count == 1)
        #expect(run.frame(4) == .stray)
        #expect(run.frame(5) == .placed(4))
        for sequence in 6...10 { run.frame(sequence) }
        run.pass(.seconds(1))
        #expect(run.ends.map(\.reason) == [.idle, .complete])
        #expect(run.ends[1].accounting.missingRanges == [0..<4])
        run.tracker.connectionClosed()
        run.takeEvents()
        #expect(run.ends.count == 2)
    }

    @Test("a jump over more than an acquisition is believed when the next number says so too")
    func jump() {
        var run = TrackerRun { $0.resolver.shape = [10] }
        run.header(TestFrames.header(frames: 0))
        run.frame(1)
        #expect(run.frame(500) == .stray)
        #expect(run.frame(2) == .placed(1))
        #expect(run.frame(102) == .stray)
        #expect(run.frame(103) == .placed(2))
        #expect(run.ends.map(\.reason) == [.complete])
        run.pass(.seconds(2))
        #expect(run.ends[1].accounting.lostBeforeStart == 90)
    }

    @Test("STOP and ABORT end an endless stream")
    func stopped() {
        var run = TrackerRun { $0.resolver.shape = [10] }
        run.header(TestFrames.header(frames: 0))
        run.frame(1)
        run.tracker.abort()
        run.takeEvents()
        #expect(run.frame(2) == .stray)
        run.header(TestFrames.header(frames: 0, stamp: 1))
        #expect(run.frame(1, acquisition: 2) == .placed(0))
    }

    @Test("A20: frames without a header are placed; numbers that begin anew begin an acquisition")
    func noHeader() {
        var run = TrackerRun { $0.resolver.shape = [2, 4] }
        for sequence in 1...5 { #expect(run.frame(sequence, acquisition: 1) == .placed(sequence - 1)) }
        for sequence in 1...8 { #expect(run.frame(sequence, acquisition: 2) == .placed(sequence - 1)) }
        for sequence in 1...8 { #expect(run.frame(sequence, acquisition: 3) == .placed(sequence - 1)) }
        #expect(run.ends.map(\.reason) == [.newHeader, .complete, .complete])
        #expect(run.ends.map(\.accounting.placed) == [5, 8, 8])
    }

    @Test("A20: a second copy of a frame begins nothing; a first frame lost does not hide the beginning")
    func noHeaderFaults() {
        var run = TrackerRun { $0.resolver.shape = [2, 4] }
        for sequence in [1, 2, 1, 3] { run.frame(sequence) }
        #expect(run.ends.isEmpty)
        for sequence in 4...8 { run.frame(sequence) }
        #expect(run.ends.map(\.reason) == [.complete] && run.ends[0].accounting.duplicates == 1)
        #expect(run.frame(8) == .stray)
        // The first frame of the next one is lost, the second taken for a straggler.
        let placements = (2...8).map { run.frame($0, acquisition: 2) }
        #expect(placements == [.stray] + (2...7).map { .placed($0) })
        run.pass(.seconds(2))
        #expect(run.ends[1].accounting.missingRanges == [0..<2])
    }

    @Test("A20: may be switched off, and needs a good frame")
    func noHeaderRefused() {
        var run = TrackerRun { $0.acceptsFramesWithoutHeader = false }
        #expect(run.frame(1) == .stray)
        var open = TrackerRun()
        #expect(open.frame(TestFrames.body(1), intact: false) == .stray)
        #expect(open.tracker.state == .idle)
    }

    @Test("a lost header: a first frame that differs begins an acquisition like the one before")
    func lostHeader() {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 4))
        for sequence in 1...3 { run.frame(sequence) }
        for sequence in 1...4 { #expect(run.frame(sequence, acquisition: 2) == .placed(sequence - 1)) }
        for sequence in 1...4 { #expect(run.frame(sequence, acquisition: 3) == .placed(sequence - 1)) }
        #expect(run.ends.map(\.reason) == [.newHeader, .complete, .complete])
        #expect(run.starts[1].warnings.contains { $0.contains("without an acquisition header") })
    }
}

@Suite("Frame tracker: foreign first frame")
struct ForeignFirstFrameTests {
    @Test("a whole first frame of another format costs itself and the next one, not the acquisition")
    func foreign() {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 9))
        #expect(run.frame(TestFrames.body(1, side: 9)) == .placed(0))
        #expect(run.frame(2) == .rejected(1))
        for sequence in 3...9 { #expect(run.frame(sequence) == .placed(sequence - 1)) }
        run.pass(.seconds(1))
        #expect(run.starts.map(\.format.sigShape.height) == [9, 4] && run.starts.map(\.generation) == [1, 2])
        #expect(run.ends.map(\.reason) == [.newHeader, .complete])
        #expect(run.ends[1].accounting.rejectedRanges == [0..<2] && run.ends[1].accounting.placed == 7)
        #expect(run.ends.allSatisfy { $0.accounting.isBalanced })
    }

    @Test("a single foreign frame behind the first good one changes nothing")
    func foreignSecond() {
        var run = TrackerRun()
        run.header(TestFrames.header(frames: 4))
        run.frame(1)
        #expect(run.frame(TestFrames.body(2, side: 9)) == .rejected(1))
        #expect(run.frame(3) == .placed(2))
        #expect(run.frame(TestFrames.body(4, side: 9)) == .rejected(3))
        run.pass(.seconds(1))
        #expect(run.starts.count == 1 && run.ends[0].accounting.rejectedRanges == [1..<2, 3..<4])
    }
}
