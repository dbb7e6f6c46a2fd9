import CLibzmq

/// One part of a message to be sent, or a reusable place to receive one.
///
/// It owns libzmq's message, which lies on the heap since small ones hold their bytes inside. Not copyable; whoever
/// owns it last releases the bytes. The bytes cannot be changed once it is made: with `inproc`, and with several
/// subscribers, the receivers read this very memory.
///
/// Making one from bytes that are already there (`init(_:owner:)`, `init(_:hint:release:)`) copies nothing: libzmq
/// reads the memory when it writes to the network, and says once that it is done with it.
///
/// Threading: may be handed to another thread.
public struct Message: ~Copyable, @unchecked Sendable {
    let pointer: UnsafeMutablePointer<zmq_msg_t>

    /// An empty part.
    public init() {
        pointer = .allocate(capacity: 1)
        zmq_msg_init(pointer)
    }

    /// Takes over an initialised message.
    init(adopting pointer: UnsafeMutablePointer<zmq_msg_t>) {
        self.pointer = pointer
    }

    /// `size` bytes, all zero.
    public init(size: Int) {
        self.init(size: size) { bytes in
            if let base = bytes.baseAddress { base.initializeMemory(as: UInt8.self, repeating: 0, count: bytes.count) }
        }
    }

    /// `size` bytes as `fill` writes them, all of them, straight into the message.
    public init<Failure: Error>(
        size: Int, fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        let pointer = UnsafeMutablePointer<zmq_msg_t>.allocate(capacity: 1)
        // Like Swift's own collections: no memory is no error that a program can go on from.
        precondition(zmq_msg_init_size(pointer, size) == 0, "no memory for a message of \(size) bytes")
        do throws(Failure) {
            try fill(UnsafeMutableRawBufferPointer(start: zmq_msg_data(pointer), count: size))
        } catch {
            zmq_msg_close(pointer)
            pointer.deallocate()
            throw error
        }
        self.pointer = pointer
    }

    /// A copy of `bytes`.
    public init(copying bytes: UnsafeRawBufferPointer) {
        self.init(size: bytes.count) { $0.copyMemory(from: bytes) }
    }

    /// A copy of `bytes`.
    public init(copying bytes: [UInt8]) {
        self.init(size: bytes.count) { $0.copyBytes(from: bytes) }
    }

    /// The UTF-8 bytes of `text`.
    public init(copying text: String) {
        self.init(copying: Array(text.utf8))
    }

    /// `bytes` themselves, without a copy. `owner` is kept until libzmq needs them no more, then released once.
    ///
    /// The release happens on libzmq's I/O thread or on the thread that sends or closes, also when sending fails or the
    /// context is shut down. It must not block and must not drop the last reference to the ``Context``. `bytes` must
    /// not change while `owner` is held here.
    public init(_ bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable) {
        let hint = Unmanaged.passRetained(owner as AnyObject).toOpaque()
        self.init(bytes, hint: hint) { _, hint in
            Unmanaged<AnyObject>.fromOpaque(hint!).release()
        }
    }

    /// `bytes` themselves, without a copy. `release(bytes, hint)` is called once, when libzmq needs them no more.
    ///
    /// For owners that count by an atomic: `hint` points to it, and `release` is one decrement and perhaps a wake-up.
    /// It runs on libzmq's I/O thread or on the thread that sends or closes; it must take no lock that the sending
    /// side may hold, and must not block.
    public init(
        _ bytes: UnsafeRawBufferPointer,
        hint: UnsafeMutableRawPointer?,
        release: @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) -> Void
    ) {
        pointer = .allocate(capacity: 1)
        let base = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
        precondition(zmq_msg_init_data(pointer, base, bytes.count, release, hint) == 0, "no memory for a message")
    }

    deinit {
        zmq_msg_close(pointer)
        pointer.deallocate()
    }

    /// Number of bytes.
    public var count: Int { zmq_msg_size(pointer) }

    /// Reads the bytes in place; the pointer is valid within `body` only.
    public func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: zmq_msg_data(pointer), count: zmq_msg_size(pointer)))
    }

    /// Gives up the libzmq message to the caller, who closes and deallocates it.
    consuming func take() -> UnsafeMutablePointer<zmq_msg_t> {
        let pointer = pointer
        discard self
        return pointer
    }
}
