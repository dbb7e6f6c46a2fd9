/// Makes requests that change something happen once: the same id again gets the first answer.
///
/// I/O-free. `Requester` is who waits for an answer (a routing id). Bounded: the oldest answers are forgotten first;
/// requests that are still being done are never forgotten.
struct AnswerCache<Requester: Sendable, Answer: Sendable>: Sendable {
    /// What to do with a request that has just come.
    enum Verdict {
        /// Do it, then call `finish`.
        case doIt
        /// It is being done for an earlier copy; this requester is answered with it.
        case wait
        /// It was done; this is the answer.
        case answered(Answer)
    }

    private enum Entry {
        case doing(waiting: [Requester])
        case done(Answer)
    }

    private let capacity: Int
    private var entries: [String: Entry] = [:]
    private var finished: [String] = []
    private var oldest = 0

    init(capacity: Int = 1024) {
        self.capacity = capacity
    }

    /// Registers a request with a non-empty id.
    mutating func begin(id: String, from requester: Requester) -> Verdict {
        switch entries[id] {
        case nil:
            entries[id] = .doing(waiting: [requester])
            return .doIt
        case .doing(var waiting):
            if waiting.count < 16 { waiting.append(requester) }
            entries[id] = .doing(waiting: waiting)
            return .wait
        case .done(let answer):
            return .answered(answer)
        }
    }

    /// Records the answer and tells who waits for it.
    mutating func finish(id: String, with answer: Answer) -> [Requester] {
        guard case .doing(let waiting) = entries[id] else { return [] }
        entries[id] = .done(answer)
        if finished.count < capacity {
            finished.append(id)
        } else {
            entries[finished[oldest]] = nil
            finished[oldest] = id
            oldest = (oldest + 1) % capacity
        }
        return waiting
    }
}
