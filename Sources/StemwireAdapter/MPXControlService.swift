import MerlinProtocol
import StemwireClient
import StemwireSystem

/// The control port: passes GET, SET and CMD on to the server, which owns the detector.
final class MPXControlService: Sendable {
    static let maximumClients = 16
    private static let patience = Duration.seconds(6)

    private let listener: TCPListener
    private let server: StemwireConnection
    private let isReadOnly: Bool
    private let threads = ThreadTable()
    /// The acquisition that began last.
    private let start = Locked<AcquisitionStart?>(nil)

    init(_ listener: TCPListener, _ server: StemwireConnection, isReadOnly: Bool) {
        self.listener = listener
        self.server = server
        self.isReadOnly = isReadOnly
    }

    func began(_ new: AcquisitionStart) { start.withLock { $0 = new } }

    /// Runs until the listener is shut down.
    func run() {
        while !threads.isStopping {
            guard let connection = listener.accept(timeout: .seconds(1)) else { continue }
            guard threads.count < Self.maximumClients else { continue }
            threads.run("mpx control", connection) { [self] in serve(connection) }
        }
        threads.joinAll()
    }

    func stop() {
        threads.stop()
        listener.shutdown()
    }

    private func serve(_ connection: TCPConnection) {
        defer { connection.shutdown() }
        var parser = ControlStreamParser()
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !threads.isStopping {
            guard case .bytes(let count) = buffer.withUnsafeMutableBytes({ connection.receive(into: $0) }) else {
                return
            }
            parser.append(buffer[..<count])
            while let request = parser.nextRequest() {
                guard answer(request, connection) else { return }
            }
            // Requests whose length counts one byte too many are complete when nothing follows.
            if !connection.waitReadable(timeout: .milliseconds(20)) {
                while let request = parser.nextRequest(quiet: true) {
                    guard answer(request, connection) else { return }
                }
            }
        }
    }

    /// False when the client is gone.
    private func answer(_ request: Result<ControlRequest, ControlMessageError>, _ connection: TCPConnection) -> Bool {
        let reply: MerlinProtocol.ControlReply =
            switch request {
            case .success(let request): perform(request)
            case .failure: .malformedRequest
            }
        var isSent = true
        reply.encoded().withUnsafeBytes { bytes in
            do throws(SystemError) { try connection.send(bytes) } catch { isSent = false }
        }
        return isSent
    }

    /// Blocks this client's thread until the server has answered.
    private func perform(_ request: ControlRequest) -> MerlinProtocol.ControlReply {
        if isReadOnly, request.kind != .get {
            return MerlinProtocol.ControlReply(to: request, code: .unrecognisedCommand)
        }
        let answer = Locked<MerlinProtocol.ControlReply?>(nil)
        let isAnswered = CountingSemaphore()
        Task { [server] in
            let reply: MerlinProtocol.ControlReply
            do throws(ControlFailure) {
                switch request.kind {
                case .get:
                    reply = MerlinProtocol.ControlReply(to: request, value: try await server.detectorGet(request.name))
                case .set:
                    try await server.detectorSet(request.name, to: request.value ?? "")
                    reply = MerlinProtocol.ControlReply(to: request)
                case .cmd:
                    try await server.detectorCommand(request.name)
                    reply = MerlinProtocol.ControlReply(to: request)
                }
            } catch {
                reply = self.reply(to: request, error)
            }
            answer.withLock { $0 = reply }
            isAnswered.post()
        }
        _ = isAnswered.wait(timeout: Self.patience)
        return answer.value ?? MerlinProtocol.ControlReply(to: request, code: .busyOrUnknown)
    }

    private func reply(to request: ControlRequest, _ failure: ControlFailure) -> MerlinProtocol.ControlReply {
        if failure.code == .detectorRefused {
            return MerlinProtocol.ControlReply(
                to: request, code: failure.detectorCode.map { ControlCode(rawValue: $0) } ?? .busyOrUnknown)
        }
        // A server that replays a file has no detector to ask; what frames are like is known of the last ones.
        if request.kind == .get, let value = value(of: request.key) {
            return MerlinProtocol.ControlReply(to: request, value: value)
        }
        return MerlinProtocol.ControlReply(to: request, code: .busyOrUnknown)
    }

    private func value(of key: String) -> String? {
        guard let start = start.value else { return nil }
        switch key {
        case "IMAGEX": return start.sigShape.map { String($0.width) }
        case "IMAGEY": return start.sigShape.map { String($0.height) }
        case "COUNTERDEPTH": return start.counterDepth.map { String($0) }
        default: return nil
        }
    }
}
