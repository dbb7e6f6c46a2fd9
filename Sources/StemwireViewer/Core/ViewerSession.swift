import StemwireClient

/// One page's side of the viewer: what it shows, what it has been told, and whether it can take a message.
///
/// The page says “next” when it has drawn; the answer is the newest state, at once or as soon as there is something new.
/// One message is outstanding at a time, so that a page of any speed costs one message of memory and is never shown
/// an old picture behind newer ones. No input or output: requests, states and times go in, messages come out.
struct ViewerSession: Sendable {
    /// What has to be done for a page outside of this core.
    enum Action: Sendable, Equatable {
        case detector(VirtualDetector)
        case dropDetector(String)
        case command(number: Int, ViewerCommand)
        case history(number: Int, HistoryWish)
        /// Fetch the frame at this position of the newest acquisition.
        case fetch(position: Int)
    }

    /// The answer to a command or a question.
    struct Answer: Sendable, Equatable {
        var number: Int
        var isDone: Bool
        var text: String
        /// What was asked for, by name.
        var values: [NamedValue] = []
        /// What a check found, or what the history tells.
        var report = JSONValue.null
    }

    private struct Sent: Sendable {
        var source: PaneRequest.Source
        /// The state that was sent; 0 for none.
        var version: UInt64
        var number: UInt64 = 0
        var isOver: Bool
        var problem = ""
    }

    private struct Frame: Sendable {
        var position: Int
        var generation: UInt64
        var version: UInt64
        var result: FrameResult
        var askAgainAt: ContinuousClock.Instant?
    }

    /// After so long without news the page is told the state all the same, and knows that the viewer lives.
    static let heartbeat = Duration.seconds(1)
    private static let answerLimit = 64
    /// Questions for the history that may be under way at a time: each is read from a file of the server's.
    private static let historyLimit = 4
    /// How soon a frame that has not come yet is asked for again.
    private static let patience = Duration.milliseconds(500)

    /// What the page's own token allows.
    var permission: PagePermission {
        didSet { if permission != oldValue { mustTell = true } }
    }
    private(set) var panes: [PaneRequest] = []
    private var sent: [String: Sent] = [:]
    private var sentState: UInt64 = 0
    private var lastSent: ContinuousClock.Instant?
    private var canTake = false
    private var mustTell = true
    private var answers: [Answer] = []
    private var frame: Frame?
    private var frames: UInt64 = 0
    private var fetching: (position: Int, generation: UInt64)?
    private var historyUnderWay: Set<Int> = []
    private var noticesTold: UInt64 = 0
    private var pastTold: UInt64 = 0
    private(set) var serial: UInt64 = 0
    /// States of shown channels that were left out for newer ones.
    private(set) var skipped: UInt64 = 0

    /// What came of a fetch.
    enum FrameResult: Sendable {
        case frame(FrameContent)
        /// Why there is none; one that may still come is asked for again.
        case unavailable(String, mayCome: Bool)
    }

    init(_ permission: PagePermission) { self.permission = permission }

    // MARK: Requests

    mutating func take(_ request: ViewerRequest) -> [Action] {
        switch request {
        case .next: canTake = true
        case .view(let panes):
            self.panes = panes
            mustTell = true
        case .command(let number, let command) where !permission.mayControl && command.needsControl:
            answer(Answer(number: number, isDone: false, text: permission.reason))
        case .detector(let detector) where permission.mayControl: return [.detector(detector)]
        case .dropDetector(let id) where permission.mayControl: return [.dropDetector(id)]
        case .command(let number, let command): return [.command(number: number, command)]
        case .history(let number, _) where historyUnderWay.count == Self.historyLimit:
            answer(Answer(number: number, isDone: false, text: "the history is being read; ask again"))
        case .history(let number, let wish):
            historyUnderWay.insert(number)
            return [.history(number: number, wish)]
        case .detector, .dropDetector, .token: break
        }
        return []
    }

    mutating func answer(_ answer: Answer) {
        historyUnderWay.remove(answer.number)
        // A page that does not take messages gets the newest answers only.
        if answers.count == Self.answerLimit { answers.removeFirst() }
        answers.append(answer)
        mustTell = true
    }

    /// Whether a frame is to be fetched now; asking is noted.
    mutating func takeFetch(_ state: LiveState, now: ContinuousClock.Instant) -> Action? {
        guard fetching == nil, let generation = state.acquisition?.generation else { return nil }
        for pane in panes {
            guard case .position(let position) = pane.source else { continue }
            if let frame, frame.position == position, frame.generation == generation {
                guard let again = frame.askAgainAt, again <= now else { continue }
            }
            fetching = (position, generation)
            return .fetch(position: position)
        }
        return nil
    }

    mutating func fetched(_ result: FrameResult, now: ContinuousClock.Instant) {
        guard let asked = fetching else { return }
        fetching = nil
        frames += 1
        var again: ContinuousClock.Instant?
        if case .unavailable(_, mayCome: true) = result { again = now + Self.patience }
        frame = Frame(
            position: asked.position, generation: asked.generation, version: frames, result: result, askAgainAt: again)
        mustTell = true
    }

    // MARK: Messages

    var nextDeadline: ContinuousClock.Instant? {
        [canTake ? lastSent.map { $0 + Self.heartbeat } : nil, fetching == nil ? frame?.askAgainAt : nil]
            .compactMap { $0 }.min()
    }

    /// The next message, when the page can take one and there is something to tell.
    mutating func compose(
        _ state: LiveState, detectors: [String: DetectorDesk.Entry], now: ContinuousClock.Instant
    ) -> OutgoingState? {
        let allowed = PagePermission(looksOnly: permission.looksOnly, guest: permission.guest, server: state.role)
        guard canTake else { return nil }
        let due = lastSent.map { now - $0 >= Self.heartbeat } ?? true
        guard mustTell || due || state.version != sentState else { return nil }
        var shown: [OutgoingState.Pane] = []
        for pane in panes {
            if let pane = tell(pane, state, detectors, now) { shown.append(pane) }
        }
        sent = sent.filter { name, _ in panes.contains { $0.pane == name } }
        canTake = false
        mustTell = false
        sentState = state.version
        lastSent = now
        serial += 1
        let notices = state.notices.filter { $0.number > noticesTold }
        noticesTold = state.notices.last?.number ?? noticesTold
        defer {
            answers = []
            pastTold = state.pastVersion
        }
        return OutgoingState(
            serial: serial, skipped: skipped, permission: allowed, panes: shown, answers: answers, notices: notices,
            tellsPast: pastTold != state.pastVersion)
    }

    /// What is to be told of a pane; nil when the page knows it.
    private mutating func tell(
        _ pane: PaneRequest, _ state: LiveState, _ detectors: [String: DetectorDesk.Entry],
        _ now: ContinuousClock.Instant
    ) -> OutgoingState.Pane? {
        let last = sent[pane.pane].flatMap { $0.source == pane.source ? $0 : nil }
        let (found, problem) = find(pane.source, state, detectors, now)
        guard let found else {
            guard last?.version != 0 || last?.problem != problem else { return nil }
            sent[pane.pane] = Sent(source: pane.source, version: 0, isOver: state.isOver, problem: problem)
            return OutgoingState.Pane(pane: pane.pane, channel: nil, problem: problem)
        }
        if let last, last.version == found.version, last.isOver == state.isOver { return nil }
        if let last, last.number > 0, found.number > last.number + 1 { skipped += found.number - last.number - 1 }
        sent[pane.pane] = Sent(
            source: pane.source, version: found.version, number: found.number, isOver: state.isOver)
        return OutgoingState.Pane(pane: pane.pane, channel: found, problem: "")
    }

    private func find(
        _ source: PaneRequest.Source, _ state: LiveState, _ detectors: [String: DetectorDesk.Entry],
        _ now: ContinuousClock.Instant
    ) -> (LiveState.Channel?, problem: String) {
        switch source {
        case .channel(let run, let udf, let channel):
            return (state.channels[ChannelName(run: run, udf: udf, channel: channel)], "no result yet")
        case .past(let id, let run, let udf, let channel):
            let kept = state.past.first { $0.id.description == id }
            return (
                kept?.channels[ChannelName(run: run, udf: udf, channel: channel)],
                "this result is not kept any more"
            )
        case .detector(let id, let channel):
            let newest = detectors[id]?.runs.lazy
                .compactMap { state.channels[ChannelName(run: $0, udf: id, channel: channel)] }.first
            return (newest, detectors[id]?.problem ?? "no result yet: it is made from the frames that come next")
        case .position(let position):
            guard let frame, frame.position == position, frame.generation == state.acquisition?.generation else {
                return (nil, state.acquisition == nil ? "no acquisition yet" : "being fetched")
            }
            switch frame.result {
            case .frame(let content):
                return (LiveState.Channel(version: frame.version, number: 0, content: content, receivedAt: now), "")
            case .unavailable(let why, _): return (nil, why)
            }
        }
    }
}
