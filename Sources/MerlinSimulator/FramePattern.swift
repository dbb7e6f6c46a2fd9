import MerlinProtocol

/// Where the counts of a simulated frame come from.
///
/// A pattern is a pure function of the frame's number, so that frames can be made in any order, by several threads, and
/// again by a test.
public protocol FramePattern: Sendable {
    /// The image's shape, (y, x).
    var sigShape: SigShape { get }
    /// Whether frames differ from one acquisition to the next.
    var variesByAcquisition: Bool { get }

    /// Makes one frame.
    ///
    /// - Parameters:
    ///   - frame: from 0; any number.
    ///   - acquisition: from 0.
    ///   - image: exactly `sigShape`, row-major [y, x]; whatever it held before is overwritten.
    func render(frame: Int, acquisition: UInt64, into image: UnsafeMutableBufferPointer<UInt32>)
}

extension FramePattern {
    public var variesByAcquisition: Bool { false }

    /// One frame as an array, row-major [y, x].
    public func image(frame: Int, acquisition: UInt64 = 0) -> [UInt32] {
        [UInt32](unsafeUninitializedCapacity: sigShape.pixelCount) { buffer, count in
            let image = UnsafeMutableBufferPointer(rebasing: buffer[..<sigShape.pixelCount])
            image.initialize(repeating: 0)
            render(frame: frame, acquisition: acquisition, into: image)
            count = sigShape.pixelCount
        }
    }
}

/// The same count in every pixel of every frame: for measurements of speed.
public struct ConstantPattern: FramePattern {
    public let sigShape: SigShape
    public let count: UInt32

    public init(sigShape: SigShape, count: UInt32) {
        self.sigShape = sigShape
        self.count = count
    }

    public func render(frame: Int, acquisition: UInt64, into image: UnsafeMutableBufferPointer<UInt32>) {
        image.update(repeating: count)
    }
}
