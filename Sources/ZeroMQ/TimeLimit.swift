/// How long a socket may wait or linger, in whole milliseconds, or without end.
public struct TimeLimit: Sendable, Hashable, CustomStringConvertible {
    /// Milliseconds; nil without end.
    public let milliseconds: Int32?

    private init(_ milliseconds: Int32?) { self.milliseconds = milliseconds }

    /// `duration`, rounded up to a millisecond, so that a short wait never becomes a spin; negative counts as zero.
    public init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        guard seconds >= 0, attoseconds >= 0 else {
            self.init(Int32(0))
            return
        }
        guard seconds < Int64(Int32.max) / 1000 else {
            self.init(Int32.max)
            return
        }
        self.init(Int32(seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000))
    }

    public static let unlimited = TimeLimit(nil)
    public static let zero = TimeLimit(Int32(0))
    public static func milliseconds(_ count: Int) -> TimeLimit { TimeLimit(.milliseconds(count)) }
    public static func seconds(_ count: Int) -> TimeLimit { TimeLimit(.seconds(count)) }

    /// libzmq's form of most time limits, in which -1 is without end.
    var zmqValue: Int32 { milliseconds ?? -1 }

    public var description: String { milliseconds.map { "\($0) ms" } ?? "unlimited" }
}
