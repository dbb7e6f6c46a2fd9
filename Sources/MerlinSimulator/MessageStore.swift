/// Gives out the messages of an acquisition in pieces that are worth a system call.
///
/// For one thread.
protocol MessageStore: AnyObject {
    var writer: any MessageWriter { get }

    /// The messages of the first frames of a range, at least one, one behind the other. The memory is valid until the
    /// next call.
    func messages(_ frames: Range<Int>) throws -> (bytes: UnsafeRawBufferPointer, frames: Int)
}

/// Makes the messages when they are asked for.
final class FreshMessages: MessageStore {
    let writer: any MessageWriter
    private let buffer: UnsafeMutableRawBufferPointer
    private let capacity: Int

    /// Bytes that are sent at once: larger writes do not make loopback faster.
    static let pieceBytes = 1 << 20

    init(_ writer: any MessageWriter) {
        self.writer = writer
        capacity = max(1, Self.pieceBytes / writer.messageBytes)
        buffer = .allocate(byteCount: capacity * writer.messageBytes, alignment: 64)
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit { buffer.deallocate() }

    func messages(_ frames: Range<Int>) throws -> (bytes: UnsafeRawBufferPointer, frames: Int) {
        let count = min(frames.count, capacity)
        let size = writer.messageBytes
        for index in 0..<count {
            try writer.write(
                frame: frames.lowerBound + index,
                into: UnsafeMutableRawBufferPointer(rebasing: buffer[(index * size)..<((index + 1) * size)]))
        }
        return (UnsafeRawBufferPointer(rebasing: buffer[..<(count * size)]), count)
    }
}
