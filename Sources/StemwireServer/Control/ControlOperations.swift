import StemwireAcquisition
import StemwireKernels
import StemwireProtocol
import StemwireSystem
import StemwireUDF
import StemwireWire
import Synchronization
import ZeroMQ

/// Does what control requests ask: looks things up, passes commands to the detector, starts and stops runs.
final class ControlOperations: ControlHandling {
    private let configuration: ServerConfiguration
    private let session: [UInt8]
    private let table: RunTable
    private let receiver: MerlinReceiver
    private let detector: DetectorControl
    private let scan: ScanOfArming
    private let status: StatusReport
    private let livePort: Int
    private let workPort: Int
    /// Known once the control socket is bound, before the first request.
    let controlPort = Atomic<Int>(0)

    init(
        configuration: ServerConfiguration, session: [UInt8], table: RunTable, receiver: MerlinReceiver,
        detector: DetectorControl, scan: ScanOfArming, status: StatusReport, livePort: Int, workPort: Int
    ) {
        self.configuration = configuration
        self.session = session
        self.table = table
        self.receiver = receiver
        self.detector = detector
        self.scan = scan
        self.status = status
        self.livePort = livePort
        self.workPort = workPort
    }

    func answer(
        _ request: WireRequest, payload: [ReceivedPart], deadline: ContinuousClock.Instant
    ) async -> ControlAnswer {
        let before = status.state
        var answer = await perform(request, payload, deadline)
        answer.reply.stateBefore = before
        answer.reply.stateAfter = status.state
        return answer
    }

    private func perform(
        _ request: WireRequest, _ payload: [ReceivedPart], _ deadline: ContinuousClock.Instant
    ) async -> ControlAnswer {
        guard ProtocolVersion.agreed(minimum: request.version, maximum: request.version) != nil else {
            return .failure(
                .unsupportedVersion,
                "the request is of version \(request.version); this server speaks \(ProtocolVersion.current)")
        }
        var reply = WireReply()
        switch request.kind {
        case .hello(let hello):
            return welcome(hello)
        case .status(let wanted):
            if wanted.hasReport { status.subscribers.note(wanted.report) }
            reply.status = status.wire()
        case .directory:
            reply.directory = directory()
        case .listRuns:
            reply.runList.runs = status.runs()
        case .snapshot(let wanted):
            return snapshot(wanted)
        case .startRun(let run):
            return start(run, payload)
        case .changeRun(let wanted):
            do throws(RunTableError) {
                try table.change(
                    name: wanted.run, to: wanted.udfs.map { UDFRequest($0) }, recomputes: wanted.recompute)
            } catch {
                if case .unknown = error { return .failure(.notFound, error.description) }
                return .failure(.invalidArgument, error.description)
            }
            reply.done = done()
        case .stopRun(let run):
            guard table.stop(name: run.run) else { return .failure(.notFound, "there is no run \"\(run.run)\"") }
            reply.done = done()
        case .detector(let wanted):
            return await detectorRequest(wanted, deadline)
        case .arm(let arm):
            return await self.arm(arm, deadline)
        case .trigger:
            return await command("SOFTTRIGGER", deadline) {}
        case .stop:
            return await command("STOPACQUISITION", deadline) { [receiver, status] in
                receiver.didStop()
                status.disarmed()
            }
        case .abort:
            return await command("ABORT", deadline) { [receiver, status] in
                receiver.didAbort()
                status.disarmed()
            }
        case nil:
            return .failure(.unknownRequest, "the request has no kind, or one that this server does not know")
        }
        return ControlAnswer(reply: reply)
    }

    // MARK: Looking things up

    private func welcome(_ hello: WireHello) -> ControlAnswer {
        guard let version = ProtocolVersion.agreed(minimum: hello.versionMin, maximum: hello.versionMax) else {
            return .failure(
                .unsupportedVersion,
                "the client speaks versions \(hello.versionMin) to \(hello.versionMax), this server \(ProtocolVersion.current)"
            )
        }
        var welcome = WireWelcome()
        welcome.version = version
        welcome.server = AcquisitionServer.version
        welcome.session = .init(session)
        welcome.clock = WallClock.nanoseconds()
        welcome.directory = directory()
        welcome.status = status.wire()
        var reply = WireReply()
        reply.welcome = welcome
        return ControlAnswer(reply: reply)
    }

    private func directory() -> WireDirectory {
        var directory = WireDirectory()
        directory.source = configuration.sourceName
        directory.controlPort = UInt32(controlPort.load(ordering: .acquiring))
        directory.livePort = UInt32(livePort)
        directory.workPort = UInt32(workPort)
        let source = configuration.sourceName
        directory.topics = [
            Topic.acquisition(source: source), .tile(source: source), .results(source: source), .event(source: source),
        ].map(\.text)
        directory.udfs = configuration.registry.entries.map(\.name)
        return directory
    }

    private func snapshot(_ wanted: WireSnapshotRequest) -> ControlAnswer {
        let records = table.acquisitions
        let id = [UInt8](wanted.acquisition)
        guard let record = id.isEmpty ? records.last : records.last(where: { $0.description.id.bytes == id }) else {
            return .failure(
                .notFound, id.isEmpty ? "no acquisition has begun yet" : "that acquisition is not kept (any more)")
        }
        var snapshot = WireSnapshot()
        snapshot.start = WireStart(record.description)
        if let summary = record.summary { snapshot.end = WireEnd(summary, record: record) }
        var payloads: [ControlAnswer.Payload] = []
        for run in record.runs where wanted.run.isEmpty || run.name == wanted.run {
            let state = run.snapshot()
            for channel in state.channels
            where (wanted.udf.isEmpty || channel.udf == wanted.udf)
                && (wanted.channel.isEmpty || channel.name == wanted.channel)
            {
                let item = UpdatePlan.Item(
                    topic: "", start: record.description, run: run.name, channel: channel, processed: state.processed,
                    expected: state.expected, isFinal: state.isFinal, manifest: state.manifest,
                    received: record.receivedCount(of: run))
                let (header, mask) = item.wireUpdate(withChecksums: configuration.sendsChecksums)
                guard payloads.count + 2 < WireLimits.parts else { break }
                snapshot.channels.append(header)
                payloads += [.array(channel.array), .bytes(mask)]
            }
        }
        var reply = WireReply()
        reply.snapshot = snapshot
        return ControlAnswer(reply: reply, payloads: payloads)
    }

    // MARK: Runs

    private func start(_ run: WireStartRunRequest, _ payload: [ReceivedPart]) -> ControlAnswer {
        let name = run.run.isEmpty ? "run-\(AcquisitionID.random().description.prefix(8))" : run.run
        guard Topic.isValidSegment(name) else {
            return .failure(.invalidArgument, "a run's name may have letters, digits, '.', '_' and '-' only")
        }
        guard (1...WireLimits.udfsPerRun).contains(run.udfs.count) else {
            return .failure(.invalidArgument, "\(run.udfs.count) UDFs; a run has 1 to \(WireLimits.udfsPerRun)")
        }
        var requests = run.udfs.map { UDFRequest($0) }
        if let bad = requests.first(where: { !Topic.isValidSegment($0.id) }) {
            return .failure(.invalidArgument, "the id \"\(bad.id)\" may have letters, digits, '.', '_' and '-' only")
        }
        let arrays: ReceivedRunArrays
        do {
            arrays = try ReceivedRunArrays(ReceivedArrays(run.arrays, parts: payload), requests: &requests)
        } catch {
            return .failure(.invalidArgument, "\(error)")
        }
        var corrections = arrays.corrections
        corrections.keepsIsolatedPixels = run.keepsIsolatedPixels
        do throws(RunTableError) {
            try table.start(
                name: name, requests: requests,
                roi: arrays.roi.map(Self.selection),
                corrections: corrections.isEmpty ? configuration.corrections : corrections,
                acquisitions: run.acquisitions == 0 ? nil : Int(run.acquisitions),
                joinsCurrent: run.joinCurrent, fromStart: run.fromStart)
        } catch {
            if case .tooMany = error { return .failure(.busy, error.description) }
            return .failure(.invalidArgument, error.description)
        }
        var reply = WireReply()
        reply.runStarted.run = name
        return ControlAnswer(reply: reply)
    }

    /// The scan positions of a bitmap, for any number of positions; one that does not fit is told so when the run is
    /// planned.
    private static func selection(_ bitmap: [UInt8]) -> @Sendable (_ positions: Int) -> PositionSet {
        { PositionSet(bitmap: bitmap, size: $0) ?? PositionSet(size: bitmap.count * 8) }
    }

    // MARK: The detector

    private func detectorRequest(_ wanted: WireDetectorRequest, _ deadline: ContinuousClock.Instant) async
        -> ControlAnswer
    {
        do throws(DetectorFailure) {
            let value = try await detector.perform(by: deadline) { control, timeLeft -> String in
                switch wanted.kind {
                case .get(let name):
                    return try control.get(name, timeout: timeLeft())
                case .set(let set):
                    try control.set(set.name, to: set.value, timeout: timeLeft())
                case .cmd(let name):
                    try control.command(name, timeout: timeLeft())
                case nil:
                    throw DetectorFailure(code: .invalidArgument, message: "neither get, set nor cmd was given")
                }
                return ""
            }
            var reply = WireReply()
            reply.detector.value = value
            return ControlAnswer(reply: reply)
        } catch {
            return error.answer
        }
    }

    private func arm(_ arm: WireArmRequest, _ deadline: ContinuousClock.Instant) async -> ControlAnswer {
        let before = status.state
        guard before != "acquiring" else {
            return .failure(.wrongState, "an acquisition is running; stop or abort it first")
        }
        let wantedShape = arm.navShape.map { Int($0) }
        if !wantedShape.isEmpty {
            do throws(NavShapeError) {
                let margins = arm.hasMargins ? ScanMargins(arm.margins) : configuration.margins
                _ = try NavShapeResolver(shape: wantedShape, margins: margins).resolve(
                    frameCount: arm.frames == 0 ? nil : Int(clamping: arm.frames))
            } catch {
                return .failure(.invalidArgument, error.description)
            }
        }
        let trigger = DetectorTrigger(rawValue: arm.trigger)
        guard trigger != nil || arm.trigger.isEmpty else {
            return .failure(.invalidArgument, "the trigger \"\(arm.trigger)\" is not known; soft, internal or nothing")
        }
        let (receiver, scan, status) = (receiver, scan, status)
        let wanted = RequestedScan(arm)
        do throws(DetectorFailure) {
            try await detector.perform(by: deadline) { control, timeLeft in
                try control.arm(
                    frames: arm.frames == 0 ? nil : Int(clamping: arm.frames), trigger: trigger,
                    beforeStart: {
                        scan.request(wanted)
                        receiver.willArm()
                        status.armed()
                    }, timeLeft: timeLeft)
            }
        } catch {
            // Where only the answer did not come, the detector may be armed all the same.
            if error.code == .detectorRefused { scan.withdraw() }
            // Who is armed already refuses to be armed again, and stays armed.
            if before != "armed" { status.disarmed() }
            return error.answer
        }
        var reply = WireReply()
        reply.done = done()
        return ControlAnswer(reply: reply)
    }

    private func command(
        _ name: String, _ deadline: ContinuousClock.Instant, then: @escaping @Sendable () -> Void
    ) async -> ControlAnswer {
        do throws(DetectorFailure) {
            try await detector.perform(by: deadline) { control, timeLeft in
                try control.command(name, timeout: timeLeft())
                then()
            }
        } catch {
            return error.answer
        }
        var reply = WireReply()
        reply.done = done()
        return ControlAnswer(reply: reply)
    }

    private func done() -> WireDone {
        var done = WireDone()
        done.framesPlaced = UInt64(receiver.counters.positionsPlaced)
        done.generation = receiver.counters.generation
        return done
    }
}

extension RequestedScan {
    fileprivate init(_ arm: WireArmRequest) {
        self.init(
            shape: arm.navShape.isEmpty ? nil : arm.navShape.map { Int($0) },
            margins: arm.hasMargins ? ScanMargins(arm.margins) : nil,
            framesPerPartition: arm.framesPerPartition == 0 ? nil : Int(arm.framesPerPartition))
    }
}

extension ScanMargins {
    fileprivate init(_ wire: WireScanMargins) {
        self.init(leadIn: Int(wire.leadIn), flybackPerLine: Int(wire.flybackPerLine), tail: Int(wire.tail))
    }
}
