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
    /// The state that replies name, where it can be told at once; else empty.
    nonisolated var presentState: String { get }
}

extension ControlHandling {
    package nonisolated var presentState: String { "" }
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
    case detectorUnreachable, detectorNonsense, timedOut, wrongState, busy, forbidden, `internal`
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

    /// How much later than at its deadline a request is answered that is still being done.
    static let grace = Duration.milliseconds(50)

    private let reactor: Reactor
    private let socket: Socket
    private nonisolated let access: SocketGuard
    private let handler: any ControlHandling
    private let session: @Sendable () -> [UInt8]
    private var desk = ControlDesk<ReturnAddress, ControlAnswer>()

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
        switch desk.take(request, peer: address.routingID.bytes, from: address, at: .now) {
        case .wait: return
        case .answered(let answer): send(answer, to: address)
        case .refused(let refusal):
            if refusal == .idTooLong { counters.malformed.wrappingAdd(1, ordering: .relaxed) }
            var answer = ControlAnswer(refusal)
            if refusal != .idTooLong { answer.reply.id = request.id }
            answer.reply.stateBefore = handler.presentState
            answer.reply.stateAfter = answer.reply.stateBefore
            send(answer, to: address)
        case .doIt(let ticket, let deadline): perform(request, payload, sender, ticket, deadline)
        }
    }

    private func perform(
        _ request: WireRequest, _ payload: [ReceivedPart], _ sender: KnownPeer,
        _ ticket: ControlDesk<ReturnAddress, ControlAnswer>.Ticket,
        _ deadline: ContinuousClock.Instant
    ) {
        let before = handler.presentState
        let alarm = Task { [self] in
            try await Task.sleep(until: deadline + Self.grace, clock: .continuous)
            var late = ControlAnswer.failure(
                .timedOut, "the deadline passed while the request was being done; whether it will be is not known")
            late.reply.id = request.id
            (late.reply.stateBefore, late.reply.stateAfter) = (before, handler.presentState)
            for address in desk.expire(ticket, with: late) { send(late, to: address) }
        }
        Task { [self] in
            var answer = await handler.answer(request, payload: payload, deadline: deadline)
            if case .welcome? = answer.reply.kind {
                (answer.reply.welcome.peer, answer.reply.welcome.role) = (sender.name, sender.role.rawValue)
            }
            answer.reply.id = request.id
            alarm.cancel()
            for address in desk.finish(ticket, with: answer) { send(answer, to: address) }
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

extension ControlAnswer {
    fileprivate init(_ refusal: ControlDesk<some Sendable, some Sendable>.Refusal) {
        switch refusal {
        case .idTooLong:
            self = .failure(.malformed, "the id is longer than \(WireLimits.identifierBytes) bytes")
        case .idOfAnotherRequest:
            self = .failure(
                .invalidArgument,
                "the id belongs to another request that was sent before; take a new one for each request, such as a UUID"
            )
        case .tooManyWaiting(let count):
            self = .failure(.busy, "\(count) requests are waiting to be answered; try again in a second")
        }
    }
}
