import StemwireProtocol

/// Acquisitions of the past.
extension ControlOperations {
    func history(_ wanted: WireHistoryRequest, _ deadline: ContinuousClock.Instant) async -> ControlAnswer {
        do throws(RequestFailure) {
            guard let history = parts.history else {
                throw RequestFailure(
                    code: .notFound, message: "this server keeps no history; start it with --history FILE")
            }
            var reply = WireReply()
            reply.history = try await history.read(wanted)
            return ControlAnswer(reply: reply)
        } catch {
            return error.answer
        }
    }
}
