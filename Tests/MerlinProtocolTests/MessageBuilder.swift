import MerlinProtocol

/// Builds wire bytes for tests, written apart from the code under test.
enum Wire {
    /// `MPX,` + ten digits of body + 1 + `,` + body.
    static func message(_ body: [UInt8]) -> [UInt8] {
        let digits = String(body.count + 1)
        let padding = String(repeating: "0", count: 10 - digits.count)
        return Array("MPX,\(padding)\(digits),".utf8) + body
    }

    static func message(_ body: String) -> [UInt8] { message(Array(body.utf8)) }

    /// A frame's body: header text padded with NULs to `dataOffset`, and the payload.
    static func frameBody(_ header: String, dataOffset: Int, payload: [UInt8]) -> [UInt8] {
        let text = Array(header.utf8)
        return text + Array(repeating: 0, count: dataOffset - text.count) + payload
    }

    /// A small U08 frame of 4 × 4 pixels with all pixels `value`.
    static func smallFrame(_ number: Int, pixels: [UInt8] = Array(repeating: 7, count: 16)) -> [UInt8] {
        let digits = String(number)
        let sequence = String(repeating: "0", count: max(0, 6 - digits.count)) + digits
        let header = "MQ1,\(sequence),00064,01,0004,0004,U08,   1x1,01,2024-01-01,"
        return message(frameBody(header, dataOffset: 64, payload: pixels))
    }

    static func acquisitionHeader(frames: Int) -> [UInt8] {
        message("HDR,\t\r\nFrames in Acquisition (Number):\t\(frames)\r\nEnd\t    ")
    }
}

/// What a stream was taken apart into.
enum Event: Equatable {
    case skipped(Int)
    case message(MPXMessage.Kind, [UInt8], intact: Bool)
}

/// Feeds `bytes` to a parser in pieces and collects what it finds; neighbouring skips are added up.
func events(
    _ bytes: [UInt8], pieces: [Int] = [], limits: MPXStreamParser.Limits = .init(), quietAtEnd: Bool = true
) -> [Event] {
    var parser = MPXStreamParser(limits: limits)
    var found: [Event] = []
    var start = 0
    var end = 0
    func take(quiet: Bool) {
        while true {
            let step = bytes[start..<end].withUnsafeBytes { parser.next($0, quiet: quiet) }
            switch step {
            case .needMore(let count):
                precondition(count >= 1)
                return
            case .skipped(let count):
                precondition(count >= 1 && count <= end - start)
                if case .skipped(let earlier) = found.last {
                    found[found.count - 1] = .skipped(earlier + count)
                } else {
                    found.append(.skipped(count))
                }
                start += count
            case .message(let message):
                precondition(message.totalBytes >= 15 && message.totalBytes <= end - start)
                let body = bytes[(start + 15)..<(start + message.totalBytes)]
                found.append(.message(message.kind, Array(body), intact: message.intact))
                start += message.totalBytes
            }
        }
    }
    for piece in pieces where end + piece < bytes.count {
        end += piece
        take(quiet: false)
    }
    end = bytes.count
    take(quiet: false)
    if quietAtEnd { take(quiet: true) }
    return found
}
