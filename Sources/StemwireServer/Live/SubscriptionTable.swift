import ZeroMQ

/// What the live socket's subscribers want, as XPUB reports it: each topic once when its first subscriber comes, and
/// once when its last one goes.
///
/// I/O-free and bounded: past `capacity` topics, further ones are counted as refused; they still get what they
/// subscribed to if someone else makes the server send it.
struct SubscriptionTable: Sendable {
    private let capacity: Int
    private var topics: Set<ArraySlice<UInt8>> = []
    /// How many topics there are of each length: few lengths, so that looking up all beginnings of a topic is cheap.
    private var lengths: [Int: Int] = [:]
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
            guard topics.insert(topic[...]).inserted else { return nil }
            lengths[topic.count, default: 0] += 1
            return String(decoding: topic, as: UTF8.self)
        case .unsubscribed(let topic):
            guard topics.remove(topic[...]) != nil else { return nil }
            let left = lengths[topic.count, default: 1] - 1
            lengths[topic.count] = left > 0 ? left : nil
            return nil
        case .message:
            refused += 1
            return nil
        }
    }

    /// Whether somebody gets messages of `topic`: a subscription is a prefix of it.
    func wants(_ topic: String) -> Bool {
        let bytes = Array(topic.utf8)
        return lengths.keys.contains { $0 <= bytes.count && topics.contains(bytes.prefix($0)) }
    }

    /// Whether somebody may get messages of a topic that begins with `prefix`.
    func wantsAny(under prefix: String) -> Bool {
        wants(prefix) || topics.contains { $0.starts(with: prefix.utf8) }
    }
}
