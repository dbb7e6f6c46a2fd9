import MerlinProtocol
import StemwireSystem
import Synchronization

/// Gives a recording (`.hdr`, `.mib`) to consumers as if the detector sent it: same ring, same placement, same events.
public final class MIBFileSource: Sendable {
    public let ring: FrameRing
    public let consumers: [TileQueue]
    public let set: MIBFileSet
    public let counters = ReceiverCounters()
    private let configuration: SourceConfiguration
    private let unread: UnreadFrames?
    private let isStopped = Atomic<Bool>(false)

    /// - Parameters:
    ///   - set: the files. Frames skipped by its synchronisation offset are not given; frames put first by it are
    ///     missing.
    ///   - configuration: the files tell the number of frames and of the first one; the tracker's are not used.
    ///   - reading: who reads the pixels.
    public init(
        set: MIBFileSet, ring: FrameRing, consumers: [TileQueue], configuration: SourceConfiguration = .init(),
        reading: PixelReading = .bySource
    ) {
        self.set = set
        self.ring = ring
        self.consumers = consumers
        var configuration = configuration
        // Frames lost in recording leave gaps in the numbers, so that the last number tells more than the file sizes.
        let numbers = set.members.map { Int($0.firstSequenceNumber)..<Int($0.firstSequenceNumber) + $0.frameCount }
        let first = (numbers.map(\.lowerBound).min() ?? 1) + set.synchronisationOffset
        let last = numbers.map(\.upperBound).max() ?? first
        configuration.tracker.firstSequence = .number(first)
        configuration.tracker.frameCount = max(1, last - first)
        configuration.tracker.acceptsFramesWithoutHeader = true
        self.configuration = configuration
        let isLater = reading == .byConsumers && set.format.payloadBytes >= PixelReading.leastBytes
        unread =
            isLater
            ? UnreadFrames(messageBytes: set.format.messageBytes) {
                let reader = MIBReader(set)
                return { frames, first, stride in try reader.readFrames(frames, into: first, stride: stride) }
            } : nil
    }

    /// Why consumers could not read the frames that they read themselves.
    public var readingFailure: (any Error)? { unread?.failure }

    /// Reads all frames. Blocks, also while consumers hold all memory.
    ///
    /// - Throws: `MIBError` naming the file; the acquisition has ended then, with `.connectionClosed`.
    public func run() throws(MIBError) {
        var feed = Feed(set)
        let runner = FeedRunner(
            ring: ring, consumers: consumers, configuration: configuration, counters: counters, unread: unread,
            isStopped: { [self] in isStopped.load(ordering: .acquiring) })
        do {
            try runner.run(&feed)
        } catch let error as MIBError {
            throw error
        } catch {
            preconditionFailure("a reader throws MIBError only: \(error)")
        }
    }

    /// Ends `run()` within 100 ms.
    public func stop() {
        isStopped.store(true, ordering: .releasing)
    }

    private struct Feed: FrameFeed {
        let reader: MIBReader
        let headerText: [UInt8]?
        let frameCount: Int
        let messageBytes: Int
        let headerBytes: Int

        init(_ set: MIBFileSet) {
            reader = MIBReader(set)
            headerText = set.acquisitionHeader?.text
            frameCount = set.frameCount
            messageBytes = set.format.messageBytes
            headerBytes = set.format.dataOffset
        }

        mutating func write(frame index: Int, into destination: UnsafeMutableRawBufferPointer) throws -> Bool {
            guard reader.set.location(ofFrame: index) != nil else { return false }
            try reader.readFrames(index..<index + 1, into: destination)
            return true
        }

        mutating func writeHeader(frame index: Int, into destination: UnsafeMutableRawBufferPointer) throws -> Bool {
            guard reader.set.location(ofFrame: index) != nil else { return false }
            try reader.readHeader(ofFrame: index, into: destination)
            return true
        }
    }
}
