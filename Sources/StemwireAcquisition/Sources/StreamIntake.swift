import MerlinProtocol
import StemwireSystem

/// The way of a byte stream into the ring: slots, parsing in place, placement, tiles, events.
///
/// Used by one thread. It does no I/O itself: a source writes stream bytes where `space` says, tells how many, and
/// calls in between. Nothing is allocated for a frame that neither begins nor ends an acquisition.
final class StreamIntake {
    let writer: RingWriter
    let consumers: [TileQueue]
    let configuration: SourceConfiguration
    let counters: ReceiverCounters
    /// Given to consumers with the start of an acquisition.
    let unread: UnreadFrames?
    /// Asked while the source waits for memory or for a consumer: true gives up waiting.
    let isStopped: () -> Bool
    var tracker: FrameTracker

    private var parser: MPXStreamParser
    /// The slot being filled; nil before the first, and while frames are dropped.
    private var slot: Int?
    private var memory: UnsafeMutableRawBufferPointer
    /// Where frames go that are dropped.
    private var dropArea: UnsafeMutableRawBufferPointer
    /// The unread bytes are `start ..< end`.
    private var start = 0
    private var end = 0
    /// Bytes the parser needs behind the unread ones before it can go on.
    private var needed = 1
    /// Bytes from frame to frame, when known.
    private var stride = 0
    private var mustTurn = false
    private var openTile: OpenTile?
    private var hasNewBytes = false

    // The acquisition that has started.
    private var id = AcquisitionID(high: 0, low: 0)
    private var generation: UInt64 = 0
    private var partitionLength = 1
    private var navShape: NavShape?
    private var dataOffset = 0

    // Counted here, and passed on once per read.
    private var placedFrames = 0
    private var droppedFrames = 0
    private var strayFrames = 0
    private var frameMessages = 0

    private struct OpenTile {
        var firstPosition: Int
        var count: Int
        /// The position behind the partition.
        var limit: Int
        var offset: Int
        var end: Int
        var stride: Int
        var openedAt: ContinuousClock.Instant
    }

    /// One read brings about so much: whole frames, so that nothing need be moved.
    private static let readBytes = 128 << 10
    private static let firstReadBytes = 64 << 10

    init(
        writer: RingWriter, consumers: [TileQueue], configuration: SourceConfiguration, counters: ReceiverCounters,
        tracker: FrameTracker? = nil, unread: UnreadFrames? = nil, isStopped: @escaping () -> Bool
    ) {
        self.writer = writer
        self.consumers = consumers
        self.configuration = configuration
        self.counters = counters
        self.unread = unread
        self.isStopped = isStopped
        self.tracker = tracker ?? FrameTracker(configuration.tracker)
        parser = MPXStreamParser(limits: .init(maxMessageBytes: min(64 << 20, writer.maximumMessageBytes)))
        memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        dropArea = .allocate(byteCount: writer.slotBytes, alignment: 4096)
    }

    deinit {
        if let slot { writer.close(slot) }
        dropArea.deallocate()
    }

    // MARK: Space

    /// Where the next bytes go, and whether reading should wait until all of it is filled. nil if the source was
    /// stopped while it waited for memory.
    func space(atLeast minimum: Int = 1) -> (bytes: UnsafeMutableRawBufferPointer, isSteady: Bool)? {
        if slot == nil || mustTurn || !hasRoom(atLeast: minimum) {
            guard turn(atLeast: minimum) else { return nil }
        }
        let isSteady = stride > 0
        var target = end + Self.firstReadBytes
        if isSteady {
            // Up to the end of a frame, and the prefix of the next, without which the frame's end is not certain.
            let frames = max(1, Self.readBytes / stride)
            let fitting = (memory.count - start - MPXPrefix.byteCount) / stride
            target = start + min(frames, max(1, fitting)) * stride + MPXPrefix.byteCount
        }
        target = min(max(target, end + max(needed, minimum)), memory.count)
        return (UnsafeMutableRawBufferPointer(rebasing: memory[end..<target]), isSteady)
    }

    private func hasRoom(atLeast minimum: Int) -> Bool {
        let wanted = max(end + max(needed, minimum), stride > 0 ? start + stride + MPXPrefix.byteCount : 0)
        return wanted <= memory.count || (start == 0 && end + max(needed, minimum) <= memory.count)
    }

    /// Goes on in another slot, which the unread bytes move to; false if the source was stopped meanwhile.
    private func turn(atLeast minimum: Int) -> Bool {
        closeTile()
        let unread = end - start
        let wanted = unread + max(needed, minimum) + MPXPrefix.byteCount
        if wanted > writer.slotBytes { return enlarge(for: wanted) }
        guard let new = takeSlot() else { return false }
        if new == dropSlot {
            move(to: dropArea)
            if let slot { writer.close(slot) }
            slot = nil
        } else {
            move(to: writer.memory(new))
            if let slot { writer.close(slot) }
            slot = new
        }
        mustTurn = false
        return true
    }

    /// Hands on what has come, and waits until consumers hold nothing of it any more, or the source is stopped.
    func letConsumersCatchUp() {
        guard turn(atLeast: needed) else { return }
        while !writer.isQuiet(holding: 1), !isStopped() {
            writer.waitUntilQuiet(holding: 1, timeout: .milliseconds(20))
        }
        tracker.resumed(at: .now)
    }

    private let dropSlot = -1

    private func move(to target: UnsafeMutableRawBufferPointer) {
        let unread = end - start
        if unread > 0 {
            // Within the drop area, old and new place may overlap, which this call allows.
            target.baseAddress!.copyMemory(from: memory.baseAddress! + start, byteCount: unread)
        }
        memory = target
        start = 0
        end = unread
    }

    /// A free slot; `dropSlot` if there is none and frames are to be dropped; nil if stopped.
    private func takeSlot() -> Int? {
        if let free = writer.takeSlot() { return free }
        if configuration.whenRingIsFull == .dropCounted { return dropSlot }
        counters.ringWaits.wrappingAdd(1, ordering: .relaxed)
        while !isStopped() {
            writer.waitForSlot(timeout: .milliseconds(20))
            if let free = writer.takeSlot() {
                tracker.resumed(at: .now)
                return free
            }
        }
        return nil
    }

    /// Makes all slots large enough for a message larger than any before; waits until consumers have let go of all.
    private func enlarge(for bytes: Int) -> Bool {
        let unread = [UInt8](UnsafeRawBufferPointer(rebasing: memory[start..<end]))
        if let slot { writer.close(slot) }
        slot = nil
        memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        start = 0
        end = 0
        while !writer.isQuiet(holding: 0) {
            if isStopped() { return false }
            writer.waitUntilQuiet(timeout: .milliseconds(20))
        }
        // Room for several frames where the ring allows it, so that little is moved from slot to slot.
        let most = writer.maximumMessageBytes + 2 * MPXPrefix.byteCount
        writer.reshape(slotBytes: max(bytes, min(4 * bytes, most / 8)))
        dropArea.deallocate()
        dropArea = .allocate(byteCount: writer.slotBytes, alignment: 4096)
        guard let new = takeSlot(), new != dropSlot else { return false }
        memory = writer.memory(new)
        memory.copyBytes(from: unread)
        end = unread.count
        slot = new
        mustTurn = false
        tracker.resumed(at: .now)
        return true
    }

    // MARK: Bytes

    /// Tells that so many bytes have been written to `space`.
    func wrote(_ count: Int) {
        end += count
        hasNewBytes = true
        counters.bytesCount.wrappingAdd(count, ordering: .relaxed)
    }

    /// Finds and hands on what has come.
    ///
    /// - Parameter quiet: no more bytes are expected now.
    func parse(quiet: Bool, at now: ContinuousClock.Instant) {
        if slot == nil, end > start, let free = writer.takeSlot() {
            // Read where frames are dropped, but there is memory again.
            move(to: writer.memory(free))
            slot = free
        }
        if mustTurn, end > start, !turn(atLeast: 1) { return }
        var hasMessage = false
        parsing: while true {
            let unread = UnsafeRawBufferPointer(rebasing: memory[start..<end])
            switch parser.next(unread, quiet: quiet) {
            case .needMore(let count):
                needed = count
                break parsing
            case .skipped(let count):
                tracker.garbage(bytes: count)
                counters.garbageTotal.wrappingAdd(count, ordering: .relaxed)
                start += count
                needed = 1
            case .message(let message):
                hasMessage = true
                let body = UnsafeRawBufferPointer(rebasing: unread[message.bodyRange])
                switch message.kind {
                case .frame:
                    frame(body, message, at: now)
                case .acquisitionHeader:
                    tracker.acquisitionHeader(body, intact: message.intact, at: now)
                    handOnEvents()
                case .other:
                    tracker.otherMessage()
                }
                start += message.totalBytes
                needed = 1
                if mustTurn { break parsing }
            }
        }
        // What the parser keeps beyond a prefix is a message in the making.
        if hasNewBytes, !hasMessage, end - start > MPXPrefix.byteCount { tracker.activity(at: now) }
        hasNewBytes = false
        if quiet { closeTile() }
        if mustTurn, end > start, turn(atLeast: 1) { parse(quiet: quiet, at: now) }
    }

    /// Hands on what has waited long enough, and lets time pass for the acquisition.
    func tick(at now: ContinuousClock.Instant) {
        if let openTile, now - openTile.openedAt >= configuration.tileAgeLimit / 2 { closeTile() }
        tracker.tick(at: now)
        if tracker.hasEvents { handOnEvents() }
        passOnCounts()
    }

    private func passOnCounts() {
        if frameMessages > 0 {
            counters.messagesCount.wrappingAdd(frameMessages, ordering: .relaxed)
            counters.placedTotal.wrappingAdd(placedFrames, ordering: .relaxed)
            counters.droppedTotal.wrappingAdd(droppedFrames, ordering: .relaxed)
            counters.strayTotal.wrappingAdd(strayFrames, ordering: .relaxed)
            frameMessages = 0
            placedFrames = 0
            droppedFrames = 0
            strayFrames = 0
        }
        counters.stateNow.store(tracker.state.rawValue, ordering: .relaxed)
        counters.generationNow.store(tracker.generation, ordering: .relaxed)
        counters.placedNow.store(tracker.placedPositions, ordering: .relaxed)
        counters.expectedNow.store(tracker.expectedPositions, ordering: .relaxed)
        counters.sequenceNow.store(tracker.lastSequence ?? 0, ordering: .relaxed)
    }

    /// The stream has ended: what is left is a message cut short, or garbage.
    func streamEnded(at now: ContinuousClock.Instant) {
        parse(quiet: true, at: now)
        let unread = UnsafeRawBufferPointer(rebasing: memory[start..<end])
        if !unread.isEmpty {
            if MPXPrefix.bodyBytes(unread) != nil, unread.dropFirst(MPXPrefix.byteCount).starts(with: "MQ1,".utf8) {
                let body = UnsafeRawBufferPointer(rebasing: unread[MPXPrefix.byteCount...])
                _ = tracker.frame(body, intact: false, at: now)
                frameMessages += 1
            } else {
                tracker.garbage(bytes: unread.count)
            }
        }
        start = end
        needed = 1
        parser.reset()
        tracker.connectionClosed()
        handOnEvents()
        tick(at: now)
    }

    // MARK: Frames

    private func frame(_ body: UnsafeRawBufferPointer, _ message: MPXMessage, at now: ContinuousClock.Instant) {
        frameMessages += 1
        let decision = tracker.frame(body, intact: message.intact, isKept: slot != nil, at: now)
        if decision.eventsBefore > 0 { handOnEvents(decision.eventsBefore) }
        switch decision.placement {
        case .placed(let position):
            placedFrames += 1
            append(position, message.totalBytes, at: now)
        case .dropped:
            droppedFrames += 1
        case .stray:
            strayFrames += 1
        default:
            break
        }
        if tracker.hasEvents { handOnEvents() }
    }

    private func append(_ position: Int, _ totalBytes: Int, at now: ContinuousClock.Instant) {
        if openTile != nil {
            if position == openTile!.firstPosition + openTile!.count, start == openTile!.end {
                openTile!.count += 1
                openTile!.end = start + totalBytes
                if position + 1 == openTile!.limit { closeTile() }
                return
            }
            closeTile()
        }
        let partition = position / partitionLength
        openTile = OpenTile(
            firstPosition: position, count: 1, limit: (partition + 1) * partitionLength, offset: start,
            end: start + totalBytes, stride: totalBytes, openedAt: now)
        stride = totalBytes
        if position + 1 == openTile!.limit { closeTile() }
    }

    private func closeTile() {
        guard let open = openTile, let slot else { return }
        openTile = nil
        let tile = Tile(
            generation: generation, firstPosition: open.firstPosition, count: open.count,
            partition: open.firstPosition / partitionLength, stride: open.stride, dataOffset: dataOffset,
            holder: writer.holder(slot),
            firstHeader: UnsafeRawPointer(memory.baseAddress! + open.offset + MPXPrefix.byteCount))
        writer.publish(tile, holders: consumers.count)
        for consumer in consumers { push(.tile(tile), to: consumer) }
        // The frame that ended this tile may be one by itself, which is still to find room.
        if writer.roomForTiles(slot) < 2 { mustTurn = true }
    }

    // MARK: Events

    private func handOnEvents(_ count: Int = .max) {
        var left = count
        while left > 0, let event = tracker.takeEvent() {
            left -= 1
            closeTile()
            switch event {
            case .started(let start):
                begin(start)
            case .ended(let end):
                counters.acquisitionsEnded.wrappingAdd(1, ordering: .relaxed)
                passOnCounts()
                let summary = AcquisitionSummary(
                    id: end.hasStarted ? id : .random(), generation: end.generation, reason: end.reason,
                    accounting: end.accounting, hasStarted: end.hasStarted, duration: end.duration,
                    firstFormatError: end.firstFormatError, navShape: end.hasStarted ? navShape : nil)
                for consumer in consumers { push(.ended(summary), to: consumer) }
            }
        }
    }

    private func begin(_ start: TrackedStart) {
        id = .random()
        generation = start.generation
        dataOffset = start.format.dataOffset
        navShape = start.scan.geometry.navShape
        partitionLength =
            start.scan.framesPerPartition.map { max(1, $0) }
            ?? configuration.partitionLength(
                start.scan.geometry.navShape, payloadBytes: start.format.payloadBytes)
        let description = AcquisitionDescription(
            id: id, generation: start.generation, scan: start.scan, format: start.format,
            framesPerPartition: partitionLength, header: start.header, firstSequenceNumber: start.firstSequenceNumber,
            startedAt: WallClock.now, warnings: start.warnings, navShapeError: start.navShapeError, unread: unread)
        for consumer in consumers { push(.started(description), to: consumer) }
    }

    /// Waits for a consumer whose queue is full, unless the source is stopped; then nobody reads on, and a tile's hold
    /// is given back.
    private func push(_ event: AcquisitionEvent, to consumer: TileQueue) {
        while !consumer.push(event) {
            if isStopped() {
                if case .tile(let tile) = event { writer.ring.release(tile) }
                return
            }
            consumer.waitForRoom(timeout: .milliseconds(20))
            tracker.resumed(at: .now)
        }
    }
}
