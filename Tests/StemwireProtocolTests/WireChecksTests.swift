import CLibxxhash
import StemwireProtocol
import Testing

@Suite struct WireChecksTests {
    static func tile() -> WireTile {
        var tile = WireTile()
        tile.count = 2
        tile.stride = 415
        tile.headerOffset = 15
        tile.pixelOffset = 399
        tile.payloadBytes = 830
        tile.format.payloadBytes = 16
        return tile
    }

    @Test func aTileThatFitsIsTaken() throws {
        let geometry = try TileGeometry(Self.tile(), payloadBytes: 830)
        #expect(geometry.pixels(ofFrame: 0) == 399..<415)
    }

    @Test func aTileThatDoesNotFitIsRefused() {
        func expectRefused(_ what: String, _ spoil: (inout WireTile) -> Void) {
            var tile = Self.tile()
            spoil(&tile)
            #expect(throws: TileGeometryError.self, "\(what)") { try TileGeometry(tile, payloadBytes: 830) }
        }
        for count: UInt32 in [0, 3, .max] { expectRefused("count \(count)") { $0.count = count } }
        for stride: UInt64 in [0, 414, .max] { expectRefused("stride \(stride)") { $0.stride = stride } }
        for offset: UInt64 in [400, .max] {
            expectRefused("header offset \(offset)") { $0.headerOffset = offset }
            expectRefused("pixel offset \(offset)") { $0.pixelOffset = offset }
        }
        for bytes: UInt64 in [17, .max] { expectRefused("pixel bytes \(bytes)") { $0.format.payloadBytes = bytes } }
        for bytes: UInt64 in [829, 831, .max] { expectRefused("payload \(bytes)") { $0.payloadBytes = bytes } }
    }

    @Test func randomTileHeadersNeverTrapAndNeverReachOutside() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var tile = Self.tile()
            func random(or value: UInt64) -> UInt64 {
                Bool.random(using: &generator) ? UInt64.random(in: 0...2000, using: &generator) : value
            }
            tile.stride = random(or: tile.stride)
            tile.headerOffset = random(or: tile.headerOffset)
            tile.pixelOffset = random(or: tile.pixelOffset)
            tile.payloadBytes = random(or: tile.payloadBytes)
            tile.format.payloadBytes = random(or: tile.format.payloadBytes)
            tile.count = UInt32.random(in: 0...5, using: &generator)
            if let geometry = try? TileGeometry(tile, payloadBytes: 830) {
                #expect(geometry.pixels(ofFrame: geometry.count - 1).upperBound <= 830)
            }
        }
    }

    @Test func theFirstByteTellsTheEncoding() throws {
        var request = WireRequest()
        request.id = "a"
        request.kind = .trigger(.init())
        for encoding in [ControlEncoding.protobuf, .json] {
            let bytes = try ControlCoding.encode(request, as: encoding)
            let (back, seen) = try ControlCoding.decode(WireRequest.self, from: bytes)
            #expect(seen == encoding)
            #expect(back == request)
        }
    }

    @Test func unreadableAndOversizedControlMessagesAreTypedErrors() {
        for bytes: [UInt8] in [
            [0xFF, 0xFF], Array("{".utf8), Array("{\"id\": 5".utf8), [UInt8](repeating: 0, count: 70_000),
        ] {
            #expect(throws: ControlCodingError.self) {
                try ControlCoding.decode(WireRequest.self, from: bytes)
            }
        }
    }

    @Test func jsonMayCarryFieldsWeDoNotKnow() throws {
        let text = Array(#"{"id":"x","newThing":{"a":1},"trigger":{}}"#.utf8)
        let (request, encoding) = try ControlCoding.decode(WireRequest.self, from: text)
        #expect(request.id == "x")
        #expect(encoding == .json)
    }

    @Test func topicsEndEachSegmentWithASlash() {
        #expect(Topic.tile(source: "merlin").text == "1/tile/merlin/")
        #expect(
            Topic.result(source: "merlin", run: "r", udf: "sum", channel: "intensity").text
                == "1/result/merlin/r/sum/intensity/")
        let sumsig = Topic.result(source: "m", run: "r", udf: "sumsig", channel: "intensity").text
        #expect(!sumsig.hasPrefix(Topic.results(source: "m", run: "r", udf: "sum").text))
        #expect(sumsig.hasPrefix(Topic.results(source: "m").text))
        #expect(Topic.isValidSegment("bf_1.a-b"))
        for bad in ["", "a/b", "a b", "ä", String(repeating: "x", count: 129)] { #expect(!Topic.isValidSegment(bad)) }
    }

    @Test func versionsAreAgreedOrRefused() {
        #expect(ProtocolVersion.agreed(minimum: 0, maximum: 0) == 1)
        #expect(ProtocolVersion.agreed(minimum: 1, maximum: 9) == 1)
        #expect(ProtocolVersion.agreed(minimum: 2, maximum: 9) == nil)
    }

    @Test func theChecksumIsXXH3() {
        // Published test value: XXH3 64 bits of the empty input with seed 0.
        #expect(Checksum.xxh3(UnsafeRawBufferPointer(start: nil, count: 0)) == 0x2D06_8005_38D3_94C2)
    }

    @Test(arguments: [1, 16, 17, 128, 129, 240, 241, 1024, 65_537, 1_000_003])
    func theFastestCodeGivesTheSameChecksum(count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        bytes.withUnsafeBytes { bytes in
            #expect(Checksum.xxh3(bytes) == XXH3_64bits(bytes.baseAddress, bytes.count))
        }
    }
}
