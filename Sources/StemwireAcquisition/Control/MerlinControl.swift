import MerlinProtocol
import StemwireSystem
import Synchronization

/// Speaks to a Merlin's control socket: one request, one answer, each within a time limit.
///
/// Connects when it is first used, and again after an error, so that a late answer can never be taken for the answer to
/// another request. May be used from several threads, one of which is served at a time; calls block, so that they belong
/// on threads that may.
public final class MerlinControl: Sendable {
    public let host: String
    public let port: Int
    /// How long a call may take, connecting included, unless told otherwise.
    public let timeout: Duration

    private struct Session {
        var connection: TCPConnection?
        var parser = ControlStreamParser()
    }

    private let session = Mutex(Session())
    private let connectionCount = Atomic<Int>(0)

    /// Connections made so far: what a detector said on an earlier one may not hold any more.
    public var connections: Int { connectionCount.load(ordering: .relaxed) }

    /// - Parameters:
    ///   - port: 6341 for real detectors.
    ///   - timeout: a change of exposure time alone takes a detector 0.3 s.
    public init(host: String, port: Int = 6341, timeout: Duration = .seconds(5)) {
        self.host = host
        self.port = port
        self.timeout = timeout
    }

    private var address: String { "\(host):\(port)" }

    /// Connects now, if there is no connection, to tell early that the detector is not there.
    public func connect(timeout limit: Duration? = nil) throws(MerlinControlError) {
        let limit = limit ?? timeout
        let result = session.withLock { session -> Result<Void, MerlinControlError> in
            do throws(MerlinControlError) {
                _ = try connection(&session, timeout: limit)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    /// Ends the connection; the next call makes another.
    public func disconnect() {
        session.withLock { $0 = Session() }
    }

    /// The value of a parameter, as written by the detector.
    public func get(_ name: String, timeout: Duration? = nil) throws(MerlinControlError) -> String {
        let request = ControlRequest.get(name)
        let reply = try accepted(request, timeout: timeout)
        guard let value = reply.value else {
            throw .nonsense(address: address, request: request, answer: "\(reply)")
        }
        return value
    }

    /// The value of a parameter as a whole number; `1.000000` is one too.
    public func integer(_ name: String, timeout: Duration? = nil) throws(MerlinControlError) -> Int {
        let request = ControlRequest.get(name)
        let reply = try accepted(request, timeout: timeout)
        guard let value = reply.integerValue else {
            throw .nonsense(address: address, request: request, answer: "\(reply)")
        }
        return value
    }

    /// Sets a parameter.
    public func set(_ name: String, to value: String, timeout: Duration? = nil) throws(MerlinControlError) {
        _ = try accepted(.set(name, value), timeout: timeout)
    }

    /// Sets a parameter to a whole number.
    public func set(_ name: String, to value: Int, timeout: Duration? = nil) throws(MerlinControlError) {
        try set(name, to: String(value), timeout: timeout)
    }

    /// Gives a command, such as `STARTACQUISITION`.
    public func command(_ name: String, timeout: Duration? = nil) throws(MerlinControlError) {
        _ = try accepted(.cmd(name), timeout: timeout)
    }

    /// Sends the requests of a command file: one `SET,NAME,VALUE`, `CMD,NAME` or `GET,NAME` a line; blank lines and
    /// lines that begin with `#` are skipped. Stops at the first that fails; none is sent if a line cannot be read.
    ///
    /// - Returns: the detector's answers, in order.
    @discardableResult
    public func run(commandFile text: String, timeout: Duration? = nil) throws(MerlinControlError) -> [ControlReply] {
        var requests: [ControlRequest] = []
        var number = 0
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            number += 1
            let bytes = Array(line.utf8)
            guard let first = bytes.first(where: { $0 != 0x20 && $0 != 0x09 }), first != UInt8(ascii: "#") else {
                continue
            }
            do throws(ControlMessageError) {
                requests.append(try ControlRequest.parse(bytes))
            } catch {
                throw .commandFile(line: number, text: String(line), error)
            }
        }
        var replies: [ControlReply] = []
        for request in requests { replies.append(try accepted(request, timeout: timeout)) }
        return replies
    }

    /// Sends a request and gives the answer, whatever its code.
    public func send(
        _ request: ControlRequest, timeout limit: Duration? = nil
    ) throws(MerlinControlError) -> ControlReply {
        let limit = limit ?? timeout
        let result = session.withLock { session -> Result<ControlReply, MerlinControlError> in
            do throws(MerlinControlError) {
                return .success(try exchange(request, &session, timeout: limit))
            } catch {
                session = Session()
                return .failure(error)
            }
        }
        return try result.get()
    }

    private func accepted(
        _ request: ControlRequest, timeout: Duration?
    ) throws(MerlinControlError) -> ControlReply {
        let reply = try send(request, timeout: timeout)
        guard reply.code.isOK else { throw .refused(address: address, request: request, reply.code) }
        return reply
    }

    private func connection(
        _ session: inout Session, timeout: Duration
    ) throws(MerlinControlError) -> TCPConnection {
        if let connection = session.connection { return connection }
        do throws(SystemError) {
            let new = try TCPConnection.connect(host: host, port: port, timeout: timeout)
            new.noticeLoss(idle: .seconds(2), limit: .seconds(6))
            connectionCount.wrappingAdd(1, ordering: .relaxed)
            session.connection = new
            return new
        } catch {
            throw .unreachable(address: address, error)
        }
    }

    private func exchange(
        _ request: ControlRequest, _ session: inout Session, timeout: Duration
    ) throws(MerlinControlError) -> ControlReply {
        let deadline = ContinuousClock.now + timeout
        let isFresh = session.connection == nil
        let connection = try connection(&session, timeout: timeout)
        // A detector closes connections that nobody uses; that is seen only now.
        if !isFresh, connection.waitReadable(timeout: .zero) {
            session = Session()
            return try exchange(request, &session, timeout: timeout)
        }
        connection.setSendTimeout(timeout)
        let isSent = request.encoded().withUnsafeBytes { bytes in
            do throws(SystemError) { try connection.send(bytes) } catch { return false }
            return true
        }
        guard isSent else { throw .connectionLost(address: address, request: request) }
        let pause = Duration.milliseconds(20)
        return try withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 16) {
            buffer throws(MerlinControlError) -> ControlReply in
            while true {
                let left = deadline - .now
                guard left > .zero else {
                    let skipped = session.parser.skippedBytes
                    if skipped > 0 {
                        throw .nonsense(
                            address: address, request: request, answer: "\(skipped) bytes that are no message")
                    }
                    throw .timedOut(address: address, request: request, after: timeout)
                }
                connection.setReceiveTimeout(max(.milliseconds(1), min(left, pause)))
                var isQuiet = false
                switch connection.receive(into: buffer) {
                case .bytes(let count): session.parser.append(buffer[..<count])
                case .timedOut: isQuiet = true
                case .closed, .failed: throw .connectionLost(address: address, request: request)
                }
                guard let next = session.parser.nextReply(quiet: isQuiet) else {
                    if session.parser.skippedBytes > 64 << 10 {
                        throw .nonsense(address: address, request: request, answer: "64 KiB that are no message")
                    }
                    continue
                }
                return try check(next, request)
            }
        }
    }

    /// An answer repeats the kind and name of its request; `ERROR,1` alone answers what could not be read.
    private func check(
        _ next: Result<ControlReply, ControlMessageError>, _ request: ControlRequest
    ) throws(MerlinControlError) -> ControlReply {
        switch next {
        case .failure(let error):
            throw .nonsense(address: address, request: request, answer: "\(error)")
        case .success(let reply):
            guard reply.kind == nil || (reply.kind == request.kind && reply.name.uppercased() == request.key) else {
                throw .nonsense(address: address, request: request, answer: "\(reply)")
            }
            return reply
        }
    }
}
