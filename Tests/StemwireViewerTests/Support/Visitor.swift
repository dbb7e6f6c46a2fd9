import StemwireSystem
import Testing

@testable import StemwireViewer

/// A stranger's HTTP and WebSocket over a plain TCP connection: nothing of the library that the viewer is built with.
/// Blocks; to be used by way of `visit(_:_:)`.
final class Visitor {
    private let connection: TCPConnection
    private let port: Int
    private var waiting: [UInt8] = []

    init(port: Int) throws {
        self.port = port
        connection = try TCPConnection.connect(host: "127.0.0.1", port: port, timeout: .seconds(60))
        connection.setReceiveTimeout(.seconds(20))
        connection.setSendTimeout(.seconds(20))
    }

    struct Answer {
        var status: Int
        var headers: [String: String]
        var body: [UInt8]
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    // MARK: HTTP

    func get(_ path: String, method: String = "GET", host: String? = nil, headers: [String] = []) throws -> Answer {
        let lines = ["\(method) \(path) HTTP/1.1", "Host: \(host ?? "127.0.0.1:\(port)")"] + headers
        try send(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8))
        return try answer(hasBody: method != "HEAD")
    }

    func answer(hasBody: Bool = true) throws -> Answer {
        var head: [UInt8] = []
        while !head.suffix(4).elementsEqual(Array("\r\n\r\n".utf8)) { head += try read(1) }
        // A carriage return and a line feed are one character.
        let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
        }
        let count = hasBody ? Int(headers["content-length"] ?? "0") ?? 0 : 0
        let status = Int(lines[0].split(separator: " ")[1]) ?? 0
        return Answer(status: status, headers: headers, body: count > 0 ? try read(count) : [])
    }

    // MARK: WebSocket

    /// - Returns: the status; 101 when the WebSocket is open.
    func upgrade(
        origin: String? = nil, host: String? = nil, path: String = "/live", headers more: [String] = []
    ) throws -> Int {
        var headers =
            [
                "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ] + more
        if let origin { headers.append("Origin: \(origin)") }
        let answer = try get(path, host: host, headers: headers)
        if answer.status == 101 {
            // The example of RFC 6455.
            #expect(answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        }
        return answer.status
    }

    func send(_ text: String) throws { try send(frame: 1, Array(text.utf8)) }

    func send(frame opcode: UInt8, _ payload: [UInt8], claims count: Int? = nil) throws {
        let count = count ?? payload.count
        var frame: [UInt8] = [0x80 | opcode]
        if count < 126 {
            frame.append(0x80 | UInt8(count))
        } else {
            frame += [0x80 | 127] + (0..<8).map { UInt8(truncatingIfNeeded: count >> (56 - 8 * $0)) }
        }
        // A mask of zeros leaves the payload as it is.
        try send(frame + [0, 0, 0, 0] + payload)
    }

    func frame() throws -> (opcode: UInt8, payload: [UInt8]) {
        let head = try read(2)
        var count = Int(head[1] & 0x7F)
        if count == 126 { count = try read(2).reduce(0) { $0 << 8 | Int($1) } }
        if count == 127 { count = try read(8).reduce(0) { $0 << 8 | Int($1) } }
        return (head[0] & 0x0F, count > 0 ? try read(count) : [])
    }

    /// Asks for the next message and reads it.
    func next() throws -> ReadMessage {
        try send(#"{"type":"next"}"#)
        let frame = try frame()
        try #require(frame.opcode == 2, "a message: \(frame.opcode) \(String(decoding: frame.payload, as: UTF8.self))")
        return try ReadMessage(frame.payload)
    }

    /// Asks until a message is as wanted.
    func next(_ what: String, until isWanted: (ReadMessage) -> Bool) throws -> ReadMessage {
        let deadline = ContinuousClock.now + .seconds(120)
        while ContinuousClock.now < deadline {
            let message = try next()
            if isWanted(message) { return message }
        }
        throw Late(what: what)
    }

    struct Late: Error { let what: String }

    // MARK: Bytes

    func send(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try connection.send($0) } }

    /// Whether the other side has closed.
    func isClosed() -> Bool {
        var byte: [UInt8] = [0]
        while true {
            let received = byte.withUnsafeMutableBytes { connection.receive(into: $0, fill: true) }
            if received != .bytes(1) { return true }
        }
    }

    /// What has come, at least one byte.
    func some() throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        guard case .bytes(let count) = bytes.withUnsafeMutableBytes({ connection.receive(into: $0, fill: false) }),
            count > 0
        else { throw Late(what: "bytes") }
        return Array(bytes.prefix(count))
    }

    private func read(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let received = bytes.withUnsafeMutableBytes { connection.receive(into: $0, fill: true) }
        try #require(received == .bytes(count), "\(count) bytes: \(received)")
        return bytes
    }
}

/// Runs blocking code of a visitor on a thread of its own.
func visit<Value: Sendable>(_ port: Int, _ body: @escaping @Sendable (Visitor) throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        do {
            _ = try NamedThread("visitor") {
                continuation.resume(with: Result { try body(try Visitor(port: port)) })
            }
        } catch {
            continuation.resume(throwing: error)
        }
    }
}
