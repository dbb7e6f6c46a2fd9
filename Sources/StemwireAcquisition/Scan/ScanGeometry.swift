/// Frames that the detector sends but that are no scan positions.
public struct ScanMargins: Sendable, Hashable, Codable {
    /// Frames before the first scan position.
    public var leadIn: Int
    /// Frames after each scan line, while the probe flies back.
    public var flybackPerLine: Int
    /// Frames after the last line.
    public var tail: Int

    /// No such frames unless told. Counts below 0 are taken as 0.
    public init(leadIn: Int = 0, flybackPerLine: Int = 0, tail: Int = 0) {
        self.leadIn = max(0, leadIn)
        self.flybackPerLine = max(0, flybackPerLine)
        self.tail = max(0, tail)
    }
}

/// Which frame belongs to which scan position.
///
/// The frames of an acquisition, counted from 0, are: lead-in, then for each line its positions and its fly-back frames,
/// then tail. A *position* is the flat index into the nav shape, fast axis last.
public struct ScanGeometry: Sendable, Hashable, Codable {
    public let navShape: NavShape
    public let margins: ScanMargins
    /// Whether fly-back frames follow the last line too.
    public let flybackAfterLastLine: Bool
    /// Frames of the whole acquisition, margins included.
    public let totalFrames: Int

    // Kept so that placing a frame is one division.
    private let lineFrames: Int
    private let scanFrames: Int

    /// - Throws: `NavShapeError.tooLarge` when the frames cannot be counted.
    public init(
        navShape: NavShape, margins: ScanMargins = ScanMargins(), flybackAfterLastLine: Bool = true
    ) throws(NavShapeError) {
        let (lineFrames, overflow1) = navShape.lineLength.addingReportingOverflow(margins.flybackPerLine)
        let (all, overflow2) = lineFrames.multipliedReportingOverflow(by: navShape.lineCount)
        let scanFrames = flybackAfterLastLine ? all : all &- margins.flybackPerLine
        let (withLeadIn, overflow3) = scanFrames.addingReportingOverflow(margins.leadIn)
        let (total, overflow4) = withLeadIn.addingReportingOverflow(margins.tail)
        guard !overflow1, !overflow2, !overflow3, !overflow4 else { throw .tooLarge(navShape.dimensions) }
        self.navShape = navShape
        self.margins = margins
        self.flybackAfterLastLine = flybackAfterLastLine
        self.lineFrames = lineFrames
        self.scanFrames = scanFrames
        self.totalFrames = total
    }

    /// What a frame is.
    public enum Place: Sendable, Hashable {
        case position(Int)
        case leadIn
        case flyback
        case tail
        /// Past the last frame, or before the first.
        case beyond
    }

    /// What frame `index` (from 0) is. O(1).
    @inlinable
    public func place(ofFrame index: Int) -> Place {
        if totalFrames == navShape.size {
            return index >= 0 && index < totalFrames ? .position(index) : .beyond
        }
        return placeAmongMargins(index)
    }

    @usableFromInline
    func placeAmongMargins(_ index: Int) -> Place {
        guard index >= 0, index < totalFrames else { return .beyond }
        let inScan = index - margins.leadIn
        if inScan < 0 { return .leadIn }
        if inScan >= scanFrames { return .tail }
        let (line, column) = inScan.quotientAndRemainder(dividingBy: lineFrames)
        return column < navShape.lineLength ? .position(line * navShape.lineLength + column) : .flyback
    }

    /// The frame index (from 0) of scan position `position`, which must lie in the nav shape. O(1).
    public func frame(ofPosition position: Int) -> Int {
        let (line, column) = position.quotientAndRemainder(dividingBy: navShape.lineLength)
        return margins.leadIn + line * lineFrames + column
    }
}
