import MerlinProtocol
import StemwireAcquisition
import StemwireClient
import StemwireUDF

/// Where a script begins: runs UDFs on live acquisitions and on recordings, in this process or on an acquisition server,
/// in the same words.
///
/// ```swift
/// let context = LiveContext()
/// let connection = try context.makeConnection(.merlin(host: "merlin-pc"))
/// let scan = try context.makeAcquisition(connection, navShape: [128, 128])
/// let outcome = try await context.run(UDFRequest(name: "sum"), on: scan)
/// let pattern = outcome["sum"]?.array          // shape (y, x) of the detector
/// ```
///
/// With `LiveContext(server: "merlin-server")` and `makeConnection(.server)` the rest stays the same: UDFs then run on the
/// server, on its detector.
///
/// A value without connections of its own. All methods from any task; nothing here blocks Swift's cooperative pool.
/// Cancelling the task of a call ends what it began: sockets are closed, threads have ended, and user code has been torn
/// down, when the call returns with `RunError.cancelled`.
public struct LiveContext: Sendable {
    /// The server of this context; nil: everything happens in this process.
    public let server: ServerEndpoint?
    private let base: RunOptions

    /// Runs UDFs in this process.
    ///
    /// - Parameters:
    ///   - threads: that run UDFs; results do not depend on it.
    ///   - ringBytes: memory for the frames of one acquisition that wait for the UDFs.
    ///   - retainedBytes: of that, memory whose frames are kept for `RunUpdates.changeParameters`; costs some speed.
    ///   - registry: the UDFs there are: the built-in ones, and your own with `UDFRegistry.builtIn.adding(…)`.
    public init(
        threads: Int = 1, ringBytes: Int = 64 << 20, retainedBytes: Int = 0, registry: UDFRegistry = .builtIn
    ) {
        self.init(nil, threads: threads, ringBytes: ringBytes, retainedBytes: retainedBytes, registry: registry)
    }

    /// Runs UDFs on an acquisition server; recordings and local sources are worked on in this process as without one.
    ///
    /// - Parameters:
    ///   - server: control endpoint: `tcp://host:7400`, `stemwire://host[:port]` or `host[:port]`.
    ///   - token: what proves to the server who asks; nil for a server that asks nobody.
    ///   - threads: that run UDFs in this process.
    ///   - ringBytes: memory for the frames of one acquisition in this process.
    ///   - registry: the UDFs there are in this process; the server has its own.
    /// - Throws: `RunError.badRequest` when that is no address. Whether the server is there shows at the first run.
    public init(
        server: String, token: AccessToken? = nil, threads: Int = 1, ringBytes: Int = 64 << 20,
        registry: UDFRegistry = .builtIn
    ) throws(RunError) {
        do throws(ConnectError) {
            self.init(
                try ServerEndpoint(server), token: token, threads: threads, ringBytes: ringBytes, registry: registry)
        } catch {
            throw .badRequest(error.description)
        }
    }

    private init(
        _ server: ServerEndpoint?, token: AccessToken? = nil, threads: Int, ringBytes: Int, retainedBytes: Int = 0,
        registry: UDFRegistry
    ) {
        self.server = server
        var base = RunOptions()
        base.threads = threads
        base.ringBytes = ringBytes
        base.retainedBytes = retainedBytes
        base.registry = registry
        base.token = token
        self.base = base
    }

    // MARK: Sources

    /// Makes a connection to a source of live frames. Opens nothing yet.
    ///
    /// - Throws: `RunError.badRequest` for an array that is no scan, or `.server` in a context without one.
    public func makeConnection(_ source: LiveSource) throws(RunError) -> DetectorConnection {
        switch source.kind {
        case .merlin(let host, let controlPort, let dataPort):
            DetectorConnection(.local(.merlin(host: host, controlPort: controlPort, dataPort: dataPort)))
        case .simulator(let configuration):
            DetectorConnection(.local(.simulator(configuration)))
        case .memory(let frames):
            DetectorConnection(.local(.memory(try frames.get())))
        case .server:
            DetectorConnection(.server(address: try serverAddress()))
        }
    }

    private func serverAddress() throws(RunError) -> String {
        guard let server else {
            throw .badRequest("this context has no server; make it with LiveContext(server: \"host\")")
        }
        return server.description
    }

    /// Makes an acquisition of a connection's source. Nothing happens yet.
    ///
    /// - Parameters:
    ///   - connection: to the source.
    ///   - mode: `.active`: each run starts the detector. `.passive`: each run takes the next acquisition that somebody
    ///     else starts, or the one that `waitForAcquisition` told of.
    ///   - navShape: scan shape, slow axis first; up to two lengths may be −1, to be worked out from the number of
    ///     frames. Nil: from `onDetermineNavShape`, the acquisition header, or a square.
    ///   - margins: declared lead-in, fly-back and tail frames, which are no scan positions.
    ///   - framesPerPartition: scan positions in a partition, the unit of merging; nil: whole scan lines, about 256, of 32 MiB at most.
    ///   - trigger: how an active acquisition without `onReadyForData` is triggered.
    ///   - idleLimit: silence after which the acquisition ends.
    ///   - hooks: user code at the turning points.
    /// - Throws: `RunError.badRequest` for what cannot be: placeholders that do not work, frames in memory waited for
    ///   passively, or nav shape, margins, partitions or nav shape hook for a passive acquisition of a server.
    public func makeAcquisition(
        _ connection: DetectorConnection, mode: Acquisition.Mode = .active, navShape: [Int]? = nil,
        margins: ScanMargins = ScanMargins(), framesPerPartition: Int? = nil, trigger: DetectorTrigger = .soft,
        idleLimit: Duration = .seconds(2), hooks: AcquisitionHooks = AcquisitionHooks()
    ) throws(RunError) -> Acquisition {
        try makeAcquisition(
            connection, mode: mode, navShape: navShape, margins: margins, framesPerPartition: framesPerPartition,
            trigger: trigger, idleLimit: idleLimit, hooks: hooks, body: nil)
    }

    /// Makes an active acquisition with user code around it, which prepares microscope and detector, starts the scan, and
    /// cleans up.
    ///
    /// ```swift
    /// let scan = try context.prepareAcquisition(connection, navShape: [128, 128]) { acquisition, udfs in
    ///     try await acquisition.set("COUNTERDEPTH", to: 12)
    ///     acquisition.onTearDown { await blankBeam() }
    ///     try await acquisition.start()
    /// }
    /// ```
    ///
    /// The code is called in each run when the data socket is connected and the UDFs wait. When it returns, the run goes
    /// on to the end of the acquisition, which the code can also wait for itself (`waitUntilDone()`). When it throws, or
    /// the task is cancelled, the run ends: the detector is stopped if the code had started it, what was given to
    /// `onTearDown` is done, and the connection is closed. The caller of `run` gets the error.
    ///
    /// - Parameters:
    ///   - connection: to the source.
    ///   - navShape: scan shape, slow axis first; as in `makeAcquisition`.
    ///   - margins: declared lead-in, fly-back and tail frames, which are no scan positions.
    ///   - framesPerPartition: scan positions in a partition; nil: whole scan lines, about 256, of 32 MiB at most.
    ///   - idleLimit: silence after which the acquisition ends.
    ///   - hooks: further user code; `onReadyForData` is not called, since `body` has its place.
    ///   - body: gets the acquisition to control, and the UDFs of the run.
    /// - Throws: as `makeAcquisition`.
    public func prepareAcquisition(
        _ connection: DetectorConnection, navShape: [Int]? = nil, margins: ScanMargins = ScanMargins(),
        framesPerPartition: Int? = nil, idleLimit: Duration = .seconds(2), hooks: AcquisitionHooks = AcquisitionHooks(),
        _ body: @escaping PreparationBody
    ) throws(RunError) -> Acquisition {
        try makeAcquisition(
            connection, mode: .active, navShape: navShape, margins: margins, framesPerPartition: framesPerPartition,
            trigger: .soft, idleLimit: idleLimit, hooks: hooks, body: body)
    }

    private func makeAcquisition(
        _ connection: DetectorConnection, mode: Acquisition.Mode, navShape: [Int]?, margins: ScanMargins,
        framesPerPartition: Int?, trigger: DetectorTrigger, idleLimit: Duration, hooks: AcquisitionHooks,
        body: PreparationBody?
    ) throws(RunError) -> Acquisition {
        if let navShape { try LocalLink.check(navShape) }
        if let framesPerPartition, framesPerPartition < 1 {
            throw .badRequest("\(framesPerPartition) frames per partition; it must be at least 1")
        }
        guard idleLimit > .zero else { throw .badRequest("an idle limit of \(idleLimit); it must be above 0") }
        switch connection.target {
        case .local(.memory(let frames)):
            guard mode == .active else {
                throw .badRequest("frames in memory come when they are asked for: use an active acquisition")
            }
            guard navShape.map({ $0 == frames.navShape.dimensions }) ?? true, margins == ScanMargins() else {
                throw .badRequest("the frames in memory are a scan of \(frames.navShape); it needs no other nav shape")
            }
        case .local: break
        case .server:
            guard
                mode == .active
                    || navShape == nil && margins == ScanMargins() && framesPerPartition == nil
                        && hooks.onDetermineNavShape == nil
            else {
                throw .badRequest(
                    "who arms the detector of a server says what the scan is like: a passive acquisition has the nav "
                        + "shape, margins and partitions that the server finds")
            }
        }
        return Acquisition(
            connection: connection, target: connection.target, mode: mode, navShape: navShape, margins: margins,
            framesPerPartition: framesPerPartition, idleLimit: idleLimit, trigger: trigger, hooks: hooks, body: body)
    }

    // MARK: Runs

    /// Runs one UDF on the next acquisition, or on a recording, to its end: see the other `run`.
    public func run(
        _ udf: UDFRequest, on acquisition: Acquisition, roi: PositionSet? = nil, corrections: Corrections? = nil,
        timeout: Duration? = nil,
        plots: [any LivePlot] = [], progress: (@Sendable (RunProgress) -> Void)? = nil
    ) async throws -> RunOutcome {
        try await run(
            [udf], on: acquisition, roi: roi, corrections: corrections, timeout: timeout, plots: plots,
            progress: progress)
    }

    /// Runs UDFs on the next acquisition, or on a recording, to its end.
    ///
    /// - Parameters:
    ///   - udfs: computed together in one pass over the frames. Their ids must differ.
    ///   - acquisition: live or recorded.
    ///   - roi: the scan positions to work on (flat, slow axis first); nil for all.
    ///   - corrections: what is done to every frame before any UDF sees it; nil for nothing, or for the server's own.
    ///   - timeout: how long all of it may take; what had come by then is in `RunError.timedOut`.
    ///   - plots: shown about ten times a second, and once more at the end.
    ///   - progress: called about ten times a second, on a thread of the run.
    /// - Returns: results and accounting. Fewer frames than expected are no error: `incompleteness` says what is
    ///   missing, the channels hold what is there; `complete()` makes an error of it that carries the outcome.
    /// - Throws: `RunError`; or what a hook or the code of `prepareAcquisition` threw.
    public func run(
        _ udfs: [UDFRequest], on acquisition: Acquisition, roi: PositionSet? = nil, corrections: Corrections? = nil,
        timeout: Duration? = nil,
        plots: [any LivePlot] = [], progress: (@Sendable (RunProgress) -> Void)? = nil
    ) async throws -> RunOutcome {
        var observer = RunObserver(progress: progress)
        guard !plots.isEmpty else {
            return try await perform(
                udfs, on: acquisition, roi: roi, corrections: corrections, timeout: timeout, observer)
        }
        let board = PlotBoard(plots)
        observer.update = { board.offer($0) }
        do {
            var outcome = try await perform(
                udfs, on: acquisition, roi: roi, corrections: corrections, timeout: timeout, observer)
            outcome.plotErrors = await board.finish(RunUpdate(outcome))
            return outcome
        } catch {
            _ = await board.finish(nil)
            throw error
        }
    }

    /// Runs UDFs and gives what there is so far, again and again.
    ///
    /// ```swift
    /// for try await update in context.updates([UDFRequest(name: "sumsig")], on: scan) {
    ///     print("\(update.processed) of \(update.expected)")
    ///     if let outcome = update.outcome { print(outcome.accounting) }
    /// }
    /// ```
    ///
    /// The run begins with this call, and ends when the loop is left early. Updates for which the loop has no time are
    /// left out for newer ones; the last one, which carries the outcome, is always given.
    ///
    /// - Parameters:
    ///   - udfs: computed together in one pass over the frames.
    ///   - acquisition: live or recorded.
    ///   - maximumRate: updates a second, at most; above 0.
    ///   - roi: the scan positions to work on (flat, slow axis first); nil for all.
    ///   - corrections: what is done to every frame before any UDF sees it; nil for nothing, or for the server's own.
    ///   - timeout: how long all of it may take.
    public func updates(
        _ udfs: [UDFRequest], on acquisition: Acquisition, maximumRate: Double = 10, roi: PositionSet? = nil,
        corrections: Corrections? = nil, timeout: Duration? = nil
    ) -> RunUpdates {
        RunUpdates { control, tell in
            let interval = Duration.seconds(1 / max(maximumRate, 1e-3))
            return try await perform(
                udfs, on: acquisition, roi: roi, corrections: corrections, timeout: timeout,
                RunObserver(update: tell, interval: interval), control)
        }
    }

    private func perform(
        _ udfs: [UDFRequest], on acquisition: Acquisition, roi: PositionSet?, corrections: Corrections?,
        timeout: Duration?, _ observer: RunObserver, _ control: RunControl? = nil
    ) async throws -> RunOutcome {
        guard !udfs.isEmpty else { throw RunError.badRequest("no UDF was given; name at least one, such as sum") }
        var options = acquisition.options(base)
        options.roi = roi
        options.corrections = corrections.flatMap { $0.isEmpty ? nil : $0 }
        options.timeout = timeout
        try acquisition.connection?.acquire()
        defer { acquisition.connection?.release() }
        let engine = engine(udfs, on: acquisition, options)
        control?.engine.value = engine
        let opening: RunProcedure.Opening =
            if let body = acquisition.body {
                .body(body)
            } else if acquisition.mode == .active {
                .start(acquisition.trigger)
            } else {
                .none
            }
        return try await RunProcedure(
            engine: engine, opening: opening, hooks: acquisition.hooks, observer: observer
        ).run()
    }

    private func engine(
        _ udfs: [UDFRequest], on acquisition: Acquisition, _ options: RunOptions
    ) -> any RunEngine {
        switch acquisition.target {
        case .server(let address):
            let joins = acquisition.joinsNext.withLock { joins in
                defer { joins = false }
                return joins
            }
            return RemoteEngine(
                address: address, requests: udfs, options: options, isActive: acquisition.mode == .active,
                joinsCurrent: joins, determineNavShape: acquisition.hooks.onDetermineNavShape)
        case .local(let source):
            let source = acquisition.resolved(source)
            let hook = acquisition.hooks.blockingNavShape
            guard let connection = acquisition.connection else {
                return LocalEngine(udfs, options: options) { () throws(RunError) in
                    try LocalLink(source, options: options, holds: false, hook: hook)
                }
            }
            let isLasting = acquisition.mode == .passive
            let owner = ObjectIdentifier(acquisition)
            return LocalEngine(udfs, options: options, name: connection.nextRunName(), keepsLink: isLasting) {
                () throws(RunError) in
                isLasting
                    ? try connection.lastingLink(source, options: options, hook: hook, owner: owner)
                    : try connection.linkForOneRun(source, options: options, hook: hook)
            }
        }
    }

    // MARK: Waiting

    /// Waits until an acquisition of a passive connection has begun: its first frame has come.
    ///
    /// Here, it is held until the next `run` on the same `acquisition` takes it, so that no frame is lost meanwhile; the
    /// next call of this method lets it go and waits for another one. A server goes on: the run joins the acquisition,
    /// and works on what came before too, as far as the server still has the frames (`stemwire serve --spool`).
    ///
    /// - Parameters:
    ///   - acquisition: a passive one.
    ///   - timeout: how long to wait.
    /// - Returns: nil when none had begun within `timeout`.
    /// - Throws: `RunError`.
    public func waitForAcquisition(
        _ acquisition: Acquisition, timeout: Duration
    ) async throws(RunError) -> AcquisitionInfo? {
        guard acquisition.mode == .passive, let connection = acquisition.connection else {
            throw .badRequest("only passive acquisitions are waited for; the others begin when they are run")
        }
        try connection.acquire()
        defer { connection.release() }
        switch acquisition.target {
        case .server(let address):
            return try await waitRemotely(acquisition, address, timeout: timeout)
        case .local(let source):
            let (source, options) = (acquisition.resolved(source), acquisition.options(base))
            let hook = acquisition.hooks.blockingNavShape
            let owner = ObjectIdentifier(acquisition)
            let isCancelled = CancellationFlag()
            let result: Result<AcquisitionInfo?, RunError> = await withTaskCancellationHandler {
                do throws(RunError) {
                    return .success(
                        try await onThread("wait") { () throws(RunError) in
                            let link = try connection.lastingLink(source, options: options, hook: hook, owner: owner)
                            return try link.waitForAcquisition(timeout: timeout, isCancelled).map(AcquisitionInfo.init)
                        })
                } catch {
                    return .failure(error)
                }
            } onCancel: {
                isCancelled.set()
            }
            return try result.get()
        }
    }

    private func waitRemotely(
        _ acquisition: Acquisition, _ address: String, timeout: Duration
    ) async throws(RunError) -> AcquisitionInfo? {
        let told = acquisition.told.value
        let info = try await RemoteEngine.waitForAcquisition(
            at: address, token: base.token, after: told, timeout: timeout)
        if let info {
            acquisition.told.value = info.generation
            acquisition.joinsNext.value = true
        }
        return info
    }
}
