import StemwireAcquisition

/// Why a request was not done, in the protocol's words.
struct RequestFailure: Error, Sendable {
    let code: FailureCode
    let message: String
    var detectorCode: Int32 = 0

    init(code: FailureCode, message: String, detectorCode: Int32 = 0) {
        self.code = code
        self.message = message
        self.detectorCode = detectorCode
    }

    init(_ error: MerlinControlError) {
        message = error.description
        switch error {
        case .unreachable, .connectionLost: code = .detectorUnreachable
        case .timedOut: code = .timedOut
        case .refused(_, _, let answer):
            code = .detectorRefused
            detectorCode = Int32(clamping: answer.rawValue)
        case .nonsense: code = .detectorNonsense
        case .commandFile: code = .invalidArgument
        }
    }

    var answer: ControlAnswer { .failure(code, message, detectorCode: detectorCode) }
}
