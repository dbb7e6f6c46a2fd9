import CLibzmq

/// One received message part: libzmq's own memory, kept without a copy as long as somebody refers to this object.
///
/// A view of pixels holds the part and reads its bytes in place. The bytes never change.
///
/// Threading: immutable; may be read from several threads and released on any.
public final class ReceivedPart: Sendable {
    // Only read after it was received, but for the close in deinit.
    nonisolated(unsafe) private let pointer: UnsafeMutablePointer<zmq_msg_t>

    /// Keeps what `message` holds, without a copy.
    public convenience init(_ message: consuming Message) {
        self.init(adopting: message.take())
    }

    init(adopting pointer: UnsafeMutablePointer<zmq_msg_t>) {
        self.pointer = pointer
    }

    deinit {
        zmq_msg_close(pointer)
        pointer.deallocate()
    }

    /// Number of bytes.
    public var count: Int { zmq_msg_size(pointer) }

    /// Reads the bytes in place; the pointer is valid as long as this object, so within `body` at least.
    public func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: zmq_msg_data(pointer), count: zmq_msg_size(pointer)))
    }

    /// Reads the bytes in place, bounds-checked.
    public func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeBytes { (bytes) throws(Failure) in try body(bytes.bytes) }
    }

    /// A copy of the bytes.
    public var bytes: [UInt8] { withUnsafeBytes { Array($0) } }

    /// The bytes as text, nil unless they are valid UTF-8.
    public var text: String? {
        withUnsafeBytes { String(validating: $0, as: UTF8.self) }
    }

    /// The address that the sender's connection came from, where the transport has one: for logs, not as a proof.
    public var peerAddress: String? { property("Peer-Address") }

    /// The user that the ZAP authenticator gave the sender's connection.
    public var userID: String? { property("User-Id") }

    /// The descriptor of the connection that the message came by; nil where there is none, as with `inproc`. The connection
    /// may be over by now, and the number another one's.
    public var connection: Int32? {
        let descriptor = zmq_msg_get(pointer, ZMQ_SRCFD)
        return descriptor >= 0 ? descriptor : nil
    }

    private func property(_ name: String) -> String? {
        zmq_msg_gets(pointer, name).map { String(cString: $0) }
    }

    /// A message of the same bytes, to be sent on without a copy; this part lives until it is sent.
    public func forwarded() -> Message {
        // Below this size a copy is cheaper than keeping an owner.
        guard count > 256 else { return withUnsafeBytes { Message(copying: $0) } }
        return withUnsafeBytes { Message($0, owner: self) }
    }
}
