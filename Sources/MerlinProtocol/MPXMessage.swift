/// Where a message lies in the bytes given to ``MPXStreamParser``.
public struct MPXMessage: Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        /// The body begins with `HDR,`.
        case acquisitionHeader
        /// The body begins with `MQ1,`.
        case frame
        /// Anything else: profiles (`PR1`), frames older than MQ1, kinds not known yet.
        case other
    }

    public var kind: Kind
    /// Bytes to advance by: prefix and body.
    public var totalBytes: Int
    /// False for a message that was cut short: another one begins inside its declared length, and `totalBytes` ends
    /// there.
    public var intact: Bool

    public init(kind: Kind, totalBytes: Int, intact: Bool) {
        self.kind = kind
        self.totalBytes = totalBytes
        self.intact = intact
    }

    /// The body, as offsets from the message's first byte.
    public var bodyRange: Range<Int> { MPXPrefix.byteCount..<totalBytes }
}
