import MerlinProtocol
import StemwireKernels

/// More frames of 256 × 256 pixels than any cache holds, one message behind the other as in a ring's slots.
final class FrameMemory {
    static let sigShape = SigShape(height: 256, width: 256)
    static let headerBytes = 384
    private static let totalBytes = 256 << 20

    let format: FrameFormat
    let decoder: FrameDecoder
    let stride: Int
    let frameCount: Int
    let bytes: UnsafeMutableRawBufferPointer

    /// - Parameter name: `U16` or such, or `R64`.
    init(_ name: String, depth: CounterDepth, payloadBytes: Int) throws {
        let text = "MQ1,000001,00384,01,0256,0256,\(name),   1x1,01,"
        let header = Array(text.utf8) + [UInt8](repeating: 0x20, count: Self.headerBytes - text.utf8.count)
        let fields = try header.withUnsafeBytes { try FrameHeaderFields.parse($0) }
        format = try FrameFormat(fields: fields, payloadBytes: payloadBytes, depth: depth)
        decoder = try FrameDecoder(format)
        stride = MPXPrefix.byteCount + Self.headerBytes + payloadBytes
        frameCount = Self.totalBytes / stride
        bytes = .allocate(byteCount: Self.totalBytes, alignment: 4096)
        let words = bytes.bindMemory(to: UInt64.self)
        var random: UInt64 = 1
        for index in words.indices {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            // Counts of 12 bits.
            words[index] = (random >> 8) & 0xFF0F_FF0F_FF0F_FF0F
        }
    }

    deinit { bytes.deallocate() }

    var firstPixel: UnsafeRawPointer { UnsafeRawPointer(bytes.baseAddress!) + MPXPrefix.byteCount + Self.headerBytes }

    /// A few frames, undecoded.
    func stack(_ frames: Range<Int>) -> PixelStack? {
        decoder.undecodedStack(frames: firstPixel + frames.lowerBound * stride, stride: stride, count: frames.count)
    }
}
