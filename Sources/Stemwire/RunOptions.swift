import StemwireAcquisition
import StemwireClient
import StemwireUDF

/// How UDFs are run over a source.
public struct RunOptions: Sendable {
    /// The shape of the scan, slow axis first, with at most two −1; nil: from the source.
    public var navShape: [Int]?
    /// Declared frames that are no scan positions.
    public var margins = ScanMargins()
    /// Scan positions in a partition; nil: whole scan lines, about 256 positions, of 32 MiB at most.
    public var framesPerPartition: Int?
    /// What starts the acquisition; nil: somebody else does.
    public var trigger: DetectorTrigger?
    /// How long the whole run may take; nil: as long as it does.
    public var timeout: Duration?
    /// Silence after which the acquisition ends.
    public var idleLimit = Duration.seconds(2)
    /// Threads that run UDFs; at least 1.
    public var threads = 1
    /// The scan positions (flat, slow axis first) that UDFs work on; nil for all.
    public var roi: PositionSet?
    /// What is done to every frame before any UDF sees it; nil for nothing. On a server, in place of its own.
    public var corrections: Corrections?
    /// Memory for frames.
    public var ringBytes = 64 << 20
    /// Of that, memory whose frames stay as long as there is room for new ones: what can be recomputed after a change of
    /// parameters. Costs speed, since the memory in the processor's cache is not used again at once.
    public var retainedBytes = 0
    /// What proves to a server who asks; nil for a server that asks nobody.
    public var token: AccessToken?
    /// The UDFs there are.
    public var registry = UDFRegistry.builtIn

    public init() {}
}

/// How far a run is.
public struct RunProgress: Sendable, Hashable {
    /// Positions that have a frame, and the positions to be processed; 0 before the acquisition began.
    public var placed: Int
    public var expected: Int
    /// Positions that all UDFs have processed.
    public var processed: Int
    /// Frames a second since the first frame.
    public var framesPerSecond: Double
}

/// Why a run gave no result, or an incomplete one.
public enum RunError: Error, Sendable, CustomStringConvertible {
    /// The source or its settings cannot be used.
    case badRequest(String)
    /// The detector or server cannot be reached.
    case unreachable(String)
    /// The detector or the server refused.
    case refused(String)
    /// The time was over; what had come until then is in the outcome, if anything had.
    case timedOut(String, RunOutcome?)
    /// The run was cancelled.
    case cancelled
    /// Something failed while it ran.
    case failed(String)

    public var description: String {
        switch self {
        case .badRequest(let reason), .unreachable(let reason), .refused(let reason), .failed(let reason): reason
        case .timedOut(let reason, _): reason
        case .cancelled: "cancelled"
        }
    }
}
