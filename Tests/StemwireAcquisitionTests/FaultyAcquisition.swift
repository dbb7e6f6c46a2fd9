import MerlinProtocol
import StemwireTestSupport

@testable import StemwireAcquisition

/// One random acquisition with faults as a byte stream, and what must become of it. All of it follows from the seed.
struct FaultyAcquisition {
    /// A piece of the stream.
    enum Item {
        case header([UInt8])
        case good(Int)
        /// Cut behind so many bytes of its message.
        case cut(Int, Int)
        /// Of another format.
        case otherFormat(Int, side: Int)
        /// A frame whose prefix tells a length that is not its own.
        case wrongLength(Int, Int)
        case stray(Int)
        case unreadable
        case other
        case garbage([UInt8])
        /// Silence; all of them together are shorter than the idle limit.
        case pause

        /// The frame whose number can be read from it.
        var frame: Int? {
            switch self {
            case .good(let frame), .otherFormat(let frame, _): frame
            case .cut(let frame, let length): length >= MPXPrefix.byteCount + TestFrames.dataOffset ? frame : nil
            case .wrongLength(let frame, let error): TestFrames.payloadBytes + error >= 0 ? frame : nil
            case .header, .stray, .unreadable, .other, .garbage, .pause: nil
            }
        }
    }

    var text: String {
        items.map { item in
            if case .header = item { return "header" }
            return "\(item)".replacing("StemwireAcquisitionTests.FaultyAcquisition.Item", with: "")
        }.joined(separator: " ")
    }

    /// How the detector leaves it.
    enum End: CaseIterable { case silence, nextHeader, sameHeader, abort, stop, close }

    let geometry: ScanGeometry
    let hasHeader: Bool
    let end: End
    var items: [Item] = []
    let frames: Int

    init(_ generator: inout SeededGenerator) {
        let margins =
            generator.chance(percent: 25)
            ? ScanMargins(
                leadIn: generator.below(3), flybackPerLine: generator.below(3), tail: generator.below(3))
            : ScanMargins()
        geometry = try! ScanGeometry(
            navShape: NavShape([1 + generator.below(5), 1 + generator.below(6)]), margins: margins)
        frames = geometry.totalFrames
        hasHeader = generator.chance(percent: 80)
        var ends = End.allCases
        if !hasHeader { ends.removeAll { $0 == .sameHeader || $0 == .nextHeader } }
        end = ends[generator.below(ends.count)]

        var order: [Item] = (0..<frames).map { .good($0) }
        // Some fault or none: a clean one must stay clean.
        let faults = generator.chance(percent: 10) ? 0 : 1 + generator.below(6)
        for _ in 0..<faults { addFault(to: &order, &generator) }
        if generator.chance(percent: 30), end != .silence { order.removeLast(generator.below(order.count + 1)) }
        items = order
        // A whole first frame of another format is another test's subject.
        for (index, item) in items.enumerated() {
            if case .good = item { break }
            if case .otherFormat(let frame, _) = item { items[index] = .wrongLength(frame, -1) }
        }
        items = Self.withoutFilledGaps(Self.withoutRiddles(items, frames: frames))
        if hasHeader { items.insert(.header(headerText), at: 0) }
        if hasHeader, generator.chance(percent: 10) { items.insert(.header(headerText), at: 1) }
        if generator.chance(percent: 10) { items.insert(.garbage(Self.garbage(&generator)), at: 0) }
    }

    var headerText: [UInt8] { TestFrames.header(frames: frames, stamp: 1) }

    private mutating func addFault(to order: inout [Item], _ generator: inout SeededGenerator) {
        let places = order.indices.filter { if case .good = order[$0] { true } else { false } }
        guard !places.isEmpty else { return }
        // First and last frames fail more often than their share.
        var place = places[generator.below(places.count)]
        if generator.chance(percent: 15) {
            place = places[0]
        } else if generator.chance(percent: 15) {
            place = places[places.count - 1]
        }
        guard case .good(let frame) = order[place] else { return }
        let mayLoseFirst = hasHeader || frame != 0
        switch generator.below(14) {
        case 0 where mayLoseFirst: order.remove(at: place)
        case 1: order.insert(.good(frame), at: place + 1)
        case 2 where hasHeader || frame > 2:
            order.insert(.good(frame), at: min(order.count, place + 1 + generator.below(20)))
        case 3 where mayLoseFirst:
            order.remove(at: place)
            order.insert(.good(frame), at: min(order.count, place + 1 + generator.below(10)))
        case 4 where mayLoseFirst:
            order[place] = .cut(frame, 1 + generator.below(TestFrames.messageBytes - 1))
        case 5: order.insert(.cut(frame, 1 + generator.below(TestFrames.messageBytes - 1)), at: place)
        case 6 where mayLoseFirst && frame > 0:
            order[place] = .otherFormat(frame, side: 5 + 7 * frame + generator.below(7))
        case 7 where mayLoseFirst:
            order[place] = .wrongLength(frame, [-30, -1, 1, 14, 40, 95, 3000][generator.below(7)])
        case 8 where hasHeader: order.insert(.stray(frames + generator.below(900_000)), at: place)
        case 9: order.insert(.unreadable, at: place)
        case 10: order.insert(.other, at: place)
        case 11, 12: order.insert(.garbage(Self.garbage(&generator)), at: place)
        case 13 where hasHeader && place > 0: order.insert(.header(headerText), at: place)
        default:
            // A pause must not fall behind the last frame, where it would end the acquisition.
            let last = order.firstIndex { if case .good(frames - 1) = $0 { true } else { false } }
            if place <= last ?? order.count { order.insert(.pause, at: place) }
        }
    }

    /// Takes out what has another meaning by the rules: a second copy of the header that is not followed by the next
    /// frame, or follows the last; silence behind the last frame.
    private static func withoutRiddles(_ items: [Item], frames: Int) -> [Item] {
        var highest = -1
        return items.indices.filter { index in
            switch items[index] {
            case .header:
                let next = items[index...].first { $0.frame != nil }?.frame ?? -1
                return highest < frames - 1 && next > highest
            case .pause:
                return highest < frames - 1
            default:
                highest = max(highest, items[index].frame ?? -1)
                return true
            }
        }.map { items[$0] }
    }

    /// A cut frame whose missing bytes are made up by others is a frame with wrong pixels: garbage does it unseen, and so
    /// does a second cut frame of just the missing length. So whatever shows no message mark is taken out behind a cut,
    /// and further cuts too.
    private static func withoutFilledGaps(_ items: [Item]) -> [Item] {
        var isAfterCut = false
        return items.filter { item in
            switch item {
            case .cut:
                let isKept = !isAfterCut
                isAfterCut = true
                return isKept
            case .garbage, .other, .pause:
                return !isAfterCut
            default:
                isAfterCut = false
                return true
            }
        }
    }

    private static func garbage(_ generator: inout SeededGenerator) -> [UInt8] {
        let known: [[UInt8]] = [
            Array("M".utf8), Array("MMPX".utf8), Array("MPX,".utf8), Array("MPX,0000000000,".utf8),
            Array("MPX,9999999999,".utf8), Array("MPX,-000000001".utf8), Array("MPX,00000000".utf8),
            Array("HDR,".utf8), Array("MQ1,000001,".utf8), [0], [0, 0, 0], Array("MPX,0000000040,xx".utf8),
        ]
        if generator.chance(percent: 50) { return known[generator.below(known.count)] }
        return (0..<(1 + generator.below(60))).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    /// The bytes of an item of acquisition `number`.
    static func bytes(_ item: Item, acquisition number: Int) -> [UInt8] {
        switch item {
        case .header(let text): return TestFrames.framed(text)
        case .good(let frame): return TestFrames.message(frame + 1, acquisition: number)
        case .cut(let frame, let length):
            return Array(TestFrames.message(frame + 1, acquisition: number).prefix(length))
        case .otherFormat(let frame, let side):
            return TestFrames.message(frame + 1, acquisition: number, side: side)
        case .wrongLength(let frame, let error):
            let body = TestFrames.body(frame + 1, acquisition: number)
            return MPXPrefix.encoded(bodyBytes: body.count + error) + body
        case .stray(let frame): return TestFrames.message(frame + 1, acquisition: number)
        case .unreadable: return TestFrames.framed(Array("MQ1,00x001,00064,01,0004,0004,U08,   1x1,01,        ".utf8))
        case .other: return TestFrames.framed(Array("PR1,000001,profile".utf8))
        case .garbage(let bytes): return bytes
        case .pause: return []
        }
    }
}

/// What the rules say of the items, one by one and without any of the tracker's means.
struct Oracle {
    let geometry: ScanGeometry
    private(set) var received: Set<Int> = []
    private(set) var badFrames: Set<Int> = []
    private(set) var duplicates = 0
    private(set) var repeated: Set<Int> = []
    private(set) var strays = 0
    private(set) var isOver = false
    private var isLastSeen = false

    init(_ geometry: ScanGeometry) { self.geometry = geometry }

    /// The frames that are told as rejected: a bad copy came, and no good one.
    var rejected: Set<Int> { badFrames.subtracting(received) }

    mutating func take(_ item: FaultyAcquisition.Item) {
        if case .stray = item, !isOver { strays += 1 }
        guard let frame = item.frame else { return }
        if case .good = item { take(frame, isGood: true) } else { take(frame, isGood: false) }
    }

    private mutating func take(_ frame: Int, isGood: Bool) {
        if isOver { return }
        // Of lead-in, fly-back and tail frames the number counts alone.
        var isGood = isGood
        if case .position = geometry.place(ofFrame: frame) {} else { isGood = true }
        let frames = geometry.totalFrames
        if received.contains(frame) || (!isGood && badFrames.contains(frame)) {
            duplicates += 1
            repeated.insert(frame)
        } else if isGood {
            received.insert(frame)
        } else {
            badFrames.insert(frame)
        }
        if frame == frames - 1 { isLastSeen = true }
        if isLastSeen, received.count == frames { isOver = true }
    }
}
