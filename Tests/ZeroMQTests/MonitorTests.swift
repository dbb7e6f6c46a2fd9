import StemwireSystem
import Testing

@testable import ZeroMQ

@Suite struct MonitorTests {
    /// Reads events until one satisfies `condition`, and returns all read.
    @discardableResult
    private func events(
        _ monitor: borrowing SocketMonitor, until condition: (MonitorEvent) -> Bool
    ) throws -> [MonitorEvent] {
        var events: [MonitorEvent] = []
        repeat { events.append(try monitor.next(timeout: .seconds(60))) } while !condition(events.last!)
        return events
    }

    @Test func aConnectionsLifeIsToldOnBothSides() throws {
        let context = try Context()
        let server = try Socket(.rep, in: context, options: patient())
        let serverMonitor = try SocketMonitor(server)
        let endpoint = try server.bind("tcp://127.0.0.1:*")
        let client = try Socket(.req, in: context, options: patient())
        let clientMonitor = try SocketMonitor(client)
        try client.connect(endpoint)
        let connecting = try events(clientMonitor) { $0 == .handshakeSucceeded(endpoint: endpoint) }
        #expect(connecting.contains(.connectDelayed(endpoint: endpoint)))
        #expect(connecting.contains(.connected(endpoint: endpoint)))
        let accepting = try events(serverMonitor) { $0 == .handshakeSucceeded(endpoint: endpoint) }
        #expect(accepting.first == .listening(endpoint: endpoint))
        #expect(
            accepting.contains { if case .accepted(endpoint, let descriptor) = $0 { descriptor > 0 } else { false } })
        client.close()
        try events(serverMonitor) { if case .disconnected(endpoint, _) = $0 { true } else { false } }
        try server.unbind(endpoint)
        try events(serverMonitor) { $0 == .closed(endpoint: endpoint) }
        server.close()
        try events(serverMonitor) { $0 == .stopped }
        let isEmpty = try serverMonitor.tryNext() == nil
        #expect(isEmpty)
    }

    @Test func nobodyThereIsToldByRetries() throws {
        let port = try TCPListener(host: "127.0.0.1", port: 0).port
        let endpoint = "tcp://127.0.0.1:\(port)"
        let context = try Context()
        let client = try Socket(.dealer, in: context, options: patient { $0.reconnectInterval = .milliseconds(10) })
        let monitor = try SocketMonitor(client)
        try client.connect(endpoint)
        for _ in 0..<2 {
            let told = try events(monitor) { if case .connectRetried(endpoint, _) = $0 { true } else { false } }
            #expect(told.contains(.closed(endpoint: endpoint)))
            #expect(!told.contains(.connected(endpoint: endpoint)))
        }
    }

    @Test func aBindThatFailsIsTold() throws {
        let context = try Context()
        let first = try Socket(.rep, in: context)
        let endpoint = try first.bind("tcp://127.0.0.1:*")
        let second = try Socket(.rep, in: context)
        let monitor = try SocketMonitor(second)
        #expect(throws: ZMQError.self) { try second.bind(endpoint) }
        let told = try events(monitor) { if case .bindFailed = $0 { true } else { false } }
        guard case .bindFailed(let address, let error) = told.last else { return }
        #expect("tcp://\(address)" == endpoint)
        #expect(error.code == .addressInUse)
    }

    @Test func aPeerThatDoesNotSpeakZMTPIsTold() throws {
        let context = try Context()
        let server = try Socket(.router, in: context, options: patient { $0.handshakeInterval = .seconds(5) })
        let monitor = try SocketMonitor(server)
        let endpoint = try server.bind("tcp://127.0.0.1:*")
        let port = try #require(Int(endpoint.split(separator: ":").last!))
        let stranger = try TCPConnection.connect(host: "127.0.0.1", port: port, timeout: .seconds(5))
        // A ZMTP 3.0 greeting, complete, with a mechanism that nobody knows.
        var greeting: [UInt8] = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0] + Array("MAGIC".utf8)
        greeting += [UInt8](repeating: 0, count: 64 - greeting.count)
        try greeting.withUnsafeBytes { try stranger.send($0) }
        let told = try events(monitor) { if case .handshakeFailed = $0 { true } else { false } }
        #expect(told.last == .handshakeFailed(endpoint: endpoint, .mechanismMismatch))
    }

    @Test func aMonitorEndsBeforeItsSocket() throws {
        let context = try Context()
        let server = try Socket(.rep, in: context, options: patient())
        for _ in 0..<3 {
            let monitor = try SocketMonitor(server)
            let endpoint = try server.bind("tcp://127.0.0.1:*")
            try events(monitor) { $0 == .listening(endpoint: endpoint) }
        }
        // Events without a reader must not stop the I/O thread.
        let endpoint = try server.bind("tcp://127.0.0.1:*")
        let client = try Socket(.req, in: context, options: patient())
        try client.connect(endpoint)
        try client.send(copying: "still")
        #expect(try server.receiveTexts() == ["still"])
    }

    @Test func eventsReadLikeSentences() {
        let endpoint = "tcp://127.0.0.1:1"
        let failure = MonitorEvent.handshakeFailed(endpoint: endpoint, .cryptographic)
        #expect(failure.description.contains("check the server's public key"))
        #expect(MonitorEvent.connectRetried(endpoint: endpoint, pause: .milliseconds(100)).description.contains("0.1"))
    }
}
