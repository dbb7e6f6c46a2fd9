import MerlinProtocol

/// What a simulated detector is and what its parameters are at the start.
public struct DetectorSetup: Sendable {
    public var layout: SensorLayout
    public var chipCount: Int
    /// The image with all rows read out, (y, x).
    public var fullShape: SigShape
    public var counterDepth: CounterDepth
    /// Whether frames are sent raw at the start (FILEFORMAT 2).
    public var isRaw: Bool
    /// Pixel type of processed frames; nil for the one that belongs to the counter depth.
    public var processedPixelType: PixelType?
    /// Scan shape, slowest axis first.
    public var navShape: [Int]
    /// Whether frames come from files: then depth, format and rows are as recorded and cannot be set.
    public var isRecording = false
    /// One endless acquisition instead of one scan after the other.
    public var isContinuous = false
    /// So many frames in an acquisition at the start; nil for one scan.
    public var acquiredFrames: Int?
    /// Whether an acquisition waits for a trigger at the start (TRIGGERSTART 5).
    public var waitsForTrigger = false
    /// Whether frames are sent without being asked for, to whoever connects to the data port.
    public var runsFreely = false
    /// Time of a frame in the headers, in ms.
    public var frameMilliseconds = 1.0

    /// - Parameters:
    ///   - fullShape: see ``DetectorFormat/init(layout:sigShape:counterDepth:pixelType:chipCount:)``.
    ///   - navShape: at least one axis, all positive.
    public init(
        layout: SensorLayout, fullShape: SigShape, counterDepth: CounterDepth, isRaw: Bool = false, navShape: [Int],
        chipCount: Int? = nil
    ) {
        self.layout = layout
        self.fullShape = fullShape
        self.counterDepth = counterDepth
        self.isRaw = isRaw
        self.navShape = navShape
        self.chipCount =
            chipCount ?? (layout.isQuad ? 4 : layout.isRow ? max(1, fullShape.width / DetectorFormat.chipSide) : 1)
    }

    /// Frames of one scan.
    public var frameCount: Int { navShape.reduce(1, *) }

    /// NUMFRAMESTOACQUIRE at the start; 0 for an endless acquisition.
    var framesToAcquire: Int { isContinuous ? 0 : acquiredFrames ?? frameCount }

    /// The scan's last two axes.
    var scan: (height: Int, width: Int) {
        (navShape.count > 1 ? navShape[navShape.count - 2] : 1, navShape[navShape.count - 1])
    }

    private var gap: Int { layout.isQuad && layout.hasGap ? DetectorFormat.gap : 0 }

    var counterDepths: [CounterDepth] { isRecording ? [counterDepth] : CounterDepth.allCases }

    /// Values that FILEFORMAT may have: 0 and 1 processed, 2 raw.
    var fileFormats: [Int] {
        if isRecording { return isRaw ? [2] : [0, 1] }
        let raw = try? DetectorFormat(layout: layout, sigShape: fullShape, counterDepth: .twelve, pixelType: .r64)
        return raw == nil ? [0, 1] : [0, 1, 2]
    }

    /// Values that ROIROWS may have; the last is the whole chip.
    var roiRows: ClosedRange<Int> {
        let rows = layout.isQuad ? (fullShape.height - gap) / 2 : fullShape.height
        return (isRecording ? rows : 1)...max(1, rows)
    }

    /// The image with some rows of each chip read out, (y, x).
    func shape(rows: Int) -> SigShape {
        guard rows != roiRows.upperBound else { return fullShape }
        return SigShape(height: layout.isQuad ? 2 * rows + gap : rows, width: fullShape.width)
    }

    /// What is sent with these settings.
    public func format(
        counterDepth: CounterDepth, isRaw: Bool, rows: Int? = nil
    ) throws(DetectorFormatError) -> DetectorFormat {
        let shape = shape(rows: rows ?? roiRows.upperBound)
        if !isRaw, let processedPixelType,
            let format = try? DetectorFormat(
                layout: layout, sigShape: shape, counterDepth: counterDepth, pixelType: processedPixelType,
                chipCount: chipCount)
        {
            return format
        }
        return try DetectorFormat(
            layout: layout, sigShape: shape, counterDepth: counterDepth,
            pixelType: isRaw ? .r64 : DetectorFormat.processedPixelType(counterDepth), chipCount: chipCount)
    }

    /// What is sent with the settings at the start.
    public func format() throws(DetectorFormatError) -> DetectorFormat {
        try format(counterDepth: counterDepth, isRaw: isRaw)
    }
}

/// An acquisition as it was armed: the settings of that moment.
public struct AcquisitionPlan: Sendable, Hashable {
    /// Counts the acquisitions of a detector from 0.
    public var id: UInt64
    /// Frames in the acquisition; nil until stopped.
    public var frameCount: Int?
    /// Frames that a trigger releases.
    public var framesPerTrigger: Int
    /// The value of TRIGGERSTART: 0 internal, 1 to 4 hardware, 5 soft.
    public var triggerStart: Int
    public var triggerStop: Int
    public var counterDepth: CounterDepth
    public var isRaw: Bool
    /// Rows of each chip that are read out.
    public var rows: Int
    /// Scan shape, slowest axis first.
    public var navShape: [Int]
    public var shutterNanoseconds: Int
    public var periodNanoseconds: Int
    /// In keV, eight of them.
    public var thresholds: [Double]
    public var gain: Int
    public var counter: Int
    public var bias: Int
    public var continuousReadWrite: Bool
    /// Whether a client has set the number of frames for a trigger.
    public var setsFramesPerTrigger: Bool
    /// Whether it was begun without being asked for.
    public var isFreeRun: Bool

    /// Whether frames wait for triggers.
    public var isTriggered: Bool { triggerStart != 0 }
}
