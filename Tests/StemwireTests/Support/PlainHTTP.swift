import StemwireSystem

/// One HTTP request over a plain TCP connection.
enum PlainHTTP {
    /// - Returns: the status, and head and body of the answer.
    static func get(
        _ path: String, host: String = "127.0.0.1", port: Int, headers: [String] = []
    ) throws -> (status: Int, text: String) {
        let connection = try TCPConnection.connect(host: host, port: port, timeout: .seconds(10))
        connection.setReceiveTimeout(.seconds(10))
        let lines = ["GET /\(path) HTTP/1.1", "Host: \(host)", "Connection: close"] + headers
        try Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8).withUnsafeBytes { try connection.send($0) }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case .bytes(let count) = buffer.withUnsafeMutableBytes({ connection.receive(into: $0) }) {
            answer += buffer[..<count]
        }
        let text = String(decoding: answer, as: UTF8.self)
        return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0, text)
    }
}
