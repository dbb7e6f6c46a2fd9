import Glibc
import StemwireSystem

/// A TCP link that can be cut: what connects to `port` is connected to the server behind it, until it is cut.
final class CuttingProxy: Sendable {
    private struct State: Sendable {
        var links: [TCPConnection] = []
        var isCutUntil: ContinuousClock.Instant = .now
        var isStopped = false
    }

    let port: Int
    private let listener: TCPListener
    private let state = Locked(State())

    init(to serverPort: Int) throws {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        self.listener = listener
        port = listener.port
        let state = state
        _ = try NamedThread("proxy") {
            while !state.withLock({ $0.isStopped }) {
                guard let client = listener.accept(timeout: .milliseconds(50)) else { continue }
                guard state.withLock({ .now >= $0.isCutUntil }),
                    let server = try? TCPConnection.connect(
                        host: "127.0.0.1", port: serverPort, timeout: .seconds(2))
                else {
                    client.shutdown()
                    continue
                }
                let isStopped = state.withLock { state in
                    state.links += [client, server]
                    return state.isStopped
                }
                if isStopped {
                    client.shutdown()
                    server.shutdown()
                }
                Self.forward(from: client, to: server)
                Self.forward(from: server, to: client)
            }
        }
    }

    deinit { stop() }

    /// Cuts what is connected, and takes nobody for a while.
    func cut(for time: Duration) {
        let links = state.withLock { state in
            state.isCutUntil = .now + time
            defer { state.links = [] }
            return state.links
        }
        for link in links { link.shutdown() }
    }

    func stop() {
        state.withLock { $0.isStopped = true }
        cut(for: .zero)
    }

    private static func forward(from source: TCPConnection, to sink: TCPConnection) {
        _ = try? NamedThread("proxy-link") {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 64)
            defer { buffer.deallocate() }
            while case .bytes(let count) = source.receive(into: buffer) {
                let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count])
                guard (try? sink.send(bytes)) != nil else { break }
            }
            source.shutdown()
            sink.shutdown()
        }
    }
}
