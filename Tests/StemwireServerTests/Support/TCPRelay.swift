import Glibc
import StemwireSystem
import Synchronization

/// A network between a server and its detector, which can be cut, held up and made to talk nonsense.
final class TCPRelay: Sendable {
    enum Mode: Sendable, Equatable {
        case pass
        /// Nothing goes through, in either direction, and no connection breaks.
        case hold
        /// What the detector sends is thrown away.
        case swallow
        /// What the detector sends is replaced by other bytes.
        case garble
        /// Connections are cut, and new ones not taken on.
        case cut
        /// The detector's machine has lost its power: connections are gone without a word, and new ones not taken on.
        case vanish
    }

    let port: Int
    private let listener: TCPListener
    private let target: Int
    private let state: Locked<State>
    private let thread = Locked<NamedThread?>(nil)
    /// Bytes of the detector that were thrown away.
    let swallowed = Atomic<Int>(0)

    private struct State {
        var mode = Mode.pass
        var connections: [(TCPConnection, TCPConnection)] = []
        var pumps: [NamedThread] = []
        var isStopped = false
    }

    /// Passes connections on to `target` on this machine; both ports stay as they are.
    init(to target: Int) throws {
        listener = try TCPListener(host: "127.0.0.1", port: 0)
        port = listener.port
        self.target = target
        state = Locked(State())
        let accepting = try NamedThread("relay") { [self] in accept() }
        thread.withLock { $0 = accepting }
    }

    var mode: Mode { state.withLock { $0.mode } }

    func become(_ mode: Mode) {
        let isEnd = mode == .cut || mode == .vanish
        let cut = state.withLock { state in
            state.mode = mode
            defer { if isEnd { state.connections = [] } }
            return isEnd ? state.connections : []
        }
        for (near, far) in cut {
            if mode == .vanish { _ = Self.silence(near.descriptor) } else { near.shutdown() }
            far.shutdown()
        }
    }

    /// Has a socket be closed without a FIN or RST (TCP_REPAIR), for which the system wants CAP_NET_ADMIN.
    private static func silence(_ descriptor: Int32) -> Bool {
        let repair: Int32 = 19
        var yes: Int32 = 1
        return setsockopt(descriptor, Int32(IPPROTO_TCP), repair, &yes, socklen_t(MemoryLayout<Int32>.size)) == 0
    }

    /// Whether connections can vanish here.
    static let canVanish: Bool = {
        let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(probe) }
        return silence(probe)
    }()

    func stop() {
        state.withLock { $0.isStopped = true }
        become(.cut)
        listener.shutdown()
        thread.withLock { $0.take() }?.join()
        for pump in state.withLock({ $0.pumps }) { pump.join() }
    }

    private func accept() {
        while !state.withLock({ $0.isStopped }) {
            guard let near = listener.accept(timeout: .milliseconds(50)) else { continue }
            guard mode != .cut, mode != .vanish,
                let far = try? TCPConnection.connect(host: "127.0.0.1", port: target, timeout: .seconds(1))
            else {
                near.shutdown()
                continue
            }
            let pumps = [
                try? NamedThread("relay out") { [self] in pump(near, far, isFromDetector: false) },
                try? NamedThread("relay in") { [self] in pump(far, near, isFromDetector: true) },
            ].compactMap { $0 }
            state.withLock { state in
                state.connections.append((near, far))
                state.pumps += pumps
            }
        }
    }

    private func awaitRelease() {
        let pause = CountingSemaphore()
        while mode == .hold { _ = pause.wait(timeout: .milliseconds(5)) }
    }

    private func pump(_ source: TCPConnection, _ sink: TCPConnection, isFromDetector: Bool) {
        source.setReceiveTimeout(.milliseconds(20))
        sink.setSendTimeout(.seconds(5))
        withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { buffer in
            while true {
                awaitRelease()
                switch source.receive(into: buffer) {
                case .timedOut: continue
                case .closed, .failed:
                    if mode != .vanish { sink.shutdown() }
                    return
                case .bytes(let count):
                    let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
                    awaitRelease()
                    if isFromDetector, mode == .swallow {
                        swallowed.wrappingAdd(count, ordering: .relaxed)
                        continue
                    }
                    if isFromDetector, mode == .garble { for index in 0..<count { bytes[index] = 0x3F } }
                    do { try sink.send(UnsafeRawBufferPointer(bytes)) } catch {
                        if mode != .vanish { source.shutdown() }
                        return
                    }
                }
            }
        }
    }
}
