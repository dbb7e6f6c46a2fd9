import StemwireTestSupport
import Testing

@testable import MerlinProtocol

/// Streams of whole messages, garbage and cut messages from a seed, checked against what was put in.
@Suite struct StreamFuzzTests {
    /// Something put into a stream.
    enum Part {
        case message([UInt8])
        case garbage([UInt8])
        /// A frame that ends too early, so that the next part begins inside it.
        case cut([UInt8])

        var bytes: [UInt8] {
            switch self {
            case .message(let bytes), .garbage(let bytes), .cut(let bytes): bytes
            }
        }
    }

    /// What must not be mistaken for a message, nor hide the next one.
    static let falseStarts = [
        "MPX", "MMPX", "MPX,", "MPX,0000000000,", "MPX,9999999999,", "MPX,-000000001,", "MPX,0000000001,", "M", "MP",
        "\0", "\0\0\0\0", "MPX,00000", "MPX,0000000040,", "MPX,0000000500,??", "MPX,0012345678,MQ1,", "PX,0000000040,",
        "MPX,0000000020MQ1,", "\u{7f}\u{0}",
    ].map { Array($0.utf8) }

    static func parts(_ generator: inout SeededGenerator) -> [Part] {
        var number = 0
        let sizes = [16, 16, 16, 9, 40]
        return (0..<Int.random(in: 3...12, using: &generator)).map { _ in
            number += 1
            switch Int.random(in: 0..<10, using: &generator) {
            case 0:
                return .message(Wire.acquisitionHeader(frames: Int.random(in: 0...999, using: &generator)))
            case 1:
                return .garbage(
                    (0..<Int.random(in: 1...40, using: &generator)).map { _ in
                        // No M, so that garbage cannot be a message by chance.
                        let byte = UInt8.random(in: 0...255, using: &generator)
                        return byte == UInt8(ascii: "M") ? 0 : byte
                    })
            case 2, 3:
                return .garbage(
                    (0..<Int.random(in: 1...4, using: &generator)).flatMap { _ in
                        falseStarts.randomElement(using: &generator)!
                    })
            case 4:
                let frame = Wire.smallFrame(number)
                return .cut(Array(frame.dropLast(Int.random(in: 1...(frame.count - 19), using: &generator))))
            default:
                let pixels = (0..<sizes.randomElement(using: &generator)!).map { _ in
                    "MPX,0123".utf8.randomElement(using: &generator)!
                }
                return .message(Wire.smallFrame(number, pixels: pixels))
            }
        }
    }

    /// Whether what follows a cut frame fills its declared length to the byte, so that it looks whole: the one case
    /// that only a look at all pixels could tell.
    static func looksWhole(_ parts: [Part]) -> Bool {
        let declared = Wire.smallFrame(1).count
        return parts.indices.contains { index in
            guard case .cut(let bytes) = parts[index] else { return false }
            var sum = bytes.count
            for part in parts[(index + 1)...] {
                sum += part.bytes.count
                if sum == declared { return true }
            }
            return false
        }
    }

    @Test func everyWholeMessageIsFound() {
        var passedOver = 0
        for seed in 0..<10_500 {
            var generator = SeededGenerator(seed: UInt64(seed))
            var parts = Self.parts(&generator)
            // A last frame, so that what comes before it is decided.
            parts.append(.message(Wire.smallFrame(999)))
            if Self.looksWhole(parts) {
                passedOver += 1
                continue
            }
            let stream = parts.flatMap { $0.bytes }
            let pieces = (0..<8).map { _ in Int.random(in: 1...200, using: &generator) }
            let found = events(stream, pieces: pieces)

            // Every byte is told of exactly once.
            let counted = found.reduce(0) { sum, event in
                switch event {
                case .skipped(let count): sum + count
                case .message(_, let body, _): sum + 15 + body.count
                }
            }
            #expect(counted == stream.count, "seed \(seed)")

            // Every whole message is found, in order. Nothing else is called intact, but a frame whose missing bytes
            // were made up for by garbage: nobody can tell that from its pixels.
            let expected = parts.compactMap { part -> [UInt8]? in
                if case .message(let bytes) = part { Array(bytes.dropFirst(15)) } else { nil }
            }
            let intact = found.compactMap { event -> [UInt8]? in
                if case .message(let kind, let body, true) = event, kind != .other { body } else { nil }
            }
            var rest = intact[...]
            for body in expected {
                guard let index = rest.firstIndex(of: body) else {
                    Issue.record("seed \(seed): a message is lost")
                    break
                }
                rest = rest[(index + 1)...]
            }
            let cuts = zip(parts, parts.dropFirst()).filter { if case .cut = $0.0 { true } else { false } }
            let garbled = cuts.count { if case .garbage = $0.1 { true } else { false } }
            #expect(intact.count - expected.count <= garbled, "seed \(seed)")
            let reported = found.count { if case .message(.frame, _, false) = $0 { true } else { false } }
            #expect(reported >= cuts.count - garbled, "seed \(seed)")
            // However the stream is cut into reads.
            let isSame = events(stream) == found
            #expect(isSame, "seed \(seed)")
        }
        #expect(passedOver < 500)
    }

    @Test func randomBytesNeverTrapAndAlwaysMoveOn() {
        var generator = SeededGenerator(seed: 5)
        let alphabet = Array("MPX,0019,MQ1,HDR,".utf8) + [0, 255]
        for _ in 0..<3000 {
            let count = Int.random(in: 0...300, using: &generator)
            var bytes: [UInt8] = []
            while bytes.count < count {
                if Bool.random(using: &generator) {
                    bytes += Self.falseStarts.randomElement(using: &generator)!
                } else {
                    bytes.append(alphabet.randomElement(using: &generator)!)
                }
            }
            let pieces = [1, 2, 3, 50, 1, 19, 15]
            // The helper checks each step against the bytes at hand.
            #expect(events(bytes, pieces: pieces, quietAtEnd: false) == events(bytes, quietAtEnd: false))
        }
    }
}
