import MerlinProtocol
import Testing

@testable import StemwireAcquisition

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
        run.tracker.abort(at: run.now)
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
        case 1: run.tracker.abort(at: run.now)
        case 2: run.header(TestFrames.header(frames: 4, stamp: 1))
        default: run.tracker.connectionClosed()
        }
        run.takeEvents()
        #expect(run.ends.map(\.reason) == [[.stopped, .aborted, .newHeader, .connectionClosed][how]])
        #expect(run.ends[0].hasStarted == false && run.ends[0].accounting.missing == 4)
    }

    @Test("an acquisition that is aborted before its header has come ends when it comes, and no other does")
    func abortedBeforeHeader() {
        var run = TrackerRun()
        run.tracker.armed()
        run.tracker.abort(at: run.now)
        #expect(run.tracker.state == .idle)
        run.pass(.milliseconds(20))
        run.header(TestFrames.header(frames: 4))
        run.takeEvents()
        #expect(run.ends.map(\.reason) == [.aborted] && run.tracker.state == .idle)
        run.header(TestFrames.header(frames: 4, stamp: 1))
        #expect(run.frame(1) == .placed(0))

        var late = TrackerRun()
        late.tracker.armed()
        late.tracker.abort(at: late.now)
        late.pass(.seconds(2))
        late.header(TestFrames.header(frames: 4))
        #expect(late.tracker.state == .armed)
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

    @Test("A7: also when the last frame before it was a bad copy of the first")
    func sameHeaderAfterBadFirst() {
        var run = TrackerRun()
        let header = TestFrames.header(frames: 4)
        run.header(header)
        #expect(run.frame(2) == .placed(1))
        #expect(run.frame(TestFrames.body(1), intact: false) == .rejected(0))
        run.header(header)
        for sequence in 1...4 { #expect(run.frame(sequence, acquisition: 2) == .placed(sequence - 1)) }
        #expect(run.ends.map(\.reason) == [.newHeader, .complete])
        #expect(run.ends[0].accounting.rejectedRanges == [0..<1] && run.ends[1].accounting.isComplete)
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
