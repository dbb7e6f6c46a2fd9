import MerlinSimulator
import StemwireClient
import Testing

/// What a client saw of an acquisition, each frame read for what it says of itself.
struct Seen: Sendable {
    var start: AcquisitionStart?
    var end: AcquisitionEnd?
    /// What the frame delivered for a position says it is; nil for one that cannot be read.
    var frames: [Int: SelfIdentifyingPattern.Identity?] = [:]
    var deliveredTwice: [Int] = []
    var fetched: Set<Int> = []
    var gaps: [TileGap] = []
    var unavailable: [UnavailableFrames] = []

    /// Positions whose frame is another position's, or none.
    var misplaced: [Int] { frames.filter { $0.value?.frame != UInt32($0.key) }.keys.sorted() }
    /// Numbers that the detector has given to the acquisitions of these frames.
    var acquisitions: Set<UInt16> { Set(frames.values.compactMap { $0?.acquisition }) }

    mutating func take(_ tile: FrameTile, _ pattern: SelfIdentifyingPattern) throws {
        let pixels = try tile.decodedFrames(as: UInt16.self)
        let size = pattern.sigShape.pixelCount
        for (index, position) in tile.positions.enumerated() {
            let identity = pixels.withUnsafeBufferPointer {
                pattern.identify(UnsafeBufferPointer(rebasing: $0[index * size..<(index + 1) * size]))
            }
            if frames.updateValue(identity, forKey: position) != nil { deliveredTwice.append(position) }
            if tile.isFetched { fetched.insert(position) }
        }
    }

    /// Follows a subscription until so many acquisitions have ended.
    static func follow(
        _ stream: TileStream, _ pattern: SelfIdentifyingPattern, acquisitions: Int = 1, limit: Duration = .seconds(120)
    ) async throws -> [Seen] {
        try await within("\(acquisitions) acquisitions with their ends", limit: limit) {
            var seen: [UInt64: Seen] = [:]
            var ended = 0
            for try await event in stream {
                switch event {
                case .started(let start): seen[start.generation, default: Seen()].start = start
                case .tile(let tile): try seen[tile.generation, default: Seen()].take(tile, pattern)
                case .gap(let gap): seen[gap.generation, default: Seen()].gaps.append(gap)
                case .unavailable(let frames):
                    let generation = seen.first { $0.value.start?.acquisition == frames.acquisition }?.key ?? 0
                    seen[generation, default: Seen()].unavailable.append(frames)
                case .ended(let end):
                    seen[end.generation, default: Seen()].end = end
                    ended += 1
                }
                if ended == acquisitions { break }
            }
            return seen.sorted { $0.key < $1.key }.map(\.value)
        }
    }
}

/// Checks that all frames of a scan came, each to its place, and were accounted for.
func expectComplete(
    _ seen: Seen, frames: Int, sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(seen.frames.count == frames, sourceLocation: sourceLocation)
    #expect(seen.misplaced == [], sourceLocation: sourceLocation)
    #expect(seen.deliveredTwice == [], sourceLocation: sourceLocation)
    #expect(seen.acquisitions.count == 1, sourceLocation: sourceLocation)
    #expect(seen.start?.framesExpected == frames, sourceLocation: sourceLocation)
    #expect(seen.end?.reason == .complete, sourceLocation: sourceLocation)
    #expect(seen.end?.accounting.placed == frames, sourceLocation: sourceLocation)
    #expect(seen.end?.accounting.expected == frames, sourceLocation: sourceLocation)
    #expect(seen.end?.accounting.isBalanced == true, sourceLocation: sourceLocation)
}
