import ZeroMQ

/// What the live socket's subscribers want. The XPUB reports every subscription and every end of one, with the connection that
/// it came by, or none when the connection's own end was the reason.
///
/// I/O-free and bounded: past `capacity` topics, and past `topicsOfConnection` of one peer, further ones are counted as
/// refused; they still get what they subscribed to if someone else makes the server send it. What a peer ends without
/// having begun it changes nothing: no stranger can take a topic from others.
package struct SubscriptionTable: Sendable {
    private let capacity: Int
    private let topicsOfConnection: Int
    /// Topics, with the number of connections that want each.
    private var topics: [[UInt8]: Int] = [:]
    /// How many topics there are of each length: few lengths, so that looking up all beginnings of a topic is cheap.
    private var lengths: [Int: Int] = [:]
    private var ofConnection: [Int32: Wishes] = [:]
    package private(set) var refused: UInt64 = 0

    private struct Wishes {
        var topics: Set<[UInt8]> = []
        var refused = 0
    }

    /// Of all topics that the socket has, taken or refused.
    private var bytes = 0

    /// Topics longer than this together are an attack: libzmq takes dozens of times as much memory for them.
    static let floodBytes = 512 << 10

    package init(capacity: Int = 4096, topicsOfConnection: Int = 1024) {
        self.capacity = capacity
        self.topicsOfConnection = topicsOfConnection
    }

    package var count: Int { topics.count }
    package var isFlooded: Bool { bytes > Self.floodBytes }

    /// The socket has no subscribers any more.
    package mutating func dismissAll() {
        topics = [:]
        lengths = [:]
        ofConnection = [:]
        bytes = 0
    }

    /// What a change came to.
    package enum Outcome: Sendable, Equatable {
        case changed
        case nothingNew
        /// Not taken: nonsense, or too many.
        case refused
        /// The peer has subscribed to so much that its connection is to be ended.
        case flood
    }

    /// - Parameter connection: nil for subscriptions that ended with their connection.
    package mutating func take(_ change: SubscriptionChange, from connection: Int32?) -> Outcome {
        switch change {
        case .subscribed(let topic):
            let key = connection ?? -1
            let wishes = ofConnection[key, default: Wishes()]
            guard !wishes.topics.contains(topic) else { return .nothingNew }
            let isTooMuch = wishes.topics.count + wishes.refused >= topicsOfConnection
            let isNew = topics[topic] == nil
            guard !isTooMuch, Self.isText(topic), !isNew || topics.count < capacity else {
                refused += 1
                ofConnection[key, default: Wishes()].refused += 1
                bytes += topic.count
                return isTooMuch ? .flood : .refused
            }
            ofConnection[key, default: Wishes()].topics.insert(topic)
            topics[topic, default: 0] += 1
            guard isNew else { return .nothingNew }
            bytes += topic.count
            lengths[topic.count, default: 0] += 1
            return .changed
        case .unsubscribed(let topic):
            if let connection {
                guard ofConnection[connection]?.topics.remove(topic) != nil else {
                    // Its own of what was refused before, or nobody's.
                    if topics[topic] == nil { bytes = max(0, bytes - topic.count) }
                    return .nothingNew
                }
            }
            guard let wanted = topics[topic] else {
                bytes = max(0, bytes - topic.count)
                return .nothingNew
            }
            guard wanted == 1 else {
                topics[topic] = wanted - 1
                return .nothingNew
            }
            topics[topic] = nil
            bytes = max(0, bytes - topic.count)
            let left = lengths[topic.count, default: 1] - 1
            lengths[topic.count] = left > 0 ? left : nil
            return .changed
        case .message:
            refused += 1
            return .refused
        }
    }

    /// A connection has ended; its topics are told one by one as well, without it.
    package mutating func ended(_ connection: Int32) { ofConnection[connection] = nil }

    /// Whether it can be the beginning of a topic, all of which are ASCII.
    private static func isText(_ topic: [UInt8]) -> Bool { topic.allSatisfy { $0 > 0x20 && $0 < 0x7F } }

    /// Whether somebody gets messages of `topic`: a subscription is a prefix of it.
    package func wants(_ topic: String) -> Bool {
        let bytes = Array(topic.utf8)
        return lengths.keys.contains { $0 <= bytes.count && topics[Array(bytes[..<$0])] != nil }
    }
}
