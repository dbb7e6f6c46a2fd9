import MerlinProtocol
import StemwireKernels

/// Turns frames as they were received into pixels. `FrameDecoder` does it for the detector's formats.
public protocol StackDecoder: Sendable {
    /// The type of decoded pixels.
    var dtype: DType { get }
    /// Bytes of a decoded frame.
    var imageBytes: Int { get }

    /// Decodes `count` frames, whose first pixels are `stride` bytes apart, one right behind the other.
    func decodeStack(frames base: UnsafeRawPointer, stride: Int, count: Int, into images: UnsafeMutableRawBufferPointer)

    /// The frames as they are, when kernels can work on them; nil when they must be decoded.
    func undecodedStack(frames base: UnsafeRawPointer, stride: Int, count: Int) -> PixelStack?
}

extension FrameDecoder: StackDecoder {
    public var dtype: DType { encoding.dtype }
}

/// For frames that are numbers in native byte order already: arrays in memory.
public struct NativeStackDecoder: StackDecoder {
    public let dtype: DType
    public let sigShape: SigShape

    public init(dtype: DType, sigShape: SigShape) {
        self.dtype = dtype
        self.sigShape = sigShape
    }

    public var imageBytes: Int { sigShape.pixelCount * dtype.byteCount }

    public func decodeStack(
        frames base: UnsafeRawPointer, stride: Int, count: Int, into images: UnsafeMutableRawBufferPointer
    ) {
        precondition(images.count >= count * imageBytes, "no room for the decoded frames")
        guard let image = images.baseAddress else { return }
        for frame in 0..<count {
            (image + frame * imageBytes).copyMemory(from: base + frame * stride, byteCount: imageBytes)
        }
    }

    public func undecodedStack(frames base: UnsafeRawPointer, stride: Int, count: Int) -> PixelStack? {
        PixelEncoding(dtype: dtype).map {
            PixelStack(base: base, stride: stride, frameCount: count, pixelCount: sigShape.pixelCount, encoding: $0)
        }
    }
}

extension PixelEncoding {
    /// Counts of this type in native byte order; nil when it is no type of counts.
    init?(dtype: DType) {
        switch dtype {
        case .uint8: self = .uint8
        case .uint16: self = .uint16
        case .uint32: self = .uint32
        case .uint64: self = .uint64
        case .bool, .int32, .int64, .float32, .float64, .complex64, .complex128: return nil
        }
    }
}
