import StemwireClient
import StemwireProtocol
import StemwireServer
import StemwireSystem
import ZeroMQ

/// Requests of viewers: what can be told from the cache is, the rest is the server's to do.
extension RelayService: ControlHandling {
    /// How old a status may be that viewers are told, unless something has happened since: their number is none of the server's burden.
    private static let freshness = Duration.milliseconds(50)
    private static let longestWait = Duration.milliseconds(500)
    /// How much longer than the viewer the relay waits for the server's own word that it took too long.
    private static let grace = Duration.milliseconds(200)

    func answer(
        _ request: WireRequest, payload: [ReceivedPart], deadline: ContinuousClock.Instant
    ) async -> ControlAnswer {
        guard ProtocolVersion.agreed(minimum: request.version, maximum: request.version) != nil else {
            return .failure(
                .unsupportedVersion,
                "the request is of version \(request.version); this relay speaks \(ProtocolVersion.current)")
        }
        var answer: ControlAnswer
        switch request.kind {
        case .hello(let hello): answer = await welcome(hello, deadline)
        case .status(let wanted):
            if wanted.hasReport { subscribers.note(wanted.report) }
            answer = await told { $0.status = $1 }
        case .directory: answer = await told { [directory] reply, _ in reply.directory = directory() }
        case .listRuns: answer = await told { $0.runList.runs = $1.runs }
        case .snapshot(let wanted): answer = await snapshot(wanted, deadline)
        case .startRun, .changeRun, .stopRun, .detector, .arm, .trigger, .stop, .abort, .configure, .commandFile,
            .check, .scan, .wait, .image, .frame, .history:
            return await forward(request, payload, deadline)
        case nil:
            answer = .failure(.unknownRequest, "the request has no kind, or one that this relay does not know")
        }
        let state = status().state
        answer.reply.stateBefore = state
        answer.reply.stateAfter = state
        return answer
    }

    private func told(_ fill: (inout WireReply, WireStatus) -> Void) async -> ControlAnswer {
        let status = await freshStatus()
        var reply = WireReply()
        fill(&reply, status)
        return ControlAnswer(reply: reply)
    }

    /// The server's status of just now, asked for once for all who want it.
    private func freshStatus() async -> WireStatus {
        if !isLost {
            if lastPolled.map({ .now - $0 > Self.freshness }) ?? true { poll() }
            await wait(until: .now + Self.longestWait) { !isPolling }
        }
        return status()
    }

    private func directory() -> WireDirectory {
        var directory = upstream?.directory ?? WireDirectory()
        directory.controlPort = UInt32(ports.control)
        directory.livePort = UInt32(ports.live)
        directory.workPort = 0
        directory.endpoints = access.flatMap(\.endpoints)
        return directory
    }

    private func welcome(_ hello: WireHello, _ deadline: ContinuousClock.Instant) async -> ControlAnswer {
        guard let version = ProtocolVersion.agreed(minimum: hello.versionMin, maximum: hello.versionMax) else {
            return .failure(
                .unsupportedVersion,
                "the client speaks versions \(hello.versionMin) to \(hello.versionMax), this relay \(ProtocolVersion.current)"
            )
        }
        // A viewer whose HELLO is refused goes; one that hears nothing asks again, and by then the server may be known.
        await wait(until: deadline + Self.longestWait) { upstream != nil }
        guard let upstream else {
            return .failure(.busy, "the relay has not reached its server \(configuration.upstream) yet; try again")
        }
        let status = await freshStatus()
        var welcome = WireWelcome()
        welcome.version = version
        welcome.server = status.server
        welcome.session = .init(upstream.session)
        welcome.clock = WallClock.nanoseconds()
        welcome.directory = directory()
        welcome.status = status
        var reply = WireReply()
        reply.welcome = welcome
        return ControlAnswer(reply: reply)
    }

    private func snapshot(_ wanted: WireSnapshotRequest, _ deadline: ContinuousClock.Instant) async -> ControlAnswer {
        if !isLost { await wait(until: min(deadline, .now + Self.longestWait)) { cache.isCurrent } }
        guard let (snapshot, payload) = cache.snapshot(wanted) else {
            return .failure(
                .notFound,
                wanted.acquisition.isEmpty
                    ? "no acquisition has begun yet" : "that acquisition is not kept (any more)")
        }
        var reply = WireReply()
        reply.snapshot = snapshot
        return ControlAnswer(reply: reply, payloads: payload.map { .part($0) })
    }

    // MARK: The server's business

    /// Has the server do it, under the id that the viewer chose, so that it is done once whoever repeats it.
    private func forward(
        _ request: WireRequest, _ payload: [ReceivedPart], _ deadline: ContinuousClock.Instant
    ) async -> ControlAnswer {
        guard let connection, !isLost else {
            return .failure(
                .detectorUnreachable,
                "the relay has no connection to its server \(configuration.upstream); nothing was done")
        }
        var request = request
        // Of what changes nothing, two viewers may have chosen the same id.
        if !request.changesSomething { request.id = "" }
        defer { outdateStatus() }
        do throws(ControlFailure) {
            let reply = try await connection.request(
                request, payload: payload.map(\.bytes), deadline: max(.zero, deadline - .now) + Self.grace)
            return ControlAnswer(reply: reply.wire, payloads: reply.payloads.map { .part($0) })
        } catch {
            return Self.answer(error)
        }
    }

    private static func answer(_ failure: ControlFailure) -> ControlAnswer {
        var reply = WireReply()
        // What only the client's side knows of is no word of the protocol.
        reply.failure.code =
            switch failure.code {
            case .noReply: FailureCode.timedOut.rawValue
            case .closed, .cancelled, .unexpectedReply: FailureCode.internal.rawValue
            default: failure.code.rawValue
            }
        reply.failure.message = failure.message
        reply.failure.detectorCode = Int32(clamping: failure.detectorCode ?? 0)
        reply.stateBefore = failure.stateBefore.rawValue
        reply.stateAfter = failure.stateAfter.rawValue
        return ControlAnswer(reply: reply)
    }
}
