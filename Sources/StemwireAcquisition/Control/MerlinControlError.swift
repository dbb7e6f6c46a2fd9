import MerlinProtocol
import StemwireSystem

/// Why a request to the detector's control socket failed. Each case names the detector's address.
public enum MerlinControlError: Error, Sendable, CustomStringConvertible {
    /// No connection could be made.
    case unreachable(address: String, SystemError)
    /// No answer came within the time limit. The detector may have carried out the request all the same.
    case timedOut(address: String, request: ControlRequest, after: Duration)
    /// The connection ended before an answer came. The detector may have carried out the request all the same.
    case connectionLost(address: String, request: ControlRequest)
    /// The detector refused the request.
    case refused(address: String, request: ControlRequest, ControlCode)
    /// What came is no answer to the request.
    case nonsense(address: String, request: ControlRequest, answer: String)
    /// A line of a command file is no request.
    case commandFile(line: Int, text: String, ControlMessageError)

    public var description: String {
        switch self {
        case .unreachable(let address, let error):
            "the detector's control socket \(address) cannot be reached (\(error)): check that the detector software "
                + "runs, that its remote control is on, and the address"
        case .timedOut(let address, let request, let limit):
            "no answer from the detector at \(address) to “\(request)” within \(limit)"
        case .connectionLost(let address, let request):
            "the detector at \(address) closed the control connection before it answered “\(request)”"
        case .refused(let address, let request, let code):
            "the detector at \(address) refused “\(request)”: \(code)"
        case .nonsense(let address, let request, let answer):
            "the answer of \(address) to “\(request)” makes no sense: “\(answer)”; is it a Merlin's control socket?"
        case .commandFile(let line, let text, let error):
            "line \(line) of the command file, “\(text)”: \(error)"
        }
    }
}
