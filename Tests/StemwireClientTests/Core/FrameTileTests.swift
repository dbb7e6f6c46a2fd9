import MerlinProtocol
import StemwireKernels
import Testing
import ZeroMQ

@testable import StemwireClient

@Suite struct FrameTileTests {
    let acquisition = TestAcquisition()

    @Test func viewsLieInTheMessageItself() throws {
        let part = TestFrames.part(TestFrames.payload(10..<13))
        let tile = try FrameTile(
            TestFrames.wire(10..<13, of: acquisition), payload: part, decoding: TileDecoding(TestFrames.format),
            isFetched: false)
        let base = part.withUnsafeBytes { $0.baseAddress! }
        for frame in 0..<3 {
            tile.withPixels(ofFrame: frame) { pixels in
                #expect(pixels.baseAddress! - base == frame * TestFrames.stride + 399)
                #expect(pixels.count == 16)
            }
        }
        #expect(String(decoding: tile.header(ofFrame: 1).prefix(10), as: UTF8.self) == "MQ1,000012")
        #expect(tile.header(ofFrame: 1).count == 384)
    }

    @Test func framesAreDecodedWhenAsked() throws {
        let tile = try TestFrames.tile(5..<9, of: acquisition)
        #expect(tile.sigShape == SigShape(height: 2, width: 4))
        #expect(tile.dtype == .uint16)
        #expect(tile.pixelType == .u16)
        #expect(try tile.decodedFrames(as: UInt16.self) == (5..<9).flatMap(TestFrames.pixels))
        var image = [UInt16](repeating: 0, count: 8)
        try image.withUnsafeMutableBytes { try tile.decode(frame: 2, into: $0) }
        #expect(image == TestFrames.pixels(at: 7))
        #expect(throws: TileDecodeError.wrongType(.uint16)) { try tile.decodedFrames(as: UInt8.self) }
    }

    @Test func aPartHasItsOwnFrames() throws {
        let part = try TestFrames.tile(5..<12, of: acquisition)[positions: 7..<10][positions: 8..<10]
        #expect(part.positions == 8..<10)
        #expect(try part.decodedFrames(as: UInt16.self) == (8..<10).flatMap(TestFrames.pixels))
        #expect(String(decoding: part.header(ofFrame: 0).prefix(10), as: UTF8.self) == "MQ1,000009")
        #expect(part.byteCount == 2 * TestFrames.stride)
    }

    @Test func headersThatContradictTheServerAreNotDecoded() throws {
        var format = TestFrames.format
        format.sigShape = [4, 2]
        let tile = try FrameTile(
            TestFrames.wire(0..<1, of: acquisition), payload: TestFrames.part(TestFrames.payload(0..<1)),
            decoding: TileDecoding(format), isFetched: false)
        #expect(throws: TileDecodeError.self) { try tile.decodedFrames(as: UInt16.self) }
        var bytes = TestFrames.payload(0..<1)
        bytes[15] = 0
        let broken = try FrameTile(
            TestFrames.wire(0..<1, of: acquisition), payload: TestFrames.part(bytes),
            decoding: TileDecoding(TestFrames.format), isFetched: false)
        #expect(throws: TileDecodeError.self) { try broken.decodedFrames(as: UInt16.self) }
    }

    @Test func aChangedByteIsNoticedUnlessToldNotToLook() throws {
        var bytes = TestFrames.payload(3..<5)
        bytes[500] ^= 1
        let wire = TestFrames.wire(3..<5, of: acquisition)
        var careful = TileFactory(verifiesChecksums: true)
        #expect {
            try careful.make(wire, payload: TestFrames.part(bytes), isFetched: false)
        } throws: { error in
            guard case TileFactory.Refusal.checksum(_, 1, let positions) = error else { return false }
            return positions == 3..<5
        }
        var trusting = TileFactory(verifiesChecksums: false)
        #expect(try trusting.make(wire, payload: TestFrames.part(bytes), isFetched: false).count == 2)
    }
}
