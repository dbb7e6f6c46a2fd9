import MerlinProtocol
import StemwireKernels
import StemwireUDF
import Testing

@Suite("Functions of a frame")
struct FunctionTests {
    private func result(
        _ request: UDFRequest, _ scan: ScanFixture, missing: Set<Int> = [], roi: PositionSet? = nil
    ) throws -> ResultArray {
        let channels = try scan.agreedChannels(request, framesPerPartition: 8, missing: missing, roi: roi)
        #expect(channels.count == 1)
        return try channels.array("result")
    }

    @Test(arguments: [DType.uint8, .uint16, .uint32, .uint64, .float32, .float64])
    func oneNumberOfEachFrame(dtype: DType) throws {
        let scan = ScanFixture(dtype: dtype)
        let found = try result(.function("brightest") { $0.pixels.max() ?? 0 }, scan)
        #expect(found.dtype == .float32 && found.shape == [5, 7])
        #expect(found.doubles() == scan.reals.map { Double(Float($0.max()!)) })
    }

    @Test func numbersOfEveryType() throws {
        let scan = ScanFixture(dtype: .uint8)
        let first = scan.reals.map { $0[0] }
        #expect(try result(.function("f") { $0[0, 0] > 99 }, scan).elements(as: Bool.self) == first.map { $0 > 99 })
        #expect(try result(.function("f") { Int($0[0, 0]) }, scan).elements(as: Int64.self) == first.map { Int64($0) })
        #expect(
            try result(.function("f") { -Int32($0[0, 0]) }, scan).elements(as: Int32.self) == first.map { -Int32($0) })
        #expect(
            try result(.function("f") { UInt8($0[0, 0]) }, scan).elements(as: UInt8.self) == first.map { UInt8($0) })
        #expect(
            try result(.function("f") { Double($0[0, 0]) / 3 }, scan).elements(as: Double.self) == first.map { $0 / 3 })
        let complex = try result(.function("f") { Complex64($0[0, 0], $0[5, 8]) }, scan)
        #expect(
            complex.elements(as: Complex64.self) == scan.reals.map { Complex64(Float($0[0]), Float($0[53])) })
    }

    @Test func arrayOfEachFrame() throws {
        let scan = ScanFixture()
        let request = UDFRequest.function("rows", shape: [3, 2]) { image -> [Double] in
            (0..<6).map { y in (0..<image.sigShape.width).reduce(0) { $0 + Double(image[y, $1]) } }
        }
        let expected = scan.reals.map { frame -> [Double] in
            (0..<6).map { y in frame[9 * y..<9 * y + 9].reduce(0, +) }
        }
        #expect(try result(request, scan).shape == [5, 7, 3, 2])
        #expect(try result(request, scan).doubles() == expected.flatMap { $0 })
        let found = try result(request, scan, missing: lostPositions, roi: someRegion)
        let processed = scan.processed(missing: lostPositions, roi: someRegion)
        let missing = Array(repeating: Double.nan, count: 6)
        #expect(
            agree(found.doubles(), (0..<35).flatMap { processed.contains($0) ? expected[$0] : missing }, within: 0))
    }

    @Test func frameKnowsItsPlace() throws {
        let scan = ScanFixture()
        let places = try result(
            .function("f", shape: [3]) { [Int64($0.position), Int64($0.coordinates[0]), Int64($0.coordinates[1])] },
            scan)
        let expected = (0..<35).flatMap { position -> [Int64] in [position, position / 7, position % 7] }
        #expect(places.elements(as: Int64.self) == expected)
    }

    @Test func asPartOfARegistry() throws {
        let scan = ScanFixture()
        let registry = try UDFRegistry.builtIn.adding(function: "first") { $0[0, 0] }
        let requests = [
            UDFRequest(id: "mine", name: "first"), UDFRequest(name: "sum"), .function("last") { $0[5, 8] },
        ]
        let plan = try RunPlan(requests, registry: registry, meta: try scan.meta(framesPerPartition: 8))
        var merger = try scan.run(plan, .init(seed: 4))
        #expect(try merger.require("mine", "result").doubles() == scan.reals.map { $0[0] })
        #expect(try merger.require("last", "result").doubles() == scan.reals.map { $0[53] })
        #expect(message { _ = try registry.adding(function: "sum") { $0[0, 0] } }.contains("two UDFs of this name"))
        #expect(message { _ = try registry.adding(function: "a b") { $0[0, 0] } }.contains("is not made of letters"))
        let unknown = UDFRequest(name: "first", parameters: ["r": 3])
        #expect(
            message { _ = try RunPlan([unknown], registry: registry, meta: plan.meta) }.contains("no parameter \"r\""))
    }

    @Test func functionsAreToldApart() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 8)
        func hash(_ request: UDFRequest) throws -> UInt64 { try RunPlan([request], meta: meta).udfs[0].contentHash }
        let (one, other) = (UDFRequest.function("f") { $0[0, 0] }, UDFRequest.function("f") { $0[0, 1] })
        #expect(one == one && one != other)
        #expect(try hash(one) == hash(one))
        #expect(try hash(one) != hash(other))
    }

    @Test func errorsAreThoseOfTheFunction() throws {
        let scan = ScanFixture()
        func fault(_ request: UDFRequest) throws -> String {
            let plan = try RunPlan([request], meta: try scan.meta(framesPerPartition: 8))
            return message { _ = try scan.run(plan) }
        }
        let failing = UDFRequest.function("f") { image -> Float in
            if image.position == 17 { throw UDFFailure("it does not like this frame") }
            return 1
        }
        #expect(try fault(failing).hasPrefix("UDF f, partition 2: it does not like this frame"))
        let three = UDFRequest.function("f", shape: [2]) { Array($0.pixels.prefix(3)) }
        #expect(try fault(three).contains("made 3 numbers of a frame, which do not fill its shape [2]"))
        #expect(try fault(.function("f") { Array($0.pixels.prefix(2)) }).contains("do not fill its shape []"))
        let impossible = UDFRequest.function("f", shape: [-1]) { $0[0, 0] }
        #expect(message { _ = try fault(impossible) } != "no error")
        let bits = try UDFMeta(
            navShape: [2], sigShape: SigShape(height: 2, width: 2), inputDType: .bool, framesPerPartition: 1)
        #expect(message { _ = try RunPlan([failing], meta: bits) }.contains("must be real numbers"))
    }
}
