import StemwireProtocol
import ZeroMQ

/// How an acquisition is to be triggered.
public enum TriggerMode: String, Sendable, Hashable, CaseIterable {
    /// By ``StemwireConnection/trigger(deadline:)``.
    case soft
    /// By the detector itself, at once.
    case `internal`
}

/// One UDF of a run.
public struct UDFSelection: Sendable, Hashable {
    /// Unique in its run; empty: the name.
    public var id: String
    public var name: String
    /// As on the command line: `["cy": "128", "r": "30"]`.
    public var parameters: [String: String]

    public init(_ name: String, id: String = "", parameters: [String: String] = [:]) {
        self.id = id
        self.name = name
        self.parameters = parameters
    }
}

/// A command was done.
public struct CommandResult: Sendable, Hashable {
    /// Frames placed so far in the acquisition concerned, and those it should have.
    public let framesPlaced: Int
    public let framesExpected: Int
    public let generation: UInt64
    /// Of stop and abort: how the acquisition ended; nil when there was none, or it had not ended in time.
    public let endReason: String?
    /// The server's state before and after the command.
    public let stateBefore: ServerState
    public let stateAfter: ServerState
}

/// Requests. Each waits for its reply, `deadline` at most, and throws ``ControlFailure``: the server's, the detector's, or
/// `noReply` when the deadline has passed; the connection is as good as before then. Several may be under way at a time.
extension StemwireConnection {
    /// Sends any request of the protocol. An empty id is filled in by a random one.
    ///
    /// - Parameter payload: parts behind the request: the arrays of a run.
    public func request(
        _ request: WireRequest, payload: [[UInt8]] = [], deadline: Duration = .seconds(5)
    ) async throws(ControlFailure) -> ControlReply {
        try await core.request(request, payload: payload, deadline: deadline).get()
    }

    /// The state of server, detector, acquisitions, ring and runs.
    public func status(deadline: Duration = .seconds(5)) async throws(ControlFailure) -> WireStatus {
        var wire = WireRequest()
        wire.status = WireStatusRequest()
        return try await ask(wire, deadline) { if case .status(let status)? = $0.wire.kind { status } else { nil } }
    }

    /// Ports, topics and UDFs of the server.
    public func directory(deadline: Duration = .seconds(5)) async throws(ControlFailure) -> WireDirectory {
        var wire = WireRequest()
        wire.directory = WireDirectoryRequest()
        return try await ask(wire, deadline) { if case .directory(let found)? = $0.wire.kind { found } else { nil } }
    }

    /// Present results of an acquisition; nil stands for all channels, and for the acquisition that runs or ran last.
    public func snapshot(
        run: String? = nil, udf: String? = nil, channel: String? = nil, acquisition: AcquisitionUUID? = nil,
        deadline: Duration = .seconds(5)
    ) async throws(ControlFailure) -> ResultSnapshot {
        var wire = ChannelFilter(run: run, udf: udf, channel: channel).request
        if let acquisition { wire.snapshot.acquisition = .init(acquisition.bytes) }
        let reply = try await request(wire, deadline: deadline)
        guard case .snapshot(let snapshot)? = reply.wire.kind else { throw Self.unexpected(reply) }
        do throws(MalformedMessage) {
            return try ResultSnapshot(
                snapshot, payloads: reply.payloads[...], verifiesChecksums: core.verifiesResults)
        } catch {
            throw ControlFailure(.unexpectedReply, error.description)
        }
    }

    // MARK: Detector

    /// The value of a detector variable, such as `COUNTERDEPTH`.
    public func detectorGet(
        _ name: String, deadline: Duration = .seconds(5)
    ) async throws(ControlFailure) -> String {
        var wire = WireRequest()
        wire.detector.get = name
        return try await ask(wire, deadline) {
            if case .detector(let reply)? = $0.wire.kind { reply.value } else { nil }
        }
    }

    /// Sets a detector variable.
    public func detectorSet(
        _ name: String, to value: String, deadline: Duration = .seconds(5)
    ) async throws(ControlFailure) {
        var wire = WireRequest()
        wire.detector.set.name = name
        wire.detector.set.value = value
        try await ask(wire, deadline) { if case .detector? = $0.wire.kind { () } else { nil } }
    }

    /// Has the detector do a command, such as `SOFTTRIGGER`.
    public func detectorCommand(
        _ name: String, deadline: Duration = .seconds(5)
    ) async throws(ControlFailure) {
        var wire = WireRequest()
        wire.detector.cmd = name
        try await ask(wire, deadline) { if case .detector? = $0.wire.kind { () } else { nil } }
    }

    /// Sets what is given and has the detector wait for its trigger.
    ///
    /// - Parameters:
    ///   - navShape: of the scan, slow axis first, -1 as a placeholder; nil: as the server was told.
    ///   - frames: to be acquired; nil: as the detector is set.
    ///   - trigger: nil: as the detector is set.
    ///   - margins: declared frames that are no scan positions; nil: as the server was told.
    ///   - framesPerPartition: scan positions in a partition; nil: as the server was told.
    @discardableResult
    public func arm(
        navShape: [Int]? = nil, frames: Int? = nil, trigger: TriggerMode? = nil, margins: FrameMargins? = nil,
        framesPerPartition: Int? = nil, deadline: Duration = .seconds(5)
    ) async throws(ControlFailure) -> CommandResult {
        try await arm(
            ArmSettings(
                navShape: navShape, frames: frames, trigger: trigger, margins: margins,
                framesPerPartition: framesPerPartition), deadline: deadline)
    }

    /// Triggers an armed detector by software.
    @discardableResult
    public func trigger(deadline: Duration = .seconds(5)) async throws(ControlFailure) -> CommandResult {
        var wire = WireRequest()
        wire.trigger = WireTriggerRequest()
        return try await command(wire, deadline)
    }

    /// Stops the acquisition; frames on their way still count. Returns when it is over.
    @discardableResult
    public func stop(deadline: Duration = .seconds(5)) async throws(ControlFailure) -> CommandResult {
        var wire = WireRequest()
        wire.stop = WireStopRequest()
        return try await command(wire, deadline)
    }

    /// Ends the acquisition at once; what is on its way is discarded.
    @discardableResult
    public func abort(deadline: Duration = .seconds(5)) async throws(ControlFailure) -> CommandResult {
        var wire = WireRequest()
        wire.abort = WireAbortRequest()
        return try await command(wire, deadline)
    }

    // MARK: Runs

    /// Starts a run of UDFs on the next acquisition, or acquisitions.
    ///
    /// - Parameters:
    ///   - run: its name; nil: the server makes one.
    ///   - acquisitions: how many to run on; nil: until stopped.
    ///   - joinCurrent: whether to take part in the acquisition that runs, from now on.
    ///   - fromStart: with `joinCurrent`: also in what came before, as far as the server still has the frames.
    ///   - arrays: region of interest, corrections, auxiliary data.
    ///   - keepsIsolatedPixels: whether an excluded pixel without a good neighbour keeps its value; an error else.
    /// - Returns: the run's name.
    public func startRun(
        _ udfs: [UDFSelection], run: String? = nil, acquisitions: Int? = nil, joinCurrent: Bool = false,
        fromStart: Bool = false, arrays: [RunArray] = [], keepsIsolatedPixels: Bool = false,
        deadline: Duration = .seconds(5)
    ) async throws(ControlFailure) -> String {
        var wire = WireRequest()
        wire.startRun.arrays = arrays.map(\.header)
        wire.startRun.keepsIsolatedPixels = keepsIsolatedPixels
        wire.startRun.run = run ?? ""
        wire.startRun.udfs = udfs.map(\.wire)
        wire.startRun.acquisitions = UInt32(clamping: acquisitions ?? 0)
        wire.startRun.joinCurrent = joinCurrent
        wire.startRun.fromStart = fromStart
        return try await ask(wire, payload: arrays.map(\.bytes), deadline) {
            if case .runStarted(let run)? = $0.wire.kind { run.run } else { nil }
        }
    }

    /// Gives UDFs of a run other parameters, from the next partition on.
    ///
    /// - Parameters:
    ///   - udfs: those that change, by their ids, with all parameters that are not to have their defaults.
    ///   - recompute: whether what was done with the former parameters is done again, as far as the server still has the
    ///     frames; otherwise it stays, and the update says where (``ChannelUpdate/generations``).
    @discardableResult
    public func changeRun(
        _ run: String, to udfs: [UDFSelection], recompute: Bool = false, deadline: Duration = .seconds(5)
    ) async throws(ControlFailure) -> CommandResult {
        var wire = WireRequest()
        wire.changeRun.run = run
        wire.changeRun.udfs = udfs.map(\.wire)
        wire.changeRun.recompute = recompute
        return try await command(wire, deadline)
    }

    @discardableResult
    public func stopRun(_ run: String, deadline: Duration = .seconds(5)) async throws(ControlFailure) -> CommandResult {
        var wire = WireRequest()
        wire.stopRun.run = run
        return try await command(wire, deadline)
    }

    public func listRuns(deadline: Duration = .seconds(5)) async throws(ControlFailure) -> [WireRunStatus] {
        var wire = WireRequest()
        wire.listRuns = WireListRunsRequest()
        return try await ask(wire, deadline) { if case .runList(let list)? = $0.wire.kind { list.runs } else { nil } }
    }

    // MARK: Details

    func ask<Value>(
        _ wire: WireRequest, payload: [[UInt8]] = [], _ deadline: Duration, _ read: (ControlReply) -> Value?
    ) async throws(ControlFailure) -> Value {
        let reply = try await request(wire, payload: payload, deadline: deadline)
        guard let value = read(reply) else { throw Self.unexpected(reply) }
        return value
    }

    func command(_ wire: WireRequest, _ deadline: Duration) async throws(ControlFailure) -> CommandResult {
        try await ask(wire, deadline) { reply in
            guard case .done(let done)? = reply.wire.kind else { return nil }
            return CommandResult(
                framesPlaced: WireReading.count(done.framesPlaced),
                framesExpected: WireReading.count(done.framesExpected), generation: done.generation,
                endReason: done.endReason.isEmpty ? nil : done.endReason,
                stateBefore: reply.stateBefore, stateAfter: reply.stateAfter)
        }
    }

    static func unexpected(_ reply: ControlReply) -> ControlFailure {
        ControlFailure(
            .unexpectedReply,
            "the reply is of another kind than was asked for; client and server may differ in version",
            stateBefore: reply.stateBefore, stateAfter: reply.stateAfter)
    }
}

extension UDFSelection {
    var wire: WireUdfRequest {
        var selection = WireUdfRequest()
        selection.id = id
        selection.name = name
        selection.parameters = parameters
        return selection
    }
}
