import MerlinProtocol
import StemwireClient
import StemwireSystem

/// The data port: any number of clients, each with a thread of its own, that are sent acquisition headers and frames as the
/// detector sent them.
final class MPXDataService: Sendable {
    static let maximumClients = 64
    /// How long a client may take nothing.
    private static let sendPatience = Duration.seconds(30)
    private static let look = Duration.milliseconds(250)
    private static let batchBytes = 1 << 20

    private let listener: TCPListener
    private let fanOut: FanOut
    private let threads = ThreadTable()
    private let tell: @Sendable (MPXAdapterEvent) -> Void

    init(_ listener: TCPListener, _ fanOut: FanOut, tell: @escaping @Sendable (MPXAdapterEvent) -> Void) {
        self.listener = listener
        self.fanOut = fanOut
        self.tell = tell
    }

    /// Runs until the listener is shut down and the fan-out has ended.
    func run() {
        while !threads.isStopping {
            guard let connection = listener.accept(timeout: .seconds(1)) else { continue }
            guard threads.count < Self.maximumClients, let outlet = fanOut.open() else {
                tell(.refused(peer: connection.peer))
                continue
            }
            threads.run("mpx client", connection) { [self] in serve(connection, outlet) }
        }
        threads.joinAll()
    }

    func stop() {
        threads.stop()
        listener.shutdown()
    }

    private func serve(_ connection: TCPConnection, _ outlet: Outlet) {
        tell(.connected(peer: connection.peer))
        connection.setSendTimeout(Self.sendPatience)
        defer {
            fanOut.close(outlet)
            connection.shutdown()
        }
        var batch: [UInt8] = []
        batch.reserveCapacity(Self.batchBytes)
        while true {
            switch outlet.next(Self.look) {
            case .ended:
                return tell(.left(peer: connection.peer, why: threads.isStopping ? "the adapter ends" : "too slow"))
            case .nothing:
                guard isThere(connection) else {
                    return tell(.left(peer: connection.peer, why: "closed by the client"))
                }
            case .message(let message):
                do throws(SystemError) {
                    try send(message, on: connection, &batch)
                } catch {
                    return tell(.left(peer: connection.peer, why: error.description))
                }
            }
        }
    }

    private func isThere(_ connection: TCPConnection) -> Bool {
        var unwanted = [UInt8](repeating: 0, count: 4096)
        while connection.waitReadable(timeout: .zero) {
            guard case .bytes = unwanted.withUnsafeMutableBytes({ connection.receive(into: $0) }) else { return false }
        }
        return true
    }

    private func send(
        _ message: DataMessage, on connection: TCPConnection, _ batch: inout [UInt8]
    ) throws(SystemError) {
        switch message {
        case .header(let bytes): try flush(bytes, connection)
        case .frames(let tile):
            batch.removeAll(keepingCapacity: true)
            for frame in 0..<tile.count {
                tile.withHeader(ofFrame: frame) { header in
                    tile.withPixels(ofFrame: frame) { pixels in
                        batch += MPXPrefix.encoded(bodyBytes: header.count + pixels.count)
                        batch += header
                        batch += pixels
                    }
                }
                if batch.count >= Self.batchBytes {
                    try flush(batch, connection)
                    batch.removeAll(keepingCapacity: true)
                }
            }
            try flush(batch, connection)
        }
    }

    private func flush(_ bytes: [UInt8], _ connection: TCPConnection) throws(SystemError) {
        var failure: SystemError?
        bytes.withUnsafeBytes { raw in
            do throws(SystemError) { try connection.send(raw) } catch { failure = error }
        }
        if let failure { throw failure }
    }
}
