import Logging
import StemwireClient
import StemwireKernels
import StemwireProtocol
import StemwireSystem

/// The viewer's connection to the acquisition server: keeps the newest state for all pages, and does what they ask for.
///
/// An ordinary client. The connection is made, and made again, for as long as the feed runs. Any task on any thread.
final class Feed: Sendable {
    private struct State: Sendable {
        var live: LiveState
        var desk: DetectorDesk
        var pages: [Int: AsyncStream<Void>.Continuation] = [:]
        var pageCount = 0
        var connection: StemwireConnection?
        /// Names the server process that the runs were asked of; nil when it is not known.
        var session: [UInt8]?
    }

    private static let connectTimeout = Duration.seconds(2)
    private static let snapshotTimeout = Duration.seconds(10)
    private static let snapshotsOfPast = 4
    private static let pause = Duration.milliseconds(500)
    /// How often the status is asked for while there are pages; the server tells it once a second by itself.
    private static let statusInterval = Duration.milliseconds(250)
    /// Acquisitions of the history that are told at a time.
    private static let historyPage = 20

    private let endpoint: String
    private let token: AccessToken?
    private let logger: Logger
    private let state: Locked<State>

    init(endpoint: String, token: AccessToken? = nil, logger: Logger) {
        self.endpoint = endpoint
        self.token = token
        self.logger = logger
        let mark = String(UInt16.random(in: .min ... .max), radix: 16) + "-"
        state = Locked(State(live: LiveState(now: .now), desk: DetectorDesk(mark: mark)))
    }

    // MARK: Pages

    /// A page: it is woken by each change.
    func addPage() -> (page: Int, changes: AsyncStream<Void>) {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let page = state.withLock { state in
            state.pageCount += 1
            state.pages[state.pageCount] = continuation
            return state.pageCount
        }
        return (page, stream)
    }

    func removePage(_ page: Int) {
        let continuation = state.withLock { state in
            state.desk.gone(page: page, now: .now)
            return state.pages.removeValue(forKey: page)
        }
        continuation?.finish()
    }

    func wake(_ page: Int) { state.withLock { $0.pages[page] }?.yield() }

    var pages: Int { state.withLock { $0.pages.count } }

    /// The newest state; memory is shared.
    var now: (live: LiveState, detectors: [String: DetectorDesk.Entry], pages: Int) {
        state.withLock { ($0.live, $0.desk.entries, $0.pages.count) }
    }

    private func change(_ body: (inout State) -> Void) {
        let pages = state.withLock { state in
            body(&state)
            return Array(state.pages.values)
        }
        for page in pages { page.yield() }
    }

    // MARK: What pages ask for

    func want(_ detector: VirtualDetector, page: Int) throws(ViewerRequestError) {
        perform(
            try state.withLock { (state) throws(ViewerRequestError) in
                try state.desk.want(detector, page: page, now: .now)
            })
        change { _ in }
    }

    func drop(_ detector: String, page: Int) {
        perform(state.withLock { $0.desk.drop(detector, page: page) })
        change { _ in }
    }

    /// What came of a command: a text for people, and what was asked for.
    struct CommandAnswer: Sendable {
        var text: String
        var values: [NamedValue] = []
        var report = JSONValue.null
    }

    func command(_ command: ViewerCommand) async throws(ControlFailure) -> CommandAnswer {
        let connection = try connected()
        let text: String
        switch command {
        case .arm(let shape):
            try await connection.arm(navShape: shape)
            text = "armed"
        case .check(let scan):
            return CommandAnswer(text: "", report: JSONValue(try await connection.check(scan.armSettings)))
        case .scan(let scan):
            try await connection.arm(scan.armSettings)
            try await connection.trigger()
            text = "the scan was started"
        case .trigger:
            try await connection.trigger()
            text = "triggered"
        case .stop: text = "stopped after \(try await connection.stop().framesPlaced) frames"
        case .abort: text = "aborted after \(try await connection.abort().framesPlaced) frames"
        case .settings(let names): return CommandAnswer(text: "", values: try await settings(names, connection))
        case .set(let name, let value):
            try await connection.detectorSet(name, to: value)
            let found = try await connection.detectorGet(name)
            return CommandAnswer(text: "\(name) is \(found)", values: [NamedValue(name: name, value: found)])
        }
        if let status = try? await connection.status() { change { $0.live.take(status, now: .now) } }
        return CommandAnswer(text: text)
    }

    /// What the server's history tells.
    func history(_ wish: HistoryWish) async throws(ControlFailure) -> CommandAnswer {
        let connection = try connected()
        let (history, isWhole) =
            switch wish {
            case .list(let before):
                (try await connection.history(count: Self.historyPage, before: before), false)
            case .acquisition(let id): (try await connection.history(count: 1, acquisition: id), true)
            }
        return CommandAnswer(text: "", report: JSONValue(history, isWhole: isWhole))
    }

    /// Those of the detector's variables that it knows.
    private func settings(
        _ names: [String], _ connection: StemwireConnection
    ) async throws(ControlFailure) -> [NamedValue] {
        var values: [NamedValue] = []
        for name in names {
            do throws(ControlFailure) {
                values.append(NamedValue(name: name, value: try await connection.detectorGet(name)))
            } catch {
                guard error.code == .detectorRefused else { throw error }
            }
        }
        return values
    }

    /// The frame at a position of the newest acquisition.
    func frame(at position: Int) async -> ViewerSession.FrameResult {
        let (live, connection) = state.withLock { ($0.live, $0.connection) }
        guard let acquisition = live.acquisition, let connection else {
            return .unavailable("no connection to the server", mayCome: true)
        }
        do {
            let found = try await connection.fetchAll(acquisition: acquisition.id, first: position, count: 1)
            guard let tile = found.tiles.first else {
                let reason = found.unavailable.first?.reason
                return .unavailable(
                    "frame \(position): \(reason?.description ?? "the server does not have it")",
                    mayCome: reason == .pending)
            }
            return .frame(try FrameContent(tile, frame: position - tile.positions.lowerBound))
        } catch {
            return .unavailable("frame \(position): \(error)", mayCome: true)
        }
    }

    private func connected() throws(ControlFailure) -> StemwireConnection {
        let (connection, link) = state.withLock { ($0.connection, $0.live.link) }
        guard let connection else {
            if case .lost(let why, _) = link { throw ControlFailure(.closed, why) }
            throw ControlFailure(.closed, "the viewer is not connected to the acquisition server yet")
        }
        return connection
    }

    // MARK: The connection

    /// Connects, follows, and connects again, until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            do {
                try await follow()
            } catch is CancellationError {
                return
            } catch {
                logger.info("viewer: \(error)")
                change { state in
                    state.connection = nil
                    state.live.lost("\(error)", now: .now)
                }
                try? await Task.sleep(for: Self.pause)
            }
        }
    }

    private func follow() async throws {
        var options = ConnectionOptions(clientName: "stemwire-viewer", token: token)
        options.lossTimeout = .seconds(3)
        let connection = try await StemwireConnection.connect(
            to: endpoint, timeout: Self.connectTimeout, options: options)
        let server = connection.server
        var actions: [DetectorDesk.Action] = []
        change { state in
            if let former = state.session, former != server.session {
                state.live.serverRestarted()
                actions = state.desk.serverRestarted(now: .now)
            } else {
                actions = state.desk.retry(now: .now)
            }
            state.session = server.session
            state.connection = connection
            state.live.connected(
                server: server.server, source: server.source, endpoint: connection.endpoint.description,
                role: server.role, status: server.status, now: .now)
        }
        perform(actions)
        defer { change { $0.connection = nil } }
        // Of an acquisition that has ended already nothing is published any more.
        if let snapshot = try? await connection.snapshot(deadline: Self.snapshotTimeout) {
            change { $0.live.take(snapshot, now: .now) }
        }
        await readPast(connection)
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                for try await event in connection.updates() {
                    self.change { $0.live.take(event, now: .now) }
                    // What was too much for the acquisition before may be possible in this one.
                    if case .started = event { self.perform(self.state.withLock { $0.desk.retry(now: .now) }) }
                }
            }
            group.addTask {
                for try await event in connection.events() {
                    self.change { $0.live.take(event, now: .now) }
                    if case .serverRestarted = event { self.restarted() }
                }
            }
            group.addTask { try await self.keepStatus(connection) }
            try await group.next()
        }
        await connection.close()
    }

    /// The results of acquisitions that ended before anybody connected, as far as the server still has them.
    private func readPast(_ connection: StemwireConnection) async {
        // The newest come first, and a server keeps few.
        let ids = state.withLock { $0.live.past.prefix(Self.snapshotsOfPast).filter { $0.channels.isEmpty }.map(\.id) }
        for id in ids {
            if let snapshot = try? await connection.snapshot(acquisition: id, deadline: Self.snapshotTimeout) {
                change { $0.live.take(snapshot, now: .now) }
            }
        }
    }

    /// Another server process has taken the old one's place: it has none of our runs.
    private func restarted() {
        var actions: [DetectorDesk.Action] = []
        change { state in
            state.session = nil
            state.live.serverRestarted()
            actions = state.desk.serverRestarted(now: .now)
        }
        perform(actions)
    }

    /// Takes back the runs of virtual detectors, as far as the server can be reached.
    func withdraw() async {
        let (connection, runs) = state.withLock { ($0.connection, $0.desk.entries.values.compactMap(\.runs.first)) }
        guard let connection else { return }
        for run in runs { _ = try? await connection.stopRun(run, deadline: .milliseconds(500)) }
    }

    private func keepStatus(_ connection: StemwireConnection) async throws {
        while true {
            try await Task.sleep(for: Self.statusInterval)
            let (isWatched, actions) = state.withLock { (!$0.pages.isEmpty, $0.desk.tick(now: .now)) }
            perform(actions)
            guard isWatched else { continue }
            if let status = try? await connection.status(deadline: .seconds(1)) {
                change { $0.live.take(status, now: .now) }
            }
        }
    }

    // MARK: Virtual detectors

    private func perform(_ actions: [DetectorDesk.Action]) {
        for action in actions {
            Task { await perform(action) }
        }
    }

    private func perform(_ action: DetectorDesk.Action) async {
        var request = WireRequest()
        let id: String
        let name: String
        switch action {
        case .stop(let run):
            _ = try? await connected().stopRun(run)
            return
        case .start(let detector, let run, let selection):
            (id, name) = (detector, run)
            request.startRun.run = run
            request.startRun.udfs = [WireUdfRequest(selection)]
            request.startRun.joinCurrent = true
            request.startRun.fromStart = true
        case .change(let detector, let run, let selection):
            (id, name) = (detector, run)
            request.changeRun.run = run
            request.changeRun.udfs = [WireUdfRequest(selection)]
            request.changeRun.recompute = true
        }
        let followUp: [DetectorDesk.Action]
        do throws(ControlFailure) {
            _ = try await connected().request(request)
            followUp = state.withLock { $0.desk.done(id, run: name, now: .now) }
        } catch {
            let refusal: DetectorDesk.Refusal =
                switch (action, error.code) {
                case (.change, .unknownRequest): .cannotChange
                case (.change, .notFound): .runIsGone
                default: .other(error.message)
                }
            followUp = state.withLock { $0.desk.failed(id, run: name, refusal, now: .now) }
        }
        change { _ in }
        perform(followUp)
    }
}

extension WireUdfRequest {
    fileprivate init(_ selection: UDFSelection) {
        self.init()
        id = selection.id
        name = selection.name
        parameters = selection.parameters
    }
}

extension FrameContent {
    /// Decodes one frame of a tile.
    init(_ tile: FrameTile, frame: Int) throws(TileDecodeError) {
        let format = try tile.format()
        var pixels = [UInt8](repeating: 0, count: format.sigShape.pixelCount * format.decodedPixel.bytesPerPixel)
        var failure: TileDecodeError?
        pixels.withUnsafeMutableBytes { room in
            do throws(TileDecodeError) {
                try tile.decode(frame: frame, into: room)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        self.init(
            generation: tile.generation, dtype: DType(format.decodedPixel),
            shape: [format.sigShape.height, format.sigShape.width], navShape: tile.navShape,
            position: tile.positions.lowerBound + frame, pixels: pixels)
    }
}
