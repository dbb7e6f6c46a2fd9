import MerlinProtocol
import StemwireSystem
import Synchronization

/// Frames that can be had one after the other, as if a detector sent them.
///
/// Used by one thread at a time.
protocol FrameFeed {
    /// The acquisition header's text, `HDR,` included; nil for none.
    var headerText: [UInt8]? { get }
    var frameCount: Int { get }
    /// Header and pixels of each frame.
    var messageBytes: Int { get }
    /// Header of each frame.
    var headerBytes: Int { get }
    /// Writes header and pixels of a frame; false for a frame that is not there.
    mutating func write(frame index: Int, into destination: UnsafeMutableRawBufferPointer) throws -> Bool
    /// Writes the header of a frame; false for a frame that is not there.
    mutating func writeHeader(frame index: Int, into destination: UnsafeMutableRawBufferPointer) throws -> Bool
}

/// Runs a feed through the same path as a detector's stream: bytes in a slot, parsed in place, placed, handed on.
struct FeedRunner {
    let ring: FrameRing
    let consumers: [TileQueue]
    let configuration: SourceConfiguration
    let counters: ReceiverCounters
    /// Where consumers read the pixels for themselves; nil: tiles have them.
    let unread: UnreadFrames?
    let isStopped: @Sendable () -> Bool

    func run(_ feed: inout some FrameFeed) throws {
        let intake = StreamIntake(
            writer: ring.makeWriter(), consumers: consumers, configuration: configuration, counters: counters,
            unread: unread, isStopped: isStopped)
        defer { intake.streamEnded(at: .now) }
        if let text = feed.headerText {
            guard put(MPXPrefix.encoded(bodyBytes: text.count) + text, intake) else { return }
        }
        // Each frame's prefix goes behind the frame before it, so that the parser sees at once where that one ends.
        let prefix = MPXPrefix.encoded(bodyBytes: feed.messageBytes)
        var hasPrefix = false
        for index in 0..<feed.frameCount {
            if isStopped() { return }
            if let unread {
                try unread.check()
                // So that the last frame comes when the others have been read, and the time it took is the true one.
                if index + 1 == feed.frameCount { intake.letConsumersCatchUp() }
            }
            if !hasPrefix {
                guard put(prefix, intake) else { return }
                hasPrefix = true
            }
            guard let space = intake.space(atLeast: feed.messageBytes + prefix.count)?.bytes else { return }
            let destination = UnsafeMutableRawBufferPointer(rebasing: space[..<feed.messageBytes])
            guard try write(index, of: &feed, into: destination) else { continue }
            var written = feed.messageBytes
            if index + 1 < feed.frameCount {
                UnsafeMutableRawBufferPointer(rebasing: space[written...]).copyBytes(from: prefix)
                written += prefix.count
            }
            intake.wrote(written)
            let now = ContinuousClock.now
            intake.parse(quiet: index + 1 == feed.frameCount, at: now)
            intake.tick(at: now)
        }
    }

    private func write(
        _ index: Int, of feed: inout some FrameFeed, into destination: UnsafeMutableRawBufferPointer
    ) throws -> Bool {
        guard unread != nil else { return try feed.write(frame: index, into: destination) }
        let (header, pixels) = (destination[..<feed.headerBytes], destination[feed.headerBytes...])
        guard try feed.writeHeader(frame: index, into: UnsafeMutableRawBufferPointer(rebasing: header)) else {
            return false
        }
        // Where nothing follows, the parser looks for the next message in the pixels.
        if index + 1 == feed.frameCount {
            UnsafeMutableRawBufferPointer(rebasing: pixels).initializeMemory(as: UInt8.self, repeating: 0)
        }
        UnreadFrames.mark(UnsafeMutableRawBufferPointer(rebasing: pixels), with: index)
        return true
    }

    private func put(_ bytes: [UInt8], _ intake: StreamIntake) -> Bool {
        guard let space = intake.space(atLeast: bytes.count)?.bytes else { return false }
        space.copyBytes(from: bytes)
        intake.wrote(bytes.count)
        intake.parse(quiet: false, at: .now)
        return true
    }
}
