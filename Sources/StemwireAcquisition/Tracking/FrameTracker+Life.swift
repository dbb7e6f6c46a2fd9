import MerlinProtocol

/// Beginning and ending acquisitions.
extension FrameTracker {
    /// Frames that the acquisition can have.
    private var awaitedFrames: Int { min(lastIndex + 1, scan.geometry.totalFrames) }

    /// The index of the last frame the detector sends.
    var lastIndex: Int {
        let frames = configuration.endRule == .navShape ? nil : scan.frameCount
        return (frames ?? scan.geometry.totalFrames) - 1
    }

    /// Whether all frames, or the last frame, have come.
    var isOver: Bool { isLastFrameSeen || (state == .running && received.count >= awaitedFrames) }

    /// Whether nothing can be added by waiting.
    var isFinished: Bool { isLastFrameSeen && received.count >= awaitedFrames }

    /// Gets ready for the acquisition that `header` announces, or for frames without a header.
    mutating func arm(_ new: AcquisitionHeader?) {
        dismissArmed()
        header = new
        pendingHeader = nil
        isArmedTold = false
        endsSilently = false
        navShapeError = nil
        startWarnings = []
        let frameCount = configuration.frameCount ?? new?.framesInAcquisition.map { Int(clamping: $0) }
        do throws(NavShapeError) {
            scan = try configuration.resolver.resolve(
                frameCount: frameCount, framesPerTrigger: new?.framesPerTrigger.map { Int(clamping: $0) },
                scanX: new?.scanX, scanY: new?.scanY)
        } catch {
            navShapeError = error
            scan = configuration.resolver.fallback(frameCount: frameCount)
            startWarnings.append("\(error); frames are given as a line of \(scan.geometry.navShape)")
        }
        forgetRun()
        prepare()
    }

    /// Gets ready for the next acquisition of the present scan.
    mutating func prepare() {
        generation += 1
        state = .armed
        stopRequestedAt = nil
        format = nil
        rivalFormat = nil
        formatError = nil
        counts = Accounting()
        messages = 0
        isLastFrameSeen = false
        firstFrameAt = nil
        lastFrameAt = nil
        lastActivity = nil
        received = FrameSet(capacity: scan.geometry.totalFrames)
        rejected = FrameSet(capacity: scan.geometry.totalFrames)
        repeated = FrameSet(capacity: scan.geometry.totalFrames)
    }

    /// Drops an acquisition that nothing came for, but not what was counted meanwhile.
    mutating func dismissArmed() {
        guard state == .armed else { return }
        state = .idle
        unattributed.strays += counts.strays
        unattributed.malformed += counts.malformed
        unattributed.garbageBytes += counts.garbageBytes
        unattributed.otherMessages += counts.otherMessages
        unattributed.spuriousHeaders += counts.spuriousHeaders
    }

    mutating func forgetRun() {
        runFirst = nil
        origin = nil
        floor = .min
        highest = nil
        lastSequence = nil
        firstFrameHeader = []
        runFormat = nil
        farJump = nil
        lastRepeated = nil
        isRunSilent = false
    }

    /// Ends the acquisition. An endless stream is armed for its next one, unless it was told to end.
    mutating func finish(_ reason: EndReason) {
        events.append(endEvent(reason))
        state = .idle
        guard reason == .complete || reason == .idle else { return }
        if let pendingHeader {
            // Nothing came after it, so it announces what comes next.
            arm(pendingHeader)
            endsSilently = true
            return
        }
        guard scan.isEndless else { return }
        floor = highest.map { $0 + 1 } ?? .min
        isRunSilent = reason == .idle
        if reason == .complete, let origin { self.origin = origin + scan.geometry.totalFrames }
        prepare()
        endsSilently = true
    }

    func endEvent(_ reason: EndReason) -> TrackerEvent {
        let duration = firstFrameAt.flatMap { first in lastFrameAt.map { $0 - first } } ?? .zero
        return .ended(
            TrackedEnd(
                generation: generation, reason: reason, accounting: balance(), hasStarted: format != nil,
                duration: duration, firstFormatError: formatError))
    }

    /// The accounting of the acquisition as it stands.
    func balance() -> Accounting {
        var result = counts
        let geometry = scan.geometry
        result.expected = geometry.navShape.size
        let hasMargins = geometry.totalFrames != geometry.navShape.size
        let lineLength = hasMargins ? geometry.navShape.lineLength : geometry.navShape.size
        var position = 0
        while position < geometry.navShape.size {
            let frame = geometry.frame(ofPosition: position)
            addGaps(frames: frame..<frame + lineLength, firstPosition: position, to: &result)
            addDuplicates(frames: frame..<frame + lineLength, firstPosition: position, to: &result)
            position += lineLength
        }
        result.missing = result.missingRanges.reduce(0) { $0 + $1.count }
        result.rejected = result.rejectedRanges.reduce(0) { $0 + $1.count }
        return result
    }

    private func addGaps(frames: Range<Int>, firstPosition: Int, to result: inout Accounting) {
        let shift = firstPosition - frames.lowerBound
        var frame = frames.lowerBound
        while let gap = received.first(from: frame, inSet: false), gap < frames.upperBound {
            let gapEnd = min(received.first(from: gap, inSet: true) ?? frames.upperBound, frames.upperBound)
            let isRejected = rejected.contains(gap)
            let end = min(rejected.first(from: gap, inSet: !isRejected) ?? gapEnd, gapEnd)
            let positions = gap + shift..<end + shift
            if isRejected {
                Self.append(positions, to: &result.rejectedRanges)
            } else {
                Self.append(positions, to: &result.missingRanges)
            }
            frame = end
        }
    }

    private func addDuplicates(frames: Range<Int>, firstPosition: Int, to result: inout Accounting) {
        let shift = firstPosition - frames.lowerBound
        var frame = frames.lowerBound
        while let first = repeated.first(from: frame, inSet: true), first < frames.upperBound {
            frame = min(repeated.first(from: first, inSet: false) ?? frames.upperBound, frames.upperBound)
            Self.append(first + shift..<frame + shift, to: &result.duplicateRanges)
        }
    }

    /// Adds a range behind the others, joined to the last one if it touches it.
    private static func append(_ range: Range<Int>, to ranges: inout [Range<Int>]) {
        if let last = ranges.last, last.upperBound == range.lowerBound {
            ranges[ranges.count - 1] = last.lowerBound..<range.upperBound
        } else {
            ranges.append(range)
        }
    }
}
