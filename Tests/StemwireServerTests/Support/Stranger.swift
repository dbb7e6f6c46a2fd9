import Glibc
import StemwireProtocol
import StemwireSystem
import SwiftProtobuf
import Testing
import ZeroMQ

/// A client that somebody wrote from PROTOCOL.md: plain libzmq, nothing of StemwireClient. To be used on a thread that
/// may block.
struct Stranger: ~Copyable {
    let socket: Socket

    /// - Parameter kind: `req`, `dealer`, `sub` or `xsub`.
    init(_ kind: Socket.Kind, port: Int, patience: Duration = .seconds(60)) throws {
        var options = SocketOptions()
        options.receiveTimeout = TimeLimit(patience)
        options.sendTimeout = TimeLimit(patience)
        options.linger = .zero
        let socket = try Socket(kind, in: Context(), options: options)
        try socket.connect("tcp://127.0.0.1:\(port)")
        self.socket = socket
    }

    func send(_ parts: [UInt8]...) throws { try send(parts: parts) }

    func send(parts: [[UInt8]]) throws {
        var message = Multipart()
        for part in parts { message.append(copying: part) }
        try socket.send(message)
    }

    func receive() throws -> [[UInt8]] { try socket.receive(limit: 300).map(\.bytes) }

    // MARK: Control

    func send(_ request: WireRequest, delimited: Bool = false) throws {
        let body: [UInt8] = try request.serializedBytes()
        try send(parts: delimited ? [[], body] : [body])
    }

    /// The reply, which must be the only part.
    func reply() throws -> WireReply {
        let parts = try receive()
        try #require(parts.count == 1, "a reply of \(parts.count) parts")
        return try WireReply(serializedBytes: parts[0])
    }

    func ask(_ request: WireRequest) throws -> WireReply {
        try send(request)
        return try reply()
    }

    /// The failure code of the answer to a body that may be anything.
    func failure(of body: [UInt8]) throws -> String {
        try send(body)
        let parts = try receive()
        if parts[0].first == UInt8(ascii: "{") {
            return try WireReply(jsonString: String(decoding: parts[0], as: UTF8.self)).failure.code
        }
        return try WireReply(serializedBytes: parts[0]).failure.code
    }

    // MARK: Work

    func send(_ kind: WireWorkMessage.OneOf_Kind) throws {
        var message = WireWorkMessage()
        message.kind = kind
        try send(message.serializedBytes())
    }

    /// The next message that is no beat, and how many beats came before it.
    func work() throws -> (kind: WireWorkMessage.OneOf_Kind, payload: [UInt8], beats: Int) {
        var beats = 0
        while true {
            let parts = try receive()
            let message = try WireWorkMessage(serializedBytes: parts[0])
            if case .beat? = message.kind {
                beats += 1
                continue
            }
            return (try #require(message.kind), parts.count > 1 ? parts[1] : [], beats)
        }
    }

    /// Says hello on the work socket.
    func greet(items: UInt32 = 1_000, bytes: UInt64 = 1 << 30) throws {
        var hello = WireWorkHello()
        (hello.versionMin, hello.versionMax) = (1, 1)
        (hello.credit.items, hello.credit.bytes) = (items, bytes)
        try send(.hello(hello))
        guard case .welcome(let welcome) = try work().kind else { throw Unexpected() }
        #expect(welcome.version == 1 && welcome.session.count == 16 && welcome.beatIntervalMs > 0)
    }

    func fetch(_ acquisition: [UInt8], _ positions: Range<Int>, request: UInt64 = 1) throws {
        var fetch = WireFetch()
        fetch.request = request
        fetch.acquisition = .init(acquisition)
        (fetch.first, fetch.count) = (UInt64(positions.lowerBound), UInt64(positions.count))
        try send(.fetch(fetch))
    }

    struct Unexpected: Error {}
}

/// ZMTP spoken over a plain TCP connection, to do what no library does: to stop in the middle, or never to read.
struct RawZMTP {
    let connection: TCPConnection

    /// Connects and shakes hands as ZMTP 3.0 with the NULL mechanism.
    init(port: Int, socketType: String) throws {
        connection = try TCPConnection.connect(host: "127.0.0.1", port: port, timeout: .seconds(60))
        // So that who does not read makes the server feel it soon.
        var window: Int32 = 4096
        setsockopt(connection.descriptor, SOL_SOCKET, SO_RCVBUF, &window, socklen_t(MemoryLayout<Int32>.size))
        connection.setReceiveTimeout(.seconds(10))
        connection.setSendTimeout(.seconds(10))
        let mechanism = Array("NULL".utf8) + [UInt8](repeating: 0, count: 16)
        try send([0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 0] + mechanism + [UInt8](repeating: 0, count: 32))
        try skip(64)
        var ready: [UInt8] = [5] + Array("READY".utf8)
        for (name, value) in [("Socket-Type", socketType), ("Identity", "")] {
            ready +=
                [UInt8(name.utf8.count)] + Array(name.utf8) + [0, 0, 0, UInt8(value.utf8.count)] + Array(value.utf8)
        }
        try send([4, UInt8(ready.count)] + ready)
        let header = try read(2)
        try #require(header[0] == 4, "the server's READY")
        try skip(Int(header[1]))
    }

    func send(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try connection.send($0) } }

    /// Sends one part of a message.
    func send(part: [UInt8], more: Bool = false) throws {
        let flags: UInt8 = more ? 1 : 0
        if part.count < 256 {
            try send([flags, UInt8(part.count)] + part)
        } else {
            try send([flags | 2] + (0..<8).map { UInt8(truncatingIfNeeded: part.count >> (56 - 8 * $0)) } + part)
        }
    }

    private func read(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let received = bytes.withUnsafeMutableBytes { connection.receive(into: $0, fill: true) }
        // Thrown and not recorded: some tests connect while the server opens its socket anew.
        guard received == .bytes(count) else { throw Stranger.Unexpected() }
        return bytes
    }

    private func skip(_ count: Int) throws { _ = try read(count) }
}
