import MerlinProtocol
import MerlinSimulator
import StemwireAcquisition
import StemwireKernels
import StemwireSystem
import StemwireUDF

/// What a connection leads to: the source of live frames.
public struct LiveSource: Sendable {
    enum Kind: Sendable {
        case merlin(host: String, controlPort: Int, dataPort: Int)
        case simulator(SimulatorConfiguration)
        case memory(Result<MemoryFrames, RunError>)
        case server
    }
    let kind: Kind

    /// A Merlin detector's control and data sockets. One program at a time can have its data.
    public static func merlin(
        host: String = "127.0.0.1", controlPort: Int = 6341, dataPort: Int = 6342
    ) -> LiveSource {
        LiveSource(kind: .merlin(host: host, controlPort: controlPort, dataPort: dataPort))
    }

    /// The embedded simulator with its synthetic scan, over real sockets of this machine.
    ///
    /// - Parameters:
    ///   - navShape: scan shape, slow axis first; nil: that of the acquisition, or 128 × 128.
    ///   - sigShape: image shape (y, x).
    ///   - dwell: the least time a frame takes; nil: as fast as it goes.
    ///   - seed: decides specimen and noise.
    public static func synthetic(
        navShape: [Int]? = nil, sigShape: SigShape = SigShape(height: 256, width: 256), dwell: Duration? = nil,
        seed: UInt64 = 1
    ) -> LiveSource {
        var configuration = SimulatorConfiguration(source: .synthetic)
        configuration.navShape = navShape
        configuration.sigShape = sigShape
        configuration.dwellMicroseconds = dwell.map { $0 / .microseconds(1) }
        configuration.seed = seed
        configuration.mode = .triggered
        return simulator(configuration)
    }

    /// The embedded simulator with settings of your own, such as faults, or `mode = .freeRunning` for passive acquisitions.
    /// Its ports are free ones of this machine, whatever the settings say.
    public static func simulator(_ configuration: SimulatorConfiguration) -> LiveSource {
        LiveSource(kind: .simulator(configuration.embedded))
    }

    /// Frames in memory, given as by a detector that sends processed data.
    ///
    /// - Parameters:
    ///   - frames: pixels of 8, 16, 32 or 64 bits, shape `navShape` + (y, x), last axis fastest. A number of them that
    ///     does not fit is told when the connection is made.
    ///   - navShape: scan shape, slow axis first.
    ///   - sigShape: image shape (y, x).
    public static func memory<Pixel: FixedWidthInteger & UnsignedInteger & BitwiseCopyable & Sendable>(
        _ frames: [Pixel], navShape: [Int], sigShape: SigShape
    ) -> LiveSource {
        LiveSource(
            kind: .memory(
                Result { () throws(RunError) in
                    try MemoryFrames(frames, navShape: navShape, sigShape: sigShape)
                }))
    }

    /// The detector of the acquisition server that the context belongs to.
    public static var server: LiveSource { LiveSource(kind: .server) }
}

/// Frames that are in memory or in a file without headers.
struct MemoryFrames: Sendable {
    let navShape: NavShape
    let sigShape: SigShape
    let pixelType: PixelType
    /// Writes the pixels of a frame, row-major, big-endian.
    let fill: @Sendable (_ frame: Int, _ pixels: UnsafeMutableRawBufferPointer) throws -> Void

    /// - Parameter count: of the pixels that are there.
    private init(
        navShape: [Int], sigShape: SigShape, pixelBytes: Int, count: Int,
        fill: @escaping @Sendable (_ frame: Int, _ pixels: UnsafeMutableRawBufferPointer) throws -> Void
    ) throws(RunError) {
        do throws(NavShapeError) {
            self.navShape = try NavShape(navShape)
        } catch {
            throw .badRequest(error.description)
        }
        let largest = FrameHeaderFields.maximumSide
        guard (1...largest).contains(sigShape.height), (1...largest).contains(sigShape.width) else {
            throw .badRequest("frames of \(sigShape) pixels cannot be: each side is 1 to \(largest)")
        }
        let (needed, overflow) = self.navShape.size.multipliedReportingOverflow(by: sigShape.pixelCount)
        guard !overflow, needed == count else {
            throw .badRequest(
                "\(count) pixels do not make a scan of \(self.navShape) frames of \(sigShape): it takes "
                    + (overflow ? "more than can be counted" : "\(needed)"))
        }
        self.sigShape = sigShape
        pixelType = [1: .u08, 2: .u16, 4: .u32][pixelBytes] ?? .u64
        self.fill = fill
    }

    init<Pixel: FixedWidthInteger & UnsignedInteger & BitwiseCopyable & Sendable>(
        _ frames: [Pixel], navShape: [Int], sigShape: SigShape
    ) throws(RunError) {
        let pixels = sigShape.pixelCount
        try self.init(
            navShape: navShape, sigShape: sigShape, pixelBytes: MemoryLayout<Pixel>.size, count: frames.count
        ) { frame, bytes in
            frames.withUnsafeBytes { all in
                Self.copy(all, frame: frame, pixels: pixels, pixelBytes: MemoryLayout<Pixel>.size, to: bytes)
            }
        }
    }

    /// The frames of an array of shape nav + (y, x).
    init(_ array: ResultArray, named name: String) throws(RunError) {
        guard [.uint8, .uint16, .uint32, .uint64].contains(array.dtype) else {
            throw .badRequest(
                "\(name) has pixels of \(array.dtype.rawValue); frames are unsigned integers of 8, 16, 32 or 64 bits")
        }
        guard array.shape.count >= 3 else {
            throw .badRequest(
                "\(name) has the shape \(array.shape); a scan has scan axes and two more, the image's (y, x)")
        }
        let sigShape = SigShape(height: array.shape[array.shape.count - 2], width: array.shape[array.shape.count - 1])
        let (pixels, pixelBytes) = (sigShape.pixelCount, array.dtype.byteCount)
        try self.init(
            navShape: Array(array.shape.dropLast(2)), sigShape: sigShape, pixelBytes: pixelBytes, count: array.count
        ) { frame, bytes in
            array.withUnsafeBytes { all in
                Self.copy(all, frame: frame, pixels: pixels, pixelBytes: pixelBytes, to: bytes)
            }
        }
    }

    /// The frames of a file that is nothing but pixels behind an offset.
    init(_ file: RawFile, _ layout: RawLayout) throws(RunError) {
        let (pixels, pixelBytes) = (layout.sigShape.pixelCount, layout.pixel.byteCount)
        guard layout.offset >= 0, layout.offset <= file.byteCount else {
            throw .badRequest("\(file.path) has \(file.byteCount) bytes, so pixels cannot begin at \(layout.offset)")
        }
        let needed = layout.navShape.reduce(pixels) { $0.multipliedReportingOverflow(by: $1).partialValue }
        let present = (file.byteCount - layout.offset) / pixelBytes
        try self.init(
            // Bytes behind the last frame are none of the scan.
            navShape: layout.navShape, sigShape: layout.sigShape, pixelBytes: pixelBytes, count: min(needed, present)
        ) { frame, bytes in
            try file.read(from: layout.offset + frame * bytes.count, into: bytes)
            if !layout.isBigEndian { Self.swap(bytes, pixelBytes: pixelBytes) }
        }
    }

    private static func copy(
        _ all: UnsafeRawBufferPointer, frame: Int, pixels: Int, pixelBytes: Int,
        to target: UnsafeMutableRawBufferPointer
    ) {
        let bytes = pixels * pixelBytes
        target.copyMemory(from: UnsafeRawBufferPointer(rebasing: all[frame * bytes..<(frame + 1) * bytes]))
        swap(target, pixelBytes: pixelBytes)
    }

    /// Turns the bytes of each pixel round.
    private static func swap(_ bytes: UnsafeMutableRawBufferPointer, pixelBytes: Int) {
        func swap<Pixel: FixedWidthInteger & BitwiseCopyable>(_ type: Pixel.Type) {
            for offset in stride(from: 0, to: bytes.count, by: MemoryLayout<Pixel>.size) {
                let pixel = bytes.loadUnaligned(fromByteOffset: offset, as: type)
                bytes.storeBytes(of: pixel.byteSwapped, toByteOffset: offset, as: type)
            }
        }
        switch pixelBytes {
        case 1: break
        case 2: swap(UInt16.self)
        case 4: swap(UInt32.self)
        default: swap(UInt64.self)
        }
    }
}
