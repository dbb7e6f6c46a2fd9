import CLibzmq

/// A libzmq context: its I/O threads, and the space in which `inproc` names live.
///
/// Sockets keep their context alive, so that it ends after the last of them: the context terminates in `deinit`, and
/// waits there until sockets closed before have sent what they hold or their linger time is over.
///
/// Threading: thread-safe. The last reference must not be dropped by the owner of a zero-copy message (``Message``),
/// since owners are released on the context's own I/O thread.
public final class Context: Sendable {
    // libzmq's context is made to be shared between threads; the pointer never changes.
    nonisolated(unsafe) let pointer: UnsafeMutableRawPointer

    /// Makes a context.
    ///
    /// - Parameters:
    ///   - ioThreads: threads that move bytes; one for each GB/s is libzmq's rule of thumb. 0 is enough for `inproc`.
    ///   - maxSockets: how many sockets may be open at a time.
    /// - Throws: `ZMQError`: the loaded libzmq is too old, or a value is out of range.
    public init(ioThreads: Int = 1, maxSockets: Int = 1023) throws(ZMQError) {
        try ZMQLibrary.requireSupported()
        guard let pointer = zmq_ctx_new() else { throw .last("make context") }
        self.pointer = pointer
        guard zmq_ctx_set(pointer, ZMQ_IO_THREADS, Int32(clamping: ioThreads)) == 0 else {
            throw .last("set I/O threads", subject: "\(ioThreads)")
        }
        guard zmq_ctx_set(pointer, ZMQ_MAX_SOCKETS, Int32(clamping: maxSockets)) == 0 else {
            throw .last("set max sockets", subject: "\(maxSockets)")
        }
    }

    deinit {
        while zmq_ctx_term(pointer) != 0 && zmq_errno() == EINTR {}
    }

    /// Ends all waiting and all later calls on the context's sockets with ``ZMQError/Code/terminated``.
    ///
    /// The clean way to unblock threads that wait in a receive or a send. Calls that need not wait may still succeed
    /// for about a millisecond. Sockets still have to be closed by their owners. May be called from any thread, more
    /// than once.
    public func shutdown() {
        zmq_ctx_shutdown(pointer)
    }
}
