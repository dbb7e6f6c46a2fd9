import StemwireKernels

/// One frame, as a UDF sees it. Valid during the call only.
public struct Frame {
    /// The scan position: flat nav index, y-major. `UDFMeta.coordinates(ofPosition:)` gives (y, x).
    public let position: Int
    public let dtype: DType
    /// The number of pixels, height × width.
    public let pixelCount: Int
    let base: UnsafeRawPointer

    /// The pixels, row-major [y, x].
    ///
    /// - Throws: `UDFFailure` when they are of another type; `UDF.input` asks for a certain one.
    public func pixels<Pixel: ResultElement>(as type: Pixel.Type) throws -> UnsafeBufferPointer<Pixel> {
        try checkPixelType(dtype, type)
        return UnsafeBufferPointer(start: base.assumingMemoryBound(to: type), count: pixelCount)
    }
}

/// Consecutive frames, as a UDF sees them. Valid during the call only.
///
/// Each frame is contiguous, row-major [y, x]; from one frame to the next it is `frameStride` bytes, which is more than a
/// frame when the pixels are still where the detector's message was received.
public struct FrameTile {
    /// The scan positions of the frames.
    public let positions: Range<Int>
    public let dtype: DType
    /// The number of pixels of a frame, height × width.
    public let pixelCount: Int
    /// From the first byte of a frame to the first of the next.
    public let frameStride: Int
    /// The first pixel of the first frame.
    public let base: UnsafeRawPointer
    /// How counts lie in memory; nil for floating-point pixels.
    let encoding: PixelEncoding?

    public var count: Int { positions.count }

    /// - Precondition: `index` lies in 0 ..< count, and the UDF did not ask for `InputType.stack`.
    public subscript(index: Int) -> Frame {
        precondition(index >= 0 && index < count)
        precondition(isDecoded, "the frames of a UDF with the input .stack may be undecoded; use stack()")
        return Frame(
            position: positions.lowerBound + index, dtype: dtype, pixelCount: pixelCount,
            base: base + index * frameStride)
    }

    /// The pixels of one frame, row-major [y, x].
    ///
    /// - Throws: `UDFFailure` when they are of another type; `UDF.input` asks for a certain one.
    /// - Precondition: As for the subscript.
    public func pixels<Pixel: ResultElement>(
        ofFrame index: Int, as type: Pixel.Type
    ) throws -> UnsafeBufferPointer<Pixel> {
        try self[index].pixels(as: type)
    }

    /// The frames in the form that `PixelKernels` take.
    ///
    /// - Throws: `UDFFailure` when the pixels are not counts.
    public func stack() throws -> PixelStack {
        guard let encoding else { throw UDFFailure("the pixels are \(dtype), no counts") }
        return PixelStack(
            base: base, stride: frameStride, frameCount: count, pixelCount: pixelCount, encoding: encoding)
    }

    /// Whether the pixels are in native byte order and aligned for their type.
    var isDecoded: Bool {
        let alignment = UInt(dtype.byteCount - 1)
        return encoding == encoding?.native && (UInt(bitPattern: base) | UInt(bitPattern: frameStride)) & alignment == 0
    }
}

/// The frames of a partition that arrived, as a UDF sees them. Valid during the call only.
public struct FramePartition {
    /// The scan positions of the frames, rising.
    public let positions: [Int]
    /// The scan positions of the whole partition; the rows of nav buffers are in their order.
    public let range: Range<Int>
    public let dtype: DType
    /// The number of pixels of a frame, height × width.
    public let pixelCount: Int
    let base: UnsafeRawPointer

    public var count: Int { positions.count }

    /// - Precondition: `index` lies in 0 ..< count.
    public subscript(index: Int) -> Frame {
        Frame(
            position: positions[index], dtype: dtype, pixelCount: pixelCount,
            base: base + index * pixelCount * dtype.byteCount)
    }

    /// The pixels of all frames [frame, y, x].
    ///
    /// - Throws: `UDFFailure` when they are of another type; `UDF.input` asks for a certain one.
    public func pixels<Pixel: ResultElement>(as type: Pixel.Type) throws -> UnsafeBufferPointer<Pixel> {
        try checkPixelType(dtype, type)
        return UnsafeBufferPointer(start: base.assumingMemoryBound(to: type), count: count * pixelCount)
    }

    /// The frames in the form that `PixelKernels` take.
    ///
    /// - Throws: `UDFFailure` when the pixels are not counts.
    public func stack() throws -> PixelStack {
        guard let encoding = PixelEncoding(dtype: dtype) else {
            throw UDFFailure("the pixels are \(dtype), no counts")
        }
        return PixelStack(
            base: base, stride: pixelCount * dtype.byteCount, frameCount: count, pixelCount: pixelCount,
            encoding: encoding)
    }
}

private func checkPixelType<Pixel: ResultElement>(_ dtype: DType, _ type: Pixel.Type) throws {
    guard dtype == type.dtype else {
        throw UDFFailure(
            "the pixels are \(dtype), not \(type.dtype): switch over `dtype`, or let the UDF's `input` be .float32")
    }
}
