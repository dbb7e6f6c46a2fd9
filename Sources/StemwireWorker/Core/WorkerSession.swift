import StemwireProtocol

/// The worker's side of the work protocol: greeting, plans, items with their credit, results until they are acknowledged,
/// beats, and how to leave.
///
/// No input or output: messages and times go in, actions come out. `Output` is what travels beside a result's header: the
/// bytes of its buffers. Each connection is one epoch; whatever the server sent on an earlier one is over, but for frames
/// that were all here already: those are computed and their results sent on the next connection, if it is to the same
/// server session.
struct WorkerSession<Output: Sendable>: Sendable {
    struct Settings: Sendable {
        var client = ""
        /// 16 bytes, made once by the process.
        var clientID: [UInt8]
        var offer = WireWorkerOffer()
        var capacity: WorkerCapacity
        /// For how long there may be no server; nil: for ever.
        var connectTimeout: Duration?
        /// How long the server may take to answer HELLO.
        var greetingPatience = Duration.seconds(2)
    }

    enum Action: Sendable {
        /// Make a connection; the present one, if there is one, is to be closed first.
        case connect
        case send(WireWorkMessage, Output?)
        /// Prepare a plan and answer by `planned`. The payload parts of the present message are its arrays.
        case prepare(plan: Serial, WireWorkPlan)
        /// No more items of this plan will begin.
        case forget(plan: Serial)
        case begin(item: Serial, WorkItemID, plan: Serial)
        /// The payload part of the present message is the frames.
        case take(item: Serial, WireTile)
        /// No more frames will come: answer by `finished` or `failed`.
        case close(item: Serial)
        /// Nobody wants the item any more.
        case drop(item: Serial)
        /// Answer by `merged`. The payload parts of the present message are its arrays.
        case merge(task: Serial, plan: Serial, WireMergeTask)
        case tell(WorkerNotice)
        /// The last action.
        case end(WorkerEnding)
    }

    enum Phase: Equatable {
        case new
        /// No connection before this time: the server was there, and was of no use.
        case pausing(until: ContinuousClock.Instant)
        case connecting
        case greeting(since: ContinuousClock.Instant)
        case ready(since: ContinuousClock.Instant)
        case over
    }

    struct Plan: Sendable {
        let serial: Serial
        let start: WireStart
        var answer: WirePlanned?

        var failure: String? { answer.flatMap { $0.failure.isEmpty ? nil : $0.failure } }
    }

    struct Item: Sendable {
        let serial: Serial
        /// The connection that it came by.
        let epoch: UInt64
        var frames: UInt64 = 0
        var bytes = 0
        var isClosed = false
    }

    /// A result or a failure that the server has not acknowledged.
    struct Answer: Sendable {
        let number: Serial
        let message: WireWorkMessage
        let output: Output?
    }

    let settings: Settings
    var phase = Phase.new
    var epoch: UInt64 = 0
    /// The server's session as the last welcome told it.
    var session: [UInt8] = []
    var plans: [UInt32: Plan] = [:]
    var items: [WorkItemID: Item] = [:]
    var itemIDs: [Serial: WorkItemID] = [:]
    var answers: [WorkItemID: Answer] = [:]
    /// Merge tasks of this connection.
    var tasks: Set<Serial> = []
    /// What the server was last told that this worker can hold at once.
    var creditTold = WorkerCapacity(items: 0, bytes: 0)
    var lastSerial: Serial = 0
    var actions: [Action] = []

    private var beatInterval = Duration.seconds(1)
    private var silenceLimit = Duration.seconds(3)
    private var nextBeat: ContinuousClock.Instant?
    private var lastHeard: ContinuousClock.Instant
    /// Since when there is no server.
    private var alone: ContinuousClock.Instant?
    /// Connections in a row that were of no use.
    private var failures = 0
    /// The last thing that went wrong.
    private var trouble = ""
    /// Until when the worker stays to finish what it holds; nil while it stays.
    private(set) var leavesAt: ContinuousClock.Instant?
    /// Messages that made no sense.
    private(set) var malformed = 0

    init(_ settings: Settings, now: ContinuousClock.Instant) {
        self.settings = settings
        lastHeard = now
    }

    var isReady: Bool { if case .ready = phase { true } else { false } }
    var isLeaving: Bool { leavesAt != nil }
    var heldBytes: Int { items.values.reduce(0) { $0 + $1.bytes } }

    var nextDeadline: ContinuousClock.Instant? {
        guard phase != .over else { return nil }
        var deadlines = [leavesAt, settings.connectTimeout.flatMap { limit in alone.map { $0 + limit } }]
        switch phase {
        case .pausing(let until): deadlines.append(until)
        case .greeting(let since): deadlines.append(since + settings.greetingPatience)
        case .ready: deadlines += [nextBeat, lastHeard + silenceLimit]
        case .new, .connecting, .over: break
        }
        return deadlines.compactMap { $0 }.min()
    }

    mutating func takeActions() -> [Action] {
        defer { actions.removeAll() }
        return actions
    }

    mutating func makeSerial() -> Serial {
        lastSerial += 1
        return lastSerial
    }

    // MARK: The connection

    mutating func start(now: ContinuousClock.Instant) {
        guard phase == .new else { return }
        alone = now
        phase = .connecting
        actions.append(.connect)
    }

    /// Messages flow from now on.
    mutating func connected(now: ContinuousClock.Instant) {
        guard phase == .connecting else { return }
        greet(now: now)
    }

    /// The connection broke.
    mutating func disconnected(now: ContinuousClock.Instant) {
        lose("the connection broke", now: now)
    }

    /// Nobody answers yet.
    mutating func notReached() { trouble = "nobody listens there, or there is no such host or no way to it" }

    /// Somebody is there who does not speak this protocol.
    mutating func notUnderstood(_ why: String, now: ContinuousClock.Instant) {
        guard phase != .over else { return }
        tellRefusal("there is no Stemwire work socket: \(why)")
        lose(why, now: now, isRefusal: true)
    }

    mutating func tick(now: ContinuousClock.Instant) {
        if let limit = settings.connectTimeout, let alone, now - alone >= limit, phase != .over {
            return end(.unreachable(trouble.isEmpty ? "nobody answers" : trouble))
        }
        if let leavesAt, now >= leavesAt { return sayGoodbye() }
        switch phase {
        case .pausing(let until) where until <= now:
            phase = .connecting
            actions.append(.connect)
        case .greeting(let since) where now - since >= settings.greetingPatience:
            lose("no answer to HELLO within \(settings.greetingPatience)", now: now)
        case .ready(let since):
            if now - lastHeard >= silenceLimit {
                return lose("nothing was heard of the server for \(silenceLimit)", now: now)
            }
            if now - since >= .seconds(1) { failures = 0 }
            guard let due = nextBeat, due <= now else { return }
            nextBeat = now + beatInterval
            var message = WireWorkMessage()
            message.beat = WireBeat()
            actions.append(.send(message, nil))
        default: break
        }
    }

    /// Takes no more work, finishes what is here with all its frames, and goes.
    ///
    /// - Parameter patience: what is not done and acknowledged by then is left to others.
    mutating func leave(within patience: Duration, now: ContinuousClock.Instant) {
        guard phase != .over else { return }
        leavesAt = min(leavesAt ?? now + patience, now + patience)
        guard isReady, patience > .zero else { return sayGoodbye() }
        tellCredit()
        for (id, item) in items where !item.isClosed {
            drop(id)
            tellHolding(id, isWhole: false)
        }
        goIfDone()
    }

    /// Takes what the server sent.
    ///
    /// - Parameter payloads: the sizes of the payload parts.
    mutating func received(_ message: WireWorkMessage, payloads: [Int], now: ContinuousClock.Instant) {
        lastHeard = now
        switch (phase, message.kind) {
        case (.greeting, .welcome(let welcome)): greeted(welcome, now: now)
        case (.greeting, .failure(let failure)), (.ready, .failure(let failure)): received(failure, now: now)
        case (.greeting, .bye(let bye)), (.ready, .bye(let bye)): lose("the server says: \(bye.reason)", now: now)
        case (.ready, .plan(let plan)): received(plan)
        case (.ready, .work(let work)): received(work, payloads: payloads)
        case (.ready, .closed(let closed)): received(closed)
        case (.ready, .ack(let ack)): acknowledged(WorkItemID(ack.item))
        case (.ready, .withdraw(let withdraw)): withdrawn(WorkItemID(withdraw.item))
        case (.ready, .ask(let ask)): received(ask)
        case (.ready, .planOver(let over)): planOver(over.plan)
        case (.ready, .mergeTask(let task)): received(task)
        case (.ready, .hello), (.ready, .planned), (.ready, .result), (.ready, .failed), (.ready, .mergeTaskDone),
            (.ready, .holding), (.ready, .withdrew):
            malformed += 1
        // Beats, what belongs to clients that fetch, kinds of a later version, and what came too late.
        default: break
        }
        tellCredit()
        goIfDone()
    }

    // MARK: Details

    private mutating func greet(now: ContinuousClock.Instant) {
        epoch += 1
        phase = .greeting(since: now)
        lastHeard = now
        creditTold = window
        var message = WireWorkMessage()
        message.hello.versionMin = ProtocolVersion.current
        message.hello.versionMax = ProtocolVersion.current
        message.hello.client = settings.client
        message.hello.clientID = .init(settings.clientID)
        message.hello.epoch = epoch
        message.hello.credit = WireCredit(creditTold)
        message.hello.worker = settings.offer
        actions.append(.send(message, nil))
    }

    private mutating func greeted(_ welcome: WireWorkWelcome, now: ContinuousClock.Instant) {
        phase = .ready(since: now)
        alone = nil
        // Extremes from a hostile server must not make a busy loop.
        beatInterval = .milliseconds(min(60_000, max(20, Int64(welcome.beatIntervalMs))))
        let silence = Duration.milliseconds(Int64(welcome.silenceLimitMs))
        // Less than two beats would take every delay for a death; a server that does not say has the limit of PROTOCOL.md.
        silenceLimit = silence == .zero ? beatInterval * 10 : max(silence, beatInterval * 2)
        nextBeat = now + beatInterval
        actions.append(.tell(.connected(session: Array(welcome.session), epoch: epoch)))
        if Array(welcome.session) != session {
            session = Array(welcome.session)
            for id in Array(items.keys) { drop(id) }
            answers.removeAll()
        }
        for answer in answers.values.sorted(by: { $0.number < $1.number }) {
            actions.append(.send(answer.message, answer.output))
        }
    }

    private mutating func received(_ failure: WireFailure, now: ContinuousClock.Instant) {
        switch (phase, failure.code) {
        case (.greeting, "unsupportedVersion"): end(.refused(failure.message))
        case (.greeting, _):
            tellRefusal(failure.message)
            lose(failure.message, now: now, isRefusal: true)
        // The server has forgotten this worker, or is another process by now.
        case (_, "wrongState"): lose(failure.message, now: now)
        default: actions.append(.tell(.refused(failure.message)))
        }
    }

    /// Once for a series of refusals: the worker goes on trying for as long as it is told.
    private mutating func tellRefusal(_ why: String) {
        if trouble != why { actions.append(.tell(.refused(why))) }
        trouble = why
    }

    /// Gives the connection up and makes another.
    private mutating func lose(_ why: String, now: ContinuousClock.Instant, isRefusal: Bool = false) {
        let wasReady = isReady
        switch phase {
        case .ready, .greeting: break
        case .connecting where isRefusal: break
        // A handshake that was interrupted is begun again by the connection itself.
        default: return
        }
        if !isRefusal { trouble = why }
        for (id, item) in items where !item.isClosed { drop(id) }
        for plan in plans.values { actions.append(.forget(plan: plan.serial)) }
        plans.removeAll()
        tasks.removeAll()
        nextBeat = nil
        if alone == nil { alone = now }
        if wasReady { actions.append(.tell(.lost(why))) }
        guard !isLeaving else { return end(.left(unfinished: items.count)) }
        let growing = failures == 0 ? 0 : min(1000, 25 << min(failures, 6))
        let pause = isRefusal ? Duration.seconds(1) : .milliseconds(growing)
        failures += 1
        if pause == .zero {
            phase = .connecting
            actions.append(.connect)
        } else {
            phase = .pausing(until: now + pause)
        }
    }

    /// Leaves as soon as there is nothing left that could be finished.
    mutating func goIfDone() {
        // Whether the server has heard of a failure changes nothing: it gives the item to others in either case.
        guard isLeaving, isReady, items.isEmpty, answers.values.allSatisfy({ $0.output == nil }) else { return }
        sayGoodbye()
    }

    private mutating func sayGoodbye() {
        guard phase != .over else { return }
        switch phase {
        // From HELLO on the server knows it, whether the answer has come or not.
        case .greeting, .ready:
            var message = WireWorkMessage()
            message.bye.reason = "the worker leaves"
            actions.append(.send(message, nil))
        default: break
        }
        end(.left(unfinished: items.count))
    }

    private mutating func end(_ ending: WorkerEnding) {
        for id in Array(items.keys) { drop(id) }
        phase = .over
        nextBeat = nil
        leavesAt = nil
        actions.append(.end(ending))
    }
}
