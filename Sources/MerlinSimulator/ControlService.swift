import MerlinProtocol
import StemwireSystem

/// The control port: at most two clients at once, each with a thread of its own.
final class ControlService: Sendable {
    /// As many as the detector takes.
    static let maximumClients = 2

    private let core: SimulatorCore
    private let listener: TCPListener
    private let places = CountingSemaphore(UInt32(maximumClients))
    private let threads = Locked(Threads())

    private struct Threads: Sendable {
        var all: [Int: NamedThread] = [:]
        var ended: [Int] = []
    }

    init(_ core: SimulatorCore, _ listener: TCPListener) {
        self.core = core
        self.listener = listener
    }

    /// Runs until the simulator ends.
    func run() {
        var number = 0
        while let connection = core.accept(listener) {
            // A client that has just left may still hold its place for a moment.
            guard places.wait(timeout: .milliseconds(100)) else {
                core.unregister(connection)
                core.statistics.withLock { $0.refusedControlClients += 1 }
                core.observer?(.controlClientRefused(peer: connection.peer))
                continue
            }
            core.observer?(.controlClientConnected(peer: connection.peer))
            number += 1
            let id = number
            do throws(SystemError) {
                let thread = try NamedThread("sim client") { [self] in
                    serve(connection)
                    core.unregister(connection)
                    threads.withLock { $0.ended.append(id) }
                    places.post()
                }
                threads.withLock { $0.all[id] = thread }
            } catch {
                core.unregister(connection)
                places.post()
            }
            joinEnded()
        }
        for thread in threads.value.all.values { thread.join() }
    }

    /// Joins the threads of clients that have left.
    private func joinEnded() {
        let ended = threads.withLock { threads in
            defer { threads.ended = [] }
            return threads.ended.compactMap { threads.all.removeValue(forKey: $0) }
        }
        for thread in ended { thread.join() }
    }

    private func serve(_ connection: TCPConnection) {
        var parser = ControlStreamParser()
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !core.isStopping {
            let received = buffer.withUnsafeMutableBytes { connection.receive(into: $0) }
            guard case .bytes(let count) = received else { return }
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
        let reply: ControlReply
        switch request {
        case .success(let request):
            reply = core.state.withLock { $0.answer(request) }
            if request.kind == .cmd { core.stateChanged() }
        case .failure:
            reply = .malformedRequest
        }
        if !reply.code.isOK { core.statistics.withLock { $0.refusedRequests += 1 } }
        do throws(SystemError) {
            var failure: SystemError?
            reply.encoded().withUnsafeBytes { bytes in
                do throws(SystemError) { try connection.send(bytes) } catch { failure = error }
            }
            if let failure { throw failure }
            return true
        } catch {
            return false
        }
    }
}
