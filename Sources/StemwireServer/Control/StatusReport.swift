import StemwireAcquisition
import StemwireProtocol
import StemwireSystem
import StemwireWire
import Synchronization

/// Gathers the server's status from its parts. Any thread.
final class StatusReport: Sendable {
    private struct Attached: Sendable {
        var link: DetectorLink?
        var live: LivePublisher.Counters?
        var work: WorkSocket.Counters?
        var dispatch: Locked<DispatchReport>?
        var control: ControlService.Counters?
        var guards: [SocketGuard] = []
        var gatekeeper: Gatekeeper?
    }

    private static let earlierAcquisitions = 8
    private static let earlierMissingRanges = 64

    private let configuration: ServerConfiguration
    private let ring: FrameRing
    private let receiver: MerlinReceiver
    private let table: RunTable
    private let pins: TilePins
    private let began = ContinuousClock.now
    /// Acquisitions that had ended when the detector was armed last; −1 when it is not armed by this server.
    private let endedWhenArmed = Atomic<Int>(-1)
    private let attached = Locked(Attached())
    let subscribers = SubscriberBook()

    init(
        configuration: ServerConfiguration, ring: FrameRing, receiver: MerlinReceiver, table: RunTable, pins: TilePins
    ) {
        self.configuration = configuration
        self.ring = ring
        self.receiver = receiver
        self.table = table
        self.pins = pins
    }

    func attach(
        link: DetectorLink, live: LivePublisher.Counters, work: WorkSocket.Counters, dispatch: Locked<DispatchReport>,
        control: ControlService.Counters, guards: [SocketGuard], gatekeeper: Gatekeeper?
    ) {
        attached.withLock {
            $0 = Attached(
                link: link, live: live, work: work, dispatch: dispatch, control: control, guards: guards,
                gatekeeper: gatekeeper)
        }
    }

    /// The detector has been armed; the state shows it also while the acquisition header is on its way.
    func armed() { endedWhenArmed.store(receiver.counters.endedAcquisitions, ordering: .releasing) }

    /// The detector is not armed any more, whether or not a frame came.
    func disarmed() { endedWhenArmed.store(-1, ordering: .releasing) }

    /// `disconnected`, `idle`, `armed` or `acquiring`.
    var state: String {
        guard attached.withLock({ $0.link?.state.isConnected ?? false }) else { return "disconnected" }
        return switch receiver.counters.state {
        case .idle: endedWhenArmed.load(ordering: .acquiring) == receiver.counters.endedAcquisitions ? "armed" : "idle"
        case .armed: "armed"
        case .running: "acquiring"
        }
    }

    func wire() -> WireStatus {
        let attached = attached.withLock { $0 }
        var status = WireStatus()
        status.server = AcquisitionServer.version
        status.state = state
        status.detector = detector(attached.link?.state)
        let records = table.acquisitions
        if let newest = records.last {
            if newest.summary == nil {
                status.acquisition = running(newest)
                if let before = records.dropLast().last { status.previousAcquisition = ended(before) }
            } else {
                status.previousAcquisition = ended(newest)
            }
        }
        let summaries = table.summaries
        if let last = summaries.last, last.generation > (records.last?.description.generation ?? 0) {
            status.previousAcquisition = WireAcquisitionStatus(last)
        }
        status.earlierAcquisitions = summaries.filter { $0.generation < status.previousAcquisition.generation }
            .suffix(Self.earlierAcquisitions).map { summary in
                var earlier = WireAcquisitionStatus(summary)
                earlier.accounting.limitRanges(to: Self.earlierMissingRanges)
                return earlier
            }
        status.ring = ringStatus()
        status.live.subscriptions = UInt32(attached.live?.subscriptions.load(ordering: .relaxed) ?? 0)
        status.live.tilesPublished = attached.live?.tilesPublished.load(ordering: .relaxed) ?? 0
        status.live.tilesDropped = attached.live?.tilesDropped.load(ordering: .relaxed) ?? 0
        status.live.updatesPublished = attached.live?.updatesPublished.load(ordering: .relaxed) ?? 0
        status.live.bytesPinned = UInt64(pins.pinnedBytes)
        status.runs = runs(records.last)
        status.uptimeMs = UInt64((ContinuousClock.now - began) / .milliseconds(1))
        status.acquisitions = UInt64(table.acquisitionCount)
        status.malformedControl = attached.control?.malformed.load(ordering: .relaxed) ?? 0
        status.malformedWork = attached.work?.malformed.load(ordering: .relaxed) ?? 0
        status.malformedLive =
            (attached.live?.refusedSubscriptions.load(ordering: .relaxed) ?? 0) + failedHandshakes("live", attached)
        status.workPeers = UInt32(attached.work?.peers.load(ordering: .relaxed) ?? 0)
        if let report = attached.dispatch?.withLock({ $0 }) {
            status.workers = report.workers
            status.dispatch = report.dispatch
        }
        status.subscribers = subscribers.wire()
        status.access = access(attached)
        return status
    }

    private func failedHandshakes(_ service: String, _ attached: Attached) -> UInt64 {
        attached.guards.filter { $0.service == service }.reduce(0) { sum, access in
            sum + access.counters.failedHandshakes.load(ordering: .relaxed)
                + access.counters.refusedKeys.load(ordering: .relaxed)
        }
    }

    private func access(_ attached: Attached) -> WireAccessStatus {
        var status = WireAccessStatus()
        status.keysNeeded = attached.gatekeeper != nil
        status.enrolled = UInt32(attached.gatekeeper?.count ?? 0)
        status.sockets = attached.guards.map { access in
            var socket = WireSocketAccess()
            socket.socket = access.service
            socket.connections = UInt32(max(0, access.counters.connections.load(ordering: .relaxed)))
            socket.failedHandshakes = access.counters.failedHandshakes.load(ordering: .relaxed)
            socket.refusedKeys = access.counters.refusedKeys.load(ordering: .relaxed)
            socket.refusedConnections = access.counters.refusedConnections.load(ordering: .relaxed)
            socket.refusedRequests = access.counters.refusedRequests.load(ordering: .relaxed)
            socket.cutConnections = access.counters.cutConnections.load(ordering: .relaxed)
            return socket
        }
        return status
    }

    private func detector(_ link: DetectorLink.State?) -> WireDetectorStatus {
        var detector = WireDetectorStatus()
        detector.source =
            "merlin://\(configuration.detectorHost):\(configuration.detectorControlPort),\(configuration.detectorDataPort)"
        detector.dataConnected = link?.isConnected ?? false
        detector.reason = link?.reason ?? ""
        detector.bytesReceived = UInt64(receiver.counters.bytes)
        detector.framesReceived = UInt64(receiver.counters.frames)
        return detector
    }

    private func ringStatus() -> WireRingStatus {
        var status = WireRingStatus()
        status.bytesTotal = UInt64(ring.slotCount * ring.slotBytes)
        status.slotsTotal = UInt32(ring.slotCount)
        status.slotsFree = UInt32(ring.freeSlots)
        status.slotsRetained = UInt32(ring.heldSlots)
        status.waitsForSpace = UInt64(receiver.counters.ringFullWaits)
        return status
    }

    private func running(_ record: AcquisitionRecord) -> WireAcquisitionStatus {
        var status = WireAcquisitionStatus(record)
        let counters = receiver.counters
        if counters.generation == record.description.generation {
            status.accounting.expected = UInt64(record.description.framesExpected)
            status.accounting.placed = UInt64(counters.positionsPlaced)
        }
        let seconds = max(0, Double(WallClock.nanoseconds()) / 1e9 - record.description.startedAt)
        status.seconds = seconds
        status.framesPerSecond = seconds > 0 ? Double(status.accounting.placed) / seconds : 0
        return status
    }

    private func ended(_ record: AcquisitionRecord) -> WireAcquisitionStatus {
        var status = WireAcquisitionStatus(record)
        if let summary = record.summary { status.take(summary) }
        return status
    }

    private func runs(_ newest: AcquisitionRecord?) -> [WireRunStatus] {
        let registered = table.registered
        let active = newest?.runs ?? []
        var all = active.map { run in
            var status = WireRunStatus()
            status.run = run.name
            status.udfs = run.requests.map { WireUdfRequest($0) }
            let progress = run.progress()
            status.positionsProcessed = UInt64(progress.processed)
            status.positionsExpected = UInt64(progress.expected)
            status.framesFailed = UInt64(progress.failedFrames)
            status.error = progress.error ?? ""
            status.finished = progress.isFinal
            status.acquisitionsLeft = UInt32(
                registered.first { $0.name == run.name }?.acquisitionsLeft ?? 0)
            return status
        }
        for run in registered where !active.contains(where: { $0.name == run.name }) {
            var status = WireRunStatus()
            status.run = run.name
            status.udfs = run.requests.map { WireUdfRequest($0) }
            status.acquisitionsLeft = UInt32(run.acquisitionsLeft ?? 0)
            all.append(status)
        }
        return all
    }

    /// The runs that are registered or active.
    func runs() -> [WireRunStatus] { runs(table.acquisitions.last) }
}

extension WireAcquisitionStatus {
    fileprivate init(_ record: AcquisitionRecord) {
        self.init()
        acquisition = .init(record.description.id.bytes)
        generation = record.description.generation
        navShape = record.description.navShape.wire
        sigShape = [UInt32(record.description.sigShape.height), UInt32(record.description.sigShape.width)]
        framesProcessed = UInt64(record.runs.map { $0.progress().processed }.min() ?? 0)
    }

    fileprivate init(_ summary: AcquisitionSummary) {
        self.init()
        acquisition = .init(summary.id.bytes)
        generation = summary.generation
        take(summary)
    }

    fileprivate mutating func take(_ summary: AcquisitionSummary) {
        endReason = summary.reason.rawValue
        accounting = WireAccounting(summary.accounting)
        seconds = summary.duration / .seconds(1)
        framesPerSecond = seconds > 0 ? Double(summary.accounting.placed) / seconds : 0
    }
}
