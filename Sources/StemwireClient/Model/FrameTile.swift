import MerlinProtocol
import StemwireKernels
import StemwireProtocol
import ZeroMQ

/// A stack of frames of consecutive scan positions, as the detector sent them: a view on the received message, no copy.
///
/// A tile keeps its message's memory as long as it lives; keep what you computed from it rather than the tile. It may
/// be handed to other threads and read there. Frames are numbered from 0 within the tile; frame *i* belongs to position
/// `positions.lowerBound + i`.
public struct FrameTile: Sendable {
    public let acquisition: AcquisitionUUID
    /// 1, 2, 3 … in one server session.
    public let generation: UInt64
    /// Scan positions of the frames, slow axis first.
    public let positions: Range<Int>
    public let partition: Int
    /// Shape of the scan, slow axis first; empty when it is open.
    public let navShape: [Int]
    /// When the first frame was complete at the server, nanoseconds since 1970.
    public let receivedAt: UInt64
    /// Whether the tile came by FETCH, as a repair of the live stream or because it was asked for.
    public let isFetched: Bool
    /// Whether taking this view gives credit for the whole message back to the server: one view of a message does.
    var carriesCredit: Bool

    let decoding: TileDecoding
    private let geometry: TileGeometry
    /// The first frame of this view in the message's stack.
    private let firstFrame: Int
    private let payload: ReceivedPart

    /// Number of frames.
    public var count: Int { positions.count }
    /// Bytes of this view's frames as they lie in the message, headers and padding included.
    public var byteCount: Int { count * geometry.stride }
    /// Bytes of the message that the tile keeps in memory.
    var messageBytes: Int { payload.count }

    /// Shape of a decoded frame, (y, x), rows in the detector's order (its own software shows the first one at the
    /// bottom); nil when the server did not tell.
    public var sigShape: SigShape? { decoding.sigShape }
    /// Type of a decoded pixel; nil when the server did not tell.
    public var dtype: DType? { DType(rawValue: decoding.wire.dtype) }
    /// How the pixels are stored in ``withPixels(ofFrame:_:)``; nil for a type that this client does not know.
    public var pixelType: PixelType? { PixelType(rawValue: decoding.wire.pixelType) }

    /// - Throws: `MalformedMessage` unless the header fits the payload.
    init(_ wire: WireTile, payload: ReceivedPart, decoding: TileDecoding, isFetched: Bool) throws(MalformedMessage) {
        acquisition = try WireReading.uuid(wire.acquisition)
        generation = wire.generation
        do throws(TileGeometryError) {
            geometry = try TileGeometry(wire, payloadBytes: payload.count)
        } catch {
            throw MalformedMessage(error.description)
        }
        positions = try WireReading.positions(first: wire.firstPosition, count: UInt64(wire.count))
        partition = Int(wire.partition)
        navShape = try WireReading.navShape(wire.navShape)
        receivedAt = wire.receivedAt
        self.isFetched = isFetched
        carriesCredit = isFetched
        self.decoding = decoding
        self.payload = payload
        firstFrame = 0
    }

    private init(_ whole: FrameTile, positions: Range<Int>) {
        acquisition = whole.acquisition
        generation = whole.generation
        self.positions = positions
        partition = whole.partition
        navShape = whole.navShape
        receivedAt = whole.receivedAt
        isFetched = whole.isFetched
        carriesCredit = whole.carriesCredit
        decoding = whole.decoding
        geometry = whole.geometry
        payload = whole.payload
        firstFrame = whole.firstFrame + positions.lowerBound - whole.positions.lowerBound
    }

    /// The frames of `positions` only; the message's memory is shared.
    ///
    /// - Precondition: the tile has these positions.
    public subscript(positions part: Range<Int>) -> FrameTile {
        precondition(
            part.lowerBound >= positions.lowerBound && part.upperBound <= positions.upperBound,
            "positions \(part) of a tile of \(positions)")
        return FrameTile(self, positions: part)
    }

    // MARK: Bytes as the detector sent them

    /// Reads one frame's pixels in place, as the detector sent them: `U08` one byte a pixel, `U16`, `U32` and `U64`
    /// big-endian, `R64` the raw chip stream. The bytes are at no particular alignment; the pointer is valid in `body`
    /// only.
    public func withPixels<Result, Failure: Error>(
        ofFrame frame: Int, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let range = geometry.pixels(ofFrame: message(frame))
        return try payload.withUnsafeBytes { (bytes) throws(Failure) in
            try body(UnsafeRawBufferPointer(rebasing: bytes[range]))
        }
    }

    /// Reads one frame's header (`MQ1,…`) in place, padding included.
    public func withHeader<Result, Failure: Error>(
        ofFrame frame: Int, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let start = message(frame) * geometry.stride
        return try payload.withUnsafeBytes { (bytes) throws(Failure) in
            try body(
                UnsafeRawBufferPointer(rebasing: bytes[start + geometry.headerOffset..<start + geometry.pixelOffset]))
        }
    }

    /// A copy of one frame's header (`MQ1,…`), padding included.
    public func header(ofFrame frame: Int) -> [UInt8] { withHeader(ofFrame: frame) { Array($0) } }

    /// Reads all frames in place: the start of the first frame's message, the bytes from one message to the next, and
    /// those from the start of a message to its pixels. The pointer is at no particular alignment, and valid in `body` only.
    package func withMessages<Result, Failure: Error>(
        _ body: (_ base: UnsafeRawPointer, _ stride: Int, _ pixelOffset: Int) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let (first, stride, offset) = (firstFrame * geometry.stride, geometry.stride, geometry.pixelOffset)
        return try payload.withUnsafeBytes { (bytes) throws(Failure) in
            // A tile has at least one frame, and so its payload an address.
            try body(bytes.baseAddress! + first, stride, offset)
        }
    }

    // MARK: Decoded pixels

    /// Format of the frames, as their own headers tell it.
    ///
    /// - Throws: ``TileDecodeError`` when the headers cannot be read or contradict what the server said.
    public func format() throws(TileDecodeError) -> FrameFormat { try decoder().format }

    /// Decodes one frame to pixels in the machine's byte order, [y, x].
    ///
    /// - Parameter image: room for at least `format().decodedBytes`, aligned to the pixel.
    public func decode(frame: Int, into image: UnsafeMutableRawBufferPointer) throws(TileDecodeError) {
        let decoder = try decoder()
        precondition(image.count >= decoder.imageBytes, "room for a frame of \(decoder.imageBytes) bytes")
        withPixels(ofFrame: frame) { decoder.decode($0, into: image) }
    }

    /// Decodes all frames into images one right behind the other, [frame, y, x].
    ///
    /// - Parameter images: room for at least `count · format().decodedBytes`, aligned to the pixel.
    public func decode(into images: UnsafeMutableRawBufferPointer) throws(TileDecodeError) {
        let decoder = try decoder()
        let start = geometry.pixels(ofFrame: firstFrame).lowerBound
        payload.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            decoder.decodeStack(frames: base + start, stride: geometry.stride, count: count, into: images)
        }
    }

    /// All frames decoded, [frame, y, x].
    ///
    /// - Throws: ``TileDecodeError/wrongType(_:)`` unless `Pixel` is the type that the frames decode to.
    public func decodedFrames<Pixel: FixedWidthInteger & UnsignedInteger>(
        as type: Pixel.Type = Pixel.self
    ) throws(TileDecodeError) -> [Pixel] {
        let format = try format()
        guard format.decodedPixel.bytesPerPixel == MemoryLayout<Pixel>.size else {
            throw .wrongType(format.decodedPixel)
        }
        let pixels = count * format.sigShape.pixelCount
        var failure: TileDecodeError?
        let images = [Pixel](unsafeUninitializedCapacity: pixels) { buffer, initialized in
            do throws(TileDecodeError) {
                try decode(into: UnsafeMutableRawBufferPointer(buffer))
                initialized = pixels
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return images
    }

    /// Decodes frames of this tile's format; made once for all tiles of a connection that have it.
    package func decoder() throws(TileDecodeError) -> FrameDecoder {
        let pixelBytes = geometry.pixelBytes
        return try withHeader(ofFrame: 0) { (header) throws(TileDecodeError) in
            try decoding.decoder(header: header, pixelBytes: pixelBytes)
        }
    }

    private func message(_ frame: Int) -> Int {
        precondition((0..<count).contains(frame), "frame \(frame) of a tile of \(count)")
        return firstFrame + frame
    }
}
