import StemwireProtocol
import SwiftProtobuf

/// What becomes of each control request: done, answered with the answer of an earlier copy, or refused. I/O-free.
///
/// - A request that changes something is done once for its id, whoever repeats it; every copy gets the same answer.
/// - A request that is not answered by its deadline is answered then; what comes of it later changes no answer.
/// - What a client may keep the server busy with is bounded.
///
/// `Address` is the way back to a requester; `Answer` what goes there.
struct ControlDesk<Address: Sendable, Answer: Sendable>: Sendable {
    /// A request that is being done.
    struct Ticket: Sendable, Hashable {
        fileprivate let number: UInt64
    }

    enum Verdict {
        /// Do it, and call `finish` with what came of it; when the deadline has passed, call it with an answer that says so.
        case doIt(Ticket, deadline: ContinuousClock.Instant)
        /// An earlier copy is being done; nothing to do.
        case wait
        case answered(Answer)
        case refused(Refusal)
    }

    enum Refusal: Error, Equatable, Sendable {
        case idTooLong
        case idOfAnotherRequest
        /// Nothing was done; the same id may be sent again.
        case tooManyWaiting(Int)
    }

    private struct Work {
        let peer: [UInt8]
        let id: String?
        let address: Address
        var isAnswered = false
    }

    /// Requests that wait for their answers: of all peers, and of one, so that one leaves room for others.
    static var maximumOutstanding: Int { 256 }
    static var maximumOfPeer: Int { 32 }
    /// Beyond that, for those that end an acquisition: whoever has to can, however many wait for its end.
    static var reserve: Int { 16 }
    static var defaultDeadline: Duration { .seconds(5) }
    static var longestDeadline: Duration { .seconds(600) }
    /// Of what takes as long as an acquisition.
    static var defaultPatience: Duration { .seconds(600) }
    static var longestPatience: Duration { .seconds(86_400) }

    private var cache: AnswerCache<Address, Answer>
    private var work: [Ticket: Work] = [:]
    private var ofPeer: [[UInt8]: Int] = [:]
    private var lastTicket: UInt64 = 0

    /// - Parameter memory: answers that are kept for copies of their requests.
    init(memory: Int = 1024) { cache = AnswerCache(capacity: memory) }

    /// Requests that are being done.
    var outstanding: Int { work.count }

    /// A request has come.
    ///
    /// - Parameters:
    ///   - peer: who sent it, for its share.
    ///   - address: the way back.
    mutating func take(
        _ request: WireRequest, peer: [UInt8], from address: Address, at now: ContinuousClock.Instant
    ) -> Verdict {
        guard request.id.utf8.count <= WireLimits.identifierBytes else { return .refused(.idTooLong) }
        let isRemembered = request.changesSomething && !request.id.isEmpty
        let fingerprint = isRemembered ? request.fingerprint : 0
        if isRemembered {
            switch cache.look(id: request.id, fingerprint: fingerprint, from: address) {
            case .unknown: break
            case .wait: return .wait
            case .answered(let answer): return .answered(answer)
            case .tooManyCopies: return .refused(.tooManyWaiting(work.count))
            case .conflict: return .refused(.idOfAnotherRequest)
            }
        }
        let room = Self.maximumOutstanding + (request.endsAcquisition ? Self.reserve : 0)
        guard work.count < room, ofPeer[peer, default: 0] < Self.maximumOfPeer else {
            return .refused(.tooManyWaiting(work.count))
        }
        if isRemembered { cache.admit(id: request.id, fingerprint: fingerprint, from: address) }
        lastTicket += 1
        let ticket = Ticket(number: lastTicket)
        work[ticket] = Work(peer: peer, id: isRemembered ? request.id : nil, address: address)
        ofPeer[peer, default: 0] += 1
        return .doIt(ticket, deadline: now + Self.time(for: request))
    }

    private static func time(for request: WireRequest) -> Duration {
        let asked = Duration.milliseconds(Int(request.deadlineMs))
        guard request.takesAcquisitions else { return asked > .zero ? min(asked, longestDeadline) : defaultDeadline }
        return asked > .zero ? min(asked, longestPatience) : defaultPatience
    }

    /// The deadline has passed: the answer that says so is the request's, unless there is one.
    ///
    /// - Returns: who is to get it.
    mutating func expire(_ ticket: Ticket, with answer: Answer) -> [Address] {
        guard work[ticket]?.isAnswered == false else { return [] }
        work[ticket]?.isAnswered = true
        return addresses(of: ticket, for: answer)
    }

    /// The request was done.
    ///
    /// - Returns: who is to get the answer; nobody when the deadline has passed before.
    mutating func finish(_ ticket: Ticket, with answer: Answer) -> [Address] {
        guard let done = work[ticket] else { return [] }
        let addresses = done.isAnswered ? [] : addresses(of: ticket, for: answer)
        work[ticket] = nil
        let left = ofPeer[done.peer, default: 1] - 1
        ofPeer[done.peer] = left > 0 ? left : nil
        return addresses
    }

    private mutating func addresses(of ticket: Ticket, for answer: Answer) -> [Address] {
        guard let work = work[ticket] else { return [] }
        return work.id.map { cache.finish(id: $0, with: answer) } ?? [work.address]
    }
}

extension WireRequest {
    /// Whether doing the request twice would differ from doing it once.
    package var changesSomething: Bool {
        switch kind {
        case .arm, .trigger, .stop, .abort, .startRun, .stopRun, .changeRun, .configure, .commandFile, .scan: true
        case .detector(let request):
            if case .get = request.kind { false } else { true }
        case .hello, .status, .directory, .snapshot, .listRuns, .check, .wait, .image, .frame, .history, nil: false
        }
    }

    /// Whether it takes as long as the acquisitions that it waits for.
    package var takesAcquisitions: Bool {
        switch kind {
        case .scan, .wait: true
        default: false
        }
    }

    /// Whether it stops or aborts.
    fileprivate var endsAcquisition: Bool {
        switch kind {
        case .stop, .abort: true
        default: false
        }
    }

    /// The same for requests that ask for the same, however they were written and however long they wait.
    fileprivate var fingerprint: UInt64 {
        var request = self
        request.version = 0
        request.deadlineMs = 0
        var options = BinaryEncodingOptions()
        options.useDeterministicOrdering = true
        let bytes: [UInt8] = (try? request.serializedBytes(options: options)) ?? []
        return bytes.withUnsafeBytes { Checksum.xxh3($0) }
    }
}
