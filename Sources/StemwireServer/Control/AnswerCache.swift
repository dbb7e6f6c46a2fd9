/// Makes requests that change something happen once: the same id again gets the first answer.
///
/// I/O-free. `Requester` is who waits for an answer (a routing id). Bounded: the oldest answers are forgotten first;
/// requests that are still being done are never forgotten.
struct AnswerCache<Requester: Sendable, Answer: Sendable>: Sendable {
    /// What to do with a request that has just come.
    enum Verdict {
        /// It has not been seen before. It is done once `admit` has been called.
        case unknown
        /// It is being done for an earlier copy; this requester is answered with it.
        case wait
        /// It is being done for so many copies already that this one gets no answer.
        case tooManyCopies
        /// It was done; this is the answer.
        case answered(Answer)
        /// The id was another request's.
        case conflict
    }

    private struct Entry {
        let fingerprint: UInt64
        var waiting: [Requester]
        var answer: Answer?
    }

    static var mostCopies: Int { 64 }

    private let capacity: Int
    private var entries: [String: Entry] = [:]
    private var finished: [String] = []
    private var oldest = 0

    init(capacity: Int = 1024) {
        self.capacity = capacity
    }

    /// Looks a request with a non-empty id up; one that is being done keeps the requester in mind.
    ///
    /// - Parameter fingerprint: equal for copies of a request, different for others with the same id.
    mutating func look(id: String, fingerprint: UInt64, from requester: Requester) -> Verdict {
        guard let entry = entries[id] else { return .unknown }
        guard entry.fingerprint == fingerprint else { return .conflict }
        if let answer = entry.answer { return .answered(answer) }
        guard entry.waiting.count < Self.mostCopies else { return .tooManyCopies }
        entries[id]?.waiting.append(requester)
        return .wait
    }

    /// A request that was unknown is being done from now on.
    mutating func admit(id: String, fingerprint: UInt64, from requester: Requester) {
        entries[id] = Entry(fingerprint: fingerprint, waiting: [requester])
    }

    /// Records the answer and tells who waits for it. Nobody when there was an answer already, which stays.
    mutating func finish(id: String, with answer: Answer) -> [Requester] {
        guard let entry = entries[id], entry.answer == nil else { return [] }
        entries[id] = Entry(fingerprint: entry.fingerprint, waiting: [], answer: answer)
        if finished.count < capacity {
            finished.append(id)
        } else {
            entries[finished[oldest]] = nil
            finished[oldest] = id
            oldest = (oldest + 1) % capacity
        }
        return entry.waiting
    }
}
