import MerlinProtocol
import StemwireKernels
import StemwireUDF
import Testing

@Suite("Corrections guessed while a scan goes on")
struct GuessCorrectionsTests {
    @Test(arguments: [DType.uint8, .uint16, .float64], [1, 8, 35])
    func asFromTheCentresOfMass(dtype: DType, framesPerPartition: Int) throws {
        let scan = ScanFixture(dtype: dtype)
        let mask: [String: ParameterValue] = ["cy": 2.5, "cx": 4, "r": 3.5, "ri": 1]
        // Far from the last row, so that there are positions with all their neighbours.
        for missing in [[], [31, 34]] as [Set<Int>] {
            let found = try scan.agreedChannels(
                UDFRequest(name: "guess-corrections", parameters: mask), framesPerPartition: framesPerPartition,
                missing: missing)
            let centres = try scan.agreedChannels(
                UDFRequest(name: "com", parameters: mask), framesPerPartition: framesPerPartition, missing: missing)
            let expected = try CentreOfMassUDF.guessCorrections(try centres.array("raw_com"))
            #expect(found.count == 4)
            #expect(try found.array("scan_rotation").shape.isEmpty)
            #expect(try found.numbers("scan_rotation") == [Double(expected.scanRotation)])
            #expect(try found.array("flip_y").elements(as: Bool.self) == [expected.flipY])
            #expect(agree(try found.numbers("cy"), [expected.cy], within: 1e-6))
            #expect(agree(try found.numbers("cx"), [expected.cx], within: 1e-6))
        }
    }

    @Test func tooFewPositionsGiveNothing() throws {
        let scan = ScanFixture()
        let found = try scan.agreedChannels(
            UDFRequest(name: "guess-corrections"), framesPerPartition: 8, missing: Set(1..<35))
        for channel in ["scan_rotation", "cy", "cx"] { #expect(try found.numbers(channel)[0].isNaN) }
        #expect(try found.array("flip_y").elements(as: Bool.self) == [false])
    }

    @Test func maskIsThatOfTheCentreOfMass() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 8)
        #expect(refusal("guess-corrections", ["r": 2, "ri": 3], meta).contains("enclose nothing"))
        #expect(refusal("guess-corrections", ["flip_y": true], meta).contains("guess-corrections takes cy"))
    }
}
