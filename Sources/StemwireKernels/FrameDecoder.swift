import CStemwireKernels
import MerlinProtocol

/// Decodes frames of one format to pixels in the machine's byte order, [y, x] in the order of the file.
///
/// - `U08`, and `U01` with a byte per pixel: the payload is the image. `U16`, `U32`, `U64`: big-endian.
/// - `U01` packed: the first pixel of eight is the byte's most significant bit. (No real recording is known; this is
///   the order of `numpy.unpackbits` and of the usual bitmap files.)
/// - `R64`: the chips' own stream. Quads are put together with chips 3 and 4 turned by 180°, the gap of `2x2G` being 0.
///   A row ROI keeps the first raw rows: of a quad the uppermost rows of the upper chips and the lowest of the lower
///   ones. 24 bits come as a plane of the high 12 and a plane of the low 12 bits.
///
/// The code is chosen once, when the decoder is made. Decoding neither allocates nor locks, and a decoder may be used
/// by any number of threads. Payloads may start at any address.
public struct FrameDecoder: Sendable {
    public let format: FrameFormat
    /// Bytes of a decoded image.
    public let imageBytes: Int
    /// The encoding of decoded pixels.
    public let encoding: PixelEncoding
    private let plan: Plan
    private let kernels: PixelKernels

    private enum Plan {
        case native(PixelEncoding)
        case bits
        case raw(RawGeometry, CounterDepth)
    }

    /// - Parameter instructionSet: one of ``InstructionSet/supported``.
    public init(_ format: FrameFormat, instructionSet: InstructionSet = .current) throws(DecodeError) {
        self.format = format
        imageBytes = format.decodedBytes
        encoding = PixelEncoding(format.decodedPixel)
        kernels = PixelKernels(instructionSet)
        if let encoding = format.payloadEncoding {
            plan = .native(encoding)
        } else if format.pixelType == .u01 {
            plan = .bits
        } else {
            guard let depth = format.counterDepth else { throw .counterDepthUnknown }
            plan = .raw(try RawGeometry(layout: format.layout, rows: format.payloadRows), depth)
        }
    }

    /// Whether the payload is the image already, byte by byte, so that nothing needs decoding.
    public var isIdentity: Bool {
        if case .native(.uint8) = plan { true } else { false }
    }

    /// Decodes one frame.
    ///
    /// - Parameters:
    ///   - payload: ``FrameFormat/payloadBytes`` bytes, at any address.
    ///   - image: room for ``imageBytes``, aligned to the decoded pixel, and not overlapping the payload. All of it is
    ///     written, the gap included.
    public func decode(_ payload: UnsafeRawBufferPointer, into image: UnsafeMutableRawBufferPointer) {
        precondition(payload.count >= format.payloadBytes, "a payload that is too short for its format")
        guard let base = payload.baseAddress else { return }
        decodeStack(frames: base, stride: format.payloadBytes, count: 1, into: image)
    }

    /// Decodes frames at a fixed distance into images one right behind the other, [frame, y, x].
    ///
    /// - Parameters:
    ///   - base: the first pixel byte of the first frame.
    ///   - stride: bytes from there to the first pixel byte of the next frame: the message size for frames on the wire.
    ///   - count: number of frames; memory is readable for all of their payloads.
    ///   - images: room for count · ``imageBytes``, aligned to the decoded pixel.
    public func decodeStack(
        frames base: UnsafeRawPointer, stride: Int, count: Int, into images: UnsafeMutableRawBufferPointer
    ) {
        precondition(count >= 0 && images.count >= count * imageBytes, "no room for the decoded frames")
        guard count > 0, let out = images.baseAddress else { return }
        precondition(UInt(bitPattern: out) % UInt(encoding.bytesPerPixel) == 0, "decoded pixels are not aligned")
        switch plan {
        case .native(let encoding):
            let stack = PixelStack(
                base: base, stride: stride, frameCount: count, pixelCount: format.sigShape.pixelCount,
                encoding: encoding)
            kernels.convertToNative(stack, into: images)
        case .bits:
            for frame in 0..<count {
                let pixels = (out + frame * imageBytes).assumingMemoryBound(to: UInt8.self)
                kernels.table.pointee.unpack_bits(base + frame * stride, pixels, format.sigShape.pixelCount)
            }
        case .raw(let geometry, let depth):
            let kernel = kernels.rawKernel(depth)
            for frame in 0..<count {
                let image = out + frame * imageBytes
                geometry.clearGap(of: image, bytesPerPixel: encoding.bytesPerPixel)
                withUnsafePointer(to: geometry.blocks) { kernel($0, base + frame * stride, image) }
            }
        }
    }

    /// The frames as a stack that kernels take, without decoding; nil for formats that must be decoded first.
    ///
    /// Parameters are those of ``decodeStack(frames:stride:count:into:)``.
    public func undecodedStack(frames base: UnsafeRawPointer, stride: Int, count: Int) -> PixelStack? {
        guard case .native(let encoding) = plan else { return nil }
        return PixelStack(
            base: base, stride: stride, frameCount: count, pixelCount: format.sigShape.pixelCount, encoding: encoding)
    }

    /// A stack of frames that were decoded one right behind the other.
    public func decodedStack(_ images: UnsafeRawPointer, count: Int) -> PixelStack {
        PixelStack(
            base: images, stride: imageBytes, frameCount: count, pixelCount: format.sigShape.pixelCount,
            encoding: encoding)
    }
}

extension PixelKernels {
    fileprivate func rawKernel(
        _ depth: CounterDepth
    ) -> @convention(c) (UnsafePointer<swk_raw_geometry>, UnsafeRawPointer, UnsafeMutableRawPointer) -> Void {
        switch depth {
        case .one: table.pointee.raw_1
        case .six: table.pointee.raw_6
        case .twelve: table.pointee.raw_12
        case .twentyFour: table.pointee.raw_24
        }
    }
}
