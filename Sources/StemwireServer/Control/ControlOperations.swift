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
    /// What the operations work with.
    struct Parts: Sendable {
        let session: [UInt8]
        let table: RunTable
        let results: ResultDesk
        let receiver: MerlinReceiver
        let frames: FrameStore
        let detector: DetectorControl
        let scan: ScanOfArming
        let status: StatusReport
        let history: HistoryStore?
        /// Told what an operator wants to know.
        let announce: @Sendable (WireEvent) -> Void
        let livePort: Int
        let workPort: Int
        /// Of control, live and work.
        let guards: [SocketGuard]
    }

    let configuration: ServerConfiguration
    let parts: Parts
    /// Known once the control socket is bound, before the first request.
    let controlPort = Atomic<Int>(0)
    /// Whether this detector sends its acquisition headers when it is armed; false once one did not come.
    let headersComeAtOnce = Atomic<Bool>(true)
    let armingWatch = Locked(ArmingWatch())
    /// NUMFRAMESTOACQUIRE before an endless arming from here made it 0; nil when it is as it was.
    let framesBeforeEndless = Locked<Int?>(nil)

    var table: RunTable { parts.table }
    var receiver: MerlinReceiver { parts.receiver }
    var detector: DetectorControl { parts.detector }
    var status: StatusReport { parts.status }

    init(configuration: ServerConfiguration, parts: Parts) {
        self.configuration = configuration
        self.parts = parts
    }

    var presentState: String { status.state }

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
            return await snapshot(wanted, deadline)
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
            reply.done = doneNow()
        case .stopRun(let run):
            guard table.stop(name: run.run) else { return .failure(.notFound, "there is no run \"\(run.run)\"") }
            reply.done = doneNow()
        case .detector(let wanted):
            return await detectorRequest(wanted, deadline)
        case .configure(let wanted):
            return await configure(wanted, deadline)
        case .commandFile(let wanted):
            return await commandFile(wanted, deadline)
        case .check(let wanted):
            return await check(wanted, deadline)
        case .arm(let arm):
            return await self.arm(arm, deadline)
        case .trigger:
            return await trigger(deadline)
        case .stop:
            return await end(.stop, deadline)
        case .abort:
            return await end(.abort, deadline)
        case .scan(let wanted):
            return await scan(wanted, id: request.id, deadline)
        case .wait(let wanted):
            return await wait(wanted, deadline)
        case .image(let wanted):
            return await image(wanted, deadline)
        case .frame(let wanted):
            return frame(wanted)
        case .history(let wanted):
            return await history(wanted, deadline)
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
        welcome.session = .init(parts.session)
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
        directory.livePort = UInt32(parts.livePort)
        directory.workPort = UInt32(parts.workPort)
        let source = configuration.sourceName
        directory.topics = [
            Topic.acquisition(source: source), .tile(source: source), .results(source: source), .event(source: source),
        ].map(\.text)
        directory.udfs = configuration.registry.entries.map(\.name)
        directory.endpoints = parts.guards.flatMap(\.endpoints)
        return directory
    }

    /// The acquisition with this id; for an empty one the present or last.
    func record(_ id: [UInt8]) throws(RequestFailure) -> AcquisitionRecord {
        let records = table.acquisitions
        guard let record = id.isEmpty ? records.last : records.last(where: { $0.description.id.bytes == id }) else {
            throw RequestFailure(
                code: .notFound,
                message: id.isEmpty ? "no acquisition has begun yet" : "that acquisition is not kept (any more)")
        }
        return record
    }

    /// Computes a run's results; where that takes too long for the request, those of before are taken.
    func compute(_ run: ActiveRun, _ deadline: ContinuousClock.Instant) async {
        await parts.results.compute(run, by: deadline - (deadline - .now) / 4)
    }

    private func snapshot(
        _ wanted: WireSnapshotRequest, _ deadline: ContinuousClock.Instant
    ) async -> ControlAnswer {
        let record: AcquisitionRecord
        do throws(RequestFailure) {
            record = try self.record([UInt8](wanted.acquisition))
        } catch {
            return error.answer
        }
        for run in record.runs where wanted.run.isEmpty || run.name == wanted.run {
            await compute(run, deadline)
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

    func start(_ run: WireStartRunRequest, _ payload: [ReceivedPart] = []) -> ControlAnswer {
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
}

extension RequestedScan {
    init(_ arm: WireArmRequest) {
        self.init(
            shape: arm.navShape.isEmpty ? nil : arm.navShape.map { Int($0) },
            margins: arm.hasMargins ? ScanMargins(arm.margins) : nil,
            framesPerPartition: arm.framesPerPartition == 0 ? nil : Int(arm.framesPerPartition))
    }
}

extension ScanMargins {
    init(_ wire: WireScanMargins) {
        self.init(leadIn: Int(wire.leadIn), flybackPerLine: Int(wire.flybackPerLine), tail: Int(wire.tail))
    }
}
