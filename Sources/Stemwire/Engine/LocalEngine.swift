import MerlinProtocol
import StemwireAcquisition
import StemwireSystem
import StemwireUDF

/// A run in this process, on a link of its own or on one that stays open.
final class LocalEngine: RunEngine {
    /// How often cancellation, time limit and news are looked for.
    private static let tick = Duration.milliseconds(20)
    private static let progressInterval = Duration.milliseconds(100)

    let requests: [UDFRequest]
    private let options: RunOptions
    private let name: String
    private let makeLink: @Sendable () throws(RunError) -> LocalLink
    private let keepsLink: Bool
    private let link = Locked<LocalLink?>(nil)
    private let began = Locked<ContinuousClock.Instant?>(nil)
    /// Whether this run's user has ended the acquisition.
    private let isEndedByUser = CancellationFlag()

    /// - Parameters:
    ///   - name: unique among the runs of a link.
    ///   - keepsLink: whether the link stays open after the run.
    init(
        _ requests: [UDFRequest], options: RunOptions, name: String = "run", keepsLink: Bool = false,
        makeLink: @escaping @Sendable () throws(RunError) -> LocalLink
    ) {
        self.requests = requests
        self.options = options
        self.name = name
        self.keepsLink = keepsLink
        self.makeLink = makeLink
    }

    private var deadline: ContinuousClock.Instant? {
        options.timeout.flatMap { limit in began.value.map { $0 + limit } }
    }

    private func opened() throws(RunError) -> LocalLink {
        guard let link = link.value else { throw .failed("the run has ended") }
        return link
    }

    func prepare() async throws(RunError) {
        began.value = .now
        link.value = try await onThread("prepare") { [makeLink] () throws(RunError) in try makeLink() }
    }

    func begin() async throws(RunError) {
        let link = try opened()
        try link.pipeline.start(name, requests, roi: options.roi, corrections: options.corrections)
        try await onThread("connect") { [deadline] () throws(RunError) in try link.connect(deadline: deadline) }
    }

    func changeParameters(_ requests: [UDFRequest], recompute: Bool) async throws(RunError) {
        let link = try opened()
        try await onThread("change") { [name] () throws(RunError) in
            try link.pipeline.change(name, to: requests, recomputes: recompute)
        }
    }

    func end() async {
        guard let link = link.value else { return }
        self.link.value = nil
        link.pipeline.end(name)
        guard !keepsLink else { return }
        _ = try? await onThread("close") { () throws(RunError) in link.close() }
    }

    func follow(_ observer: RunObserver) async throws(RunError) -> RunOutcome {
        let isCancelled = CancellationFlag()
        let link = try opened()
        let result: Result<RunOutcome, RunError> = await withTaskCancellationHandler {
            do throws(RunError) {
                return .success(
                    try await onThread("run") { [self] () throws(RunError) in
                        try follow(link, observer, isCancelled)
                    })
            } catch {
                return .failure(error)
            }
        } onCancel: {
            isCancelled.set()
        }
        return try result.get()
    }

    private func follow(
        _ link: LocalLink, _ observer: RunObserver, _ isCancelled: CancellationFlag
    ) throws(RunError) -> RunOutcome {
        let pipeline = link.pipeline
        guard let source = link.activeSource else { throw .failed("the source was closed") }
        let emptyBefore = pipeline.emptyEnd?.generation ?? 0
        var nextProgress = ContinuousClock.now
        var nextUpdate = nextProgress
        var shown = 0
        var unchecked = options.corrections
        while true {
            pipeline.waitForChange(timeout: min(Self.tick, observer.interval))
            let now = ContinuousClock.now
            let progress = pipeline.progress(name)
            let outcome = pipeline.outcome(name)
            if now >= nextProgress || outcome != nil {
                observer.progress?(progress)
                nextProgress = now + Self.progressInterval
            }
            if let failure = source.failure { throw .failed(failure) }
            if let misfit = pipeline.misfit(name) { throw .badRequest(misfit) }
            if let corrections = unchecked, let frames = pipeline.sigShape(name) {
                try check(corrections, frames)
                unchecked = nil
            }
            if let outcome { return outcome.made(with: options.corrections) }
            if let tell = observer.update, progress.processed != shown, now >= nextUpdate,
                let update = pipeline.update(name)
            {
                shown = update.processed
                nextUpdate = now + observer.interval
                tell(update)
            }
            if source.hasEnded {
                // Nothing more will come; what came is worked on before the engine has stopped.
                source.stop()
                pipeline.stop()
                if let outcome = pipeline.outcome(name) {
                    // It may have begun and ended since the last look.
                    observer.progress?(pipeline.progress(name))
                    if let misfit = pipeline.misfit(name) { throw .badRequest(misfit) }
                    if let corrections = unchecked, let frames = pipeline.sigShape(name) {
                        try check(corrections, frames)
                    }
                    return outcome.made(with: options.corrections)
                }
                throw .failed("the source ended before a good frame had come: \(source.endText)")
            }
            if isEndedByUser.isSet, let end = pipeline.emptyEnd, end.generation > emptyBefore, !pipeline.hasBegun(name)
            {
                throw .failed("the acquisition ended (\(end.reason.rawValue)) before a good frame had come")
            }
            if isCancelled.isSet { throw .cancelled }
            if let deadline, now >= deadline { throw timedOut(link) }
        }
    }

    private func check(_ corrections: Corrections, _ frames: SigShape) throws(RunError) {
        do throws(CorrectionsError) {
            try corrections.check(frames)
        } catch {
            throw .badRequest("corrections: \(error)")
        }
    }

    private func timedOut(_ link: LocalLink) -> RunError {
        let pipeline = link.pipeline
        // Ends the acquisition, so that what came is final. A link that is to stay is opened anew by the next run.
        link.activeSource?.stop()
        pipeline.drain(name, within: .seconds(10))
        return .timedOut(
            pipeline.timeoutText(name, after: options.timeout ?? .zero),
            pipeline.outcome(name)?.made(with: options.corrections))
    }

    // MARK: The detector

    func arm(frames: Int?, trigger: DetectorTrigger?) async throws(RunError) {
        let link = try opened()
        try await onThread("arm") { [deadline] () throws(RunError) in
            try link.arm(frames: frames, trigger: trigger, deadline: deadline)
        }
    }

    func start(trigger: DetectorTrigger) async throws(RunError) {
        let link = try opened()
        guard !link.isFeed else { return try link.play() }
        try await arm(frames: nil, trigger: trigger)
        if trigger == .soft { try await self.trigger() }
    }

    func trigger() async throws(RunError) { try await command("SOFTTRIGGER") }

    func stop() async throws(RunError) {
        try await command("STOPACQUISITION")
        isEndedByUser.set()
        link.value?.didEnd(aborted: false)
    }

    func abort() async throws(RunError) {
        try await command("ABORT")
        isEndedByUser.set()
        link.value?.didEnd(aborted: true)
    }

    func get(_ name: String) async throws(RunError) -> String {
        let link = try opened()
        return try await onThread("control") { () throws(RunError) in try link.request { try $0.get(name) } }
    }

    func set(_ name: String, to value: String) async throws(RunError) {
        let link = try opened()
        try await onThread("control") { () throws(RunError) in try link.request { try $0.set(name, to: value) } }
    }

    func command(_ name: String) async throws(RunError) {
        let link = try opened()
        try await onThread("control") { () throws(RunError) in try link.request { try $0.command(name) } }
    }
}
