import MerlinProtocol

/// One thing that happens on the data connection.
public enum WireEvent: Sendable, Hashable {
    /// The acquisition header.
    case header
    /// A frame's whole message. Frames are counted from 0 here.
    case frame(Int)
    /// The first bytes of a frame's message, prefix counted.
    case truncated(Int, bytes: Int)
    /// A frame's whole message behind a prefix whose length is wrong by this many bytes.
    case wrongLength(Int, by: Int)
    /// A frame's whole message, sent in small pieces.
    case trickled(Int, over: Duration)
    /// Bytes as ``FaultPlan/garbage(seed:count:)`` gives them.
    case garbage(seed: UInt64, count: Int)
    case nul(Int)
    case pause(Duration)
    /// The acquisition is over without a mark.
    case abort
    /// The detector ends its side of the connection.
    case halfClose
    /// The connection is reset.
    case reset
}

/// What was really sent in an acquisition: what a test compares a receiver's accounting with.
public struct FaultTruth: Sendable, Hashable {
    /// Frames sent whole and undamaged, in the order sent, from 0; a duplicate is there twice.
    public var intact: [Int] = []
    /// Frames sent damaged, with the number of bytes that were sent (prefix counted).
    public var damaged: [Damaged] = []
    public var garbageBytes = 0
    public var nulBytes = 0
    /// Acquisition headers sent.
    public var headers = 0
    /// Whether the acquisition ended before its last frame. After a reset, the other side's system may also throw away
    /// what it had received.
    public var ending: FaultPlan.Ending?

    public struct Damaged: Sendable, Hashable {
        public var frame: Int
        public var bytes: Int
    }

    /// Distinct frames that can be placed.
    public var placeable: Set<Int> { Set(intact) }
    /// Intact copies beyond the first.
    public var duplicates: Int { intact.count - placeable.count }
}

/// Turns the messages of one acquisition into what a faulty detector sends.
///
/// No clock, no socket: the simulator's shell and tests drive it alike. Call ``begin(_:)``, then ``frame(_:into:)`` for
/// 0, 1, 2 … and ``end(_:)``; each appends events. After an ending event ``isOver`` is true and nothing more comes.
public struct FaultStream: Sendable {
    private let plan: FaultPlan
    private let seed: UInt64
    private let frameCount: Int?
    private let messageBytes: Int
    private var held: Int?
    public private(set) var isOver = false

    /// - Parameters:
    ///   - seed: with `acquisition` and the frame's number it decides everything.
    ///   - acquisition: counted from 0; see `runs` of the plan.
    ///   - frameCount: nil for an endless acquisition, which has no middle and last frame.
    ///   - messageBytes: size of a frame's message, prefix counted.
    public init(_ plan: FaultPlan, seed: UInt64, acquisition: UInt64, frameCount: Int?, messageBytes: Int) {
        self.plan = plan.applies(to: acquisition) ? plan : FaultPlan()
        self.seed = RandomSource.mix(seed ^ 0xFA17) &+ acquisition
        self.frameCount = frameCount
        self.messageBytes = messageBytes
    }

    /// The acquisition header and what goes wrong around it.
    public mutating func begin(_ events: inout [WireEvent]) {
        if plan.garbageBefore {
            var random = RandomSource(seed: seed, stream: .max)
            events.append(.garbage(seed: random.next(), count: 1 + random.below(4096)))
        }
        events.append(.header)
        if plan.headerTwice { events.append(.header) }
    }

    /// A frame, counted from 0.
    public mutating func frame(_ frame: Int, into events: inout [WireEvent]) {
        guard !isOver else { return }
        if let ending = plan.ending, ending.frame == frame + 1 {
            end(&events)
            switch ending.how {
            case .abort: events.append(.abort)
            case .halfClose: events.append(.halfClose)
            case .reset: events += [.truncated(frame, bytes: max(1, messageBytes / 2)), .reset]
            }
            isOver = true
            return
        }
        if plan.headerAt == frame + 1 { events.append(.header) }
        if let stall = plan.stall, stall.frame == frame + 1 { events.append(.pause(stall.duration)) }
        // The swapped partner goes out as it is.
        let reorders = held == nil && hits(.reorder, frame)
        if reorders {
            held = frame
            return
        }
        send(frame, &events)
        if let late = held {
            held = nil
            send(late, &events)
        }
    }

    /// What was held back. To be called behind the last frame.
    public mutating func end(_ events: inout [WireEvent]) {
        guard !isOver, let late = held else { return }
        held = nil
        send(late, &events)
    }

    private func send(_ frame: Int, _ events: inout [WireEvent]) {
        var random = RandomSource(seed: seed, stream: UInt64(frame) << 8 | 0xFF)
        let (first, second) = (random.next(), random.next())
        func sized(_ bound: Int) -> Int { 1 + Int(second % UInt64(max(1, bound))) }
        if hits(.nul, frame) { events.append(.nul(1 + Int(first % 8))) }
        if hits(.garbage, frame) { events.append(.garbage(seed: first, count: sized(1024))) }
        if hits(.drop, frame) || isDropped(frame) { return }
        if hits(.truncate, frame) {
            events.append(.truncated(frame, bytes: sized(messageBytes - 1)))
        } else if hits(.wrongLength, frame) {
            let amount = sized(min(64, max(1, messageBytes / 8)))
            events.append(.wrongLength(frame, by: first % 2 == 0 ? amount : -amount))
        } else if let trickle = plan.trickle, trickle.frame == frame + 1 {
            events.append(.trickled(frame, over: trickle.duration))
        } else {
            events.append(.frame(frame))
        }
        if hits(.duplicate, frame) { events.append(.frame(frame)) }
    }

    private func isDropped(_ frame: Int) -> Bool {
        if plan.dropsFirst, frame == 0 { return true }
        guard let frameCount else { return false }
        return plan.dropsLast && frame == frameCount - 1 || plan.dropsMiddle && frame == frameCount / 2
    }

    private func hits(_ kind: FaultPlan.Kind, _ frame: Int) -> Bool {
        if plan.listed[kind.rawValue].contains(where: { $0.contains(frame + 1) }) { return true }
        let probability = plan.probabilities[kind.rawValue]
        guard probability > 0 else { return false }
        var random = RandomSource(seed: seed, stream: UInt64(frame) << 8 | UInt64(kind.rawValue))
        return random.chance(probability)
    }
}

extension FaultTruth {
    /// Takes note of an event that was sent.
    public mutating func record(_ event: WireEvent, messageBytes: Int) {
        switch event {
        case .header: headers += 1
        case .frame(let frame), .trickled(let frame, _): intact.append(frame)
        case .truncated(let frame, let bytes): damaged.append(Damaged(frame: frame, bytes: bytes))
        case .wrongLength(let frame, _): damaged.append(Damaged(frame: frame, bytes: messageBytes))
        case .garbage(_, let count): garbageBytes += count
        case .nul(let count): nulBytes += count
        case .pause: break
        case .abort: ending = .abort
        case .halfClose: ending = .halfClose
        case .reset: ending = .reset
        }
    }
}

extension FaultPlan {
    /// A whole faulty acquisition: its events and the truth about them.
    ///
    /// - Parameters: as for ``FaultStream``.
    public func apply(
        frameCount: Int, messageBytes: Int, seed: UInt64, acquisition: UInt64 = 0
    ) -> (events: [WireEvent], truth: FaultTruth) {
        var stream = FaultStream(
            self, seed: seed, acquisition: acquisition, frameCount: frameCount, messageBytes: messageBytes)
        var events: [WireEvent] = []
        events.reserveCapacity(frameCount + 4)
        stream.begin(&events)
        for frame in 0..<frameCount where !stream.isOver { stream.frame(frame, into: &events) }
        stream.end(&events)
        var truth = FaultTruth()
        for event in events { truth.record(event, messageBytes: messageBytes) }
        return (events, truth)
    }

    /// Random bytes, with pieces in between that look like the beginning of a message but are none.
    public static func garbage(seed: UInt64, count: Int) -> [UInt8] {
        var random = RandomSource(seed: seed)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 16)
        while bytes.count < count {
            if random.chance(0.05) {
                bytes += baits[random.below(baits.count)]
            } else {
                bytes.append(UInt8(truncatingIfNeeded: random.next()))
            }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    private static let baits = [
        "M", "MP", "MPX", "MPX,", "MMPX,", "MPX,0000000000,", "MPX,9999999999,", "MPX,-000000001,", "MPX,00000x0000,",
        "MPX,0000000017;", "MQ1,000001,", "HDR,\t",
    ].map { Array($0.utf8) }
}

extension WireEvent {
    /// Appends the bytes that the event puts on the wire: none for pauses and endings.
    ///
    /// - Parameters:
    ///   - header: the acquisition header's whole message.
    ///   - frame: gives a frame's whole message, prefix counted.
    public func appendBytes(to bytes: inout [UInt8], header: [UInt8], frame: (Int) -> [UInt8]) {
        switch self {
        case .header: bytes += header
        case .frame(let index), .trickled(let index, _): bytes += frame(index)
        case .truncated(let index, let count): bytes += frame(index).prefix(count)
        case .wrongLength(let index, let amount):
            let message = frame(index)
            bytes += MPXPrefix.encoded(bodyBytes: max(0, message.count - MPXPrefix.byteCount + amount))
            bytes += message[MPXPrefix.byteCount...]
        case .garbage(let seed, let count): bytes += FaultPlan.garbage(seed: seed, count: count)
        case .nul(let count): bytes += repeatElement(0, count: count)
        case .pause, .abort, .halfClose, .reset: break
        }
    }
}
