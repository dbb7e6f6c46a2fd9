import Foundation
import MerlinProtocol
import StemwireKernels
import StemwireUDF
import Testing

@Suite("Fluctuation and crystallinity against plain sums")
struct FrameStructureTests {
    static let cases: [(Set<Int>, PositionSet?)] = [([], nil), (lostPositions, someRegion)]

    // MARK: fem

    @Test(arguments: [DType.uint8, .uint16, .uint32, .uint64, .float32, .float64], [1, 4, 35])
    func deviationInARing(dtype: DType, framesPerPartition: Int) throws {
        let scan = ScanFixture(dtype: dtype)
        let request = UDFRequest(name: "fem", parameters: ["center": [2.5, 4], "rad_in": 1, "rad_out": 3.4])
        for (missing, roi) in Self.cases {
            let channels = try scan.agreedChannels(
                request, framesPerPartition: framesPerPartition, missing: missing, roi: roi)
            let processed = scan.processed(missing: missing, roi: roi)
            let expected = scan.reals.enumerated().map { position, frame -> Double in
                guard processed.contains(position) else { return .nan }
                let values = frame.indices.filter { pixel in
                    let radius = hypot(Double(pixel / 9) - 2.5, Double(pixel % 9) - 4)
                    return radius > 1 && radius <= 3.4
                }.map { frame[$0] }
                let mean = values.reduce(0, +) / Double(values.count)
                return (values.reduce(0) { $0 + pow($1 - mean, 2) } / Double(values.count)).squareRoot()
            }
            #expect(agree(try channels.numbers("intensity"), expected, within: 1e-7))
            #expect(try channels.array("intensity").dtype == .float32)
            #expect(try channels.array("intensity").shape == [5, 7])
        }
    }

    @Test func deviationOfLargeCountsThatHardlyVary() throws {
        let scan = ScanFixture(navShape: [1, 2], sigShape: SigShape(height: 8, width: 8), dtype: .uint16) {
            $0 == 0 ? 65_535 : 65_535 - UInt64($1 % 2)
        }
        let channels = try scan.agreedChannels(
            UDFRequest(name: "fem", parameters: ["center": "3.5,3.5", "rad_in": "0", "rad_out": "20"]),
            framesPerPartition: 2)
        #expect(try channels.numbers("intensity") == [0, 0.5])
    }

    @Test func impossibleRingsAreNamed() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 8)
        for name in ["fem", "crystallinity"] {
            #expect(refusal(name, [:], meta).contains("rad_in and rad_out are both needed"))
            #expect(refusal(name, ["rad_in": 2], meta).contains("rad_in and rad_out are both needed"))
            #expect(
                refusal(name, ["rad_in": 2, "rad_out": 2], meta).contains(
                    "rad_in: 2.0 and rad_out: 2.0 enclose no ring; rad_in is at least 0"))
            #expect(refusal(name, ["rad_in": -1, "rad_out": 2], meta).contains("enclose no ring"))
            #expect(refusal(name, ["rad_in": "nan", "rad_out": 2], meta).contains("enclose no ring"))
            #expect(refusal(name, ["rad_in": 1, "rad_out": "x"], meta).contains("rad_out: x is not a number"))
        }
        let ring: [String: ParameterValue] = ["rad_in": 1, "rad_out": 2]
        func fem(_ center: ParameterValue) -> String {
            refusal("fem", ring.merging(["center": center]) { $1 }, meta)
        }
        #expect(fem([1]).contains("center: [1.0] is no place on the detector; give y,x in pixels"))
        #expect(fem("nan,1").contains("center: [nan, 1.0] is no place"))
        #expect(fem([100, 100]).contains("no pixel of the frame lies in the ring"))
        func crystallinity(_ parameters: [String: ParameterValue]) -> String {
            refusal("crystallinity", ring.merging(parameters) { $1 }, meta)
        }
        #expect(crystallinity(["real_rad": 2]).contains("real_center and real_rad go together"))
        #expect(crystallinity(["real_center": [1, 1]]).contains("real_center and real_rad go together"))
        #expect(crystallinity(["real_center": [1, 1], "real_rad": -2]).contains("real_rad: -2.0 is no radius"))
        #expect(crystallinity(["real_center": 1, "real_rad": 2]).contains("real_center: [1.0] is no place"))
        #expect(crystallinity(["rad_in": 90, "rad_out": 91]).contains("no frequency of frames of 6 × 9 pixels"))
    }

    // MARK: crystallinity

    /// The sum over the ring of a transform that is written as its definition.
    private func crystallinity(
        _ frame: [Double], _ sig: SigShape, _ inner: Double, _ outer: Double, disk: (Double, Double, Double)?
    ) -> Double {
        let (height, width) = (sig.height, sig.width)
        let pixels = frame.enumerated().map { pixel, value -> Double in
            guard let disk else { return value }
            return hypot(Double(pixel / width) - disk.0, Double(pixel % width) - disk.1) <= disk.2 ? 0 : value
        }
        // The ring around the middle, shifted as numpy.fft.fftshift does: element i goes to (i + n div 2) mod n.
        var ring = Array(repeating: false, count: height * width)
        for y in 0..<height {
            for x in 0..<width {
                let radius = hypot(Double(y) - Double(height) / 2, Double(x) - Double(width) / 2)
                ring[(y + height / 2) % height * width + (x + width / 2) % width] = radius <= outer && radius > inner
            }
        }
        var sum = 0.0
        for ky in 0..<height {
            for kx in 0...width / 2 where ring[ky * width + kx] {
                var (real, imaginary) = (0.0, 0.0)
                for (pixel, value) in pixels.enumerated() {
                    let turns =
                        Double(ky * (pixel / width)) / Double(height) + Double(kx * (pixel % width)) / Double(width)
                    real += value * cos(2 * Double.pi * turns)
                    imaginary -= value * sin(2 * Double.pi * turns)
                }
                sum += hypot(real, imaginary)
            }
        }
        return sum
    }

    @Test(arguments: [DType.uint8, .uint16, .uint32, .float32, .float64], [1, 4, 35])
    func magnitudesInARing(dtype: DType, framesPerPartition: Int) throws {
        let scan = ScanFixture(dtype: dtype)
        let request = UDFRequest(
            name: "crystallinity",
            parameters: ["rad_in": 1, "rad_out": 3.2, "real_center": "2.5,4", "real_rad": 1.5])
        for (missing, roi) in Self.cases {
            let channels = try scan.agreedChannels(
                request, framesPerPartition: framesPerPartition, missing: missing, roi: roi)
            let processed = scan.processed(missing: missing, roi: roi)
            let expected = scan.reals.enumerated().map { position, frame in
                processed.contains(position)
                    ? crystallinity(frame, scan.sigShape, 1, 3.2, disk: (2.5, 4, 1.5)) : .nan
            }
            #expect(agree(try channels.numbers("intensity"), expected, within: 1e-6))
            #expect(try channels.array("intensity").dtype == .float32)
        }
    }

    @Test(arguments: [(8, 8), (7, 8), (8, 7), (5, 5), (1, 12), (12, 1), (16, 10)])
    func framesOfEverySize(height: Int, width: Int) throws {
        let sig = SigShape(height: height, width: width)
        let scan = ScanFixture(navShape: [2, 2], sigShape: sig, dtype: .uint8)
        for (inner, outer) in [(0.0, 3.0), (0.6, 100), (2, 4)] where outer > 4 || min(height, width) > 4 {
            let channels = try scan.agreedChannels(
                UDFRequest(name: "crystallinity", parameters: ["rad_in": .number(inner), "rad_out": .number(outer)]),
                framesPerPartition: 3)
            let expected = scan.reals.map { crystallinity($0, sig, inner, outer, disk: nil) }
            #expect(agree(try channels.numbers("intensity"), expected, within: 1e-6))
        }
    }
}
