/// Finds control messages in a byte stream, from senders who count their length wrong, too.
///
/// Length counts the comma behind it: text + 1. LiberTEM-live's simulator leaves the 1 out, others may count a NUL that
/// they do not send. So this parser takes a message's declared length as a hint:
///
/// - **A9** A message never reaches into a following `MPX,`. A reply whose text ends in a comma lacks its code: one
///   byte more belongs to it. One printable byte between a message's end and the end of what was received, or the next
///   message, belongs to it too (but no `M`, with which the next message begins). A reply that ends in a code is
///   complete although one declared byte is missing, and so is a GET or CMD that ends in `,0`; any other request with
///   one byte missing is complete once the sender is `quiet`.
/// - **A11** NULs before, inside and behind a prefix or a text are dropped.
///
/// A value belongs to one connection and direction. Memory: at most one message of the limit, and what is appended.
public struct ControlStreamParser: Sendable {
    /// Longest text accepted; a longer one is garbage.
    public let maximumTextBytes: Int
    /// Bytes dropped so far that were no part of a message, NULs not counted.
    public private(set) var skippedBytes = 0

    private var buffer: [UInt8] = []
    /// Start of what was not given out yet.
    private var start = 0

    public init(maximumTextBytes: Int = 1 << 13) {
        self.maximumTextBytes = maximumTextBytes
    }

    /// Adds received bytes, whatever part of a message they are.
    public mutating func append(_ bytes: some Sequence<UInt8>) {
        if start > 0 {
            buffer.removeSubrange(..<start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next request, for the detector's side; nil when more bytes are needed.
    ///
    /// - Parameter quiet: the sender has paused; a message that lacks one declared byte is complete.
    public mutating func nextRequest(quiet: Bool = false) -> Result<ControlRequest, ControlMessageError>? {
        guard let text = nextText(isReply: false, quiet: quiet) else { return nil }
        return Result { () throws(ControlMessageError) in try ControlRequest.parse(text) }
    }

    /// The next reply, for the client's side; nil when more bytes are needed.
    ///
    /// - Parameter quiet: the sender has paused; a message that lacks one declared byte is complete.
    public mutating func nextReply(quiet: Bool = false) -> Result<ControlReply, ControlMessageError>? {
        guard let text = nextText(isReply: true, quiet: quiet) else { return nil }
        return Result { () throws(ControlMessageError) in try ControlReply.parse(text) }
    }

    private mutating func nextText(isReply: Bool, quiet: Bool) -> [UInt8]? {
        while start < buffer.count {
            switch prefix(at: start) {
            case .partial:
                return nil
            case .none:
                if buffer[start] != 0 { skippedBytes += 1 }
                start += 1
            case .whole(let textStart, let declared):
                guard let (text, end) = text(from: textStart, declared: declared, isReply: isReply, quiet: quiet)
                else { return nil }
                start = end
                return text
            }
        }
        return nil
    }

    private enum Prefix {
        case whole(textStart: Int, declared: Int)
        case partial, none
    }

    /// A prefix at `offset`, with any number of NULs inside.
    private func prefix(at offset: Int) -> Prefix {
        var taken = 0
        var length = 0
        for index in offset..<buffer.count {
            let byte = buffer[index]
            guard index - offset < MPXPrefix.byteCount + Self.toleratedNULs else { return .none }
            if byte == 0, taken > 0 { continue }
            switch taken {
            case 0...3:
                guard byte == Self.mark[taken] else { return .none }
            case 4...13:
                guard byte &- UInt8(ascii: "0") <= 9 else { return .none }
                length = length * 10 + Int(byte &- UInt8(ascii: "0"))
            default:
                guard byte == UInt8(ascii: ","), length > 1, length - 1 <= maximumTextBytes else { return .none }
                return .whole(textStart: index + 1, declared: length - 1)
            }
            taken += 1
        }
        return .partial
    }

    private func beginsMessage(at index: Int) -> Bool {
        guard buffer[index] == Self.mark[0], case .whole = prefix(at: index) else { return false }
        return true
    }

    private static let mark = Array("MPX,".utf8)
    /// NULs accepted inside a prefix or a text; more of them must not fill the memory.
    private static let toleratedNULs = 64

    /// The text that begins at `textStart` and where it ends, or nil if more bytes are needed.
    private func text(
        from textStart: Int, declared: Int, isReply: Bool, quiet: Bool
    ) -> (text: [UInt8], end: Int)? {
        var text: [UInt8] = []
        var index = textStart
        var isCutShort = false
        while index < buffer.count, text.count < declared {
            let byte = buffer[index]
            if index - textStart >= declared + Self.toleratedNULs || beginsMessage(at: index) {
                isCutShort = true
                break
            }
            index += 1
            if byte != 0 { text.append(byte) }
        }
        if text.count < declared, !isCutShort {
            // The sender may have counted a NUL, or one byte too many.
            let countedNUL = index - textStart >= declared && index > textStart && buffer[index - 1] == 0
            let isOneShort = text.count == declared - 1 && (quiet || Self.isComplete(text, isReply: isReply))
            guard countedNUL || isOneShort else { return nil }
        } else if isReply, text.last == UInt8(ascii: ","), !isCutShort {
            // The sender did not count the comma: the code is still to come.
            guard let code = nextByte(from: &index) else { return quiet ? (text, index) : nil }
            text.append(code)
        } else if !isCutShort, let byte = straggler(at: index) {
            text.append(byte)
            index += 1
        }
        return (text, index)
    }

    /// Whether a text cannot go on by one more byte: a reply with its code, or a GET or CMD with the needless `,0`.
    private static func isComplete(_ text: [UInt8], isReply: Bool) -> Bool {
        guard text.count > 2, text[text.count - 1] &- UInt8(ascii: "0") <= 9,
            text[text.count - 2] == UInt8(ascii: ",")
        else { return false }
        let fields = text.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        let kind = ControlText.decode(fields[0]).uppercased()
        let needed =
            switch kind {
            case "ERROR": isReply ? 2 : .max
            case "GET": isReply ? 4 : 3
            case "CMD": 3
            default: isReply ? 3 : .max
            }
        return fields.count >= needed && (isReply || fields[fields.count - 1].elementsEqual("0".utf8))
    }

    private func nextByte(from index: inout Int) -> UInt8? {
        while index < buffer.count, buffer[index] == 0 { index += 1 }
        guard index < buffer.count else { return nil }
        index += 1
        return buffer[index - 1]
    }

    /// A single printable byte between a text's end and the end of the buffer, NULs, a line end or the next message.
    private func straggler(at index: Int) -> UInt8? {
        guard index < buffer.count, buffer[index] > 0x20 else { return nil }
        switch prefix(at: index) {
        case .whole, .partial: return nil
        case .none: break
        }
        guard index + 1 < buffer.count else { return buffer[index] }
        if buffer[index + 1] <= 0x20 { return buffer[index] }
        switch prefix(at: index + 1) {
        case .whole, .partial: return buffer[index]
        case .none: return nil
        }
    }
}
