import MerlinProtocol
import StemwireAcquisition
import StemwireClient
import StemwireKernels
import StemwireSystem
import StemwireUDF
import StemwireWire

/// A run on an acquisition server.
final class RemoteEngine: RunEngine {
    let requests: [UDFRequest]
    private let address: String
    private let options: RunOptions
    /// Whether the acquisition that runs is taken, from now on, instead of the next one.
    private let joinsCurrent: Bool
    /// Whether the server's detector will be armed by this run.
    private let isActive: Bool
    /// Asked for the nav shape when the run arms the detector, and the shape was not given in full.
    private let determineNavShape: (@Sendable (NavShapeQuestion) async -> [Int]?)?
    private let state = Locked(State())

    private struct State: Sendable {
        var began: ContinuousClock.Instant?
        var server: StemwireConnection?
        var run: String?
        var updates: ResultStream?
        /// Acquisitions up to this generation are none of this run's.
        var before: UInt64 = 0
        var isOver = false
    }

    init(
        address: String, requests: [UDFRequest], options: RunOptions, isActive: Bool, joinsCurrent: Bool = false,
        determineNavShape: (@Sendable (NavShapeQuestion) async -> [Int]?)? = nil
    ) {
        self.determineNavShape = determineNavShape
        self.address = address
        self.requests = requests
        self.options = options
        self.isActive = isActive
        self.joinsCurrent = joinsCurrent
    }

    // MARK: The run

    func prepare() async throws(RunError) {
        if let request = requests.first(where: { $0.function != nil }) {
            throw .badRequest(
                "the function \(request.id) cannot be sent to a server; run it in this process, or write a UDF that the "
                    + "server is built with")
        }
        state.withLock { $0.began = .now }
        let server = try await RunError.translating {
            try await StemwireConnection.connect(
                to: self.address, timeout: min(self.options.timeout ?? .seconds(1), .seconds(1)),
                options: ConnectionOptions(clientName: "stemwire run", token: self.options.token))
        }
        state.withLock { $0.server = server }
    }

    func begin() async throws(RunError) {
        let server = try connected()
        try await RunError.translating { [self] in
            let status = try await server.status()
            if !status.detector.dataConnected, isActive {
                throw RunError.unreachable(
                    "the server has no connection to its detector: \(status.detector.reason)")
            }
            let newest = max(status.acquisition.generation, status.previousAcquisition.generation)
            let isRunning = status.hasAcquisition && status.acquisition.endReason.isEmpty
            let arrays = RunArrays(roi: options.roi?.bitmap, corrections: options.corrections, requests: requests)
            let run = try await server.startRun(
                requests.map(UDFSelection.init), acquisitions: 1, joinCurrent: joinsCurrent && isRunning,
                fromStart: true, arrays: arrays.clientArrays,
                keepsIsolatedPixels: options.corrections?.keepsIsolatedPixels ?? false)
            state.withLock { state in
                state.before = joinsCurrent && isRunning ? newest - 1 : newest
                state.run = run
                state.updates = server.updates(run: run)
            }
        }
    }

    func changeParameters(_ requests: [UDFRequest], recompute: Bool) async throws(RunError) {
        guard
            let (server, run) = state.withLock({ state in
                state.server.flatMap { server in state.run.map { (server, $0) } }
            })
        else { throw .badRequest("the run has not begun, or is over") }
        if let request = requests.first(where: { $0.function != nil || !$0.auxiliary.isEmpty }) {
            throw .badRequest("\(request.id): functions and auxiliary data of a run on a server cannot change")
        }
        let requests = requests
        try await RunError.translating {
            do throws(ControlFailure) {
                _ = try await server.changeRun(run, to: requests.map(UDFSelection.init), recompute: recompute)
            } catch {
                guard error.code == .notFound else { throw error }
                throw RunError.badRequest("the run is over, or its acquisition is")
            }
        }
    }

    func end() async {
        let left = state.withLock { state in
            defer { (state.server, state.updates) = (nil, nil) }
            return state
        }
        // Not left behind for an acquisition that nobody waits for.
        if let run = left.run, !left.isOver { _ = try? await left.server?.stopRun(run) }
        await left.server?.close()
    }

    func follow(_ observer: RunObserver) async throws(RunError) -> RunOutcome {
        let server = try connected()
        return try await RunError.translating { [self] in
            let (run, updates, before, began) = state.withLock { ($0.run, $0.updates, $0.before, $0.began) }
            guard let run, let updates else { throw RunError.failed("the run has not begun") }
            var outcome: RunOutcome
            if let limit = options.timeout, let began {
                outcome = try await withTimeLimit(limit, since: began) { [self] in
                    try await collect(updates, after: before, observer)
                }
            } else {
                outcome = try await collect(updates, after: before, observer)
            }
            state.withLock { $0.isOver = true }
            if !outcome.isComplete {
                let error = try await server.listRuns().first { $0.run == run }?.error ?? ""
                if !error.isEmpty { outcome.udfError = error }
            }
            return outcome.made(with: options.corrections)
        }
    }

    private func connected() throws(RunError) -> StemwireConnection {
        guard let server = state.withLock({ $0.server }) else {
            throw .badRequest("there is no connection to the server")
        }
        return server
    }

    private func collect(
        _ updates: ResultStream, after before: UInt64, _ observer: RunObserver
    ) async throws -> RunOutcome {
        var collected = CollectedUpdates(requests)
        let began = ContinuousClock.now
        var nextUpdate = began
        for try await event in updates {
            switch event {
            case .started(let acquisition) where acquisition.generation > before:
                collected.begin(acquisition)
            case .update(let update) where update.generation > before:
                collected.take(update)
                let now = ContinuousClock.now
                observer.progress?(
                    RunProgress(
                        placed: update.positionsProcessed, expected: update.positionsExpected,
                        processed: update.positionsProcessed,
                        framesPerSecond: Double(update.positionsProcessed) / max((now - began) / .seconds(1), 1e-3)))
                if let tell = observer.update, now >= nextUpdate, let update = try collected.update() {
                    nextUpdate = now + observer.interval
                    tell(update)
                }
            case .ended(let end) where end.generation > before:
                return try collected.outcome(end)
            default:
                break
            }
        }
        throw CancellationError()
    }

    /// Waits until the server has an acquisition newer than the generation `told`; nil when the time is over.
    static func waitForAcquisition(
        at address: String, token: AccessToken?, after told: UInt64, timeout: Duration
    ) async throws(RunError) -> AcquisitionInfo? {
        try await RunError.translating {
            try await valueWithin(timeout, since: .now) {
                let server = try await StemwireConnection.connect(
                    to: address, options: ConnectionOptions(clientName: "stemwire wait", token: token))
                do {
                    let info = try await newAcquisition(of: server, after: told)
                    await server.close()
                    return info
                } catch {
                    await server.close()
                    throw error
                }
            }
        }
    }

    private static func newAcquisition(
        of server: StemwireConnection, after told: UInt64
    ) async throws -> AcquisitionInfo {
        let events = server.events()
        try await events.subscribed()
        do throws(ControlFailure) {
            let present = try await server.snapshot()
            if let start = present.start, present.end == nil, start.generation > told { return AcquisitionInfo(start) }
        } catch {
            guard error.code == .notFound else { throw error }
        }
        for try await event in events {
            if case .started(let start) = event, start.generation > told { return AcquisitionInfo(start) }
        }
        throw CancellationError()
    }

    // MARK: The detector

    func arm(frames: Int?, trigger: DetectorTrigger?) async throws(RunError) {
        let server = try connected()
        try await RunError.translating { [options, determineNavShape] in
            let complete = options.navShape.flatMap { $0.contains(-1) ? nil : $0 }
            var navShape = options.navShape
            var frames = frames
            if let complete {
                frames = try frames ?? options.frameCount(of: complete)
            } else if let determineNavShape {
                if frames == nil { frames = Int(try await server.detectorGet("NUMFRAMESTOACQUIRE")) }
                if let frames, frames > 0 {
                    let question = NavShapeQuestion(frameCount: frames, hint: options.navShape)
                    navShape = await determineNavShape(question) ?? navShape
                }
            }
            let margins = options.margins
            _ = try await server.arm(
                navShape: navShape, frames: frames, trigger: trigger.map { $0 == .soft ? .soft : .internal },
                margins: margins == ScanMargins()
                    ? nil
                    : FrameMargins(
                        leadIn: margins.leadIn, flybackPerLine: margins.flybackPerLine, tail: margins.tail),
                framesPerPartition: options.framesPerPartition)
        }
    }

    func start(trigger: DetectorTrigger) async throws(RunError) {
        try await arm(frames: nil, trigger: trigger)
        if trigger == .soft { try await self.trigger() }
    }

    func trigger() async throws(RunError) {
        let server = try connected()
        try await RunError.translating { _ = try await server.trigger() }
    }

    func stop() async throws(RunError) {
        let server = try connected()
        try await RunError.translating { _ = try await server.stop() }
    }

    func abort() async throws(RunError) {
        let server = try connected()
        try await RunError.translating { _ = try await server.abort() }
    }

    func get(_ name: String) async throws(RunError) -> String {
        let server = try connected()
        return try await RunError.translating { try await server.detectorGet(name) }
    }

    func set(_ name: String, to value: String) async throws(RunError) {
        let server = try connected()
        try await RunError.translating { try await server.detectorSet(name, to: value) }
    }

    func command(_ name: String) async throws(RunError) {
        let server = try connected()
        try await RunError.translating { try await server.detectorCommand(name) }
    }
}

extension AcquisitionInfo {
    fileprivate init(_ start: AcquisitionStart) {
        self.init(
            generation: start.generation, navShape: start.navShape, sigShape: start.sigShape,
            dtype: DType(rawValue: start.dtype), framesExpected: start.framesExpected, headerText: start.header)
    }
}

extension RunError {
    /// Tells what the client says in the words of a run.
    static func translating<Value: Sendable>(
        _ body: @Sendable () async throws -> Value
    ) async throws(RunError) -> Value {
        do {
            return try await body()
        } catch let error as RunError {
            throw error
        } catch let error as ConnectError {
            if case .cancelled = error { throw .cancelled }
            throw error.isAboutKeys ? .refused(error.description) : .unreachable(error.description)
        } catch let error as ControlFailure {
            switch error.code {
            case .noReply, .timedOut: throw .timedOut(error.description, nil)
            case .cancelled: throw .cancelled
            case .detectorUnreachable, .closed: throw .unreachable(error.description)
            case .invalidArgument: throw .badRequest(error.message)
            default: throw .refused(error.description)
            }
        } catch let error as SubscriptionError {
            switch error {
            case .nobodySends, .connectionLost: throw .unreachable(error.description)
            default: throw .failed(error.description)
            }
        } catch is CancellationError {
            throw .cancelled
        } catch {
            throw .failed("\(error)")
        }
    }
}

extension UDFSelection {
    fileprivate init(_ request: UDFRequest) {
        self.init(
            request.name, id: request.id,
            parameters: request.parameters.mapValues { if case .text(let text) = $0 { text } else { $0.json } })
    }
}

extension RunArrays {
    fileprivate var clientArrays: [RunArray] {
        zip(headers, payload).map { header, array in
            RunArray(header: header, bytes: array.withUnsafeBytes { Array($0) })
        }
    }
}

extension RunOptions {
    /// The frames that a scan of this shape takes.
    fileprivate func frameCount(of navShape: [Int]) throws -> Int {
        try ScanGeometry(navShape: NavShape(navShape), margins: margins).totalFrames
    }
}

/// Runs `work`, and cancels it when `limit` has passed since `began`.
private func withTimeLimit<Value: Sendable>(
    _ limit: Duration, since began: ContinuousClock.Instant, _ work: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    guard let value = try await valueWithin(limit, since: began, work) else {
        throw RunError.timedOut("the time limit of \(limit) passed before the acquisition had ended", nil)
    }
    return value
}

/// Runs `work`, and cancels it and gives nil when `limit` has passed since `began`.
private func valueWithin<Value: Sendable>(
    _ limit: Duration, since began: ContinuousClock.Instant, _ work: @escaping @Sendable () async throws -> Value
) async throws -> Value? {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await work() }
        group.addTask {
            try await Task.sleep(until: began + limit)
            return nil
        }
        defer { group.cancelAll() }
        return try await group.next() ?? nil
    }
}
