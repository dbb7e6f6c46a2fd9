import Testing

@testable import StemwireServer

@Suite struct AnswerCacheTests {
    typealias Cache = AnswerCache<Int, String>

    func isUnknown(_ verdict: Cache.Verdict) -> Bool { if case .unknown = verdict { true } else { false } }
    func isWait(_ verdict: Cache.Verdict) -> Bool { if case .wait = verdict { true } else { false } }
    func isConflict(_ verdict: Cache.Verdict) -> Bool { if case .conflict = verdict { true } else { false } }
    func isTooMany(_ verdict: Cache.Verdict) -> Bool { if case .tooManyCopies = verdict { true } else { false } }
    func answer(_ verdict: Cache.Verdict) -> String? { if case .answered(let text) = verdict { text } else { nil } }

    @Test func theSameIdIsDoneOnceAndAnsweredTheSame() {
        var cache = Cache()
        let first = cache.look(id: "a", fingerprint: 7, from: 1)
        #expect(isUnknown(first))
        cache.admit(id: "a", fingerprint: 7, from: 1)
        let second = cache.look(id: "a", fingerprint: 7, from: 2)
        #expect(isWait(second))
        let waiting = cache.finish(id: "a", with: "done")
        #expect(waiting == [1, 2])
        let third = cache.look(id: "a", fingerprint: 7, from: 3)
        #expect(answer(third) == "done")
        let late = cache.finish(id: "a", with: "again")
        let fourth = cache.look(id: "a", fingerprint: 7, from: 3)
        #expect(late == [] && answer(fourth) == "done")
    }

    @Test func anIdIsOfOneRequestAlone() {
        var cache = Cache()
        cache.admit(id: "a", fingerprint: 7, from: 1)
        let meanwhile = cache.look(id: "a", fingerprint: 8, from: 2)
        _ = cache.finish(id: "a", with: "done")
        let afterwards = cache.look(id: "a", fingerprint: 8, from: 2)
        #expect(isConflict(meanwhile) && isConflict(afterwards))
    }

    @Test func copiesThatWaitAreBounded() {
        var cache = Cache()
        cache.admit(id: "a", fingerprint: 0, from: 0)
        var refused = 0
        for number in 0..<2 * Cache.mostCopies {
            let verdict = cache.look(id: "a", fingerprint: 0, from: number)
            if isTooMany(verdict) { refused += 1 }
        }
        #expect(refused == Cache.mostCopies + 1)
        let waiting = cache.finish(id: "a", with: "done")
        #expect(waiting.count == Cache.mostCopies)
    }

    @Test func theOldestAnswersAreForgottenAndRunningOnesAreNot() {
        var cache = Cache(capacity: 3)
        cache.admit(id: "running", fingerprint: 0, from: 0)
        for number in 0..<10 {
            cache.admit(id: "\(number)", fingerprint: 0, from: 0)
            _ = cache.finish(id: "\(number)", with: "\(number)")
        }
        let running = cache.look(id: "running", fingerprint: 0, from: 1)
        #expect(isWait(running))
        for number in 7..<10 {
            let verdict = cache.look(id: "\(number)", fingerprint: 0, from: 0)
            #expect(answer(verdict) == "\(number)")
        }
        let forgotten = cache.look(id: "6", fingerprint: 0, from: 0)
        #expect(isUnknown(forgotten))
    }
}
