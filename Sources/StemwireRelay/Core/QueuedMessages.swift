import Synchronization
import ZeroMQ

/// What the viewers' queues hold of the messages that were passed on: bounded, so that those who do not read cost no more
/// memory than they may.
///
/// One thread takes; any thread gives back, by atomics only.
final class QueuedMessages: Sendable {
    let limit: Int
    private let held = Atomic<Int>(0)
    private let messages = Atomic<Int>(0)

    /// - Parameter limit: in bytes. One message may be held in any case.
    init(limit: Int) { self.limit = limit }

    var bytes: Int { held.load(ordering: .relaxed) }
    var count: Int { messages.load(ordering: .relaxed) }

    /// Counts a message's payload as held, if the limit allows it.
    func take(_ bytes: Int) -> Bool {
        let before = held.wrappingAdd(bytes, ordering: .relaxed).oldValue
        guard before == 0 || before + bytes <= limit else {
            held.wrappingSubtract(bytes, ordering: .relaxed)
            return false
        }
        messages.wrappingAdd(1, ordering: .relaxed)
        return true
    }

    func giveBack(_ bytes: Int) {
        held.wrappingSubtract(bytes, ordering: .relaxed)
        messages.wrappingSubtract(1, ordering: .relaxed)
    }
}

/// The payload of one message in the viewers' queues: libzmq reads the received parts, and lets go of this when it is done.
///
/// Let go on libzmq's I/O thread: atomics only, no lock.
final class QueuedPayload: Sendable {
    private let parts: [ReceivedPart]
    private let bytes: Int
    private let queued: QueuedMessages

    /// Takes over what was counted in `queued`.
    init(_ parts: [ReceivedPart], bytes: Int, countedIn queued: QueuedMessages) {
        self.parts = parts
        self.bytes = bytes
        self.queued = queued
    }

    deinit { queued.giveBack(bytes) }

    /// The parts behind `message`'s others, without a copy.
    func append(to message: inout Multipart) {
        for part in parts { part.withUnsafeBytes { message.append(Message($0, owner: self)) } }
    }
}
