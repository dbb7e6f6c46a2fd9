import MerlinProtocol

/// Finding the acquisition and the place of a frame.
extension FrameTracker {
    // MARK: Which acquisition

    /// Makes the acquisition that a frame belongs to the current one; false if it belongs to none.
    mutating func attribute(_ fields: FrameHeaderFields, _ body: UnsafeRawBufferPointer, intact: Bool) -> Bool {
        if pendingHeader != nil, state == .running {
            resolvePendingHeader(fields, body)
        }
        switch state {
        case .idle:
            guard configuration.acceptsFramesWithoutHeader, intact else { return false }
            guard beginsAnew(fields, body) || (header == nil && highest == nil) else { return false }
            arm(header)
            noteMissingHeader()
        case .armed where highest == nil:
            break
        case .armed, .running:
            guard configuration.acceptsFramesWithoutHeader, beginsAnew(fields, body) else { break }
            if state == .running { finish(isOver ? .complete : .newHeader) }
            arm(header)
            noteMissingHeader()
        }
        return true
    }

    private mutating func noteMissingHeader() {
        guard header != nil else { return }
        startWarnings.append("the numbers began anew without an acquisition header; the one before is taken")
    }

    /// A7: what the header that came in mid-stream meant shows in the number of the next frame.
    private mutating func resolvePendingHeader(
        _ fields: FrameHeaderFields, _ body: UnsafeRawBufferPointer
    ) {
        guard let pending = pendingHeader, let sequence = unwrapped(fields) else { return }
        let isFirst = sequence == runFirst
        if sequence == lastSequence {
            // Once more the frame before: says nothing, unless it is a new first frame.
            guard isFirst, firstFrameHeader.isEmpty || differsFromFirstFrame(fields, body) else { return }
        } else if !isFirst && !isReceived(sequence) {
            pendingHeader = nil
            counts.spuriousHeaders += 1
            return
        }
        finish(.newHeader)
        arm(pending)
    }

    private func isReceived(_ sequence: Int) -> Bool {
        guard let origin, sequence >= origin else { return false }
        return received.contains(sequence - origin)
    }

    /// Whether a frame shows by its number that the detector has begun anew, without a header to tell.
    private func beginsAnew(_ fields: FrameHeaderFields, _ body: UnsafeRawBufferPointer) -> Bool {
        guard let highest, let runFirst, let sequence = unwrapped(fields), sequence <= highest else { return false }
        // While only first frames have come, they may be the layers of a colour image.
        if sequence == runFirst, highest > runFirst || state != .running {
            if !firstFrameHeader.isEmpty {
                // Under a header the format cannot change, so that a foreign frame is no beginning.
                let isOfRun = header == nil || runFormat?.matches(fields, bodyBytes: body.count) ?? true
                if isOfRun, differsFromFirstFrame(fields, body) { return true }
            } else if highest - runFirst >= Self.reorderWindow {
                return true
            }
        }
        guard header == nil else { return false }
        if isArmedTold || highest - sequence >= Self.reorderWindow { return true }
        if state != .running, isRunSilent || (sequence == runFirst && firstFrameHeader.isEmpty) { return true }
        // Two in a row among the first three: later ones may as well be second copies.
        guard sequence < runFirst + 3, let lastRepeated, lastRepeated + 1 == sequence else { return false }
        return state != .running || isReceived(sequence)
    }

    private func differsFromFirstFrame(_ fields: FrameHeaderFields, _ body: UnsafeRawBufferPointer) -> Bool {
        guard !firstFrameHeader.isEmpty else { return false }
        return !body.prefix(fields.dataOffset).elementsEqual(firstFrameHeader)
    }

    // MARK: Which number

    /// The number with the wraps of a six-digit counter undone; nil where it cannot be told.
    func unwrapped(_ fields: FrameHeaderFields) -> Int? {
        let raw = Int(fields.sequenceNumber)
        let modulus = configuration.counterModulus
        let mayWrap = scan.isEndless || lastIndex >= modulus - 1
        guard mayWrap, let highest, highest >= modulus / 2, raw <= modulus, fields.sequenceDigits <= 6 else {
            return raw
        }
        let expected = highest + 1
        let turns = expected / modulus
        var nearest: Int?
        var least = Self.wrapWindow + 1
        for turn in (turns > 0 ? turns - 1 : 0)...(turns + 1) {
            let candidate = turn * modulus + raw
            let distance = abs(candidate - expected)
            if distance < least { (nearest, least) = (candidate, distance) }
        }
        return nearest ?? (highest < modulus ? raw : nil)
    }

    // MARK: Which place

    mutating func place(
        _ fields: FrameHeaderFields, _ body: UnsafeRawBufferPointer, intact: Bool, isKept: Bool,
        at now: ContinuousClock.Instant
    ) -> FrameDecision {
        messages += 1
        lastRepeated = nil
        guard let sequence = unwrapped(fields) else { return stray() }
        guard let index = index(of: sequence) else {
            if sequence < floor { lastRepeated = sequence }
            return stray()
        }
        if index > lastIndex { return stray() }

        begin(at: now, sequence: sequence)
        let isGood = check(fields, body, intact: intact, isKept: isKept)
        let eventsBefore = events.count
        let placement = enter(index, isGood: isGood, isKept: isKept)
        switch placement {
        case .duplicate:
            lastRepeated = sequence
        case .placed, .leadIn:
            if sequence == runFirst { firstFrameHeader = [UInt8](body.prefix(fields.dataOffset)) }
            fallthrough
        default:
            lastFrameAt = now
            lastActivity = now
        }
        noteLastFrame(index)
        if isFinished { finish(.complete) }
        return FrameDecision(placement: placement, eventsBefore: eventsBefore)
    }

    private mutating func stray() -> FrameDecision {
        counts.strays += 1
        noteLastFrame(nil)
        let eventsBefore = events.count
        if state == .running, isFinished { finish(.complete) }
        return FrameDecision(placement: .stray, eventsBefore: eventsBefore)
    }

    private mutating func noteLastFrame(_ index: Int?) {
        switch configuration.endRule {
        case .lastSequenceNumber, .navShape:
            if let index, index >= lastIndex { isLastFrameSeen = true }
        case .messageCount:
            if messages > lastIndex { isLastFrameSeen = true }
        }
    }

    /// The frame's index in the acquisition; moves an endless stream on to the acquisition it belongs to.
    private mutating func index(of sequence: Int) -> Int? {
        if origin == nil {
            let first =
                switch configuration.firstSequence {
                case .number(let number): number
                case .firstReceived: sequence
                }
            runFirst = first
            origin = first
        }
        guard let origin, sequence >= origin, sequence >= floor else { return nil }
        let index = sequence - origin
        let length = scan.geometry.totalFrames
        guard scan.isEndless, index >= length else { return index }

        if let highest, sequence - highest > length {
            // So much lost at once is believed only when the next number says so too.
            guard let jump = farJump, jump + 1 == sequence else {
                farJump = sequence
                return nil
            }
        }
        farJump = nil
        let lengths = index / length
        let isJoinedLate = highest == nil
        var skipped = lengths
        if state == .running {
            finish(.complete)
            skipped -= 1
            self.origin = origin + lengths * length
        } else {
            self.origin = origin + lengths * length
        }
        if !isJoinedLate { counts.lostBeforeStart = skipped * length }
        return index % length
    }

    private mutating func begin(at now: ContinuousClock.Instant, sequence: Int) {
        if state == .armed {
            state = .running
            firstFrameAt = now
            lastFrameAt = now
            lastActivity = now
        }
        lastSequence = sequence
        highest = max(highest ?? sequence, sequence)
    }

    /// Whether the frame is whole and of the acquisition's format; the first such frame starts the acquisition.
    private mutating func check(
        _ fields: FrameHeaderFields, _ body: UnsafeRawBufferPointer, intact: Bool, isKept: Bool
    ) -> Bool {
        if let format, format.matches(fields, bodyBytes: body.count) { return intact }
        guard intact else { return false }
        // Once two frames have the acquisition's format it is settled; a single one may have been a foreign frame.
        guard format == nil || received.count <= 1 else { return false }
        let new: FrameFormat
        do throws(FrameFormatError) {
            new = try FrameFormat(
                header: body, payloadBytes: body.count - fields.dataOffset, acquisitionDepth: header?.counterDepth)
        } catch {
            if formatError == nil { formatError = error }
            return false
        }
        guard isKept, let origin else { return format == nil }
        if format != nil {
            guard rivalFormat == new else {
                rivalFormat = new
                return false
            }
            revokeStart()
        }
        format = new
        runFormat = new
        events.append(
            .started(
                TrackedStart(
                    generation: generation, scan: scan, format: new, header: header, firstSequenceNumber: origin,
                    warnings: scan.warnings + startWarnings + (header?.warnings ?? []), navShapeError: navShapeError)))
        return true
    }

    /// Takes back the start that a foreign frame made: its acquisition ends, and the frame counts as rejected in the one
    /// that starts in its stead.
    private mutating func revokeStart() {
        events.append(endEvent(.newHeader))
        generation += 1
        rivalFormat = nil
        counts.placed = 0
        for index in 0..<received.capacity where received.contains(index) {
            guard case .position = scan.geometry.place(ofFrame: index) else { continue }
            received.remove(index)
            rejected.insert(index)
        }
        firstFrameHeader = []
        startWarnings.append("the first frame was of another format than those that followed, and is rejected")
    }

    private mutating func enter(_ index: Int, isGood: Bool, isKept: Bool) -> FramePlacement {
        let place = scan.geometry.place(ofFrame: index)
        if case .beyond = place {
            counts.strays += 1
            return .stray
        }
        if received.contains(index) {
            return duplicate(index)
        }
        switch place {
        case .position(let position):
            guard isGood else {
                guard rejected.insert(index) else { return duplicate(index) }
                return .rejected(position)
            }
            guard isKept else {
                counts.droppedByRingFull += 1
                return .dropped(position)
            }
            received.insert(index)
            counts.placed += 1
            return .placed(position)
        case .leadIn:
            received.insert(index)
            counts.leadInFrames += 1
            return .leadIn
        case .flyback:
            received.insert(index)
            counts.flybackFrames += 1
            return .flyback
        case .tail:
            received.insert(index)
            counts.tailFrames += 1
            return .tail
        case .beyond:
            return .stray
        }
    }
    private mutating func duplicate(_ index: Int) -> FramePlacement {
        counts.duplicates += 1
        repeated.insert(index)
        return .duplicate
    }
}
