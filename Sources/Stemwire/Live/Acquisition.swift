import MerlinProtocol
import StemwireAcquisition
import StemwireKernels
import StemwireSystem

/// What UDFs are run on: an acquisition of a detector, or a recording or array given as one.
///
/// A description only: each `LiveContext.run` takes another acquisition of the detector, or goes through the recording
/// again. Made by `LiveContext.makeAcquisition`, `prepareAcquisition` and `load`.
public final class Acquisition: Sendable {
    /// Who starts the detector.
    public enum Mode: Sendable, Hashable {
        /// The run: it arms and triggers, or has a hook do it.
        case active
        /// Somebody else, such as the operator or the scan generator.
        case passive
    }

    /// Nil for recordings.
    public let connection: DetectorConnection?
    public let mode: Mode
    /// The nav shape that was given, slow axis first, at most two lengths −1; nil: from hook or detector.
    public let navShape: [Int]?
    /// Declared frames that are no scan positions.
    public let margins: ScanMargins
    /// Scan positions in a partition; nil: whole scan lines, about 256 positions, of 32 MiB at most.
    public let framesPerPartition: Int?
    /// Silence after which the acquisition ends.
    public let idleLimit: Duration
    /// What starts the frames of an active acquisition without `onReadyForData`.
    public let trigger: DetectorTrigger
    public let hooks: AcquisitionHooks
    let target: DetectorConnection.Target
    let body: PreparationBody?
    /// With a server: the acquisition that was waited for, and that the next run joins.
    let told = Locked<UInt64>(0)
    let joinsNext = Locked(false)

    init(
        connection: DetectorConnection?, target: DetectorConnection.Target, mode: Mode, navShape: [Int]?,
        margins: ScanMargins, framesPerPartition: Int?, idleLimit: Duration, trigger: DetectorTrigger,
        hooks: AcquisitionHooks, body: PreparationBody? = nil
    ) {
        self.connection = connection
        self.target = target
        self.mode = mode
        self.navShape = navShape
        self.margins = margins
        self.framesPerPartition = framesPerPartition
        self.idleLimit = idleLimit
        self.trigger = trigger
        self.hooks = hooks
        self.body = body
    }

    /// The options of a run on it.
    func options(_ base: RunOptions) -> RunOptions {
        var options = base
        options.navShape = navShape
        options.margins = margins
        options.framesPerPartition = framesPerPartition
        options.idleLimit = idleLimit
        return options
    }

    /// The local source; a simulator without a scan shape takes that of the acquisition.
    func resolved(_ source: LocalSource) -> LocalSource {
        guard case .simulator(var configuration) = source, configuration.navShape == nil, let navShape,
            !navShape.contains(-1)
        else { return source }
        configuration.navShape = navShape
        return .simulator(configuration)
    }
}

/// An acquisition that has begun.
public struct AcquisitionInfo: Sendable {
    /// Counts the acquisitions of a connection, or of a server session, upwards.
    public let generation: UInt64
    /// Scan shape, slow axis first.
    public let navShape: [Int]
    /// Image shape (y, x) and type of the decoded pixels; nil when a server does not know them yet.
    public let sigShape: SigShape?
    public let dtype: DType?
    /// Scan positions.
    public let framesExpected: Int
    /// The keys and values of the acquisition header, in its order; empty where there was none.
    public let header: [(key: String, value: String)]
    /// What did not fit at the start, in words.
    public let warnings: [String]

    init(_ description: AcquisitionDescription) {
        generation = description.generation
        navShape = description.navShape.dimensions
        sigShape = description.sigShape
        dtype = DType(description.format.decodedPixel)
        framesExpected = description.framesExpected
        header = description.header?.entries.map { ($0.key, $0.value) } ?? []
        warnings = description.warnings
    }

    init(
        generation: UInt64, navShape: [Int], sigShape: SigShape?, dtype: DType?, framesExpected: Int,
        headerText: [UInt8]
    ) {
        self.generation = generation
        self.navShape = navShape
        self.sigShape = sigShape
        self.dtype = dtype
        self.framesExpected = framesExpected
        let parsed = try? headerText.withUnsafeBytes { try AcquisitionHeader.parse($0) }
        header = parsed?.entries.map { ($0.key, $0.value) } ?? []
        warnings = []
    }
}
