import MerlinProtocol
import StemwireKernels

/// Why corrections cannot be applied.
public enum CorrectionsError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A file cannot be read.
    case unreadable(String)
    /// An array that has other axes than (y, x).
    case noImage(String, shape: [Int])
    /// An array of another size than the frames.
    case size(String, found: SigShape, frames: SigShape)
    /// An array of complex numbers or truth values.
    case notReal(String, DType)
    /// A pixel that is not excluded would become infinite or no number.
    case notFinite(String, at: DetectorPixel, value: Double)
    /// An excluded pixel that no frame has.
    case outside(DetectorPixel, frames: SigShape)
    /// Excluded pixels of which all neighbours are excluded.
    case isolated([DetectorPixel])
    /// The frames themselves are nothing that can be corrected.
    case pixels(DType)

    public var description: String {
        switch self {
        case .unreadable(let reason): reason
        case .noImage(let what, let shape):
            "\(what) has the shape \(shape); it must be an image (y, x) of the size of the frames"
        case .size(let what, let found, let frames):
            "\(what) has \(found.height) × \(found.width) pixels, the frames have \(frames.height) × \(frames.width)"
        case .notReal(let what, let dtype): "\(what) is of \(dtype); it must be of real numbers"
        case .notFinite(let what, let pixel, let value):
            "\(what) is \(value) at y = \(pixel.y), x = \(pixel.x); exclude the pixel, or give a number"
        case .outside(let pixel, let frames):
            "the excluded pixel y = \(pixel.y), x = \(pixel.x) is not in the frame of \(frames.height) × \(frames.width)"
        case .isolated(let pixels):
            "all neighbours of the excluded pixel y = \(pixels[0].y), x = \(pixels[0].x) are excluded, too"
                + (pixels.count > 1 ? ", and those of \(pixels.count - 1) more" : "")
                + ", so there is nothing to take the mean of; exclude fewer pixels, or let such pixels keep their values"
        case .pixels(let dtype): "frames of \(dtype) cannot be corrected; they must be of real numbers"
        }
    }
}
