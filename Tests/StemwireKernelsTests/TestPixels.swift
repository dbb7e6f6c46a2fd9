import StemwireKernels
import StemwireTestSupport

/// Frames in memory as kernels may find them: at any address, with other bytes between them.
final class TestPixels {
    let encoding: PixelEncoding
    let frameCount: Int
    let pixelCount: Int
    /// What the pixels are, frame by frame.
    let values: [UInt64]
    private let memory: UnsafeMutableRawBufferPointer
    private let offset: Int
    private let stride: Int

    /// - Parameters:
    ///   - offset: bytes between an address that is a multiple of 64 and the first pixel.
    ///   - gap: bytes between frames, filled with 0xff.
    init(
        _ encoding: PixelEncoding, frames: Int, pixels: Int, offset: Int = 1, gap: Int = 15,
        value: (_ frame: Int, _ pixel: Int) -> UInt64
    ) {
        self.encoding = encoding
        frameCount = frames
        pixelCount = pixels
        self.offset = offset
        stride = pixels * encoding.bytesPerPixel + gap
        memory = .allocate(byteCount: offset + max(1, frames) * stride + 64, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0xff)
        var values: [UInt64] = []
        for frame in 0..<frames {
            for pixel in 0..<pixels {
                let value = value(frame, pixel) & encoding.largestPixel
                values.append(value)
                let size = encoding.bytesPerPixel
                let first = offset + frame * stride + pixel * size
                for byte in 0..<size {
                    let place = encoding == encoding.native ? byte : size - 1 - byte
                    memory[first + place] = UInt8(truncatingIfNeeded: value >> UInt64(8 * byte))
                }
            }
        }
        self.values = values
    }

    /// Pixels of any value, some of them the largest possible.
    static func random(
        _ encoding: PixelEncoding, frames: Int, pixels: Int, offset: Int = 1, seed: UInt64 = 1
    ) -> TestPixels {
        var generator = SeededGenerator(seed: seed)
        return TestPixels(encoding, frames: frames, pixels: pixels, offset: offset) { _, _ in
            let value = generator.next()
            return value % 8 == 0 ? .max : value >> 7
        }
    }

    deinit { memory.deallocate() }

    func value(_ frame: Int, _ pixel: Int) -> UInt64 { values[frame * pixelCount + pixel] }

    var stack: PixelStack {
        PixelStack(
            base: UnsafeRawPointer(memory.baseAddress!) + offset, stride: stride, frameCount: frameCount,
            pixelCount: pixelCount, encoding: encoding)
    }
}

/// The values of native pixels of an encoding's width.
func nativeValues(_ bytes: UnsafeRawBufferPointer, _ encoding: PixelEncoding) -> [UInt64] {
    switch encoding.native {
    case .uint8: bytes.map { UInt64($0) }
    case .uint16: bytes.bindMemory(to: UInt16.self).map { UInt64($0) }
    case .uint32: bytes.bindMemory(to: UInt32.self).map { UInt64($0) }
    default: Array(bytes.bindMemory(to: UInt64.self))
    }
}

/// Calls `body` with room for `count` elements, all set to `value`, and returns what is there afterwards. One element
/// more on either side must stay as it was.
func filled<Element: Equatable>(
    _ count: Int, with value: Element, guardedBy mark: Element, _ body: (UnsafeMutableBufferPointer<Element>) -> Void
) -> [Element]? {
    var elements = [mark] + Array(repeating: value, count: count) + [mark]
    elements.withUnsafeMutableBufferPointer { body(UnsafeMutableBufferPointer(rebasing: $0[1..<count + 1])) }
    return elements.first == mark && elements.last == mark ? Array(elements[1..<count + 1]) : nil
}
