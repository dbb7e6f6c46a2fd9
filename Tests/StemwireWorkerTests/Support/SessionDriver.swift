import StemwireProtocol

@testable import StemwireWorker

/// A session with its clock and the things it would have others do, for tests that follow it step by step.
struct SessionDriver {
    typealias Session = WorkerSession<String>

    var session: Session
    var now: ContinuousClock.Instant = .now
    var sent: [WireWorkMessage] = []
    var outputs: [String?] = []
    var notices: [WorkerNotice] = []
    var connects = 0
    var begun: [Serial: WorkItemID] = [:]
    var plans: [UInt32: Serial] = [:]
    var forgotten: [Serial] = []
    var dropped: [Serial] = []
    var closed: [Serial] = []
    var taken: [Serial: Int] = [:]
    var tasks: [Serial: WireMergeTask] = [:]
    var ending: WorkerEnding?

    static let clientID = [UInt8](repeating: 7, count: 16)

    init(items: Int = 3, bytes: Int = 1000, connectTimeout: Duration? = nil) {
        var settings = Session.Settings(
            clientID: Self.clientID, capacity: WorkerCapacity(items: items, bytes: bytes))
        settings.client = "test"
        settings.connectTimeout = connectTimeout
        session = Session(settings, now: now)
        session.start(now: now)
        collect()
    }

    /// Connected and welcomed.
    static func ready(items: Int = 3, bytes: Int = 1000, session: UInt8 = 1) -> SessionDriver {
        var driver = SessionDriver(items: items, bytes: bytes)
        driver.welcome(session: session)
        driver.sent.removeAll()
        return driver
    }

    mutating func collect() {
        for action in session.takeActions() {
            switch action {
            case .connect: connects += 1
            case .send(let message, let output):
                sent.append(message)
                outputs.append(output)
            case .prepare(let plan, let wire): plans[wire.plan] = plan
            case .forget(let plan): forgotten.append(plan)
            case .begin(let item, let id, _): begun[item] = id
            case .take(let item, let tile): taken[item, default: 0] += Int(tile.count)
            case .close(let item): closed.append(item)
            case .drop(let item): dropped.append(item)
            case .merge(let task, _, let wire): tasks[task] = wire
            case .tell(let notice): notices.append(notice)
            case .end(let ending): self.ending = ending
            }
        }
    }

    mutating func advance(_ duration: Duration) {
        now += duration
        session.tick(now: now)
        collect()
    }

    mutating func receive(payloads: [Int] = [], _ fill: (inout WireWorkMessage) -> Void) {
        var message = WireWorkMessage()
        fill(&message)
        session.received(message, payloads: payloads, now: now)
        collect()
    }

    mutating func welcome(session number: UInt8 = 1, beat: UInt32 = 1000, silence: UInt32 = 3000) {
        session.connected(now: now)
        collect()
        receive {
            $0.welcome.version = 1
            $0.welcome.session = .init(repeating: number, count: 16)
            $0.welcome.beatIntervalMs = beat
            $0.welcome.silenceLimitMs = silence
        }
    }

    mutating func disconnect() {
        session.disconnected(now: now)
        collect()
    }

    static let start: WireStart = {
        var start = WireStart()
        start.acquisition = .init(repeating: 9, count: 16)
        start.navShape = [4, 4]
        start.framesPerPartition = 4
        start.format.sigShape = [2, 2]
        start.format.dtype = "uint8"
        return start
    }()

    mutating func plan(_ number: UInt32 = 1, failure: String? = "") {
        receive {
            $0.plan.plan = number
            $0.plan.start = Self.start
        }
        guard let failure, let serial = plans[number] else { return }
        var answer = WirePlanned()
        answer.failure = failure
        session.planned(serial, answer)
        collect()
    }

    mutating func tile(
        _ partition: UInt32 = 0, plan: UInt32 = 1, attempt: UInt32 = 1, count: UInt32 = 2, bytes: Int = 100,
        _ change: (inout WireWorkTile) -> Void = { _ in }
    ) {
        receive(payloads: [bytes]) {
            $0.work.item.plan = plan
            $0.work.item.partition = partition
            $0.work.item.attempt = attempt
            $0.work.tile.acquisition = Self.start.acquisition
            $0.work.tile.format = Self.start.format
            $0.work.tile.partition = partition
            $0.work.tile.count = count
            change(&$0.work)
        }
    }

    mutating func close(_ partition: UInt32 = 0, plan: UInt32 = 1, attempt: UInt32 = 1, frames: UInt64 = 2) {
        receive {
            $0.closed.item.plan = plan
            $0.closed.item.partition = partition
            $0.closed.item.attempt = attempt
            $0.closed.frames = frames
        }
    }

    mutating func acknowledge(_ partition: UInt32 = 0, plan: UInt32 = 1, attempt: UInt32 = 1) {
        receive {
            $0.ack.item.plan = plan
            $0.ack.item.partition = partition
            $0.ack.item.attempt = attempt
        }
    }

    /// Computes what was closed and not dropped.
    mutating func compute(_ output: String = "result") {
        for serial in closed where !dropped.contains(serial) { session.finished(serial, WireWorkResult(), output) }
        closed.removeAll()
        collect()
    }

    /// What was sent since, and forgets it.
    mutating func takeSent() -> [WireWorkMessage] {
        defer {
            sent.removeAll()
            outputs.removeAll()
        }
        return sent
    }
}

extension [WireWorkMessage] {
    var results: [WireWorkResult] { compactMap { if case .result(let result) = $0.kind { result } else { nil } } }
    var failures: [WireWorkFailed] { compactMap { if case .failed(let failed) = $0.kind { failed } else { nil } } }
    var credits: [WireCredit] { compactMap { if case .credit(let credit) = $0.kind { credit } else { nil } } }
    var hellos: [WireWorkHello] { compactMap { if case .hello(let hello) = $0.kind { hello } else { nil } } }
    var holdings: [WireHolding] { compactMap { if case .holding(let holding) = $0.kind { holding } else { nil } } }
    var withdrew: [WireWithdrew] { compactMap { if case .withdrew(let withdrew) = $0.kind { withdrew } else { nil } } }
    var byes: Int { count { if case .bye = $0.kind { true } else { false } } }
    var beats: Int { count { if case .beat = $0.kind { true } else { false } } }
}
