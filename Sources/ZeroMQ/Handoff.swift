import Synchronization

/// Gives one non-copyable value, such as a ``Socket``, from the thread that made it to the thread that will own it.
///
/// ```swift
/// let socket = try Socket(.push, in: context)
/// try socket.bind(endpoint)                       // errors appear where they can be told
/// let handoff = Handoff(socket)
/// let thread = try NamedThread("publisher") {
///     guard let socket = handoff.take() else { return }
///     …
/// }
/// ```
public final class Handoff<Value: ~Copyable>: Sendable {
    private let content: Mutex<Value?>

    public init(_ value: consuming sending Value) {
        content = Mutex(consume value)
    }

    /// The value, to the first who asks; nil to all others.
    public func take() -> sending Value? {
        content.withLock { (value) -> sending Value? in
            let taken = value.take()
            return taken
        }
    }
}
