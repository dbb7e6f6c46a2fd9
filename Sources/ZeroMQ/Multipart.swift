import CLibzmq

/// A message of several parts on its way out: small copied ones and large uncopied ones in any mixture.
///
/// ```swift
/// var message = Multipart()
/// message.append(copying: topic)
/// message.append(copying: header)
/// message.append(Message(pixels, owner: slot))
/// try socket.send(message)
/// ```
public struct Multipart: ~Copyable, @unchecked Sendable {
    private(set) var parts: [UnsafeMutablePointer<zmq_msg_t>] = []

    public init() {}

    /// Copies of `parts`.
    public init(copying parts: [UInt8]...) {
        for part in parts { append(copying: part) }
    }

    deinit { Self.release(parts[...]) }

    /// Number of parts.
    public var count: Int { parts.count }

    /// Number of bytes of all parts together.
    public var byteCount: Int { parts.reduce(0) { $0 + zmq_msg_size($1) } }

    /// Adds `message` behind the others.
    public mutating func append(_ message: consuming Message) { parts.append(message.take()) }

    /// Adds a copy of `bytes`.
    public mutating func append(copying bytes: [UInt8]) { append(Message(copying: bytes)) }

    /// Adds a copy of `bytes`.
    public mutating func append(copying bytes: UnsafeRawBufferPointer) { append(Message(copying: bytes)) }

    /// Adds the UTF-8 bytes of `text`.
    public mutating func append(copying text: String) { append(Message(copying: text)) }

    /// Adds a received part, such as the routing id that a reply begins with, without a copy if it is large.
    public mutating func append(_ part: ReceivedPart) { append(part.forwarded()) }

    /// Adds a part of no bytes, such as a REQ peer's delimiter.
    public mutating func appendEmpty() { append(Message()) }

    /// Releases all parts.
    public mutating func removeAll() {
        Self.release(parts[...])
        parts.removeAll(keepingCapacity: true)
    }

    private static func release(_ parts: ArraySlice<UnsafeMutablePointer<zmq_msg_t>>) {
        for part in parts {
            zmq_msg_close(part)
            part.deallocate()
        }
    }
}
