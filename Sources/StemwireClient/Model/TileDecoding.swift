import MerlinProtocol
import StemwireKernels
import StemwireProtocol
import StemwireSystem
import ZeroMQ

/// What the tiles of one format share: the format, and the decoder once somebody asks for it.
final class TileDecoding: Sendable {
    let wire: WireFrameFormat
    let sigShape: SigShape?
    private let decoder = Locked<Result<FrameDecoder, TileDecodeError>?>(nil)

    init(_ wire: WireFrameFormat) throws(MalformedMessage) {
        self.wire = wire
        sigShape = try WireReading.sigShape(wire.sigShape)
    }

    /// The decoder, made from the header of the first frame that is asked for.
    func decoder(header: UnsafeRawBufferPointer, pixelBytes: Int) throws(TileDecodeError) -> FrameDecoder {
        try decoder.withLock { cached in
            if let cached { return cached }
            let made = Result { () throws(TileDecodeError) in try make(header: header, pixelBytes: pixelBytes) }
            cached = made
            return made
        }.get()
    }

    private func make(header: UnsafeRawBufferPointer, pixelBytes: Int) throws(TileDecodeError) -> FrameDecoder {
        let depth = CounterDepth(rawValue: Int(wire.counterDepth))
        let format: FrameFormat
        do throws(FrameFormatError) {
            format = try FrameFormat(header: header, payloadBytes: pixelBytes, acquisitionDepth: depth)
        } catch {
            throw .format(error)
        }
        guard format.dataOffset == header.count, sigShape == nil || sigShape == format.sigShape else {
            throw .contradiction(header: format.sigShape, server: sigShape)
        }
        do throws(DecodeError) {
            return try FrameDecoder(format)
        } catch {
            throw .decode(error)
        }
    }
}

/// Why a tile's frames cannot be decoded.
public enum TileDecodeError: Error, Sendable, Hashable, CustomStringConvertible {
    case format(FrameFormatError)
    case decode(DecodeError)
    /// The frame's own header and the server's description of it differ.
    case contradiction(header: SigShape, server: SigShape?)
    /// Another pixel type was asked for than the frames decode to.
    case wrongType(DecodedPixel)

    public var description: String {
        switch self {
        case .format(let error): "the frames cannot be decoded: \(error)"
        case .decode(let error): "the frames cannot be decoded: \(error)"
        case .contradiction(let header, let server):
            """
            the frames' header says \(header) pixels, the server says \(server.map(\.description) ?? "otherwise"); \
            client and server may differ in version
            """
        case .wrongType(let pixel): "the frames decode to \(pixel), ask for that type"
        }
    }
}

/// Makes tiles of received messages, sharing one decoder among tiles of the same format.
package struct TileFactory {
    /// Why a tile was not made.
    package enum Refusal: Error, Sendable {
        case malformed(MalformedMessage)
        /// Its bytes changed on the way; the positions are lost.
        case checksum(acquisition: AcquisitionUUID, generation: UInt64, positions: Range<Int>)
    }

    let verifiesChecksums: Bool
    private var decoding: TileDecoding?

    package init(verifiesChecksums: Bool) { self.verifiesChecksums = verifiesChecksums }

    package mutating func make(_ wire: WireTile, payload: ReceivedPart, isFetched: Bool) throws(Refusal) -> FrameTile {
        let tile: FrameTile
        do throws(MalformedMessage) {
            let shared: TileDecoding
            if let decoding, decoding.wire == wire.format {
                shared = decoding
            } else {
                shared = try TileDecoding(wire.format)
            }
            tile = try FrameTile(wire, payload: payload, decoding: shared, isFetched: isFetched)
            decoding = shared
        } catch {
            throw .malformed(error)
        }
        if verifiesChecksums, wire.checksum != 0, payload.withUnsafeBytes(Checksum.xxh3) != wire.checksum {
            throw .checksum(acquisition: tile.acquisition, generation: tile.generation, positions: tile.positions)
        }
        return tile
    }
}
