import MerlinProtocol
import StemwireKernels
import StemwireUDF

/// What a run has given so far.
public struct RunUpdate: Sendable {
    /// Scan shape, slow axis first.
    public let navShape: [Int]
    /// Image shape (y, x).
    public let sigShape: SigShape
    /// The type of the decoded pixels.
    public let dtype: DType
    /// The present state of all channels. Positions of nav channels that are not processed are NaN, or 0 in types that
    /// have none; `Channel.valid` tells them apart.
    public let channels: [RunOutcome.Channel]
    /// Scan positions (flat, slow axis first) that all UDFs have processed.
    public let processedPositions: PositionSet
    /// Scan positions that are to be processed.
    public let expected: Int
    /// The generation of the run's parameters; rises with every change while it goes on.
    public let parameterGeneration: UInt32
    /// Which generation of parameters processed positions (flat, slow axis first) were made with, or agree with; empty
    /// when there has been one only.
    public let generations: [(positions: Range<Int>, generation: UInt32)]
    /// Set in the last update: the run is over.
    public internal(set) var outcome: RunOutcome?

    init(
        navShape: [Int], sigShape: SigShape, dtype: DType, channels: [RunOutcome.Channel],
        processedPositions: PositionSet, expected: Int, parameterGeneration: UInt32 = 0,
        generations: [(positions: Range<Int>, generation: UInt32)] = []
    ) {
        self.parameterGeneration = parameterGeneration
        self.generations = generations
        self.navShape = navShape
        self.sigShape = sigShape
        self.dtype = dtype
        self.channels = channels
        self.processedPositions = processedPositions
        self.expected = expected
    }

    /// The last one.
    init(_ outcome: RunOutcome) {
        self.init(
            navShape: outcome.navShape,
            sigShape: SigShape(height: outcome.sigShape[0], width: outcome.sigShape[1]), dtype: outcome.dtype,
            channels: outcome.channels, processedPositions: outcome.processedPositions, expected: outcome.selected,
            parameterGeneration: outcome.parameterGeneration, generations: outcome.generations)
        self.outcome = outcome
    }

    /// How many positions all UDFs have processed.
    public var processed: Int { processedPositions.count }

    /// The processed share of what is to be processed, 0 to 1.
    public var coverage: Double { expected > 0 ? Double(processed) / Double(expected) : 0 }

    /// A channel of the UDF with this id, such as `update["com", "field_x"]`.
    public subscript(udf: String, channel: String = "intensity") -> RunOutcome.Channel? {
        channels.channel(udf, channel)
    }
}

/// Who is told of a run while it goes on, on a thread of the run.
struct RunObserver: Sendable {
    /// Called about ten times a second.
    var progress: (@Sendable (RunProgress) -> Void)?
    /// Given when something has changed, but not more often than every `interval`.
    var update: (@Sendable (RunUpdate) -> Void)?
    var interval = Duration.milliseconds(100)
}
