import MerlinProtocol

/// What the simulated detector sends for an image: layout, counter depth, pixel type and size.
public struct DetectorFormat: Sendable, Hashable {
    /// Width and height of a chip in pixels.
    public static let chipSide = 256
    /// Empty pixels between the chips of a `2x2G` detector.
    public static let gap = 2

    public let layout: SensorLayout
    public let chipCount: Int
    /// The decoded image, (y, x); for a raw `2x2G` detector with the gap that is not sent.
    public let sigShape: SigShape
    public let counterDepth: CounterDepth
    public let pixelType: PixelType

    /// Describes a detector.
    ///
    /// - Parameters:
    ///   - sigShape: the decoded image, (y, x). Raw frames need whole chips across (256, quad 512, quad with gap 514) and
    ///     the rows of a row ROI down: 1…256, quad twice as many, with gap plus two.
    ///   - chipCount: as written in the headers, which have 256 + 128 · chips bytes; nil for the layout's own.
    public init(
        layout: SensorLayout, sigShape: SigShape, counterDepth: CounterDepth, pixelType: PixelType,
        chipCount: Int? = nil
    ) throws(DetectorFormatError) {
        self.layout = layout
        self.sigShape = sigShape
        self.counterDepth = counterDepth
        self.pixelType = pixelType
        self.chipCount =
            chipCount ?? (layout.isQuad ? 4 : layout.isRow ? max(1, sigShape.width / Self.chipSide) : 1)
        guard (1...9999).contains(sigShape.height), (1...9999).contains(sigShape.width),
            (1...32).contains(self.chipCount)
        else { throw .size(sigShape) }
        switch pixelType {
        case .r64:
            guard layout.isSingle || layout.isQuad else { throw .rawLayout(layout) }
            let width = layout.isQuad ? 2 * Self.chipSide + gapPixels : Self.chipSide
            let side = layout.isQuad ? 2 : 1
            let rows = sigShape.height - gapPixels
            guard sigShape.width == width, rows > 0, rows % side == 0, rows / side <= Self.chipSide else {
                throw .rawSize(sigShape, layout)
            }
        case .u01:
            guard counterDepth == .one else { throw .tooDeep(counterDepth, pixelType) }
            guard sigShape.width % 8 == 0 else { throw .packedWidth(sigShape.width) }
        case .u08: guard counterDepth.rawValue <= 6 else { throw .tooDeep(counterDepth, pixelType) }
        case .u16: guard counterDepth.rawValue <= 12 else { throw .tooDeep(counterDepth, pixelType) }
        case .u32, .u64: break
        }
    }

    /// The pixel type in which the detector software sends processed images of a counter depth.
    public static func processedPixelType(_ depth: CounterDepth) -> PixelType {
        switch depth {
        case .one, .six: .u08
        case .twelve: .u16
        case .twentyFour: .u32
        }
    }

    /// Largest count that a pixel can hold: counters stop there. Sums (`U64`) have no limit.
    public var maximumCount: UInt64 {
        pixelType == .u64 ? .max : (1 << UInt64(counterDepth.rawValue)) - 1
    }

    /// Bytes of the frame header: 384 for one chip, 768 for four.
    public var dataOffset: Int { 256 + 128 * chipCount }

    /// X and Y of the frame header: the image's, for raw data the chips' (24-bit: doubled width).
    public var headerShape: SigShape {
        guard pixelType == .r64 else { return sigShape }
        let width = Self.chipSide * (layout.isQuad ? 4 : 1) * (counterDepth == .twentyFour ? 2 : 1)
        return SigShape(height: rawRows, width: width)
    }

    /// Bytes of the pixels on the wire.
    public var payloadBytes: Int {
        switch pixelType {
        case .u01: sigShape.pixelCount / 8
        case .u08: sigShape.pixelCount
        case .u16: sigShape.pixelCount * 2
        case .u32: sigShape.pixelCount * 4
        case .u64: sigShape.pixelCount * 8
        case .r64: rawRows * (layout.isQuad ? 4 : 1) * rawBytesPerChipRow * (counterDepth == .twentyFour ? 2 : 1)
        }
    }

    /// Bytes of header and pixels.
    public var bodyBytes: Int { dataOffset + payloadBytes }

    /// The mask of the chips in use.
    public var chipSelect: UInt32 { chipCount == 32 ? .max : (1 << UInt32(chipCount)) - 1 }

    /// Rows of a chip that are read out.
    var rawRows: Int { layout.isQuad ? (sigShape.height - gapPixels) / 2 : sigShape.height }

    /// Bytes of one row of one chip, in one plane.
    var rawBytesPerChipRow: Int {
        switch counterDepth {
        case .one: 32
        case .six: 256
        case .twelve, .twentyFour: 512
        }
    }

    private var gapPixels: Int { layout.isQuad && layout.hasGap ? Self.gap : 0 }

    /// Rows and columns of the image in which a quad with gap has no pixels; empty for other layouts and for images of
    /// a size that is not the quad's.
    public var gapRows: Range<Int> { gapRange(sigShape.height) }
    public var gapColumns: Range<Int> { gapRange(sigShape.width) }

    private func gapRange(_ side: Int) -> Range<Int> {
        guard gapPixels > 0, side % 2 == 0, side > gapPixels else { return 0..<0 }
        return (side - gapPixels) / 2..<(side + gapPixels) / 2
    }
}

/// Why there is no such detector.
public enum DetectorFormatError: Error, Sendable, Hashable, CustomStringConvertible {
    case size(SigShape)
    case rawLayout(SensorLayout)
    case rawSize(SigShape, SensorLayout)
    case tooDeep(CounterDepth, PixelType)
    case packedWidth(Int)

    public var description: String {
        switch self {
        case .size(let shape): "images of \(shape) pixels cannot be told in a frame header (1 to 9999 a side)"
        case .rawLayout(let layout): "raw frames exist for one chip and for quads, not for layout \(layout)"
        case .rawSize(let shape, let layout):
            "a raw frame of layout \(layout) cannot be \(shape) pixels: it needs the full width "
                + "and up to 256 rows of each chip"
        case .tooDeep(let depth, let type): "\(depth.rawValue)-bit counts do not fit pixel type \(type.rawValue)"
        case .packedWidth(let width): "packed 1-bit images need a width that is a multiple of 8, not \(width)"
        }
    }
}
