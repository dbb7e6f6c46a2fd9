import SwiftProtobuf

/// How a control message is written: protobuf, or the same message in protobuf's canonical JSON.
///
/// A JSON object begins with `{`, which no protobuf message of this schema can begin with (it would open a group of
/// field 15), so the first byte tells, and a peer needs no announcement.
public enum ControlEncoding: Sendable, Hashable {
    case protobuf
    case json

    public init(sniffing body: [UInt8]) {
        self = body.first == UInt8(ascii: "{") ? .json : .protobuf
    }
}

/// A control message that could not be read.
public enum ControlCodingError: Error, Sendable, CustomStringConvertible {
    case tooLarge(bytes: Int)
    case unreadable(ControlEncoding, reason: String)

    public var description: String {
        switch self {
        case .tooLarge(let bytes):
            "the message has \(bytes) bytes; at most \(WireLimits.controlRequestBytes) are taken"
        case .unreadable(let encoding, let reason):
            "the message is not a readable \(encoding == .json ? "JSON" : "protobuf") message of stemwire.proto: \(reason)"
        }
    }
}

/// Reads and writes control messages in either encoding.
public enum ControlCoding {
    /// Reads a message of at most `limit` bytes.
    public static func decode<M: Message>(
        _ type: M.Type, from body: [UInt8], limit: Int = WireLimits.controlRequestBytes
    ) throws(ControlCodingError) -> (M, ControlEncoding) {
        guard body.count <= limit else { throw .tooLarge(bytes: body.count) }
        let encoding = ControlEncoding(sniffing: body)
        do {
            switch encoding {
            case .protobuf:
                return (try M(serializedBytes: body), encoding)
            case .json:
                var options = JSONDecodingOptions()
                options.ignoreUnknownFields = true
                options.messageDepthLimit = 16
                return (try M(jsonString: String(decoding: body, as: UTF8.self), options: options), encoding)
            }
        } catch {
            throw .unreadable(encoding, reason: "\(error)")
        }
    }

    /// Writes a message.
    ///
    /// - Throws: `ControlCodingError` for strings that are no valid UTF-8 or numbers JSON cannot hold.
    public static func encode(_ message: some Message, as encoding: ControlEncoding) throws(ControlCodingError)
        -> [UInt8]
    {
        do {
            switch encoding {
            case .protobuf: return try message.serializedBytes()
            case .json: return Array(try message.jsonString().utf8)
            }
        } catch {
            throw .unreadable(encoding, reason: "\(error)")
        }
    }
}
