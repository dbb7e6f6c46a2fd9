import ZeroMQ

/// What the live socket's subscribers want, as XPUB reports it: each topic once when its first subscriber comes, and
/// once when its last one goes.
///
/// I/O-free and bounded: past `capacity` topics, further ones are counted as refused; they still get what they
/// subscribed to if someone else makes the server send it.
struct SubscriptionTable: Sendable {
    private let capacity: Int
    private var topics: Set<String> = []
    private(set) var refused: UInt64 = 0

    init(capacity: Int = 4096) {
        self.capacity = capacity
    }

    var count: Int { topics.count }

    /// Takes one change. Returns the topic that is new, if one is.
    mutating func take(_ change: SubscriptionChange) -> String? {
        switch change {
        case .subscribed(let topic):
            guard topics.count < capacity else {
                refused += 1
                return nil
            }
            let text = String(decoding: topic, as: UTF8.self)
            return topics.insert(text).inserted ? text : nil
        case .unsubscribed(let topic):
            topics.remove(String(decoding: topic, as: UTF8.self))
            return nil
        case .message:
            refused += 1
            return nil
        }
    }

    /// Whether somebody gets messages of `topic`: a subscription is a prefix of it.
    func wants(_ topic: String) -> Bool {
        topics.contains { topic.hasPrefix($0) }
    }

    /// Whether somebody may get messages of a topic that begins with `prefix`.
    func wantsAny(under prefix: String) -> Bool {
        topics.contains { prefix.hasPrefix($0) || $0.hasPrefix(prefix) }
    }
}
