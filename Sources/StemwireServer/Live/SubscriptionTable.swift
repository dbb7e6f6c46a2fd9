import ZeroMQ

/// What the live socket's subscribers want, as XPUB reports it: each topic once when its first subscriber comes, and
/// once when its last one goes.
///
/// I/O-free and bounded: past `capacity` topics, further ones are counted as refused; they still get what they
/// subscribed to if someone else makes the server send it.
package struct SubscriptionTable: Sendable {
    private let capacity: Int
    private var topics: Set<String> = []
    /// How many topics there are of each length: few lengths, so that looking up all beginnings of a topic is cheap.
    private var lengths: [Int: Int] = [:]
    package private(set) var refused: UInt64 = 0
    /// Of all topics that the socket has, taken or refused.
    private var bytes = 0

    /// Topics longer than this together are an attack: libzmq takes dozens of times as much memory for them.
    static let floodBytes = 512 << 10

    package init(capacity: Int = 4096) {
        self.capacity = capacity
    }

    package var count: Int { topics.count }
    package var isFlooded: Bool { bytes > Self.floodBytes }

    /// The socket has no subscribers any more.
    package mutating func dismissAll() {
        topics = []
        lengths = [:]
        bytes = 0
    }

    /// Takes one change. Returns the topic that is new, if one is.
    package mutating func take(_ change: SubscriptionChange) -> String? {
        switch change {
        case .subscribed(let topic):
            bytes += topic.count
            guard topics.count < capacity, let text = Self.text(topic) else {
                refused += 1
                return nil
            }
            guard topics.insert(text).inserted else { return nil }
            lengths[topic.count, default: 0] += 1
            return text
        case .unsubscribed(let topic):
            bytes = max(0, bytes - topic.count)
            guard let text = Self.text(topic), topics.remove(text) != nil else { return nil }
            let left = lengths[topic.count, default: 1] - 1
            lengths[topic.count] = left > 0 ? left : nil
            return nil
        case .message:
            refused += 1
            return nil
        }
    }

    /// The topic as text; nil for what cannot be the beginning of any topic, all of which are ASCII.
    private static func text(_ topic: [UInt8]) -> String? {
        topic.allSatisfy { $0 > 0x20 && $0 < 0x7F } ? String(decoding: topic, as: UTF8.self) : nil
    }

    /// Whether somebody gets messages of `topic`: a subscription is a prefix of it.
    package func wants(_ topic: String) -> Bool {
        lengths.keys.contains { $0 <= topic.utf8.count && topics.contains(String(topic.utf8.prefix($0)) ?? topic) }
    }

    /// Whether somebody may get messages of a topic that begins with `prefix`.
    func wantsAny(under prefix: String) -> Bool {
        wants(prefix) || topics.contains { $0.hasPrefix(prefix) }
    }
}
