import MerlinProtocol
import StemwireSystem
import Synchronization

/// Gives an array of frames to consumers as if a detector sent them as processed data (`U08`, `U16`, `U32` or `U64`,
/// big-endian): same ring, same placement, same events.
public final class MemorySource: Sendable {
    public let ring: FrameRing
    public let consumers: [TileQueue]
    /// The shape of the scan, slow axis first.
    public let navShape: NavShape
    /// The shape of a frame, (y, x).
    public let sigShape: SigShape
    public let pixelType: PixelType
    public let counters = ReceiverCounters()
    private let configuration: SourceConfiguration
    private let fill: @Sendable (_ frame: Int, _ pixels: UnsafeMutableRawBufferPointer) throws -> Void
    private let messageBytes: Int
    private let unread: UnreadFrames?
    /// Why consumers could not make frames, if one could not.
    public var readingFailure: (any Error)? { unread?.failure }
    private let isStopped = Atomic<Bool>(false)

    /// Frames made when they are needed.
    ///
    /// - Parameters:
    ///   - pixelType: `U08`, `U16`, `U32` or `U64`.
    ///   - reading: on whose threads the frames are made.
    ///   - fill: writes the pixels of the frame at flat nav index `frame`, row-major, big-endian; what it throws ends the
    ///     source.
    public init(
        navShape: NavShape, sigShape: SigShape, pixelType: PixelType, ring: FrameRing, consumers: [TileQueue],
        configuration: SourceConfiguration = .init(), reading: PixelReading = .bySource,
        fill: @escaping @Sendable (_ frame: Int, _ pixels: UnsafeMutableRawBufferPointer) throws -> Void
    ) {
        precondition(
            Self.bytes(pixelType) != nil, "frames in memory are U08, U16, U32 or U64, not \(pixelType.rawValue)")
        self.navShape = navShape
        self.sigShape = sigShape
        self.pixelType = pixelType
        self.ring = ring
        self.consumers = consumers
        self.fill = fill
        var configuration = configuration
        configuration.tracker.resolver.shape = navShape.dimensions
        configuration.tracker.resolver.margins = ScanMargins()
        configuration.tracker.firstSequence = .number(1)
        configuration.tracker.frameCount = navShape.size
        self.configuration = configuration
        let payloadBytes = sigShape.pixelCount * (Self.bytes(pixelType) ?? 1)
        messageBytes = FrameText.dataOffset + payloadBytes
        let isLater = reading == .byConsumers && payloadBytes >= PixelReading.leastBytes
        unread =
            isLater
            ? UnreadFrames(messageBytes: messageBytes) {
                let text = FrameText(sigShape, pixelType)
                return { frames, first, stride in
                    for frame in frames {
                        let message = first + (frame - frames.lowerBound) * stride
                        let header = UnsafeMutableRawBufferPointer(start: message, count: FrameText.dataOffset)
                        text.write(frame: frame, into: header)
                        try fill(
                            frame, UnsafeMutableRawBufferPointer(start: message + header.count, count: payloadBytes))
                    }
                }
            } : nil
    }

    /// Frames of an array.
    ///
    /// - Parameter frames: pixels in native byte order, shape nav + (y, x), row-major.
    public convenience init<Pixel: FixedWidthInteger & UnsignedInteger & BitwiseCopyable & Sendable>(
        frames: [Pixel], navShape: NavShape, sigShape: SigShape, ring: FrameRing, consumers: [TileQueue],
        configuration: SourceConfiguration = .init()
    ) {
        let pixels = sigShape.pixelCount
        precondition(
            frames.count == navShape.size * pixels,
            "\(frames.count) pixels do not make \(navShape) frames of \(sigShape)")
        let pixelType: PixelType =
            switch Pixel.bitWidth {
            case 8: .u08
            case 16: .u16
            case 32: .u32
            default: .u64
            }
        self.init(
            navShape: navShape, sigShape: sigShape, pixelType: pixelType, ring: ring, consumers: consumers,
            configuration: configuration
        ) { frame, bytes in
            for index in 0..<pixels {
                bytes.storeBytes(
                    of: frames[frame * pixels + index].bigEndian, toByteOffset: index * MemoryLayout<Pixel>.size,
                    as: Pixel.self)
            }
        }
    }

    /// Gives all frames. Blocks, also while consumers hold all memory.
    ///
    /// - Throws: what `fill` throws; the acquisition ends there.
    public func run() throws {
        var feed = Feed(source: self)
        let runner = FeedRunner(
            ring: ring, consumers: consumers, configuration: configuration, counters: counters, unread: unread,
            isStopped: { [self] in isStopped.load(ordering: .acquiring) })
        try runner.run(&feed)
    }

    /// Ends `run()` within 100 ms.
    public func stop() {
        isStopped.store(true, ordering: .releasing)
    }

    /// As `PixelReading.ring(format:framesPerPartition:consumers:)`, for frames of an array.
    public static func ring(
        sigShape: SigShape, pixelType: PixelType, framesPerPartition: Int?, consumers: Int
    ) -> FrameRing.Configuration? {
        let payloadBytes = sigShape.pixelCount * (bytes(pixelType) ?? 1)
        return PixelReading.ring(
            messageBytes: FrameText.dataOffset + payloadBytes, payloadBytes: payloadBytes,
            framesPerPartition: framesPerPartition, consumers: consumers)
    }

    private static func bytes(_ type: PixelType) -> Int? {
        switch type {
        case .u08: 1
        case .u16: 2
        case .u32: 4
        case .u64: 8
        case .u01, .r64: nil
        }
    }

    private struct Feed: FrameFeed {
        let headerText: [UInt8]?
        let frameCount: Int
        let messageBytes: Int
        var headerBytes: Int { FrameText.dataOffset }
        private let source: MemorySource
        private let text: FrameText

        init(source: MemorySource) {
            self.source = source
            text = FrameText(source.sigShape, source.pixelType)
            frameCount = source.navShape.size
            messageBytes = source.messageBytes
            headerText = Array(
                "HDR,\t\r\nFrames in Acquisition (Number):\t\(frameCount)\r\nFrames per Trigger (Number):\t\(frameCount)\r\nEnd\t"
                    .utf8)
        }

        mutating func write(frame index: Int, into destination: UnsafeMutableRawBufferPointer) throws -> Bool {
            text.write(frame: index, into: destination)
            try source.fill(index, UnsafeMutableRawBufferPointer(rebasing: destination[headerBytes...]))
            return true
        }

        mutating func writeHeader(frame index: Int, into destination: UnsafeMutableRawBufferPointer) -> Bool {
            text.write(frame: index, into: destination)
            return true
        }
    }
}

/// The frame header of processed data in memory.
private struct FrameText {
    static let dataOffset = 384
    /// Up to the frame's number, of which it has room for the digits; and what follows them.
    private static let mark = Array("MQ1,".utf8)
    private let rest: [UInt8]

    init(_ sigShape: SigShape, _ pixelType: PixelType) {
        rest = Array(
            (",\(Self.padded(Self.dataOffset, 5)),01,\(Self.padded(sigShape.width, 4)),"
                + "\(Self.padded(sigShape.height, 4)),\(pixelType.rawValue),   1x1,01,").utf8)
    }

    /// Writes the header of the frame with index `frame`.
    func write(frame: Int, into destination: UnsafeMutableRawBufferPointer) {
        let header = UnsafeMutableRawBufferPointer(rebasing: destination[..<Self.dataOffset])
        var number = frame + 1
        var digits = 6
        var limit = 1_000_000
        while number >= limit {
            digits += 1
            limit *= 10
        }
        header.copyBytes(from: Self.mark)
        for place in (0..<digits).reversed() {
            header[Self.mark.count + place] = UInt8(ascii: "0") + UInt8(number % 10)
            number /= 10
        }
        let start = Self.mark.count + digits
        UnsafeMutableRawBufferPointer(rebasing: header[start...]).copyBytes(from: rest)
        UnsafeMutableRawBufferPointer(rebasing: header[(start + rest.count)...])
            .initializeMemory(as: UInt8.self, repeating: 0)
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
