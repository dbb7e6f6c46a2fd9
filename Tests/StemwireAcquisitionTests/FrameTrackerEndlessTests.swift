import MerlinProtocol
import Testing

@testable import StemwireAcquisition

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
        run.tracker.abort(at: run.now)
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
