import StemwireSystem
import StemwireUDF

/// What a run that goes on can be told.
final class RunControl: Sendable {
    let engine = Locked<(any RunEngine)?>(nil)
}

/// Partial results of a run, the newest ones only, and at last its outcome. For one loop.
public struct RunUpdates: AsyncSequence, Sendable {
    public typealias Element = RunUpdate
    private let stream: AsyncThrowingStream<RunUpdate, any Error>
    private let control = RunControl()

    init(
        _ run: @escaping @Sendable (RunControl, @escaping @Sendable (RunUpdate) -> Void) async throws -> RunOutcome
    ) {
        let control = control
        stream = AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let task = Task {
                let result: Result<RunOutcome, any Error>
                do {
                    result = .success(try await run(control) { continuation.yield($0) })
                } catch {
                    result = .failure(error)
                }
                control.engine.value = nil
                do {
                    let outcome = try result.get()
                    continuation.yield(RunUpdate(outcome))
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    /// Changes parameters of the run's UDFs while it goes on.
    ///
    /// Rows of nav channels that were made before stay, and `RunUpdate.generations` tells which these are; channels of
    /// kind sig and single of the changed UDFs start anew. Partitions that were begun before the change are finished with
    /// the earlier parameters.
    ///
    /// ```swift
    /// let updates = context.updates([UDFRequest(id: "bf", name: "disk")], on: scan)
    /// for try await update in updates where update.parameterGeneration == 0 {
    ///     try await updates.changeParameters([UDFRequest(id: "bf", name: "disk", parameters: ["r": 30])], recompute: true)
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - udfs: those that change, by their ids, with all their parameters. The others go on undisturbed.
    ///   - recompute: whether frames that were worked on before are worked on again, as far as they are kept: see
    ///     `RunOptions.retainedBytes`.
    /// - Throws: `RunError.badRequest` when the run has no such UDF, cannot have these parameters, has not begun or is
    ///   over.
    public func changeParameters(_ udfs: [UDFRequest], recompute: Bool = false) async throws(RunError) {
        guard let engine = control.engine.value else { throw .badRequest("the run has not begun, or is over") }
        try await engine.changeParameters(udfs, recompute: recompute)
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
