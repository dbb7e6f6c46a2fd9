import StemwireClient

/// Keeps the virtual detectors that pages hold, and the runs that compute them.
///
/// Each detector is one run. When its parameters change the newest wish counts: while a request is under way, later
/// wishes wait, and only the last of them is done. A detector that no page holds is let go after a while, so that a
/// page may be loaded again in between. No input or output: wishes, answers and times go in, actions come out.
struct DetectorDesk: Sendable {
    enum Action: Sendable, Equatable {
        /// Change the parameters of a run that goes on.
        case change(detector: String, run: String, UDFSelection)
        /// Begin a run, and join the acquisition that is going on.
        case start(detector: String, run: String, UDFSelection)
        case stop(run: String)
    }

    /// A detector as pages are told of it.
    struct Entry: Sendable {
        fileprivate(set) var wanted: VirtualDetector
        /// Its runs on the present acquisition, the newest first: it may have none yet.
        fileprivate(set) var runs: [String] = []
        /// What the newest run has been told.
        fileprivate(set) var applied: VirtualDetector?
        /// Why the last wish was not done; nil when it was.
        fileprivate(set) var problem: String?
        /// What the server is being asked for, and for which run.
        fileprivate var pending: (wanted: VirtualDetector, run: String)?
        /// When a run may take the place of the newest one at the earliest.
        fileprivate var notBefore: ContinuousClock.Instant?
        fileprivate var holders: Set<Int> = []
        fileprivate var letGoAt: ContinuousClock.Instant?
    }

    static let limit = 24
    static let perPage = 8
    private static let keptRuns = 4
    /// How long a run stays at least before another one takes its place, where runs cannot be changed: a server takes
    /// so many runs only on one acquisition, and a drag wishes for sixty a second.
    static let leastRun = Duration.milliseconds(400)

    /// How long a detector outlives the last page that held it.
    let linger: Duration
    /// Makes the runs' names unlike those of another viewer.
    private let mark: String
    private var count = 0
    private(set) var entries: [String: Entry] = [:]
    /// Whether the server can change the parameters of a run that goes on.
    private(set) var changesRuns = true

    init(mark: String, linger: Duration = .seconds(30)) {
        self.mark = mark
        self.linger = linger
    }

    /// The run names that this desk makes.
    static let runPrefix = "view-"

    // MARK: Wishes

    /// A page wants a detector with these parameters.
    ///
    /// - Throws: ``ViewerRequestError`` when there are too many.
    mutating func want(
        _ detector: VirtualDetector, page: Int, now: ContinuousClock.Instant
    ) throws(ViewerRequestError) -> [Action] {
        if entries[detector.id]?.holders.contains(page) != true {
            guard entries.count < Self.limit || entries[detector.id] != nil else {
                throw ViewerRequestError("there are \(Self.limit) virtual detectors already; remove one first")
            }
            guard entries.values.count(where: { $0.holders.contains(page) }) < Self.perPage else {
                throw ViewerRequestError("a page has at most \(Self.perPage) virtual detectors")
            }
        }
        var entry = entries[detector.id] ?? Entry(wanted: detector)
        entry.holders.insert(page)
        entry.letGoAt = nil
        entry.wanted = detector
        defer { entries[detector.id] = entry }
        entry.problem = nil
        return next(&entry, now)
    }

    /// A page does not want a detector any more.
    mutating func drop(_ id: String, page: Int) -> [Action] {
        guard var entry = entries[id], entry.holders.remove(page) != nil else { return [] }
        guard entry.holders.isEmpty else {
            entries[id] = entry
            return []
        }
        entries[id] = nil
        return entry.runs.first.map { [.stop(run: $0)] } ?? []
    }

    /// A page has gone: what nobody else holds is let go later.
    mutating func gone(page: Int, now: ContinuousClock.Instant) {
        for (id, var entry) in entries where entry.holders.remove(page) != nil {
            if entry.holders.isEmpty { entry.letGoAt = now + linger }
            entries[id] = entry
        }
    }

    /// Lets go of what nobody has held for a while, and does what had to wait.
    mutating func tick(now: ContinuousClock.Instant) -> [Action] {
        let over = entries.filter { ($0.value.letGoAt ?? now + .seconds(1)) <= now }
        for id in over.keys { entries[id] = nil }
        return over.values.compactMap { $0.runs.first }.sorted().map { .stop(run: $0) }
            + retry(now: now, refused: false)
    }

    // MARK: Answers

    /// The server did what an action of this detector asked for.
    mutating func done(_ id: String, run: String, now: ContinuousClock.Instant) -> [Action] {
        // Removed while the request was under way, and perhaps wanted again.
        guard var entry = entries[id], let pending = entry.pending, pending.run == run else { return [.stop(run: run)] }
        defer { entries[id] = entry }
        entry.applied = pending.wanted
        entry.pending = nil
        var actions: [Action] = []
        if entry.runs.first != run {
            if let former = entry.runs.first {
                actions.append(.stop(run: former))
                entry.notBefore = now + Self.leastRun
            }
            entry.runs = Array(([run] + entry.runs).prefix(Self.keptRuns))
        }
        return actions + next(&entry, now)
    }

    /// Why the server did not do what it was asked for.
    enum Refusal: Sendable, Equatable {
        /// It does not know how to change a run that goes on.
        case cannotChange
        /// It has no such run any more.
        case runIsGone
        case other(String)
    }

    /// The server did not do it.
    mutating func failed(_ id: String, run: String, _ refusal: Refusal, now: ContinuousClock.Instant) -> [Action] {
        guard var entry = entries[id], let refused = entry.pending, refused.run == run else { return [] }
        defer { entries[id] = entry }
        entry.pending = nil
        switch refusal {
        case .cannotChange: changesRuns = false
        case .runIsGone: entry.applied = nil
        case .other(let why) where entry.wanted == refused.wanted: entry.problem = why
        case .other: break
        }
        return next(&entry, now)
    }

    /// Another server process has taken the old one's place: it has none of the runs.
    mutating func serverRestarted(now: ContinuousClock.Instant) -> [Action] {
        changesRuns = true
        for id in entries.keys {
            entries[id]?.runs = []
            entries[id]?.applied = nil
            entries[id]?.notBefore = nil
        }
        return retry(now: now)
    }

    /// What could not be done before is tried again; with `refused` false only what had to wait.
    mutating func retry(now: ContinuousClock.Instant, refused: Bool = true) -> [Action] {
        entries.keys.sorted().flatMap { id in
            guard var entry = entries[id] else { return [Action]() }
            defer { entries[id] = entry }
            if refused { entry.problem = nil }
            return next(&entry, now)
        }
    }

    private mutating func next(_ entry: inout Entry, _ now: ContinuousClock.Instant) -> [Action] {
        guard entry.pending == nil, entry.problem == nil, entry.applied != entry.wanted else { return [] }
        let action = action(for: entry)
        switch action {
        case .start(_, let run, _):
            if let notBefore = entry.notBefore, now < notBefore { return [] }
            count += 1
            entry.pending = (entry.wanted, run)
        case .change(_, let run, _): entry.pending = (entry.wanted, run)
        case .stop: break
        }
        return [action]
    }

    private func action(for entry: Entry) -> Action {
        let detector = entry.wanted
        let selection = UDFSelection(detector.udf, id: detector.id, parameters: detector.parameters)
        if changesRuns, let run = entry.runs.first, entry.applied?.udf == detector.udf {
            return .change(detector: detector.id, run: run, selection)
        }
        return .start(detector: detector.id, run: "\(Self.runPrefix)\(detector.id)-\(mark)\(count + 1)", selection)
    }
}
