/// The protocol's major version: the first segment of every topic, and what HELLO agrees on.
public enum ProtocolVersion {
    public static let current: UInt32 = 1

    /// The version to speak with a peer that offers `minimum … maximum`, or nil when there is none in common.
    /// Zeros, from a peer that left the fields out, count as 1.
    public static func agreed(minimum: UInt32, maximum: UInt32) -> UInt32? {
        let lowest = max(1, minimum)
        let highest = max(lowest, maximum)
        return (lowest...highest).contains(current) ? current : nil
    }
}
