/// Finds the nav shape of an acquisition, in a fixed order, and checks it against the number of frames.
///
/// The order is: the shape given, if complete; the hook; the shape given, with −1 worked out; ScanY × ScanX of the
/// acquisition header; (frames ÷ frames per trigger, frames per trigger); a square. Declared lead-in, fly-back and tail
/// frames are taken off the frame count first.
public struct NavShapeResolver: Sendable {
    /// Asked with the number of frames and the shape given (if any); answers a complete shape, or nil for "go on".
    public typealias Hook = @Sendable (_ frameCount: Int, _ shapeHint: [Int]?) -> [Int]?

    /// The shape asked for, slow axis first; up to two lengths may be −1.
    public var shape: [Int]?
    /// Asked at each start for what goes before these settings, such as what came with the last arming.
    public var requested: (@Sendable () -> RequestedScan?)?
    public var hook: Hook?
    public var margins: ScanMargins
    /// Frames in each acquisition cut from an endless stream without a nav shape.
    public var windowLength: Int
    /// More positions than this are refused, for each takes memory.
    public var maximumPositions: Int

    public init(
        shape: [Int]? = nil, hook: Hook? = nil, margins: ScanMargins = ScanMargins(), windowLength: Int = 4096,
        maximumPositions: Int = 1 << 28
    ) {
        self.shape = shape
        self.hook = hook
        self.margins = margins
        self.windowLength = max(1, windowLength)
        self.maximumPositions = maximumPositions
    }

    /// Finds the shape for an acquisition.
    ///
    /// - Parameters:
    ///   - frameCount: frames announced; nil or 0 for an endless acquisition.
    ///   - framesPerTrigger: frames per trigger announced, if any.
    ///   - scanX: positions along the fast axis announced, if any.
    ///   - scanY: positions along the slow axis announced, if any.
    /// - Throws: `NavShapeError` naming the numbers that do not fit.
    public func resolve(
        frameCount: Int?, framesPerTrigger: Int? = nil, scanX: Int? = nil, scanY: Int? = nil
    ) throws(NavShapeError) -> ResolvedScan {
        if let requested, let scan = requested() {
            var resolver = self
            resolver.requested = nil
            resolver.shape = scan.shape ?? shape
            resolver.margins = scan.margins ?? margins
            var resolved = try resolver.resolve(
                frameCount: frameCount, framesPerTrigger: framesPerTrigger, scanX: scanX, scanY: scanY)
            resolved.framesPerPartition = scan.framesPerPartition
            return resolved
        }
        let frames = frameCount ?? 0
        if let shape { try Self.check(shape) }
        if let shape, !shape.contains(-1) {
            return try complete(shape, frames: frames, rule: .argument)
        }
        guard frames > 0 else {
            if let shape { throw .needsFrameCount(shape) }
            if let scanX, let scanY, scanX > 0, scanY > 0 {
                return try complete([scanY, scanX], frames: 0, rule: .scanSize)
            }
            return window()
        }
        if let answer = hook?(frames, shape) {
            return try fromHook(answer, frames: frames)
        }
        if let shape {
            return try fromPlaceholders(shape, frames: frames)
        }
        var warnings: [String] = []
        if let scanX, let scanY, scanX > 0, scanY > 0 {
            if let geometry = try fitting([scanY, scanX], frames: frames) {
                return ResolvedScan(geometry: geometry, rule: .scanSize, frameCount: frames)
            }
            warnings.append(
                "ScanY × ScanX of the acquisition header is \(scanY) × \(scanX), which does not fit \(frames) frames: ignored"
            )
        }
        if let perTrigger = framesPerTrigger, perTrigger > 1, perTrigger < frames,
            let geometry = try fromFramesPerTrigger(perTrigger, frames: frames)
        {
            return ResolvedScan(geometry: geometry, rule: .framesPerTrigger, frameCount: frames, warnings: warnings)
        }
        if let solved = solve([-1, -1], frames: frames), let geometry = try fitting(solved, frames: frames) {
            return ResolvedScan(geometry: geometry, rule: .square, frameCount: frames, warnings: warnings)
        }
        if framesPerTrigger == frames, let geometry = try fromFramesPerTrigger(frames, frames: frames) {
            return ResolvedScan(geometry: geometry, rule: .framesPerTrigger, frameCount: frames, warnings: warnings)
        }
        throw .noShape(frames: frames)
    }

    /// A scan for an acquisition whose shape could not be found: one line of all its frames, without margins, or windows
    /// of an endless stream. Nothing received is lost for want of a shape.
    public func fallback(frameCount: Int?) -> ResolvedScan {
        guard let frames = frameCount, frames > 0, frames <= maximumPositions,
            let line = try? NavShape([frames]), let geometry = try? ScanGeometry(navShape: line)
        else { return window() }
        return ResolvedScan(geometry: geometry, rule: .line, frameCount: frames)
    }

    private func window() -> ResolvedScan {
        // A window is a positive length without margins: neither initialiser can refuse it.
        let shape = try! NavShape([min(windowLength, maximumPositions)])
        return ResolvedScan(geometry: try! ScanGeometry(navShape: shape), rule: .window, frameCount: nil)
    }

    private static func check(_ shape: [Int]) throws(NavShapeError) {
        guard !shape.isEmpty else { throw .empty }
        guard shape.allSatisfy({ $0 > 0 || $0 == -1 }) else { throw .notPositive(shape) }
        guard shape.count(where: { $0 == -1 }) <= 2 else { throw .tooManyPlaceholders(shape) }
    }

    private func geometry(_ shape: [Int], flybackAfterLastLine: Bool) throws(NavShapeError) -> ScanGeometry {
        let navShape = try NavShape(shape)
        let geometry = try ScanGeometry(
            navShape: navShape, margins: margins, flybackAfterLastLine: flybackAfterLastLine)
        guard geometry.totalFrames <= maximumPositions else { throw .tooLarge(shape) }
        return geometry
    }

    /// The geometry of a complete shape whose frames are exactly `frames`, with or without fly-back after the last line.
    private func fitting(_ shape: [Int], frames: Int) throws(NavShapeError) -> ScanGeometry? {
        for flybackAfterLastLine in [true, false] {
            let candidate = try geometry(shape, flybackAfterLastLine: flybackAfterLastLine)
            if candidate.totalFrames == frames { return candidate }
        }
        return nil
    }

    private func complete(_ shape: [Int], frames: Int, rule: ResolvedScan.Rule) throws(NavShapeError) -> ResolvedScan {
        guard frames > 0 else {
            return ResolvedScan(
                geometry: try geometry(shape, flybackAfterLastLine: true), rule: rule, frameCount: nil)
        }
        if let fit = try fitting(shape, frames: frames) {
            return ResolvedScan(geometry: fit, rule: rule, frameCount: frames)
        }
        let asGiven = try geometry(shape, flybackAfterLastLine: true)
        let consequence =
            frames < asGiven.totalFrames
            ? "the last \(asGiven.totalFrames - frames) will be missing"
            : "the last \(frames - asGiven.totalFrames) have no place"
        return ResolvedScan(
            geometry: asGiven, rule: rule, frameCount: frames,
            warnings: [
                "nav shape \(asGiven.navShape) takes \(asGiven.totalFrames) frames, the detector announces \(frames): "
                    + consequence
            ])
    }

    private func fromHook(_ answer: [Int], frames: Int) throws(NavShapeError) -> ResolvedScan {
        guard !answer.isEmpty, answer.allSatisfy({ $0 > 0 }) else { throw .hookHasPlaceholder(answer) }
        guard let fit = try fitting(answer, frames: frames) else {
            let needed = try geometry(answer, flybackAfterLastLine: true).totalFrames
            throw .hookDisagrees(shape: answer, needed: needed, frames: frames)
        }
        return ResolvedScan(geometry: fit, rule: .hook, frameCount: frames)
    }

    private func fromPlaceholders(_ shape: [Int], frames: Int) throws(NavShapeError) -> ResolvedScan {
        if let solved = solve(shape, frames: frames), let fit = try fitting(solved, frames: frames) {
            return ResolvedScan(geometry: fit, rule: .placeholders, frameCount: frames)
        }
        let marginFrames = margins.leadIn + margins.tail
        let usable = frames - marginFrames
        var unit = 1
        for (axis, length) in shape.enumerated() {
            if length == -1 { continue }
            let frames = axis == shape.count - 1 ? length + margins.flybackPerLine : length
            let (product, overflow) = unit.multipliedReportingOverflow(by: frames)
            guard !overflow else { throw .tooLarge(shape) }
            unit = product
        }
        guard usable > 0, usable.isMultiple(of: unit), shape.count(where: { $0 == -1 }) == 2 else {
            throw .notDivisible(shape: shape, frames: frames, margins: marginFrames, unit: unit)
        }
        throw .notSquare(shape: shape, frames: frames, remainder: usable / unit)
    }

    private func fromFramesPerTrigger(_ perTrigger: Int, frames: Int) throws(NavShapeError) -> ScanGeometry? {
        // A trigger starts a line, fly-back frames included.
        let usable = frames - margins.leadIn - margins.tail
        guard usable > 0, usable.isMultiple(of: perTrigger), perTrigger > margins.flybackPerLine else { return nil }
        return try fitting([usable / perTrigger, perTrigger - margins.flybackPerLine], frames: frames)
    }

    /// Works out the lengths given as −1, or nil when no whole numbers fit `frames`.
    private func solve(_ shape: [Int], frames: Int) -> [Int]? {
        let flyback = margins.flybackPerLine
        for lastFlyback in flyback > 0 ? [0, flyback] : [0] {
            let usable = frames - margins.leadIn - margins.tail + lastFlyback
            guard usable > 0 else { continue }
            if let solved = Self.solve(shape, scanFrames: usable, flyback: flyback) { return solved }
        }
        return nil
    }

    private static func solve(_ shape: [Int], scanFrames: Int, flyback: Int) -> [Int]? {
        let last = shape.count - 1
        var known = 1
        for length in shape[..<last] where length != -1 {
            let (product, overflow) = known.multipliedReportingOverflow(by: length)
            guard !overflow else { return nil }
            known = product
        }
        var solved = shape
        let openLines = shape[..<last].indices.filter { shape[$0] == -1 }
        if shape[last] != -1 {
            let unit = known * (shape[last] + flyback)
            guard unit > 0, scanFrames.isMultiple(of: unit) else { return nil }
            let rest = scanFrames / unit
            if openLines.count == 1 {
                solved[openLines[0]] = rest
            } else {
                guard let root = wholeRoot(rest, plus: 0) else { return nil }
                for axis in openLines { solved[axis] = root }
            }
            return solved
        }
        guard scanFrames.isMultiple(of: known) else { return nil }
        let rest = scanFrames / known
        if let open = openLines.first {
            // side · (side + fly-back) = rest
            guard let side = wholeRoot(rest, plus: flyback) else { return nil }
            solved[open] = side
            solved[last] = side
        } else {
            guard rest > flyback else { return nil }
            solved[last] = rest - flyback
        }
        return solved
    }

    /// The whole number s ≥ 1 with s · (s + extra) = product, if there is one.
    private static func wholeRoot(_ product: Int, plus extra: Int) -> Int? {
        let half = Double(extra) / 2
        let near = Int((half * half + Double(product)).squareRoot() - half)
        for side in max(1, near - 1)...max(1, near + 1) {
            let (value, overflow) = side.multipliedReportingOverflow(by: side + extra)
            if !overflow, value == product { return side }
        }
        return nil
    }
}

/// The scan of an acquisition, and how it was found.
public struct ResolvedScan: Sendable, Hashable {
    /// What told the nav shape.
    public enum Rule: String, Sendable, Hashable, Codable {
        case argument, hook, placeholders
        /// ScanY × ScanX of the acquisition header.
        case scanSize
        /// (frames ÷ frames per trigger, frames per trigger).
        case framesPerTrigger
        case square
        /// No shape was found: one line of all frames.
        case line
        /// An endless stream without a shape, cut into windows.
        case window
    }

    public let geometry: ScanGeometry
    public let rule: Rule
    /// Frames the detector announced; nil for an endless stream, which is cut into acquisitions of the geometry's size.
    public let frameCount: Int?
    /// What does not fit, in words.
    public let warnings: [String]
    /// Scan positions in a partition, if that was asked for.
    public var framesPerPartition: Int?

    public init(geometry: ScanGeometry, rule: Rule, frameCount: Int?, warnings: [String] = []) {
        self.geometry = geometry
        self.rule = rule
        self.frameCount = frameCount
        self.warnings = warnings
    }

    public var isEndless: Bool { frameCount == nil }
}
