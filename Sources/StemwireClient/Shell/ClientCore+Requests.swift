import StemwireProtocol
import ZeroMQ

/// A reply of the server, with what lies behind it.
public struct ControlReply: Sendable {
    public let wire: WireReply
    /// The parts behind the reply: of a snapshot two a channel, array and valid mask.
    public let payloads: [ReceivedPart]

    /// The server's state before and after the request.
    public var stateBefore: ServerState { ServerState(rawValue: wire.stateBefore) }
    public var stateAfter: ServerState { ServerState(rawValue: wire.stateAfter) }
}

/// A request that waits for its reply.
struct PendingRequest {
    /// The request, and the arrays that go with it.
    let parts: [[UInt8]]
    /// Whether doing it twice does no harm.
    let isRepeatable: Bool
    let isGreeting: Bool
    var wasSent = false
    let completion: (Result<ControlReply, ControlFailure>) -> Void
}

extension ClientCore {
    /// Asks the server and waits for its reply, the deadline or the task's end.
    func request(
        _ request: WireRequest, payload: [[UInt8]], deadline: Duration
    ) async -> Result<ControlReply, ControlFailure> {
        var request = request
        if request.id.isEmpty { request.id = AcquisitionUUID.random().description }
        let id = request.id
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                begin(request, payload: payload, deadline: deadline) { continuation.resume(returning: $0) }
            }
        } onCancel: {
            submit { $0.giveUp(id, ControlFailure(.cancelled, "the task that asked was cancelled")) }
        }
    }

    /// Sends a request as soon as the server was greeted.
    func begin(
        _ request: WireRequest, payload: [[UInt8]] = [], deadline: Duration, isGreeting: Bool = false,
        completion: @escaping (Result<ControlReply, ControlFailure>) -> Void
    ) {
        guard !isClosed else { return completion(.failure(ControlFailure(.closed, "the connection was closed"))) }
        var request = request
        if request.id.isEmpty { request.id = AcquisitionUUID.random().description }
        guard pending[request.id] == nil else {
            return completion(
                .failure(ControlFailure(.invalidArgument, "request id \(request.id) is under way already")))
        }
        request.version = ProtocolVersion.current
        // A little earlier than here, so that the server's own word, which knows why, arrives in time.
        let margin = min(deadline / 5, .milliseconds(100))
        request.deadlineMs = UInt32(clamping: max(1, Int64((deadline - margin) / .milliseconds(1))))
        let body: [UInt8]
        do throws(ControlCodingError) {
            body = try ControlCoding.encode(request, as: .protobuf)
        } catch {
            return completion(.failure(ControlFailure(.invalidArgument, error.description)))
        }
        guard body.count <= WireLimits.controlRequestBytes else {
            let why = "a request has at most \(WireLimits.controlRequestBytes) bytes, this one \(body.count)"
            return completion(.failure(ControlFailure(.invalidArgument, why)))
        }
        requests.add(request.id, deadline: .now + deadline)
        pending[request.id] = PendingRequest(
            parts: [body] + payload, isRepeatable: request.isRepeatable, isGreeting: isGreeting, completion: completion)
        if isReady || isGreeting { send(request.id) }
        requestAlarm?.set(requests.nextDeadline)
    }

    private func send(_ id: String) {
        guard let parts = pending[id]?.parts else { return }
        pending[id]?.wasSent = true
        control?.send(parts)
    }

    private func resolve(_ id: String, _ result: Result<ControlReply, ControlFailure>) {
        pending.removeValue(forKey: id)?.completion(result)
        requestAlarm?.set(requests.nextDeadline)
    }

    func giveUp(_ id: String, _ failure: ControlFailure) {
        guard requests.giveUp(id) else { return }
        resolve(id, .failure(failure))
    }

    func expireRequests() {
        control?.catchUp()
        for id in requests.expire(now: .now) {
            resolve(id, .failure(ControlFailure(.noReply, silence(sent: pending[id]?.wasSent == true))))
        }
        requestAlarm?.set(requests.nextDeadline)
    }

    /// Why there was no reply, as far as it shows here.
    private func silence(sent wasSent: Bool) -> String {
        guard wasSent else {
            return
                "there is no connection to \(endpoint): the server was ended, or the network cut; the request was not sent"
        }
        let doubt = "whether the request was done is not known"
        guard control?.isConnected == true else {
            return
                "the connection to \(endpoint) broke before it replied: the server was ended, or the network cut; \(doubt)"
        }
        let quiet = (ContinuousClock.now - lastHeard) / .seconds(1)
        return "no reply from \(endpoint) in time; the connection stands, but nothing was heard of the server for "
            + "\((quiet * 10).rounded() / 10) s: it is stopped, or too busy; \(doubt)"
    }

    // MARK: Replies

    func receivedReply(_ parts: [ReceivedPart]) {
        // A ROUTER that answers in REQ's manner puts an empty delimiter first.
        let parts = parts.count > 1 && parts[0].count == 0 ? parts[1...] : parts[...]
        guard let body = parts.first, body.count <= WireLimits.headerBytes,
            let (reply, _) = try? ControlCoding.decode(WireReply.self, from: body.bytes, limit: WireLimits.headerBytes)
        else {
            counts.malformedMessages += 1
            return
        }
        guard requests.resolve(reply.id) else { return }
        lastHeard = .now
        let payloads = Array(parts.dropFirst())
        let before = ServerState(rawValue: reply.stateBefore)
        let after = ServerState(rawValue: reply.stateAfter)
        let result: Result<ControlReply, ControlFailure>
        switch reply.kind {
        case .failure(let failure):
            result = .failure(ControlFailure(failure, stateBefore: before, stateAfter: after))
        case nil:
            let why = "the reply is of no known kind; the server may be of a later version"
            result = .failure(ControlFailure(.unexpectedReply, why, stateBefore: before, stateAfter: after))
        default:
            result = .success(ControlReply(wire: reply, payloads: payloads))
        }
        resolve(reply.id, result)
        if isReady, let server, !reply.session.isEmpty, Array(reply.session) != server.session { greet() }
    }

    // MARK: Greeting

    func controlChanged(_ change: Link.Change) {
        if let error = attempt?.observe(change) { return finishGreeting(.failure(error)) }
        switch change {
        case .connected: greet()
        case .lost:
            isReady = false
            dropGreeting()
        case .refused(.refused(ConnectAttempt.temporary)): break
        case .refused(let failure): refused(ConnectError(endpoint, failure, hasToken: options.token != nil))
        case .reached, .notReached, .putOff: break
        }
    }

    /// The server that was there does not take this client any more, and the socket does not try again.
    private func refused(_ error: ConnectError) {
        let failure = ControlFailure(.forbidden, error.description)
        for id in requests.removeAll() { pending.removeValue(forKey: id)?.completion(.failure(failure)) }
        for number in channels.keys { end(channel: number, .refused(failure)) }
    }

    private func dropGreeting() {
        for (id, request) in pending where request.isGreeting {
            giveUp(id, ControlFailure(.noReply, "the connection broke"))
        }
    }

    /// Says HELLO; everything else waits for the WELCOME.
    func greet() {
        dropGreeting()
        isReady = false
        var request = WireRequest()
        request.hello.versionMin = ProtocolVersion.current
        request.hello.versionMax = ProtocolVersion.current
        request.hello.client = options.clientName
        begin(request, deadline: .seconds(5), isGreeting: true) { [self] in welcomed($0) }
    }

    private func welcomed(_ result: Result<ControlReply, ControlFailure>) {
        guard !isClosed else { return }
        switch result {
        case .failure(let failure):
            // A silent server is asked again as long as there is somebody who waits for it.
            if failure.code == .noReply {
                if attempt == nil, control?.isConnected == true, !isReady { greet() }
                return
            }
            let error: ConnectError =
                failure.code == .unsupportedVersion
                ? .unsupportedVersion(
                    endpoint, ours: ProtocolVersion.current...ProtocolVersion.current, server: failure.message)
                : .refused(endpoint, failure)
            if attempt != nil { return finishGreeting(.failure(error)) }
            for number in channels.keys { end(channel: number, .refused(failure)) }
        case .success(let reply):
            guard case .welcome(let welcome)? = reply.wire.kind else {
                return finishGreeting(.failure(.notStemwire(endpoint, why: "it answers HELLO by something else")))
            }
            guard welcome.version == ProtocolVersion.current else {
                let ours = ProtocolVersion.current...ProtocolVersion.current
                let error = ConnectError.unsupportedVersion(endpoint, ours: ours, server: "version \(welcome.version)")
                return finishGreeting(.failure(error))
            }
            do throws(MalformedMessage) {
                becomeReady(try ServerInfo(welcome))
            } catch {
                counts.malformedMessages += 1
                finishGreeting(.failure(.notStemwire(endpoint, why: error.description)))
            }
        }
    }

    private func becomeReady(_ info: ServerInfo) {
        let former = server
        let isRestarted = former.map { $0.session != info.session } ?? false
        server = info
        isReady = true
        if former != nil { counts.reconnections += 1 }
        if isRestarted { counts.serverRestarts += 1 }
        for (id, request) in pending where !request.isGreeting {
            // A new server does not remember which requests its forerunner did.
            if isRestarted, request.wasSent, !request.isRepeatable {
                let why = "the server was restarted before it replied; whether it was done is not known"
                giveUp(id, ControlFailure(.noReply, why))
            } else {
                send(id)
            }
        }
        finishGreeting(.success(info))
        if isRestarted { serverRestarted() }
    }
}

extension WireRequest {
    /// Whether it changes nothing, so that it may be asked of a new server again.
    fileprivate var isRepeatable: Bool {
        switch kind {
        case .hello, .status, .directory, .snapshot, .listRuns, .check, .wait, .image, .frame, .history: true
        case .detector(let detector): if case .get? = detector.kind { true } else { false }
        default: false
        }
    }
}
