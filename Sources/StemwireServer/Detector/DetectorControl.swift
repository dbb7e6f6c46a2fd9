import StemwireAcquisition
import StemwireSystem

/// The detector's control socket, asked from async code: requests are sent one after the other on a thread of their own.
final class DetectorControl: Sendable {
    private let control: MerlinControl
    private let queue: BlockingQueue

    init(_ configuration: ServerConfiguration) throws(SystemError) {
        control = MerlinControl(host: configuration.detectorHost, port: configuration.detectorControlPort)
        queue = try BlockingQueue("merlin-control")
    }

    /// Runs requests to the detector, in one piece.
    ///
    /// - Parameter work: gets the control socket and the time that is left.
    /// - Throws: `DetectorFailure` when the detector refuses, cannot be reached, or the deadline passes.
    func perform<Value: Sendable>(
        by deadline: ContinuousClock.Instant,
        _ work: @escaping @Sendable (MerlinControl, () throws(DetectorFailure) -> Duration) throws -> Value
    ) async throws(DetectorFailure) -> Value {
        let control = control
        do {
            return try await queue.perform(by: deadline) { () -> Result<Value, DetectorFailure> in
                do {
                    return .success(try work(control) { () throws(DetectorFailure) in try Self.timeLeft(to: deadline) })
                } catch let error as DetectorFailure {
                    return .failure(error)
                } catch let error as MerlinControlError {
                    return .failure(DetectorFailure(error))
                } catch {
                    return .failure(DetectorFailure(code: .internal, message: "\(error)"))
                }
            }.get()
        } catch let error as DetectorFailure {
            throw error
        } catch BlockingQueue.Refusal.deadlinePassed {
            throw DetectorFailure(
                code: .timedOut, message: "the deadline passed while the detector was busy with an earlier request")
        } catch {
            throw DetectorFailure(code: .wrongState, message: "the server is shutting down")
        }
    }

    private static func timeLeft(to deadline: ContinuousClock.Instant) throws(DetectorFailure) -> Duration {
        let left = deadline - ContinuousClock.now
        guard left > .zero else {
            throw DetectorFailure(
                code: .timedOut, message: "the deadline passed before the detector had answered everything")
        }
        return left
    }

    /// To be called once. A detector that does not answer is not waited for.
    func stop() { queue.stop(patience: .seconds(1)) }
}

/// Why the detector did not do what was asked, in the protocol's words.
struct DetectorFailure: Error, Sendable {
    let code: FailureCode
    let message: String
    var detectorCode: Int32 = 0

    init(code: FailureCode, message: String) {
        self.code = code
        self.message = message
    }

    init(_ error: MerlinControlError) {
        message = error.description
        switch error {
        case .unreachable, .connectionLost: code = .detectorUnreachable
        case .timedOut: code = .timedOut
        case .refused(_, _, let answer):
            code = .detectorRefused
            detectorCode = Int32(clamping: answer.rawValue)
        case .nonsense, .commandFile: code = .internal
        }
    }

    var answer: ControlAnswer { .failure(code, message, detectorCode: detectorCode) }
}
