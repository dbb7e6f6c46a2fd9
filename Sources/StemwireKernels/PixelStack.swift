import CStemwireKernels

/// Frames of equal size at a fixed distance in memory: what the kernels work on.
///
/// A stack is a view, valid as long as the memory it looks at. The pixels may start at any address (frames on the wire
/// start at odd ones), and there may be anything between the frames, such as their headers.
public struct PixelStack {
    /// The first pixel of the first frame.
    public var base: UnsafeRawPointer
    /// Bytes from the first pixel of a frame to the first pixel of the next.
    public var stride: Int
    public var frameCount: Int
    /// Pixels per frame.
    public var pixelCount: Int
    public var encoding: PixelEncoding

    /// - Precondition: counts are not negative. With more than one frame, memory is readable from `base` for
    ///   (frameCount − 1) · stride + pixelCount · bytesPerPixel bytes.
    public init(base: UnsafeRawPointer, stride: Int, frameCount: Int, pixelCount: Int, encoding: PixelEncoding) {
        precondition(frameCount >= 0 && pixelCount >= 0, "a stack of \(frameCount) frames of \(pixelCount) pixels")
        self.base = base
        self.stride = stride
        self.frameCount = frameCount
        self.pixelCount = pixelCount
        self.encoding = encoding
    }

    /// Frames one right behind the other, [frame, y, x]: as many as `pixels` has room for.
    ///
    /// - Precondition: `pixelCount` is positive and `pixels` is not empty.
    public init(_ pixels: UnsafeRawBufferPointer, pixelCount: Int, encoding: PixelEncoding) {
        let frameBytes = pixelCount * encoding.bytesPerPixel
        guard let base = pixels.baseAddress, frameBytes > 0 else {
            preconditionFailure("a stack without pixels")
        }
        self.init(
            base: base, stride: frameBytes, frameCount: pixels.count / frameBytes, pixelCount: pixelCount,
            encoding: encoding)
    }

    /// Some of the frames.
    public func frames(_ range: Range<Int>) -> PixelStack {
        precondition(range.lowerBound >= 0 && range.upperBound <= frameCount, "frames outside the stack")
        return PixelStack(
            base: base + range.lowerBound * stride, stride: stride, frameCount: range.count, pixelCount: pixelCount,
            encoding: encoding)
    }

    /// The same pixels of every frame, such as some rows of it.
    public func pixels(_ range: Range<Int>) -> PixelStack {
        precondition(range.lowerBound >= 0 && range.upperBound <= pixelCount, "pixels outside the frame")
        return PixelStack(
            base: base + range.lowerBound * encoding.bytesPerPixel, stride: stride, frameCount: frameCount,
            pixelCount: range.count, encoding: encoding)
    }

    var view: swk_stack { swk_stack(base: base, stride: stride, frames: frameCount, pixels: pixelCount) }
}
