import MerlinProtocol
import StemwireKernels
import StemwireUDF
import Testing

@Suite("Picked frames")
struct PickTests {
    @Test(arguments: [DType.uint8, .uint16, .uint32, .uint64, .float32, .float64], [1, 4, 35])
    func framesInTheOrderOfTheRequest(dtype: DType, framesPerPartition: Int) throws {
        let scan = ScanFixture(dtype: dtype)
        let request = UDFRequest(name: "pick", parameters: ["frames": "20,3-6,34"])
        for missing in [[], lostPositions] as [Set<Int>] {
            let channels = try scan.agreedChannels(
                request, framesPerPartition: framesPerPartition, missing: missing)
            let array = try channels.array("intensity")
            #expect(array.shape == [6, 6, 9])
            #expect(array.dtype == dtype)
            let none = Array(repeating: 0.0, count: 54)
            let expected = [20, 3, 4, 5, 6, 34].flatMap { missing.contains($0) ? none : scan.reals[$0] }
            #expect(array.doubles() == expected)
        }
    }

    @Test func framesAsTheDetectorSendsThem() throws {
        let scan = ScanFixture(dtype: .uint16, bigEndian: true)
        let header = "MQ1,000001,00384,01,0009,0006,U16,   1x1,01,2026-01-02 03:04:05.000000,0.001,0,0,0,1,"
        let bytes = Array(header.utf8) + Array(repeating: 0, count: 384 - header.utf8.count)
        let format = try bytes.withUnsafeBytes {
            try FrameFormat(header: $0, payloadBytes: 108, acquisitionDepth: nil)
        }
        let request = try UDFRequest(PickUDF.self, .init(frames: [7, 0]))
        let plan = try RunPlan([request], meta: try scan.meta(framesPerPartition: 6))
        var merger = try scan.run(plan, .init(seed: 3), decoder: try FrameDecoder(format))
        #expect(try merger.require("pick").counts == scan.frames[7] + scan.frames[0])
    }

    @Test func positionsInEveryForm() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 8)
        func ranges(_ value: ParameterValue) throws -> ParameterValue? {
            let plan = try RunPlan([UDFRequest(name: "pick", parameters: ["frames": value])], meta: meta)
            guard case .object(let parameters) = plan.udfs[0].parameters else { return nil }
            return parameters["frames"]
        }
        #expect(try ranges("1,2,7-9") == [1, 2, "7-9"])
        #expect(try ranges([1, "2", "7-9"]) == [1, 2, "7-9"])
        #expect(try ranges(5) == [5])
        let request = try UDFRequest(argument: "pick:frames=4,7-8,1")
        let plan = try RunPlan([request], meta: meta)
        #expect(plan.udfs[0].declarations[0].extraShape == [4, 6, 9])
    }

    @Test func impossiblePositionsAreNamed() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 8, roi: someRegion)
        func fault(_ frames: ParameterValue) -> String { refusal("pick", ["frames": frames], meta) }
        #expect(refusal("pick", [:], meta).contains("frames: no scan position is given"))
        #expect(fault([]).contains("frames: no scan position is given"))
        #expect(fault("35").contains("frames: 35 is no scan position; they are 0 to 34"))
        #expect(fault("-1").contains("frames: -1 is no scan position"))
        #expect(fault("30-40").contains("frames: 40 is no scan position"))
        #expect(fault("0-9223372036854775807").contains("is no scan position"))
        #expect(fault("4-2").contains("frames: 4-2 is no scan position and no range"))
        #expect(fault("a,2").contains("frames: a is no scan position"))
        #expect(fault("1.5").contains("frames: 1.5 is no scan position"))
        #expect(fault("4,5,4").contains("frames: 4 is named twice"))
        #expect(fault("3").contains("frames: 3 is not in the region of interest"))
        let large = try UDFMeta(
            navShape: [100, 100], sigShape: SigShape(height: 1024, width: 1024), inputDType: .uint16,
            framesPerPartition: 8)
        #expect(refusal("pick", ["frames": "0-128"], large).contains("more than 256 MiB; pick at most 128 of them"))
        #expect(refusal("pick", ["frames": "0-127"], large) == "no error")
    }
}
