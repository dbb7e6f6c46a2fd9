import Foundation
import StemwireAcquisition
import StemwireProtocol
import StemwireSystem
import StemwireUDF
import StemwireWire
import Synchronization
import ZeroMQ

/// Gathers the server's status from its parts. Any thread.
final class StatusReport: Sendable {
    private struct Attached: Sendable {
        var link: DetectorLink?
        var watch: DetectorWatch?
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
    private let frames: FrameStore
    private let pins: TilePins
    private let began = ContinuousClock.now
    /// Acquisitions that had ended when the detector was armed last; −1 when it is not armed by this server.
    private let endedWhenArmed = Atomic<Int>(-1)
    /// The first acquisition since this server armed the detector, and whether it was armed to go on.
    private let series = Locked<(first: UInt64, isEndless: Bool)>((0, false))
    private let attached = Locked(Attached())
    let subscribers = SubscriberBook()

    init(
        configuration: ServerConfiguration, ring: FrameRing, receiver: MerlinReceiver, table: RunTable,
        frames: FrameStore, pins: TilePins
    ) {
        self.configuration = configuration
        self.ring = ring
        self.receiver = receiver
        self.table = table
        self.frames = frames
        self.pins = pins
    }

    func attach(
        link: DetectorLink, watch: DetectorWatch, live: LivePublisher.Counters, work: WorkSocket.Counters,
        dispatch: Locked<DispatchReport>, control: ControlService.Counters, guards: [SocketGuard],
        gatekeeper: Gatekeeper?
    ) {
        attached.withLock {
            $0 = Attached(
                link: link, watch: watch, live: live, work: work, dispatch: dispatch, control: control, guards: guards,
                gatekeeper: gatekeeper)
        }
    }

    func detach() { attached.withLock { $0 = Attached() } }

    /// The detector has been armed; the state shows it also while the acquisition header is on its way.
    func armed() { endedWhenArmed.store(receiver.counters.endedAcquisitions, ordering: .releasing) }

    /// The detector has been armed, for one acquisition or for a series of them that begins with generation `first`.
    func begins(series first: UInt64, isEndless: Bool) { series.value = (first, isEndless) }

    /// The detector is not armed any more, whether or not a frame came.
    func disarmed() { endedWhenArmed.store(-1, ordering: .releasing) }

    var isDataConnected: Bool { attached.withLock { $0.link }?.state.isConnected ?? false }
    /// What the detector said of itself last; nil when it has not.
    var detectorFacts: DetectorFacts? { attached.withLock { $0.watch }?.state.facts }
    /// Why there is no data connection; empty when there is.
    var lossReason: String { attached.withLock { $0.link }?.state.reason ?? "" }

    /// `disconnected`, `idle`, `armed` or `acquiring`.
    var state: String {
        guard isDataConnected else { return "disconnected" }
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
        status.detector = detector(attached.link?.state, attached.watch?.state)
        status.armed = status.state == "armed" || status.state == "acquiring"
        status.versions = Self.versions
        if let disk = DiskSpace(of: diskDirectory) {
            status.disk.directory = disk.directory
            (status.disk.bytesTotal, status.disk.bytesFree) = (UInt64(disk.bytesTotal), UInt64(disk.bytesFree))
        }
        let records = table.acquisitions
        if let newest = records.last {
            if newest.summary == nil {
                status.acquisition = running(newest)
                if let before = records.dropLast().last { status.previousAcquisition = ended(before) }
            } else {
                status.previousAcquisition = ended(newest)
            }
        }
        if let newest = records.last, let run = newest.runs.first(where: { recording(in: [$0.requests]) != nil }) {
            status.framesWritten = UInt64(run.progress().processed)
            status.fileUri = recording(in: [run.requests])?.uri ?? ""
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
        status.window = window(records, isArmed: status.armed)
        return status
    }

    private func window(_ records: [AcquisitionRecord], isArmed: Bool) -> WireWindowStatus {
        var window = WireWindowStatus()
        let series = series.value
        window.kept = UInt32(table.kept)
        window.endless = series.isEndless && isArmed
        window.firstGeneration = series.first
        window.entries = records.map { record in
            var entry = WireWindowEntry()
            entry.acquisition = .init(record.description.id.bytes)
            entry.generation = record.description.generation
            entry.framesExpected = UInt64(record.description.framesExpected)
            entry.framesHeld = UInt64(frames.frames(of: record.description.generation))
            entry.ended = record.summary != nil
            return entry
        }
        return window
    }

    /// Seconds since results of an acquisition were published last, or since it began; 0 when all have been.
    func resultAge(of record: AcquisitionRecord) -> Double {
        guard !record.isDrained, !record.runs.isEmpty else { return 0 }
        let published = attached.withLock { $0.live }?.updatedAt.load(ordering: .relaxed) ?? 0
        return max(
            0, Double(WallClock.nanoseconds()) / 1e9 - max(Double(published) / 1e9, record.description.startedAt))
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

    /// Where frames would be written that are not recorded: the spool's directory.
    var diskDirectory: String { configuration.spoolDirectory ?? FileManager.default.temporaryDirectory.path }

    /// The first recording that runs with these UDFs make.
    func recording(in runs: [[UDFRequest]]) -> Recording? { runs.joined().lazy.compactMap { Recording($0) }.first }

    /// An acquisition that has ended.
    func acquisition(_ summary: AcquisitionSummary) -> WireAcquisitionStatus {
        let record = table.acquisitions.last { $0.description.generation == summary.generation }
        return Self.acquisition(summary, record)
    }

    static func acquisition(_ summary: AcquisitionSummary, _ record: AcquisitionRecord?) -> WireAcquisitionStatus {
        var status = record.map { WireAcquisitionStatus($0) } ?? WireAcquisitionStatus(summary)
        status.take(summary)
        return status
    }

    private static let versions: [String: String] = {
        let libzmq = ZMQLibrary.version
        return [
            "server": AcquisitionServer.version, "protocol": "\(ProtocolVersion.current)",
            "libzmq": "\(libzmq.major).\(libzmq.minor).\(libzmq.patch)",
        ]
    }()

    private func detector(_ link: LinkWatch?, _ control: DetectorWatch.State?) -> WireDetectorStatus {
        var detector = WireDetectorStatus()
        detector.source =
            "merlin://\(configuration.detectorHost):\(configuration.detectorControlPort),\(configuration.detectorDataPort)"
        detector.dataConnected = link?.isConnected ?? false
        detector.reason = link?.reason ?? ""
        detector.connections = UInt32(clamping: link?.connections ?? 0)
        detector.controlConnected = control?.isConnected ?? false
        detector.controlReason = control?.reason ?? ""
        if let control, let facts = control.facts {
            detector.settingsAgeMs = (ContinuousClock.now - control.readAt).wholeMilliseconds
            detector.softwareVersion = facts.softwareVersion
            detector.busy = facts.isBusy
            detector.counterDepth = UInt32(clamping: facts.counterDepth ?? 0)
            detector.dtype = facts.dtype ?? ""
            if let height = facts.height, let width = facts.width {
                detector.sigShape = [UInt32(clamping: height), UInt32(clamping: width)]
            }
        }
        detector.deadTimes = DetectorFacts.depths.map { depth in
            var time = WireDeadTime()
            (time.counterDepth, time.seconds) = (UInt32(depth), DetectorFacts.deadTime(depth: depth))
            return time
        }
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
        navShape = summary.navShape?.wire ?? []
        take(summary)
    }

    fileprivate mutating func take(_ summary: AcquisitionSummary) {
        endReason = summary.reason.rawValue
        accounting = WireAccounting(summary.accounting)
        seconds = summary.duration / .seconds(1)
        framesPerSecond = seconds > 0 ? Double(summary.accounting.placed) / seconds : 0
    }
}
