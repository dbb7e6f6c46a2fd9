import MerlinProtocol
import StemwireKernels

/// What a UDF may know about the acquisition it runs on. The same for all its partitions, on all machines.
public struct UDFMeta: Sendable, Equatable {
    /// The grid of scan positions, slow axis first, such as (y, x).
    public let navShape: [Int]
    /// The detector image (y, x).
    public let sigShape: SigShape
    /// The type of the pixels before any conversion a UDF asks for; corrected ones are floating-point numbers.
    public internal(set) var inputDType: DType
    /// The size of all partitions but the last.
    public let framesPerPartition: Int
    /// The scan positions to work on; nil for all.
    public let roi: PositionSet?
    /// The number of scan positions.
    public let positionCount: Int
    /// Values for each scan position that came with the request of this UDF: arrays of shape nav + extra, by name.
    public internal(set) var auxiliary: [String: ResultArray] = [:]

    /// - Throws: `UDFError` when a size is not positive, or the region of interest belongs to another nav shape.
    public init(
        navShape: [Int], sigShape: SigShape, inputDType: DType, framesPerPartition: Int, roi: PositionSet? = nil
    ) throws(UDFError) {
        guard !navShape.isEmpty, navShape.allSatisfy({ $0 > 0 }), let count = elementCount(navShape) else {
            throw UDFError(.badRequest, "the nav shape \(navShape) is not a grid of scan positions")
        }
        guard sigShape.height > 0, sigShape.width > 0,
            let pixels = elementCount([sigShape.height, sigShape.width]), pixels <= Int.max / 16
        else { throw UDFError(.badRequest, "the frame size \(sigShape.height) × \(sigShape.width) is impossible") }
        guard framesPerPartition > 0 else {
            throw UDFError(.badRequest, "\(framesPerPartition) frames per partition; it must be at least 1")
        }
        if let roi, roi.size != count {
            throw UDFError(
                .badRequest, "the region of interest has \(roi.size) scan positions, the nav shape \(navShape) \(count)"
            )
        }
        self.navShape = navShape
        self.sigShape = sigShape
        self.inputDType = inputDType
        self.framesPerPartition = framesPerPartition
        self.roi = roi
        positionCount = count
    }

    /// What is known from the detector's frames.
    ///
    /// - Throws: As the other initialiser.
    public init(
        navShape: [Int], format: FrameFormat, framesPerPartition: Int, roi: PositionSet? = nil
    ) throws(UDFError) {
        try self.init(
            navShape: navShape, sigShape: format.sigShape, inputDType: PixelEncoding(format.decodedPixel).dtype,
            framesPerPartition: framesPerPartition, roi: roi)
    }

    /// The number of partitions.
    public var partitionCount: Int { (positionCount + framesPerPartition - 1) / framesPerPartition }

    /// The scan positions of a partition.
    ///
    /// - Precondition: `partition` lies in 0 ..< partitionCount.
    public func positions(ofPartition partition: Int) -> Range<Int> {
        precondition(partition >= 0 && partition < partitionCount)
        let first = partition * framesPerPartition
        return first..<min(first + framesPerPartition, positionCount)
    }

    /// The partition of a scan position.
    public func partition(ofPosition position: Int) -> Int { position / framesPerPartition }

    /// The indices of a scan position on the nav axes, slow axis first, such as (y, x).
    public func coordinates(ofPosition position: Int) -> [Int] {
        var rest = position
        var indices = Array(repeating: 0, count: navShape.count)
        for axis in navShape.indices.reversed() {
            indices[axis] = rest % navShape[axis]
            rest /= navShape[axis]
        }
        return indices
    }

    /// How many positions there are to process.
    public var selectedCount: Int { roi?.count ?? positionCount }

    /// The default of mask centres: H div 2, W div 2, in pixels (y, x).
    public var centre: (y: Int, x: Int) { (sigShape.height / 2, sigShape.width / 2) }
}
