import StemwireProtocol
import StemwireTestSupport
import Testing
import ZeroMQ

@testable import StemwireClient

/// Every size from outside is checked before it is used.
@Suite struct MessageChecksTests {
    let acquisition = TestAcquisition(navShape: [4, 4])

    @Test func aResultMustFitItsParts() throws {
        let result = TestResult(version: 7)
        let good = try result.update(of: acquisition)
        #expect(try good.values(as: UInt64.self) == [UInt64](repeating: 7, count: 16))
        #expect(good.doubles() == [Double](repeating: 7, count: 16))
        #expect(good.isValid(position: 15) && !good.isValid(position: 16) && !good.isValid(position: -1))
        #expect(throws: ResultTypeError.self) { try good.values(as: Float.self) }

        func expectRefused(
            _ what: Comment, array: [UInt8]? = nil, mask: [UInt8]? = nil, _ spoil: (inout WireUpdate) -> Void
        ) {
            var wire = result.wire(of: acquisition)
            spoil(&wire)
            #expect(throws: MalformedMessage.self, what) {
                try ChannelUpdate(
                    wire, array: TestFrames.part(array ?? result.array(of: acquisition)),
                    mask: TestFrames.part(mask ?? result.mask(of: acquisition)), verifiesChecksums: true)
            }
        }
        expectRefused("short array", array: [1, 2, 3]) { _ in }
        expectRefused("short mask", mask: [255]) { _ in }
        expectRefused("long mask", mask: [255, 255, 255]) { _ in }
        expectRefused("other shape") { $0.shape = [4, 5] }
        expectRefused("overflowing shape") { $0.shape = [.max, .max, .max] }
        expectRefused("too many axes") { $0.shape = [UInt32](repeating: 1, count: 100) }
        expectRefused("overflowing nav shape") { $0.navShape = [.max, .max, .max] }
        expectRefused("huge positions") {
            $0.navShape = []
            $0.positionsExpected = .max
        }
        expectRefused("dtype") { $0.dtype = "object" }
        expectRefused("kind") { $0.kind = "pickle" }
        expectRefused("name") { $0.udf = "../etc" }
        expectRefused("id") { $0.acquisition = .init([1, 2]) }
        expectRefused("sig shape") { $0.sigShape = [0, 3] }
        expectRefused("checksum") { $0.checksum ^= 1 }
        expectRefused("mask checksum") { $0.maskChecksum ^= 1 }
    }

    @Test func allRealTypesReadAsDoubles() throws {
        var wire = TestResult().wire(of: acquisition)
        wire.shape = []
        wire.checksum = 0
        func doubles(_ dtype: String, _ bytes: [UInt8]) throws -> [Double] {
            wire.dtype = dtype
            return try ChannelUpdate(
                wire, array: TestFrames.part(bytes), mask: TestFrames.part([255, 255]), verifiesChecksums: true
            ).doubles()
        }
        #expect(try doubles("uint8", [200]) == [200])
        #expect(try doubles("bool", [1]) == [1])
        #expect(try doubles("uint16", [1, 2]) == [513])
        #expect(try doubles("uint32", [1, 2, 0, 0]) == [513])
        #expect(try doubles("int32", [255, 255, 255, 255]) == [-1])
        #expect(try doubles("int64", [UInt8](repeating: 255, count: 8)) == [-1])
        #expect(try doubles("uint64", [2] + [UInt8](repeating: 0, count: 7)) == [2])
        #expect(try doubles("float32", [0, 0, 0x80, 0x3F]) == [1])
        #expect(try doubles("float64", [0, 0, 0, 0, 0, 0, 0xF0, 0x3F]) == [1])
        #expect(try doubles("complex64", [0, 0, 0x80, 0x3F, 0, 0, 0, 0x40]) == [1, 2])
        #expect(throws: MalformedMessage.self) { try doubles("uint16", [1, 2, 3]) }
    }

    @Test func aSnapshotMustHaveTwoPartsForEachChannel() throws {
        var wire = WireSnapshot()
        wire.start = acquisition.wireStart
        var bad = TestResult(version: 3).wire(of: acquisition)
        bad.kind = "?"
        wire.channels = [TestResult(version: 2).wire(of: acquisition), bad]
        let array = TestFrames.part(TestResult(version: 2).array(of: acquisition))
        let mask = TestFrames.part(TestResult().mask(of: acquisition))
        let snapshot = try ResultSnapshot(wire, payloads: [array, mask, array, mask], verifiesChecksums: true)
        #expect(snapshot.channels.map(\.version) == [2])
        #expect(snapshot.malformedChannels == 1)
        #expect(snapshot.channel(udf: "sum", "intensity")?.version == 2)
        #expect(throws: MalformedMessage.self) {
            try ResultSnapshot(wire, payloads: [array, mask, array], verifiesChecksums: true)
        }
    }

    @Test func startsAndEndsAreChecked() {
        func expectRefused(_ what: Comment, _ spoil: (inout WireStart) -> Void) {
            var start = acquisition.wireStart
            spoil(&start)
            #expect(throws: MalformedMessage.self, what) { try AcquisitionStart(start) }
        }
        expectRefused("id") { $0.acquisition = .init() }
        expectRefused("nav shape") { $0.navShape = [.max, .max] }
        expectRefused("axes") { $0.navShape = [UInt32](repeating: 1, count: 9) }
        expectRefused("frames") { $0.framesExpected = .max }
        expectRefused("sig shape") { $0.format.sigShape = [1, 2, 3] }
        var end = acquisition.wireEnd()
        end.accounting.missingRanges = [WirePositionRange()]
        end.accounting.missingRanges[0].first = .max
        end.accounting.missingRanges[0].count = .max
        #expect(throws: MalformedMessage.self) { try AcquisitionEnd(end) }
        end.accounting.missingRanges = [WirePositionRange](repeating: WirePositionRange(), count: 5000)
        #expect(throws: MalformedMessage.self) { try AcquisitionEnd(end) }
        var extreme = acquisition.wireEnd()
        extreme.accounting.placed = .max
        extreme.accounting.missing = .max
        #expect((try? AcquisitionEnd(extreme))?.accounting.isBalanced == false)
    }

    @Test func randomHeadersNeverTrap() throws {
        var generator = SeededGenerator(seed: 4)
        let payload = TestFrames.part(TestFrames.payload(0..<3))
        var taken = 0
        for _ in 0..<3000 {
            var bytes = try ControlCoding.encode(TestFrames.wire(0..<3, of: acquisition), as: .protobuf)
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            guard let wire = try? ControlCoding.decode(WireTile.self, from: bytes, limit: 1 << 20).0 else { continue }
            var factory = TileFactory(verifiesChecksums: false)
            guard let tile = try? factory.make(wire, payload: payload, isFetched: false) else { continue }
            taken += 1
            for frame in 0..<tile.count {
                #expect(tile.withPixels(ofFrame: frame) { $0.count } <= payload.count)
                #expect(tile.header(ofFrame: frame).count <= payload.count)
            }
            _ = try? tile.decodedFrames(as: UInt16.self)
        }
        #expect(taken > 300)
    }
}
