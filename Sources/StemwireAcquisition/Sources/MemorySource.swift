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
    private let fill: @Sendable (_ frame: Int, _ pixels: UnsafeMutableRawBufferPointer) -> Void
    private let isStopped = Atomic<Bool>(false)

    /// Frames made when they are needed.
    ///
    /// - Parameters:
    ///   - pixelType: `U08`, `U16`, `U32` or `U64`.
    ///   - fill: writes the pixels of the frame at flat nav index `frame`, row-major, big-endian.
    public init(
        navShape: NavShape, sigShape: SigShape, pixelType: PixelType, ring: FrameRing, consumers: [TileQueue],
        configuration: SourceConfiguration = .init(),
        fill: @escaping @Sendable (_ frame: Int, _ pixels: UnsafeMutableRawBufferPointer) -> Void
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
    public func run() {
        var feed = Feed(source: self)
        let runner = FeedRunner(
            ring: ring, consumers: consumers, configuration: configuration, counters: counters,
            isStopped: { [self] in isStopped.load(ordering: .acquiring) })
        do { try runner.run(&feed) } catch { preconditionFailure("frames in memory cannot fail: \(error)") }
    }

    /// Ends `run()` within 100 ms.
    public func stop() {
        isStopped.store(true, ordering: .releasing)
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
        static let dataOffset = 384
        let source: MemorySource
        let headerText: [UInt8]?
        let frameCount: Int
        let messageBytes: Int

        init(source: MemorySource) {
            self.source = source
            frameCount = source.navShape.size
            messageBytes = Self.dataOffset + source.sigShape.pixelCount * (MemorySource.bytes(source.pixelType) ?? 1)
            headerText = Array(
                "HDR,\t\r\nFrames in Acquisition (Number):\t\(frameCount)\r\nFrames per Trigger (Number):\t\(frameCount)\r\nEnd\t"
                    .utf8)
        }

        mutating func write(frame index: Int, into destination: UnsafeMutableRawBufferPointer) -> Bool {
            let text =
                "MQ1,\(Self.padded(index + 1, 6)),\(Self.padded(Self.dataOffset, 5)),01,"
                + "\(Self.padded(source.sigShape.width, 4)),\(Self.padded(source.sigShape.height, 4)),"
                + "\(source.pixelType.rawValue),   1x1,01,"
            let header = UnsafeMutableRawBufferPointer(rebasing: destination[..<Self.dataOffset])
            header.initializeMemory(as: UInt8.self, repeating: 0)
            header.copyBytes(from: text.utf8)
            source.fill(index, UnsafeMutableRawBufferPointer(rebasing: destination[Self.dataOffset...]))
            return true
        }

        private static func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
    }
}
