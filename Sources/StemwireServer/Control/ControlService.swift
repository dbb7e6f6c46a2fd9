import StemwireProtocol
import StemwireUDF
import SwiftProtobuf
import Synchronization
import ZeroMQ

/// What the control service asks for each request that it could read.
package protocol ControlHandling: Sendable {
    /// Does what `request` asks. Never throws: a refusal is a reply with a failure.
    ///
    /// - Parameter payload: the parts behind the request: arrays of a run, nothing else.
    ///
    /// May take as long as the request's deadline; runs wherever the implementation wants, but must not block the
    /// caller's thread.
    func answer(
        _ request: WireRequest, payload: [ReceivedPart], deadline: ContinuousClock.Instant
    ) async -> ControlAnswer
}

/// A reply with its payload parts.
package struct ControlAnswer: Sendable {
    package enum Payload: Sendable {
        case bytes([UInt8])
        /// Sent without a copy.
        case array(ResultArray)
        /// As it was received, without a copy.
        case part(ReceivedPart)
    }

    package var reply: WireReply
    package var payloads: [Payload] = []

    package init(reply: WireReply, payloads: [Payload] = []) {
        self.reply = reply
        self.payloads = payloads
    }

    package static func failure(_ code: FailureCode, _ message: String, detectorCode: Int32 = 0) -> ControlAnswer {
        var reply = WireReply()
        reply.failure.code = code.rawValue
        reply.failure.message = message
        reply.failure.detectorCode = detectorCode
        return ControlAnswer(reply: reply)
    }
}

/// The protocol's failure codes (PROTOCOL.md, section 4).
package enum FailureCode: String, Sendable, Error {
    case malformed, unknownRequest, unsupportedVersion, invalidArgument, notFound, detectorRefused
    case detectorUnreachable, timedOut, wrongState, busy, forbidden, `internal`
}

/// The control socket: reads requests of REQ and DEALER peers, protobuf or JSON, has them answered, sends the replies.
///
/// Lives on its reactor's thread. Requests are answered at the same time, each peer's in any order; a request that
/// changes something is done once for its id.
package actor ControlService {
    /// The way back to a requester.
    private struct ReturnAddress: Sendable {
        let routingID: ReceivedPart
        let hasDelimiter: Bool
        let encoding: ControlEncoding
    }

    /// Requests that wait for their answers: of all peers, and of one, so that one leaves room for others.
    static let maximumOutstanding = 256
    static let maximumOfPeer = 32
    static let defaultDeadline = Duration.seconds(5)
    static let longestDeadline = Duration.seconds(600)

    private let reactor: Reactor
    private let socket: Socket
    private nonisolated let access: SocketGuard
    private let handler: any ControlHandling
    private let session: @Sendable () -> [UInt8]
    private var cache = AnswerCache<ReturnAddress, ControlAnswer>()
    private var outstanding = 0
    private var outstandingOfPeer: [[UInt8]: Int] = [:]

    /// What the status says of this socket; read by other threads.
    package nonisolated let counters = Counters()

    package final class Counters: Sendable {
        /// Requests that could not be read.
        package let malformed = Atomic<UInt64>(0)
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    /// - Parameters:
    ///   - access: whom it lets in.
    ///   - session: what replies name; asked on the reactor's thread.
    package init(
        on reactor: Reactor, in context: Context, access: SocketGuard, session: @escaping @Sendable () -> [UInt8],
        handler: any ControlHandling
    ) throws(ZMQError) {
        self.reactor = reactor
        self.access = access
        self.handler = handler
        self.session = session
        // What is a little too large is refused by an answer; libzmq would cut the peer off without a word.
        var options = SocketOptions.forPeers(
            queue: 64, largestMessage: WireLimits.controlArrayBytes + WireLimits.controlRequestBytes)
        options.routerMandatory = true
        socket = try Socket(.router, in: context, options: options)
    }

    /// Binds and begins to answer. Returns the endpoint with its port.
    package func start(at endpoint: String) throws(ZMQError) -> String {
        reactor.watch(socket) { [self] _ in receive() }
        try reactor.monitor(socket) { [counters, access] event in
            access.observe(event)
            guard case .handshakeFailed = event else { return }
            counters.malformed.wrappingAdd(1, ordering: .relaxed)
        }
        return try access.bind(socket, at: endpoint)
    }

    package func stop() {
        socket.close()
    }

    private func receive() {
        for _ in 0..<64 {
            do throws(ZMQError) {
                guard let parts = try socket.tryReceive(limit: WireLimits.controlArrays + 4) else { return }
                take(parts)
            } catch {
                guard error.code == .tooManyParts else { return }
                counters.malformed.wrappingAdd(1, ordering: .relaxed)
            }
        }
    }

    private func take(_ parts: [ReceivedPart]) {
        guard let last = parts.last, let peer = access.sender(of: last) else { return }
        let hasDelimiter = parts.count > 1 && parts[1].count == 0
        let body = parts.dropFirst(hasDelimiter ? 2 : 1)
        guard let routingID = parts.first, let bytes = body.first?.bytes else {
            counters.malformed.wrappingAdd(1, ordering: .relaxed)
            if let routingID = parts.first {
                let address = ReturnAddress(routingID: routingID, hasDelimiter: hasDelimiter, encoding: .protobuf)
                send(.failure(.malformed, "a request has a part; none came"), to: address)
            }
            return
        }
        let address = ReturnAddress(
            routingID: routingID, hasDelimiter: hasDelimiter, encoding: ControlEncoding(sniffing: bytes))
        do throws(ControlCodingError) {
            let (request, _) = try ControlCoding.decode(WireRequest.self, from: bytes)
            begin(request, payload: Array(body.dropFirst()), of: peer, from: address)
        } catch {
            counters.malformed.wrappingAdd(1, ordering: .relaxed)
            send(.failure(.malformed, error.description), to: address)
        }
    }

    private func begin(
        _ request: WireRequest, payload: [ReceivedPart], of sender: KnownPeer, from address: ReturnAddress
    ) {
        guard request.id.utf8.count <= WireLimits.identifierBytes else {
            counters.malformed.wrappingAdd(1, ordering: .relaxed)
            return send(.failure(.malformed, "the id is longer than \(WireLimits.identifierBytes) bytes"), to: address)
        }
        if let fault = Self.fault(of: payload, request) {
            counters.malformed.wrappingAdd(1, ordering: .relaxed)
            var answer = ControlAnswer.failure(.malformed, fault)
            answer.reply.id = request.id
            return send(answer, to: address)
        }
        guard sender.role >= request.leastRole else {
            access.counters.refusedRequests.wrappingAdd(1, ordering: .relaxed)
            var answer = ControlAnswer.failure(
                .forbidden,
                "this needs the role \(request.leastRole); the key of this connection, \(sender.name), is a \(sender.role)'s"
            )
            answer.reply.id = request.id
            return send(answer, to: address)
        }
        let peer = address.routingID.bytes
        guard outstanding < Self.maximumOutstanding, outstandingOfPeer[peer, default: 0] < Self.maximumOfPeer else {
            var answer = ControlAnswer.failure(
                .busy, "\(outstanding) requests are waiting to be answered; try again in a second")
            answer.reply.id = request.id
            return send(answer, to: address)
        }
        let isRemembered = request.changesSomething && !request.id.isEmpty
        if isRemembered {
            switch cache.begin(id: request.id, from: address) {
            case .answered(let answer): return send(answer, to: address)
            case .wait: return
            case .doIt: break
            }
        }
        outstanding += 1
        outstandingOfPeer[peer, default: 0] += 1
        let asked = Duration.milliseconds(Int(request.deadlineMs))
        let deadline = ContinuousClock.now + (asked > .zero ? min(asked, Self.longestDeadline) : Self.defaultDeadline)
        Task { [self] in
            var answer = await handler.answer(request, payload: payload, deadline: deadline)
            if case .welcome? = answer.reply.kind {
                (answer.reply.welcome.peer, answer.reply.welcome.role) = (sender.name, sender.role.rawValue)
            }
            answer.reply.id = request.id
            outstanding -= 1
            let left = outstandingOfPeer[peer, default: 1] - 1
            outstandingOfPeer[peer] = left > 0 ? left : nil
            let waiting = isRemembered ? cache.finish(id: request.id, with: answer) : [address]
            for address in waiting { send(answer, to: address) }
        }
    }

    /// What is wrong with the parts behind a request.
    private static func fault(of payload: [ReceivedPart], _ request: WireRequest) -> String? {
        guard !payload.isEmpty else { return nil }
        guard case .startRun = request.kind else {
            return "a request is one part; \(payload.count + 1) came, and only a run takes arrays"
        }
        guard payload.count <= WireLimits.controlArrays else {
            return "\(payload.count) arrays; a run takes \(WireLimits.controlArrays) at most"
        }
        let bytes = payload.reduce(0) { $0 + $1.count }
        guard bytes <= WireLimits.controlArraysBytes else {
            return "\(bytes) bytes of arrays; a run takes \(WireLimits.controlArraysBytes) at most"
        }
        return nil
    }

    private func send(_ answer: ControlAnswer, to address: ReturnAddress) {
        var reply = answer.reply
        reply.session = .init(session())
        guard let body = try? ControlCoding.encode(reply, as: address.encoding) else { return }
        var message = Multipart()
        message.append(address.routingID)
        if address.hasDelimiter { message.appendEmpty() }
        message.append(copying: body)
        for payload in answer.payloads {
            switch payload {
            case .bytes(let bytes): message.append(copying: bytes)
            case .array(let array): message.append(array.message())
            case .part(let part): message.append(part)
            }
        }
        // A peer that went away, or does not read its replies, loses them.
        _ = try? socket.trySend(&message)
    }
}

extension WireRequest {
    /// Whether doing the request twice would differ from doing it once.
    package var changesSomething: Bool {
        switch kind {
        case .arm, .trigger, .stop, .abort, .startRun, .stopRun, .changeRun: true
        case .detector(let request):
            if case .get = request.kind { false } else { true }
        case .hello, .status, .directory, .snapshot, .listRuns, nil: false
        }
    }
}
