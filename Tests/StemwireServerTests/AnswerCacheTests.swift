import Testing

@testable import StemwireServer

@Suite struct AnswerCacheTests {
    typealias Cache = AnswerCache<Int, String>

    func isDoIt(_ verdict: Cache.Verdict) -> Bool { if case .doIt = verdict { true } else { false } }
    func isWait(_ verdict: Cache.Verdict) -> Bool { if case .wait = verdict { true } else { false } }
    func answer(_ verdict: Cache.Verdict) -> String? { if case .answered(let text) = verdict { text } else { nil } }

    @Test func theSameIdIsDoneOnceAndAnsweredTheSame() {
        var cache = Cache()
        #expect(isDoIt(cache.begin(id: "a", from: 1)))
        #expect(isWait(cache.begin(id: "a", from: 2)))
        #expect(cache.finish(id: "a", with: "done") == [1, 2])
        #expect(answer(cache.begin(id: "a", from: 3)) == "done")
        #expect(cache.finish(id: "a", with: "again") == [])
        #expect(answer(cache.begin(id: "a", from: 3)) == "done")
    }

    @Test func theOldestAnswersAreForgottenAndRunningOnesAreNot() {
        var cache = Cache(capacity: 3)
        #expect(isDoIt(cache.begin(id: "running", from: 0)))
        for number in 0..<10 {
            #expect(isDoIt(cache.begin(id: "\(number)", from: 0)))
            _ = cache.finish(id: "\(number)", with: "\(number)")
        }
        #expect(isWait(cache.begin(id: "running", from: 1)))
        for number in 7..<10 { #expect(answer(cache.begin(id: "\(number)", from: 0)) == "\(number)") }
        #expect(isDoIt(cache.begin(id: "6", from: 0)))
    }
}
