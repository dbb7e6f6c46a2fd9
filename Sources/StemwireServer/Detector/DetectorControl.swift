import StemwireAcquisition
import StemwireSystem
import Synchronization

/// The detector's control socket, asked from async code: requests are sent one after the other on a thread of their own.
final class DetectorControl: Sendable {
    private let control: MerlinControl
    private let queue: BlockingQueue
    /// Requests that may have changed the detector.
    private let changeCount = Atomic<Int>(0)

    /// Rises when the detector may have changed: by a request from here, or since the connection is a new one.
    var changes: Int { changeCount.load(ordering: .acquiring) + control.connections }

    /// The detector may be another one, or have been started anew: nothing it said holds any more.
    func mayHaveChanged() { changeCount.wrappingAdd(1, ordering: .releasing) }

    init(_ configuration: ServerConfiguration) throws(SystemError) {
        control = MerlinControl(host: configuration.detectorHost, port: configuration.detectorControlPort)
        queue = try BlockingQueue("merlin-control")
    }

    /// Runs requests to the detector, in one piece.
    ///
    /// - Parameters:
    ///   - isReading: whether it leaves the detector as it is.
    ///   - work: gets the control socket and the time that is left.
    /// - Throws: `RequestFailure` when the detector refuses, cannot be reached, or the deadline passes.
    func perform<Value: Sendable>(
        by deadline: ContinuousClock.Instant, isReading: Bool = false,
        _ work: @escaping @Sendable (MerlinControl, () throws(RequestFailure) -> Duration) throws -> Value
    ) async throws(RequestFailure) -> Value {
        let control = control
        defer { if !isReading { mayHaveChanged() } }
        do {
            return try await queue.perform(by: deadline) { () -> Result<Value, RequestFailure> in
                do {
                    return .success(try work(control) { () throws(RequestFailure) in try Self.timeLeft(to: deadline) })
                } catch let error as RequestFailure {
                    return .failure(error)
                } catch let error as MerlinControlError {
                    return .failure(RequestFailure(error))
                } catch {
                    return .failure(RequestFailure(code: .internal, message: "\(error)"))
                }
            }.get()
        } catch let error as RequestFailure {
            throw error
        } catch BlockingQueue.Refusal.deadlinePassed {
            throw RequestFailure(
                code: .timedOut, message: "the deadline passed while the detector was busy with an earlier request")
        } catch {
            throw RequestFailure(code: .wrongState, message: "the server is shutting down")
        }
    }

    private static func timeLeft(to deadline: ContinuousClock.Instant) throws(RequestFailure) -> Duration {
        let left = deadline - ContinuousClock.now
        guard left > .zero else {
            throw RequestFailure(
                code: .timedOut, message: "the deadline passed before the detector had answered everything")
        }
        return left
    }

    /// To be called once. A detector that does not answer is not waited for.
    func stop() { queue.stop(patience: .seconds(1)) }
}
