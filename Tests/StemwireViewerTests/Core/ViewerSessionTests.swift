import StemwireClient
import Testing

@testable import StemwireViewer

@Suite("A page's credit") struct ViewerSessionTests {
    private let start = ContinuousClock.now
    private static let sumsig = PaneRequest(
        pane: "nav", source: .channel(run: "default", udf: "sumsig", channel: "intensity"))

    private func later(_ milliseconds: Int) -> ContinuousClock.Instant { start + .milliseconds(milliseconds) }

    /// A state with one acquisition, and a page that shows its `sumsig`.
    private func scene() -> (LiveState, ViewerSession) {
        var state = LiveState(now: start)
        state.take(TestChannel(), acquisition: acquisition(1), now: start)
        var session = ViewerSession(PagePermission())
        _ = session.take(.view([Self.sumsig]))
        return (state, session)
    }

    @Test func oneMessageIsOutstanding() {
        var (state, session) = scene()
        #expect(session.compose(state, detectors: [:], now: start) == nil)
        _ = session.take(.next)
        _ = session.take(.next)
        let first = session.compose(state, detectors: [:], now: start)
        #expect(first?.serial == 1 && first?.panes.count == 1)
        for round in 0..<5 {
            state.take(TestChannel(), acquisition: acquisition(1), now: later(round))
            #expect(session.compose(state, detectors: [:], now: later(round)) == nil)
        }
        _ = session.take(.next)
        let second = session.compose(state, detectors: [:], now: later(9))
        #expect(second?.serial == 2)
        // The newest one, and four that were left out for it.
        #expect(second?.panes.first?.channel?.number == 6)
        #expect(second?.skipped == 4)
    }

    @Test func nothingNewIsNothingToTellButForTheHeartbeat() {
        var (state, session) = scene()
        _ = session.take(.next)
        #expect(session.compose(state, detectors: [:], now: start) != nil)
        _ = session.take(.next)
        #expect(session.compose(state, detectors: [:], now: later(10)) == nil)
        #expect(session.nextDeadline == start + ViewerSession.heartbeat)
        let beat = session.compose(state, detectors: [:], now: start + ViewerSession.heartbeat)
        #expect(beat?.panes.isEmpty == true)
        _ = session.take(.next)
        state.notice(.info, "a", "something")
        #expect(session.compose(state, detectors: [:], now: later(1010))?.notices.map(\.text) == ["something"])
        _ = session.take(.next)
        state.notice(.info, "b", "more")
        #expect(session.compose(state, detectors: [:], now: later(1020))?.notices.map(\.text) == ["more"])
    }

    @Test func aChangedViewIsToldAtOnce() {
        var (state, session) = scene()
        _ = session.take(.next)
        _ = session.compose(state, detectors: [:], now: start)
        _ = session.take(.next)
        _ = session.take(
            .view([PaneRequest(pane: "nav", source: .channel(run: "default", udf: "disk", channel: "intensity"))]))
        let empty = session.compose(state, detectors: [:], now: later(1))
        #expect(empty?.panes.map(\.problem) == ["no result yet"])
        _ = session.take(.next)
        // That there is nothing is not told twice.
        state.notice(.info, "a", "something")
        #expect(session.compose(state, detectors: [:], now: later(2))?.panes.isEmpty == true)
        _ = session.take(.next)
        _ = session.take(.view([Self.sumsig]))
        #expect(session.compose(state, detectors: [:], now: later(3))?.panes.first?.channel != nil)
    }

    @Test func anotherAcquisitionTakesThePlaceOfTheOneBefore() {
        var (state, session) = scene()
        _ = session.take(.next)
        _ = session.compose(state, detectors: [:], now: start)
        var other = TestChannel()
        other.generation = 2
        state.take(other, acquisition: acquisition(2), now: later(1))
        // What comes late of the first is not shown any more.
        state.take(TestChannel(), acquisition: acquisition(1), now: later(2))
        _ = session.take(.next)
        let message = session.compose(state, detectors: [:], now: later(3))
        #expect(message?.panes.first?.channel?.content.generation == 2)
        #expect(message?.skipped == 0)
    }

    @Test func whoMayLookMayNothingElse() {
        var session = ViewerSession(PagePermission(looksOnly: true))
        #expect(session.take(.command(number: 4, .arm(navShape: nil))) == [])
        #expect(session.take(.detector(VirtualDetector(id: "d", udf: "disk", parameters: [:]))) == [])
        #expect(session.take(.dropDetector("d")) == [])
        _ = session.take(.next)
        let message = session.compose(LiveState(now: start), detectors: [:], now: start)
        #expect(message?.permission.mayControl == false)
        #expect(message?.answers == [.init(number: 4, isDone: false, text: "this viewer may look only")])
    }

    @Test func whoeverLooksMayReadTheHistoryAFewTimesAtOnce() {
        var session = ViewerSession(PagePermission(looksOnly: true))
        for number in 1...4 {
            let wish = HistoryWish.list(before: UInt64(number))
            #expect(session.take(.history(number: number, wish)) == [.history(number: number, wish)])
        }
        #expect(session.take(.history(number: 5, .list(before: nil))) == [])
        session.answer(.init(number: 2, isDone: true, text: "", report: .object([("next", .int(7))])))
        #expect(session.take(.history(number: 6, .list(before: nil))) != [])
        _ = session.take(.next)
        let message = session.compose(LiveState(now: start), detectors: [:], now: start)
        #expect(message?.answers.map(\.number) == [5, 2] && message?.answers.map(\.isDone) == [false, true])
        #expect(message?.answers.last?.report["next"]?.int == 7)
    }

    @Test func aFrameIsFetchedOnceAndAskedForAgainWhenItMayCome() {
        var (state, session) = scene()
        let pane = PaneRequest(pane: "sig", source: .position(3))
        _ = session.take(.view([pane]))
        #expect(session.takeFetch(state, now: start) == .fetch(position: 3))
        #expect(session.takeFetch(state, now: start) == nil)
        session.fetched(.unavailable("not yet", mayCome: true), now: start)
        #expect(session.takeFetch(state, now: later(10)) == nil)
        _ = session.take(.next)
        #expect(session.compose(state, detectors: [:], now: later(10))?.panes.map(\.problem) == ["not yet"])
        #expect(session.takeFetch(state, now: later(600)) == .fetch(position: 3))
        let frame = FrameContent(
            generation: 1, dtype: .uint8, shape: [1, 2], navShape: [2, 3], position: 3, pixels: [1, 2])
        session.fetched(.frame(frame), now: later(610))
        _ = session.take(.next)
        #expect(session.compose(state, detectors: [:], now: later(611))?.panes.first?.channel?.content.shape == [1, 2])
        #expect(session.takeFetch(state, now: later(9999)) == nil)
        // The same position of another acquisition is another frame.
        var other = TestChannel()
        other.generation = 2
        state.take(other, acquisition: acquisition(2), now: later(9999))
        #expect(session.takeFetch(state, now: later(9999)) == .fetch(position: 3))
    }

    @Test func aDetectorShowsItsNewestRunThatHasSomething() throws {
        var (state, session) = scene()
        var desk = DetectorDesk(mark: "x")
        let detector = VirtualDetector(id: "d", udf: "disk", parameters: [:])
        guard case .start(_, let run, _)? = try desk.want(detector, page: 1, now: start).first else {
            Issue.record("no run was begun")
            return
        }
        _ = desk.done("d", run: run, now: start)
        var disk = TestChannel()
        disk.name = ChannelName(run: run, udf: "d", channel: "intensity")
        state.take(disk, acquisition: acquisition(1), now: start)
        _ = session.take(.view([PaneRequest(pane: "nav", source: .detector("d", channel: "intensity"))]))
        _ = session.take(.next)
        #expect(
            session.compose(state, detectors: desk.entries, now: start)?.panes.first?.channel?.content.name.run == run)
        _ = try desk.want(VirtualDetector(id: "d", udf: "disk", parameters: ["r": "2"]), page: 1, now: start)
        _ = desk.failed("d", run: run, .other("too many"), now: start)
        _ = session.take(.next)
        _ = session.take(.view([PaneRequest(pane: "nav", source: .detector("d", channel: "field"))]))
        #expect(
            session.compose(state, detectors: desk.entries, now: start)?.panes.map(\.problem) == ["too many"])
    }

    @Test func theMessageIsLaidOutAsThePageReadsIt() throws {
        var state = LiveState(now: start)
        state.take(
            TestChannel.counts([1, 2, 1 << 20, 4, 5], mask: [0b10111]), acquisition: acquisition(7), now: start)
        var session = ViewerSession(PagePermission())
        _ = session.take(.view([Self.sumsig]))
        _ = session.take(.next)
        let composed = session.compose(state, detectors: [:], now: start)
        let message = try #require(composed)
        let bytes = message.bytes(state, detectors: [:], pages: 3, now: later(5))
        #expect(bytes.count % 8 == 0)
        let read = try ReadMessage(bytes)
        let pane = try #require(read.pane("nav"))
        #expect(pane["dtype"]?.string == "uint32" && pane["sourceDtype"]?.string == "uint64")
        #expect(pane["ageMs"]?.number == 5)
        #expect(
            read.array(pane, "data").map { bytes in
                stride(from: 0, to: bytes.count, by: 4).map { UInt32(bytes[$0]) | UInt32(bytes[$0 + 2]) << 16 }
            } == [1, 2, 1 << 20, 4, 5])
        #expect(read.array(pane, "coverage") == [1, 1, 1, 3, 1])
        #expect(read.header["viewer"]?["pages"]?.int == 3)
        #expect(read.header["acquisition"]?["id"]?.string == acquisition(7).description)
        #expect(read.header["link"]?["state"]?.string == "connecting")
    }
}
