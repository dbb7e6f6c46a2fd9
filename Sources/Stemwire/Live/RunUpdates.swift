/// Partial results of a run, the newest ones only, and at last its outcome. For one loop.
public struct RunUpdates: AsyncSequence, Sendable {
    public typealias Element = RunUpdate
    private let stream: AsyncThrowingStream<RunUpdate, any Error>

    init(_ run: @escaping @Sendable (@escaping @Sendable (RunUpdate) -> Void) async throws -> RunOutcome) {
        stream = AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let task = Task {
                do {
                    let outcome = try await run { continuation.yield($0) }
                    continuation.yield(RunUpdate(outcome))
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    public func makeAsyncIterator() -> Iterator { Iterator(base: stream.makeAsyncIterator()) }

    public struct Iterator: AsyncIteratorProtocol {
        var base: AsyncThrowingStream<RunUpdate, any Error>.AsyncIterator

        /// The next update; nil after the last one.
        ///
        /// - Throws: as `LiveContext.run`.
        public mutating func next() async throws -> RunUpdate? { try await base.next() }
    }
}
