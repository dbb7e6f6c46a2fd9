import StemwireSystem

/// Those who wait until a fake has seen something, each for a time only. A part of the fake's state.
package struct Sightings {
    package typealias Token = Int

    private struct Waiter {
        let token: Token
        let isMet: () -> Bool
        let continuation: CheckedContinuation<Void, Never>
    }

    private var waiters: [Waiter] = []
    private var last = 0

    /// How long a test waits before it says that something never came.
    package static let limit = Duration.seconds(45)

    package init() {}

    package mutating func makeToken() -> Token {
        last += 1
        return last
    }

    package mutating func wait(
        _ token: Token, for continuation: CheckedContinuation<Void, Never>, until isMet: @escaping () -> Bool
    ) {
        waiters.append(Waiter(token: token, isMet: isMet, continuation: continuation))
    }

    /// Lets go of those who have seen what they wait for.
    package mutating func check() {
        let met = waiters.filter { $0.isMet() }
        guard !met.isEmpty else { return }
        let tokens = Set(met.map(\.token))
        waiters.removeAll { tokens.contains($0.token) }
        for waiter in met { waiter.continuation.resume() }
    }

    /// Lets go of one who still waits; false when it does not any more.
    package mutating func giveUp(_ token: Token) -> Bool {
        guard let index = waiters.firstIndex(where: { $0.token == token }) else { return false }
        waiters.remove(at: index).continuation.resume()
        return true
    }
}
