/// What was asked of the scan of one acquisition, and goes before the settings for all.
public struct RequestedScan: Sendable, Hashable {
    /// Slow axis first; up to two lengths may be −1. Nil: as set for all.
    public var shape: [Int]?
    /// Declared frames that are no scan positions; nil: as set for all.
    public var margins: ScanMargins?
    /// Scan positions in a partition; nil: as set for all.
    public var framesPerPartition: Int?

    public init(shape: [Int]? = nil, margins: ScanMargins? = nil, framesPerPartition: Int? = nil) {
        self.shape = shape
        self.margins = margins
        self.framesPerPartition = framesPerPartition
    }
}
