import MerlinProtocol
import StemwireAcquisition
import StemwireClient
import StemwireKernels
import StemwireUDF

/// UDFs over the next acquisition of an acquisition server.
public struct RemoteRun: Sendable {
    public let host: String
    public let port: Int
    public let requests: [UDFRequest]
    public let options: RunOptions

    public init(host: String, port: Int = 7400, requests: [UDFRequest], options: RunOptions = RunOptions()) {
        self.host = host
        self.port = port
        self.requests = requests
        self.options = options
    }

    /// Starts the run on the server, arms and triggers if `options.trigger` says so, and follows it to its end.
    /// Cancelling the task stops the run, not the acquisition.
    ///
    /// - Throws: `RunError`.
    public func run(
        progress: @escaping @Sendable (RunProgress) -> Void = { _ in }
    ) async throws(RunError) -> RunOutcome {
        do {
            guard let timeout = options.timeout else { return try await follow(progress: progress) }
            return try await withTimeLimit(timeout) { try await follow(progress: progress) }
        } catch let error as RunError {
            throw error
        } catch let error as ConnectError {
            if case .cancelled = error { throw .cancelled }
            throw .unreachable(error.description)
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

    private func follow(progress: @Sendable (RunProgress) -> Void) async throws -> RunOutcome {
        let address = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        let server = try await StemwireConnection.connect(
            to: address, timeout: min(options.timeout ?? .seconds(1), .seconds(1)), clientName: "stemwire run")
        do {
            let outcome = try await follow(on: server, progress: progress)
            await server.close()
            return outcome
        } catch {
            await server.close()
            throw error
        }
    }

    private func follow(
        on server: StemwireConnection, progress: @Sendable (RunProgress) -> Void
    ) async throws -> RunOutcome {
        let status = try await server.status()
        if !status.detector.dataConnected, options.trigger != nil {
            throw RunError.unreachable(
                "the server has no connection to its detector: \(status.detector.reason)")
        }
        let before = max(status.acquisition.generation, status.previousAcquisition.generation)
        let run = try await server.startRun(
            requests.map { UDFSelection($0.name, id: $0.id, parameters: $0.parameters.mapValues(\.plainText)) },
            acquisitions: 1)
        do {
            let updates = server.updates(run: run)
            if let trigger = options.trigger {
                let frames = options.navShape.flatMap { $0.contains(-1) ? nil : $0.reduce(1, *) }
                _ = try await server.arm(
                    navShape: options.navShape, frames: frames, trigger: trigger == .soft ? .soft : .internal)
                if trigger == .soft { _ = try await server.trigger() }
            }
            var outcome = try await collect(updates, after: before, progress: progress)
            if !outcome.isComplete {
                let error = try await server.listRuns().first { $0.run == run }?.error ?? ""
                if !error.isEmpty { outcome.udfError = error }
            }
            return outcome
        } catch {
            // Not left behind for an acquisition that nobody waits for; in a task of its own, for this one may be cancelled.
            await Task { _ = try? await server.stopRun(run) }.value
            throw error
        }
    }

    private func collect(
        _ updates: ResultStream, after before: UInt64, progress: @Sendable (RunProgress) -> Void
    ) async throws -> RunOutcome {
        var start: AcquisitionStart?
        var channels: [ChannelName: ChannelUpdate] = [:]
        let began = ContinuousClock.now
        for try await event in updates {
            switch event {
            case .started(let acquisition) where acquisition.generation > before && start == nil:
                start = acquisition
            case .update(let update) where update.generation > before:
                channels[update.name] = update
                let seconds = (ContinuousClock.now - began) / .seconds(1)
                progress(
                    RunProgress(
                        placed: update.positionsProcessed, expected: update.positionsExpected,
                        processed: update.positionsProcessed,
                        framesPerSecond: Double(update.positionsProcessed) / max(seconds, 1e-3)))
            case .ended(let end) where end.generation > before:
                return try outcome(start, end, Array(channels.values))
            default:
                break
            }
        }
        throw CancellationError()
    }

    private func outcome(
        _ start: AcquisitionStart?, _ end: AcquisitionEnd, _ updates: [ChannelUpdate]
    ) throws -> RunOutcome {
        guard let start, let sigShape = start.sigShape, let dtype = DType(rawValue: start.dtype) else {
            throw RunError.failed("the acquisition ended (\(end.reason)) before a good frame had come")
        }
        let header = try? start.header.withUnsafeBytes { try AcquisitionHeader.parse($0) }
        let order = Dictionary(uniqueKeysWithValues: requests.enumerated().map { ($1.id, $0) })
        let channels =
            try updates
            .sorted { (order[$0.name.udf] ?? 0, $0.name.channel) < (order[$1.name.udf] ?? 0, $1.name.channel) }
            .map { update in
                RunOutcome.Channel(
                    udf: update.name.udf, name: update.name.channel, kind: BufferDeclaration.Kind(update.kind),
                    array: try update.withData { bytes in
                        try ResultArray(dtype: update.dtype, shape: update.shape, bytes: bytes)
                    }, validBitmap: update.withValidMask { Array($0) })
            }
        return RunOutcome(
            navShape: start.navShape, sigShape: [sigShape.height, sigShape.width], dtype: dtype,
            accounting: Accounting(end.accounting),
            endReason: EndReason(rawValue: end.reason.description) ?? .connectionClosed,
            seconds: end.seconds, acquisitionHeader: header?.entries.map { ($0.key, $0.value) } ?? [], udfs: requests,
            channels: channels, processed: updates.map(\.positionsProcessed).min() ?? 0,
            udfError: end.framesFailed > 0 ? "\(end.framesFailed) frames failed in a UDF; see the server's status" : nil
        )
    }
}

extension BufferDeclaration.Kind {
    fileprivate init(_ kind: ChannelUpdate.Kind) {
        switch kind {
        case .nav: self = .nav
        case .sig: self = .sig
        case .single: self = .single
        }
    }
}

extension Accounting {
    fileprivate init(_ wire: FrameAccounting) {
        self.init()
        expected = wire.expected
        placed = wire.placed
        missing = wire.missing
        rejected = wire.rejected
        duplicates = wire.duplicates
        strays = wire.strays
        leadInFrames = wire.leadInFrames
        flybackFrames = wire.flybackFrames
        tailFrames = wire.tailFrames
        malformed = wire.malformed
        garbageBytes = wire.garbageBytes
        otherMessages = wire.otherMessages
        droppedByRingFull = wire.droppedByRingFull
        missingRanges = wire.missingRanges
    }
}

extension ParameterValue {
    /// The value as on the command line.
    fileprivate var plainText: String {
        if case .text(let text) = self { text } else { json }
    }
}

/// Runs `work`, and cancels it when `limit` has passed.
private func withTimeLimit<Value: Sendable>(
    _ limit: Duration, _ work: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await work() }
        group.addTask {
            try await Task.sleep(for: limit)
            return nil
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() ?? nil else {
            throw RunError.timedOut("the time limit of \(limit) passed before the acquisition had ended", nil)
        }
        return value
    }
}
