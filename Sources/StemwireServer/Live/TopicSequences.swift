/// Numbers the messages of each topic, from 1.
///
/// Bounded: a server that runs for months sees names of runs without end. When there are more topics than `capacity`,
/// those that have rested longest begin anew.
struct TopicSequences: Sendable {
    private let capacity: Int
    private var numbers: [String: (sequence: UInt64, age: UInt64)] = [:]
    private var messages: UInt64 = 0

    init(capacity: Int = 16_384) {
        self.capacity = max(2, capacity)
    }

    /// The number of the next message of `topic`.
    mutating func next(for topic: String) -> UInt64 {
        messages += 1
        let sequence = (numbers[topic]?.sequence ?? 0) + 1
        if sequence == 1, numbers.count >= capacity { forgetHalf() }
        numbers[topic] = (sequence, messages)
        return sequence
    }

    var count: Int { numbers.count }

    private mutating func forgetHalf() {
        let ages = numbers.values.map(\.age).sorted()
        let middle = ages[ages.count / 2]
        numbers = numbers.filter { $0.value.age >= middle }
    }
}
