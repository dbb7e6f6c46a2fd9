/// What a frame's payload is and what it decodes to; the same for all frames of an acquisition.
///
/// Decided here, from the frame's header and the number of payload bytes, are:
///
/// - **A1** Rows stay in the order in which they come (the specification says bottom row first). Nothing is flipped;
///   a client that shows images may flip them.
/// - **A3** The gap of a `2x2G` detector is 2 pixels in raw data (512 → 514), where it is not sent. In processed data
///   the header's X and Y count, whatever gap (2 or 3 pixels) the detector software put in.
/// - **A4** `U01` is taken as 8 pixels per byte or as one byte per pixel, whichever the payload's size says.
/// - **A5** 24-bit raw is accepted as one message whose header gives the doubled width; the same depth with the single
///   width (one of two messages of 12 bits each) is an error.
/// - **A18** Raw rows are payload ÷ bytes per raw row, so that a row ROI needs no trust in the header's Y. Raw data of
///   a row of chips (`Nx1`) are an error, since nobody has documented their order. A chip mask with chips missing
///   changes nothing: blocks of a raw row are placed by position, and a raw row of another width is an error.
/// - **A19** Without `MQ1A` part the counter depth is the acquisition header's, else what the payload's size says.
public struct FrameFormat: Sendable, Hashable {
    public let pixelType: PixelType
    /// The frame's own depth if it tells, else the acquisition's; nil for processed data when neither is known.
    public let counterDepth: CounterDepth?
    public let layout: SensorLayout
    /// X pixels of the header; for raw data the raw geometry (256, 1024; doubled at 24 bits).
    public let headerWidth: Int
    /// Y pixels of the header.
    public let headerHeight: Int
    public let chipCount: Int
    /// Bytes of the header, padding included.
    public let dataOffset: Int
    /// Bytes of the pixels as sent.
    public let payloadBytes: Int
    /// The decoded image, (y, x).
    public let sigShape: SigShape
    /// The type of the decoded pixels.
    public let decodedPixel: DecodedPixel
    /// Bits that one pixel takes in the payload: 1, 8, 16, 32 or 64. With ``PixelType/u01`` 1 means packed, 8 not;
    /// 24-bit raw takes 2 × 16 = 32 in two planes.
    public let storedBitsPerPixel: Int

    /// Bytes of a frame message behind its prefix: header and pixels.
    public var messageBytes: Int { dataOffset + payloadBytes }
    /// Bytes of a decoded image.
    public var decodedBytes: Int { sigShape.pixelCount * decodedPixel.bytesPerPixel }
    /// Rows of raw data in the payload: one plane's, for 24 bits. For processed data the image's height.
    public var payloadRows: Int {
        guard pixelType == .r64, layout.isQuad else { return sigShape.height }
        return (sigShape.height - (layout.hasGap ? FrameFormat.rawGap : 0)) / 2
    }

    /// Pixels between chips of a `2x2G` detector in decoded raw images; left 0.
    public static let rawGap = 2
    /// Width and height of a chip.
    public static let chipSide = 256

    /// Finds the format of a frame.
    ///
    /// - Parameters:
    ///   - header: the message from `MQ1` on, at least up to its pixels. Its bytes may be anything.
    ///   - payloadBytes: bytes behind the data offset: message length − data offset − 1 on the wire.
    ///   - acquisitionDepth: Counter Depth of the acquisition header, used where the frame does not tell its own.
    public init(
        header: UnsafeRawBufferPointer, payloadBytes: Int, acquisitionDepth: CounterDepth?
    ) throws(FrameFormatError) {
        let fields: FrameHeaderFields
        let frameDepth: CounterDepth?
        do throws(FrameHeaderError) {
            fields = try FrameHeaderFields.parse(header)
            frameDepth = try FrameHeader.counterDepth(in: header, dataOffset: fields.dataOffset)
        } catch {
            throw .header(error)
        }
        try self.init(fields: fields, payloadBytes: payloadBytes, depth: frameDepth ?? acquisitionDepth)
    }

    /// Finds the format from fields already read and a depth already known.
    public init(fields: FrameHeaderFields, payloadBytes: Int, depth: CounterDepth?) throws(FrameFormatError) {
        guard payloadBytes > 0 else { throw .noPixels }
        let geometry =
            try fields.pixelType == .r64
            ? Geometry.raw(fields, payloadBytes: payloadBytes, depth: depth)
            : Geometry.processed(fields, payloadBytes: payloadBytes, depth: depth)
        pixelType = fields.pixelType
        counterDepth = geometry.depth
        layout = fields.layout
        headerWidth = fields.width
        headerHeight = fields.height
        chipCount = fields.chipCount
        dataOffset = fields.dataOffset
        self.payloadBytes = payloadBytes
        sigShape = geometry.shape
        decodedPixel = geometry.decodedPixel
        storedBitsPerPixel = geometry.storedBits
    }

    /// Whether a further frame has this format, by its leading fields and the size of its body (header and pixels).
    ///
    /// Counter depth needs no look: at one geometry and payload size there is only one.
    @inlinable
    public func matches(_ fields: FrameHeaderFields, bodyBytes: Int) -> Bool {
        fields.dataOffset == dataOffset && bodyBytes == messageBytes && fields.width == headerWidth
            && fields.height == headerHeight && fields.pixelType == pixelType && fields.layout == layout
            && fields.chipCount == chipCount
    }
}

/// What the payload's size and the header's fields make of an image.
private struct Geometry {
    var depth: CounterDepth?
    var shape: SigShape
    var decodedPixel: DecodedPixel
    var storedBits: Int

    static func processed(
        _ fields: FrameHeaderFields, payloadBytes: Int, depth: CounterDepth?
    ) throws(FrameFormatError) -> Geometry {
        let pixels = fields.width * fields.height
        let shape = SigShape(height: fields.height, width: fields.width)
        let decodedPixel: DecodedPixel
        var storedBits: Int
        switch fields.pixelType {
        case .u01: (decodedPixel, storedBits) = (.uint8, fields.width % 8 == 0 && payloadBytes < pixels ? 1 : 8)
        case .u08, .r64: (decodedPixel, storedBits) = (.uint8, 8)
        case .u16: (decodedPixel, storedBits) = (.uint16, 16)
        case .u32: (decodedPixel, storedBits) = (.uint32, 32)
        case .u64: (decodedPixel, storedBits) = (.uint64, 64)
        }
        let expected = storedBits == 1 ? pixels / 8 : pixels * (storedBits / 8)
        guard payloadBytes == expected else {
            throw .payloadSize(payloadBytes, expected: expected, pixelType: fields.pixelType, shape: shape)
        }
        return Geometry(depth: depth, shape: shape, decodedPixel: decodedPixel, storedBits: storedBits)
    }

    static func raw(
        _ fields: FrameHeaderFields, payloadBytes: Int, depth: CounterDepth?
    ) throws(FrameFormatError) -> Geometry {
        guard fields.layout.isSingle || fields.layout.isQuad else { throw .rawLayout(fields.layout) }
        let rawWidth = FrameFormat.chipSide * (fields.layout.isQuad ? 4 : 1)
        guard let depth = depth ?? impliedDepth(fields, payloadBytes: payloadBytes, rawWidth: rawWidth) else {
            throw .counterDepthUnknown
        }
        let expectedWidth = depth == .twentyFour ? 2 * rawWidth : rawWidth
        if depth == .twentyFour, fields.width == rawWidth { throw .rawPlaneAlone }
        guard fields.width == expectedWidth else {
            throw .rawWidth(fields.width, expected: expectedWidth, layout: fields.layout, depth: depth)
        }
        let storedBits =
            switch depth {
            case .one: 1
            case .six: 8
            case .twelve: 16
            case .twentyFour: 32
            }
        let bytesPerRow = rawWidth * storedBits / 8
        let rows = payloadBytes / bytesPerRow
        guard payloadBytes % bytesPerRow == 0 else { throw .rawRows(payloadBytes, bytesPerRow: bytesPerRow) }
        guard rows <= FrameFormat.chipSide else { throw .rawTooManyRows(rows, depth: depth) }
        let gap = fields.layout.hasGap ? FrameFormat.rawGap : 0
        let shape =
            fields.layout.isQuad
            ? SigShape(height: 2 * rows + gap, width: 2 * FrameFormat.chipSide + gap)
            : SigShape(height: rows, width: FrameFormat.chipSide)
        let decodedPixel: DecodedPixel =
            switch depth {
            case .one, .six: .uint8
            case .twelve: .uint16
            case .twentyFour: .uint32
            }
        return Geometry(depth: depth, shape: shape, decodedPixel: decodedPixel, storedBits: storedBits)
    }

    /// The one depth at which the header's geometry fills the payload.
    private static func impliedDepth(
        _ fields: FrameHeaderFields, payloadBytes: Int, rawWidth: Int
    ) -> CounterDepth? {
        let pixels = rawWidth * fields.height
        if fields.width == 2 * rawWidth { return payloadBytes == 4 * pixels ? .twentyFour : nil }
        guard fields.width == rawWidth else { return nil }
        switch payloadBytes {
        case pixels / 8: return .one
        case pixels: return .six
        case 2 * pixels: return .twelve
        default: return nil
        }
    }
}
