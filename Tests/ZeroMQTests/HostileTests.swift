import StemwireSystem
import Testing

@testable import ZeroMQ

/// Peers that do not speak ZMTP: the socket goes on serving those who do.
@Suite struct HostileTests {
    /// xorshift64*, so that a failing round can be repeated.
    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state ^= state >> 12
            state ^= state << 25
            state ^= state >> 27
            return state &* 2_685_821_657_736_338_717
        }
    }

    @Test(arguments: [Socket.Kind.router, .xpub, .pull])
    func randomBytesDoNoHarm(_ kind: Socket.Kind) throws {
        let context = try Context()
        let server = try Socket(
            kind, in: context,
            options: patient {
                $0.maxMessageSize = 1 << 20
                $0.handshakeInterval = .seconds(2)
            })
        let endpoint = try server.bind("tcp://127.0.0.1:*")
        let port = try #require(Int(endpoint.split(separator: ":").last!))
        var random = Random(state: 20_261_123)
        let greeting: [UInt8] =
            [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0] + Array("NULL".utf8) + [UInt8](repeating: 0, count: 48)
        let property: [UInt8] = [11] + Array("Socket-Type".utf8) + [0, 0, 0, 3] + Array("REQ".utf8)
        let ready: [UInt8] = [4, UInt8(property.count + 6), 5] + Array("READY".utf8) + property
        for round in 0..<150 {
            let stranger = try TCPConnection.connect(host: "127.0.0.1", port: port, timeout: .seconds(5))
            // Rubbish at once, after a good greeting, or after a whole handshake as a REQ.
            var bytes: [UInt8] = [[], greeting, greeting + ready][round % 3]
            let count = Int.random(in: 0...3000, using: &random)
            for _ in 0..<count { bytes.append(.random(in: 0...255, using: &random)) }
            // The server may have hung up before all is sent.
            try? bytes.withUnsafeBytes { try stranger.send($0) }
            if round % 4 == 0 { stranger.resetOnClose() }
            while let parts = try? server.tryReceive() { #expect(!parts.isEmpty) }
        }
        switch kind {
        case .router:
            let client = try Socket(.req, in: context, options: patient())
            try client.connect(endpoint)
            try client.send(copying: "hello")
            while try server.receive(limit: 1000).last?.text != "hello" {}
        case .pull:
            let client = try Socket(.push, in: context, options: patient())
            try client.connect(endpoint)
            try client.send(copying: "hello")
            while try server.receive(limit: 1000).last?.text != "hello" {}
        default:
            let client = try Socket(.sub, in: context, options: patient())
            try client.subscribe("hello")
            try client.connect(endpoint)
            while try server.nextSubscription() != .subscribed(Array("hello".utf8)) {}
            try server.send(copying: "hello")
            #expect(try client.receiveTexts() == ["hello"])
        }
    }
}
