import Foundation
import MerlinProtocol
import StemwireKernels
import StemwireUDF
import Testing

@Suite("Radial Fourier series against plain sums")
struct RadialFourierTests {
    /// c(bin, order) of a frame, in the plainest words; the parameters are all given.
    private func series(
        _ frame: [Double], width: Int, cy: Double, cx: Double, ri: Double, ro: Double, bins: Int, orders: Int
    ) -> [Complex128] {
        let binWidth = (ro - ri) / Double(bins)
        return (0..<bins).flatMap { bin in
            (0..<orders).map { order in
                var sum = Complex128(0)
                for (pixel, value) in frame.enumerated() {
                    let (y, x) = (Double(pixel / width) - cy, Double(pixel % width) - cx)
                    let distance = abs(hypot(y, x) - (ri + Double(bin) * binWidth + binWidth / 2))
                    var weight = max(0, min(1, binWidth / 2 + 0.5 - distance))
                    let nearest = [cy, cx].map { Int($0.rounded(.toNearestOrEven)) }
                    if bin == 0, ri < 0.5, nearest == [pixel / width, pixel % width] { weight = 1 - ri }
                    sum.real += value * weight * cos(Double(order) * atan2(y, x))
                    sum.imaginary += value * weight * sin(Double(order) * atan2(y, x))
                }
                return sum
            }
        }
    }

    @Test(arguments: [DType.uint8, .uint16, .uint32, .float32, .float64], [1, 4, 35])
    func everyChannel(dtype: DType, framesPerPartition: Int) throws {
        let scan = ScanFixture(dtype: dtype)
        let request = UDFRequest(
            name: "radial-fourier",
            parameters: ["cy": 2.4, "cx": 3.5, "ri": 0.25, "ro": 4.5, "n_bins": 2, "max_order": 5])
        let real: DType = [.uint8, .uint16, .float32].contains(dtype) ? .float32 : .float64
        let figures = real == .float32 ? 1e-5 : 1e-11
        for (missing, roi) in [([], nil), (lostPositions, someRegion)] as [(Set<Int>, PositionSet?)] {
            let channels = try scan.agreedChannels(
                request, framesPerPartition: framesPerPartition, missing: missing, roi: roi)
            let processed = scan.processed(missing: missing, roi: roi)
            let expected = scan.reals.enumerated().map { position, frame -> [Complex128]? in
                guard processed.contains(position) else { return nil }
                return series(frame, width: 9, cy: 2.4, cx: 3.5, ri: 0.25, ro: 4.5, bins: 2, orders: 6)
            }
            // Errors of rounding are those of sums over all pixels.
            let scale = scan.reals.joined().reduce(0) { max($0, abs($1)) } * 54
            func numbers(_ value: (Complex128, Complex128) -> Double) -> [Double] {
                expected.flatMap { series in
                    guard let series else { return Array(repeating: Double.nan, count: 12) }
                    return series.indices.map { value(series[$0], series[$0 / 6 * 6]) }
                }
            }
            func size(_ c: Complex128) -> Double { hypot(c.real, c.imaginary) }
            func near(_ found: [Double], _ values: [Double], _ unit: Double) -> Bool {
                zip(found, values).allSatisfy { $0.isNaN && $1.isNaN || abs($0 - $1) <= figures * unit }
            }
            #expect(near(try channels.numbers("absolute"), numbers { c, _ in size(c) }, scale))
            let phases = try channels.numbers("phase")
            let sizes = numbers { c, _ in size(c) }
            for (index, phase) in numbers({ c, _ in atan2(c.imaginary, c.real) }).enumerated() where !phase.isNaN {
                #expect(abs(sin((phases[index] - phase) / 2)) <= figures * scale / sizes[index])
            }
            // Orders above 0 are divided by what order 0 is, which may nearly vanish for numbers of both signs.
            let complex = MasksTests.parts(try channels.array("complex"))
            let divisors = numbers { _, zeroth in max(1, size(zeroth)) }.enumerated().map { $0 % 6 == 0 ? 1 : $1 }
            func scaled(_ parts: [Double]) -> [Double] { zip(parts, divisors).map { $0 * $1 } }
            let errors = dtype.isFloatingPoint ? 100 * scale : scale
            #expect(near(scaled(complex.real), numbers { c, _ in c.real }, errors))
            #expect(near(scaled(complex.imaginary), numbers { c, _ in c.imaginary }, errors))
            #expect(try channels.array("complex").dtype == (real == .float32 ? .complex64 : .complex128))
            #expect(try channels.array("absolute").dtype == real)
            #expect(try channels.array("phase").shape == [5, 7, 2, 6])
            #expect(try channels.array("dominant").shape == [5, 7, 2])
            // The dominant order, from the absolute values.
            let absolute = try channels.numbers("absolute")
            let dominant = try channels.numbers("dominant")
            for bin in 0..<2 {
                let rows = processed.map { absolute[(($0 * 2 + bin) * 6 + 1)..<(($0 * 2 + bin) * 6 + 6)] }
                let threshold = 0.2 * rows.map { $0.max()! }.max()!
                for (position, row) in zip(processed, rows) {
                    let best = row.firstIndex(of: row.max()!)! - row.startIndex + 1
                    #expect(dominant[position * 2 + bin] == (row.max()! < threshold ? 0 : Double(best)))
                }
            }
        }
    }

    @Test func defaultsAndChannelsFollowLiberTEM() throws {
        let scan = ScanFixture(dtype: .uint8)
        let meta = try scan.meta(framesPerPartition: 8)
        #expect(RunPlanChannels.of("radial-fourier", meta) == ["dominant", "absolute", "phase", "complex"])
        #expect(
            RadialFourierUDF.parameters.map { "\($0.name)=\($0.defaultValue ?? "")" } == [
                "cy=", "cx=", "ri=0", "ro=", "n_bins=1", "max_order=24",
            ])
        let channels = try scan.agreedChannels(UDFRequest(name: "radial-fourier"), framesPerPartition: 8)
        let expected = scan.reals.flatMap { frame in
            series(frame, width: 9, cy: 3, cx: 4.5, ri: 0, ro: 7, bins: 1, orders: 25).map {
                hypot($0.real, $0.imaginary)
            }
        }
        #expect(agree(try channels.numbers("absolute"), expected, within: 1e-2))
        #expect(try channels.array("absolute").shape == [5, 7, 1, 25])
    }

    @Test func symmetryIsFound() throws {
        // Three spots on a ring around the centre; on some frames none.
        let sig = SigShape(height: 41, width: 41)
        let spots = (0..<3).map { index in
            let angle = 2 * Double.pi * Double(index) / 3
            return Int((20 + 12 * sin(angle)).rounded()) * 41 + Int((20 + 12 * cos(angle)).rounded())
        }
        let scan = ScanFixture(navShape: [2, 3], sigShape: sig, dtype: .uint16) { position, pixel in
            position != 4 && spots.contains(pixel) ? 1000 : pixel == 20 * 41 + 20 ? 60_000 : 0
        }
        let request = UDFRequest(
            name: "radial-fourier",
            parameters: ["cy": 20, "cx": 20, "ri": 4, "ro": 20, "n_bins": "2", "max_order": "5"])
        let channels = try scan.agreedChannels(request, framesPerPartition: 4)
        #expect(try channels.numbers("dominant").enumerated().allSatisfy { $1 == ($0 / 2 == 4 ? 0 : 3) })
        let inOne = try scan.agreedChannels(
            UDFRequest(name: "radial-fourier", parameters: ["max_order": 0, "ro": 5]), framesPerPartition: 4)
        #expect(try inOne.numbers("dominant") == [0, 0, 0, 0, 0, 0])
    }

    @Test func impossibleParametersAreNamed() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 8)
        func fault(_ parameters: [String: ParameterValue]) -> String { refusal("radial-fourier", parameters, meta) }
        #expect(fault(["ri": 5, "ro": 5]).contains("ri: 5.0 and ro: 5.0 enclose no ring"))
        #expect(fault(["ri": -1]).contains("ri is at least 0"))
        #expect(fault(["ro": "inf"]).contains("ro: inf enclose no ring"))
        #expect(fault(["n_bins": 0]).contains("n_bins: 0, max_order: 24: there must be at least 1 ring"))
        #expect(fault(["max_order": -1]).contains("max_order: -1: there must be"))
        let many = fault(["n_bins": 1_000_000, "max_order": 1000])
        #expect(many.contains("n_bins times (max_order + 1) can be at most \((1 << 30) / (16 * 54))"))
        #expect(fault(["max_order": .integer(.max)]).contains("can be at most"))
        #expect(fault(["n_bins": .integer(.max), "max_order": 3]).contains("can be at most"))
        #expect(fault(["cx": "inf"]).contains("cx: inf is no place"))
        #expect(fault(["bins": 2]).contains("n_bins [1] (number of rings)"))
    }
}
