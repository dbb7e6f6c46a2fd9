import StemwireClient
import StemwireProtocol

/// What is known of server, acquisition, runs and channels, as JSON: part of each message to a page, and `/status`.
struct StateReport {
    let members: [(String, JSONValue)]

    init(_ state: LiveState, detectors: [String: DetectorDesk.Entry], now: ContinuousClock.Instant) {
        members = [
            ("link", Self.link(state, now)),
            ("server", Self.server(state, now)),
            ("acquisition", Self.acquisition(state)),
            ("channels", Self.channels(state, now)),
            ("runs", Self.runs(state)),
            ("detectors", Self.detectors(detectors)),
        ]
    }

    private static func link(_ state: LiveState, _ now: ContinuousClock.Instant) -> JSONValue {
        switch state.link {
        case .connected: .object([("state", .string("connected"))])
        case .connecting(let since):
            .object([("state", .string("connecting")), ("forMs", .number(now.milliseconds(since: since)))])
        case .lost(let why, let since):
            .object([
                ("state", .string("lost")), ("reason", .string(why)),
                ("forMs", .number(now.milliseconds(since: since))),
            ])
        }
    }

    private static func server(_ state: LiveState, _ now: ContinuousClock.Instant) -> JSONValue {
        let status = state.status ?? WireStatus()
        return .object([
            ("name", .text(state.server)), ("source", .text(state.source)),
            ("endpoint", .text(state.endpoint)), ("state", .text(status.state)),
            ("statusAgeMs", state.statusAt.map { .number(now.milliseconds(since: $0)) } ?? .null),
            ("uptimeMs", .int(status.uptimeMs)), ("acquisitions", .int(status.acquisitions)),
            (
                "detector",
                .object([
                    ("source", .text(status.detector.source)), ("connected", .bool(status.detector.dataConnected)),
                    ("reason", .text(status.detector.reason)), ("frames", .int(status.detector.framesReceived)),
                    ("bytes", .int(status.detector.bytesReceived)),
                ])
            ),
            (
                "ring",
                .object([
                    ("bytes", .int(status.ring.bytesTotal)), ("slots", .int(status.ring.slotsTotal)),
                    ("free", .int(status.ring.slotsFree)), ("retained", .int(status.ring.slotsRetained)),
                    ("waits", .int(status.ring.waitsForSpace)),
                ])
            ),
            ("tilesDropped", .int(status.live.tilesDropped)), ("subscriptions", .int(status.live.subscriptions)),
            ("workPeers", .int(status.workPeers)), ("updates", .int(state.updates)),
            ("missed", .int(state.missed)), ("workers", workers(status)),
            (
                "dispatch",
                .object([
                    ("waiting", .int(status.dispatch.partitionsWaiting)),
                    ("inFlight", .int(status.dispatch.partitionsInFlight)),
                    ("redone", .int(status.dispatch.partitionsRedone)),
                    ("lost", .int(status.dispatch.workersLost)), ("givenUp", .int(status.dispatch.framesGivenUp)),
                ])
            ),
        ])
    }

    /// Those that are told at most.
    private static let workerLimit = 16

    private static func workers(_ status: WireStatus) -> JSONValue {
        .array(
            status.workers.prefix(workerLimit).map { worker in
                .object([
                    ("name", .text(worker.name)), ("local", .bool(worker.isLocal)), ("threads", .int(worker.threads)),
                    ("inFlight", .int(worker.inFlight)), ("done", .int(worker.done)), ("failed", .int(worker.failed)),
                    ("rate", .number(worker.rate)), ("silentMs", .int(worker.lastBeatMs)),
                ])
            })
    }

    /// The acquisitions before the present one, the newest first.
    static func past(_ state: LiveState) -> JSONValue {
        .array(
            state.past.map { past in
                var members: [(String, JSONValue)] = [
                    ("id", .string(past.id.description)), ("generation", .int(past.generation)),
                    ("navShape", .ints(past.end?.navShape ?? past.start?.navShape ?? [])),
                    ("endReason", past.end.map { .string($0.reason.description) } ?? .null),
                    ("seconds", .number(past.end?.seconds ?? 0)),
                    ("startedAt", past.start.map { .int($0.startedAt / 1_000_000) } ?? .null),
                ]
                if let counts = past.end?.accounting { members.append(("accounting", JSONValue(counts))) }
                let channels = past.channels.keys.filter { !$0.run.hasPrefix(DetectorDesk.runPrefix) }
                members.append(
                    (
                        "channels",
                        .array(
                            channels.sorted { $0.description < $1.description }.map { name in
                                .object([
                                    ("run", .string(name.run)), ("udf", .string(name.udf)),
                                    ("channel", .string(name.channel)),
                                    ("kind", .string(past.channels[name]?.content.kind.word ?? "single")),
                                ])
                            })
                    ))
                return .object(members)
            })
    }

    private static func acquisition(_ state: LiveState) -> JSONValue {
        guard let acquisition = state.acquisition else { return .null }
        var members: [(String, JSONValue)] = [
            ("id", .string(acquisition.id.description)), ("generation", .int(acquisition.generation)),
        ]
        if let start = acquisition.start {
            members += [
                ("navShape", .ints(start.navShape)),
                ("sigShape", start.sigShape.map { .ints([$0.height, $0.width]) } ?? .null),
                ("dtype", .text(start.dtype)), ("pixelType", .text(start.pixelType)),
                ("counterDepth", start.counterDepth.map { .int($0) } ?? .null),
                ("expected", .int(start.framesExpected)), ("startedAt", .int(start.startedAt / 1_000_000)),
            ]
        }
        if let end = acquisition.end {
            let counts = end.accounting
            members += [
                ("endReason", .string(end.reason.description)), ("seconds", .number(end.seconds)),
                ("framesPerSecond", .number(end.seconds > 0 ? Double(counts.placed) / end.seconds : 0)),
                ("processed", .int(end.framesProcessed)), ("failed", .int(end.framesFailed)),
                ("accounting", JSONValue(counts)),
            ]
        } else if let running = state.runningStatus {
            members += [
                ("endReason", .null), ("seconds", .number(running.seconds)),
                ("framesPerSecond", .number(running.framesPerSecond)), ("processed", .int(running.framesProcessed)),
                ("placed", .int(running.accounting.placed)),
            ]
        }
        return .object(members)
    }

    /// Without those of virtual detectors, which are reached by the detector's id.
    private static func channels(_ state: LiveState, _ now: ContinuousClock.Instant) -> JSONValue {
        let shown = state.channels.filter { !$0.key.run.hasPrefix(DetectorDesk.runPrefix) }
            .sorted { $0.key.description < $1.key.description }
        return .array(
            shown.map { name, channel in
                .object([
                    ("run", .string(name.run)), ("udf", .string(name.udf)), ("channel", .string(name.channel)),
                    ("kind", .string(channel.content.kind.word)), ("dtype", .string(channel.content.dtype.rawValue)),
                    ("shape", .ints(channel.content.shape)),
                    ("ageMs", .number(now.milliseconds(since: channel.receivedAt))),
                ])
            })
    }

    private static func runs(_ state: LiveState) -> JSONValue {
        .array(
            (state.status?.runs ?? []).filter { !$0.run.hasPrefix(DetectorDesk.runPrefix) }.map { run in
                .object([
                    ("run", .string(run.run)), ("processed", .int(run.positionsProcessed)),
                    ("expected", .int(run.positionsExpected)), ("failed", .int(run.framesFailed)),
                    ("error", .text(run.error)), ("finished", .bool(run.finished)),
                    ("udfs", .array(run.udfs.map { .object([("id", .string($0.id)), ("name", .string($0.name))]) })),
                ])
            })
    }

    private static func detectors(_ entries: [String: DetectorDesk.Entry]) -> JSONValue {
        .array(
            entries.sorted { $0.key < $1.key }.map { id, entry in
                .object([
                    ("id", .string(id)), ("udf", .string(entry.wanted.udf)), ("run", .text(entry.runs.first ?? "")),
                    (
                        "parameters",
                        .object(entry.wanted.parameters.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
                    ),
                    ("applied", .bool(entry.applied == entry.wanted)), ("problem", .text(entry.problem ?? "")),
                ])
            })
    }
}

extension JSONValue {
    init(_ counts: FrameAccounting) {
        self = .object([
            ("expected", .int(counts.expected)), ("placed", .int(counts.placed)), ("missing", .int(counts.missing)),
            ("rejected", .int(counts.rejected)), ("duplicates", .int(counts.duplicates)),
            ("strays", .int(counts.strays)), ("leadIn", .int(counts.leadInFrames)),
            ("flyback", .int(counts.flybackFrames)), ("tail", .int(counts.tailFrames)),
            ("malformed", .int(counts.malformed)), ("garbageBytes", .int(counts.garbageBytes)),
            ("droppedByRingFull", .int(counts.droppedByRingFull)), ("balanced", .bool(counts.isBalanced)),
            ("missingRanges", .int(counts.missingRanges.count)),
            ("missingRangesTruncated", .bool(counts.missingRangesTruncated)),
        ])
    }
}
