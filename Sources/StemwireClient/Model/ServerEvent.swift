import StemwireProtocol

/// What happens at the server, for operators and logs.
public enum ServerEvent: Sendable {
    case event(OperatorEvent)
    /// The server's state; about once a second. Only the newest waits for a slow consumer.
    case status(WireStatus)
    case started(AcquisitionStart)
    case ended(AcquisitionEnd)
    /// Messages that were lost on the way or left out because the consumer is slow; status and snapshot have what
    /// matters.
    case missed(Int)
    /// Another server process has taken the old one's place.
    case serverRestarted
}

/// Something that an operator wants to know.
public struct OperatorEvent: Sendable, Hashable, CustomStringConvertible {
    public enum Severity: String, Sendable, Hashable {
        case info, warning, error
    }

    public let severity: Severity
    /// A stable word to test for, such as `detector.connected` or `udf.failed`.
    public let code: String
    public let text: String
    /// Of an event of a request, such as `scan.progress`: the request's id, and how far it is. Else empty, and 0.
    public let request: String
    public let framesPlaced: Int
    public let framesExpected: Int

    init(_ wire: WireEvent) {
        // A severity of a later version is worth a look.
        severity = Severity(rawValue: wire.severity) ?? .warning
        code = wire.code
        text = wire.text
        request = wire.request
        framesPlaced = WireReading.count(wire.framesPlaced)
        framesExpected = WireReading.count(wire.framesExpected)
    }

    public var description: String { "\(severity.rawValue) \(code): \(text)" }
}
