/// Counts what was lost on one topic, by the numbers of its messages.
package struct SequenceTracker: Sendable {
    package enum Observation: Equatable, Sendable {
        /// The first message heard on this topic; what was before is not known.
        case first
        case next
        /// `lost` messages were left out before this one.
        case jump(lost: Int)
        /// The number was there before: a copy, or a message out of turn.
        case stale
    }

    private var last: UInt64?

    mutating func observe(_ sequence: UInt64) -> Observation {
        guard let before = last else {
            last = sequence
            return .first
        }
        guard sequence > before else { return .stale }
        last = sequence
        let lost = sequence - before - 1
        return lost == 0 ? .next : .jump(lost: Int(clamping: lost))
    }

    /// The server was started anew: its counts begin at 1, so that what came before the first message heard is lost.
    mutating func restart() { last = 0 }
}

/// The trackers of a subscription's topics in one server session.
package struct SessionTracker: Sendable {
    /// The session of the messages that count now; nil before the first.
    private(set) var session: [UInt8]?
    private var topics: [String: SequenceTracker] = [:]
    /// More topics than this are not told apart; a well-behaved server has one a result channel.
    private static let topicLimit = 4096

    package init() {}

    /// - Returns: whether this is the start of another session than the one before.
    package mutating func enter(_ session: [UInt8]) -> Bool {
        guard session != self.session else { return false }
        let isRestart = self.session != nil
        self.session = session
        topics.removeAll()
        return isRestart
    }

    package mutating func observe(topic: String, sequence: UInt64) -> SequenceTracker.Observation {
        guard topics.count < Self.topicLimit || topics[topic] != nil else { return .first }
        return topics[topic, default: SequenceTracker()].observe(sequence)
    }
}
