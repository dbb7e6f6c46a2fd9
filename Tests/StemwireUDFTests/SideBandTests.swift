import Foundation
import MerlinProtocol
import StemwireKernels
import StemwireUDF
import Testing

@Suite("Single side band ptychography")
struct SideBandTests {
    /// What a reconstruction depends on, in the plainest words.
    struct Setup: Sendable {
        var nav = (rows: 5, columns: 7)
        var sig = SigShape(height: 6, width: 9)
        var wavelength = 0.0025
        var step = (y: 0.04, x: 0.03)
        var semiconv = 0.02
        var radius = 2.5
        var centre = (y: 2.8, x: 4.3)
        var rotation = 0.0
        var flipY = false
        var cutoff = 1.0

        var request: UDFRequest {
            UDFRequest(
                name: "ssb",
                parameters: [
                    "wavelength": .number(wavelength), "step": [.number(step.y), .number(step.x)],
                    "semiconv": .number(semiconv), "semiconv_pix": .number(radius), "cy": .number(centre.y),
                    "cx": .number(centre.x), "scan_rotation": .number(rotation), "flip_y": .bool(flipY),
                    "cutoff": .number(cutoff),
                ])
        }

        /// The shift of the diffracted disk on the detector that rotation and flip turn into the frequency (y, x).
        func shift(_ y: Int, _ x: Int) -> (y: Double, x: Double) {
            let pixel = sin(semiconv) / wavelength / radius
            let frequency = (Double(y) / (step.y * Double(nav.rows)), Double(x) / (step.x * Double(nav.columns)))
            let (cosine, sine) = (cos(rotation * .pi / 180), sin(rotation * .pi / 180))
            // `com` turns detector shifts by this matrix; here it is inverted.
            let sign = flipY ? -1.0 : 1
            let (a, b, c, d) = (cosine * sign, sine, -sine * sign, cosine)
            let determinant = a * d - b * c
            return (
                (d * frequency.0 - b * frequency.1) / determinant / pixel,
                (-c * frequency.0 + a * frequency.1) / determinant / pixel
            )
        }

        /// The disk around the middle, shifted.
        func disk(_ pixel: Int, _ shift: (y: Double, x: Double) = (0, 0)) -> Double {
            let y = Double(pixel / sig.width) - centre.y - shift.y
            let x = Double(pixel % sig.width) - centre.x - shift.x
            return max(0, min(1, radius + 0.5 - hypot(y, x)))
        }

        func trotter(_ y: Int, _ x: Int) -> [Double] {
            let pixels = 0..<sig.pixelCount
            if y == 0 && x == 0 {
                let sum = pixels.reduce(0) { $0 + disk($1) }
                return pixels.map { disk($0) / sum }
            }
            let shift = shift(y, x)
            let back = (y: -shift.y, x: -shift.x)
            let positive = pixels.map { disk($0) * disk($0, shift) * (disk($0, back) == 0 ? 1 : 0) }
            let negative = pixels.map { disk($0) * disk($0, back) * (disk($0, shift) == 0 ? 1 : 0) }
            let sums = (positive.reduce(0, +), negative.reduce(0, +))
            guard hypot(shift.y, shift.x) <= 2 * radius, sums.0 >= cutoff, sums.1 >= cutoff else {
                return pixels.map { _ in 0 }
            }
            return pixels.map { (positive[$0] / sums.0 - negative[$0] / sums.1) / 2 }
        }

        /// F and its inverse transform, over some positions.
        func reconstruct(_ frames: [[Double]], _ positions: [Int]) -> (fourier: [Complex128], image: [Complex128]) {
            var fourier: [Complex128] = []
            for row in 0..<nav.rows {
                for column in 0..<nav.columns {
                    // Half a period per step counts as positive in the upper half, so as negative in the lower one.
                    let isLower = row > nav.rows / 2
                    let y = isLower ? row - nav.rows : row
                    let x =
                        2 * column > nav.columns || isLower && 2 * column == nav.columns
                        ? column - nav.columns : column
                    let trotter = trotter(y, x)
                    var sum = Complex128(0)
                    for position in positions {
                        let value = zip(frames[position], trotter).reduce(0) { $0 + $1.0 * $1.1 }
                        let (r, c) = (position / nav.columns, position % nav.columns)
                        let angle =
                            -2 * Double.pi
                            * (Double(row * r) / Double(nav.rows) + Double(column * c) / Double(nav.columns))
                        sum.real += value * cos(angle)
                        sum.imaginary += value * sin(angle)
                    }
                    fourier.append(sum)
                }
            }
            let size = nav.rows * nav.columns
            let image = (0..<size).map { position -> Complex128 in
                var sum = Complex128(0)
                for (index, value) in fourier.enumerated() {
                    let angle =
                        2 * Double.pi
                        * (Double(index / nav.columns * (position / nav.columns)) / Double(nav.rows)
                            + Double(index % nav.columns * (position % nav.columns)) / Double(nav.columns))
                    sum.real += (value.real * cos(angle) - value.imaginary * sin(angle)) / Double(size)
                    sum.imaginary += (value.real * sin(angle) + value.imaginary * cos(angle)) / Double(size)
                }
                return sum
            }
            return (fourier, image)
        }
    }

    private func expectAgreement(
        _ setup: Setup, _ scan: ScanFixture, framesPerPartition: Int, missing: Set<Int> = [], roi: PositionSet? = nil
    ) throws {
        let channels = try scan.agreedChannels(
            setup.request, framesPerPartition: framesPerPartition, missing: missing, roi: roi)
        let processed = scan.processed(missing: missing, roi: roi)
        let (fourier, image) = setup.reconstruct(scan.reals, processed)
        let isSingle = [.uint8, .uint16, .float32].contains(scan.dtype)
        let tolerance = isSingle ? 1e-6 : 1e-12
        let found = try channels.array("fourier")
        #expect(found.shape == [setup.nav.rows, setup.nav.columns])
        let largest = fourier.reduce(0) { max($0, hypot($1.real, $1.imaginary)) }
        for (value, expected) in zip(found.elements(as: Complex128.self), fourier) {
            #expect(hypot(value.real - expected.real, value.imaginary - expected.imaginary) <= tolerance * largest)
        }
        let (phase, amplitude) = (try channels.array("phase"), try channels.array("amplitude"))
        #expect(phase.shape == found.shape && phase.dtype == (isSingle ? .float32 : .float64))
        for position in image.indices {
            let (angle, modulus) = (phase.doubles()[position], amplitude.doubles()[position])
            guard processed.contains(position) else {
                #expect(angle.isNaN && modulus.isNaN)
                continue
            }
            // As complex numbers, since the angle of a small one is anything.
            let expected = image[position]
            let difference = hypot(
                modulus * modulus * cos(angle) - expected.real, modulus * modulus * sin(angle) - expected.imaginary)
            #expect(difference <= 20 * tolerance * largest / Double(image.count) + 2e-6 * modulus * modulus)
        }
    }

    @Test(arguments: [DType.uint8, .uint16, .uint32, .float32, .float64], [1, 4, 35])
    func asInPlainLoops(dtype: DType, framesPerPartition: Int) throws {
        let scan = ScanFixture(dtype: dtype)
        try expectAgreement(Setup(), scan, framesPerPartition: framesPerPartition)
        try expectAgreement(
            Setup(rotation: 31, flipY: true), scan, framesPerPartition: framesPerPartition, missing: lostPositions,
            roi: someRegion)
    }

    @Test(arguments: [(1, 1), (1, 5), (6, 1), (2, 2), (4, 6), (3, 8), (7, 12)])
    func scansOfEverySize(rows: Int, columns: Int) throws {
        // Even sizes have a frequency of half a period per step, here transmitted by large steps.
        let scan = ScanFixture(navShape: [rows, columns], dtype: .uint16)
        for step in [(y: 0.04, x: 0.03), (y: 0.3, x: 0.25)] {
            try expectAgreement(Setup(nav: (rows, columns), step: step, cutoff: 0.5), scan, framesPerPartition: 17)
        }
    }

    @Test func disksAtTheEdgeOfTheFrame() throws {
        let scan = ScanFixture()
        try expectAgreement(Setup(radius: 3.2, centre: (0.4, 8.1)), scan, framesPerPartition: 8)
        // No trotter is as large as that, so the mean is all that is left.
        let setup = Setup(cutoff: 1000)
        let channels = try scan.agreedChannels(setup.request, framesPerPartition: 8)
        let fourier = try channels.array("fourier").elements(as: Complex128.self)
        #expect(fourier.dropFirst().allSatisfy { $0.real == 0 && $0.imaginary == 0 } && fourier[0].real > 0)
    }

    // MARK: Physics

    /// A weak phase object of few spatial frequencies, and the frames that a scan of it gives.
    struct Specimen {
        var setup: Setup
        /// Frequencies (periods per scan), and the complex amplitudes of the waves of which the phase is twice the real
        /// part.
        let waves: [(y: Int, x: Int, amplitude: Complex128)]

        func phase(_ row: Int, _ column: Int) -> Double {
            waves.reduce(0) { $0 + 2 * contribution($1, row, column).real }
        }

        private func contribution(
            _ wave: (y: Int, x: Int, amplitude: Complex128), _ row: Int, _ column: Int
        ) -> Complex128 {
            let angle =
                2 * Double.pi
                * (Double(wave.y * row) / Double(setup.nav.rows) + Double(wave.x * column) / Double(setup.nav.columns))
            return Complex128(
                wave.amplitude.real * cos(angle) - wave.amplitude.imaginary * sin(angle),
                wave.amplitude.real * sin(angle) + wave.amplitude.imaginary * cos(angle))
        }

        /// M(k) = A(k) + i Σ_q φ(q) A(k − s(q)) e^(2πi q · r), up to a phase: the wave behind a probe at r, far away.
        func count(_ position: Int, _ pixel: Int, dose: Double) -> UInt64 {
            let (row, column) = (position / setup.nav.columns, position % setup.nav.columns)
            var wave = Complex128(setup.disk(pixel))
            for part in waves {
                let term = contribution(part, row, column)
                let shift = setup.shift(part.y, part.x)
                let diffracted = (setup.disk(pixel, shift), setup.disk(pixel, (-shift.y, -shift.x)))
                // i times the term of q, and that of −q, whose amplitude is the conjugate.
                wave.real += -term.imaginary * diffracted.0 + term.imaginary * diffracted.1
                wave.imaginary += term.real * (diffracted.0 + diffracted.1)
            }
            return UInt64(dose * (wave.real * wave.real + wave.imaginary * wave.imaginary) + 0.5)
        }
    }

    static func correlation(_ left: [Double], _ right: [Double]) -> Double {
        let means = (left.reduce(0, +) / Double(left.count), right.reduce(0, +) / Double(right.count))
        let products = zip(left, right).reduce((0.0, 0.0, 0.0)) { sums, pair in
            let (a, b) = (pair.0 - means.0, pair.1 - means.1)
            return (sums.0 + a * b, sums.1 + a * a, sums.2 + b * b)
        }
        return products.0 / (products.1 * products.2).squareRoot()
    }

    @Test(arguments: [(0.0, false), (57, false), (-120, true)])
    func phaseOfAWeakObjectIsFound(rotation: Double, flipY: Bool) throws {
        var setup = Setup()
        setup.nav = (12, 10)
        setup.sig = SigShape(height: 24, width: 26)
        setup.centre = (11.6, 12.9)
        setup.radius = 8
        setup.rotation = rotation
        setup.flipY = flipY
        let specimen = Specimen(
            setup: setup,
            waves: [
                (1, 0, Complex128(0.01, 0.004)), (0, 2, Complex128(-0.006, 0.009)), (2, -1, Complex128(0, 0.008)),
                (3, 2, Complex128(0.007, -0.003)),
            ])
        let scan = ScanFixture(navShape: [12, 10], sigShape: setup.sig, dtype: .uint16) {
            specimen.count($0, $1, dose: 40_000)
        }
        let plan = try RunPlan([setup.request], meta: try scan.meta(framesPerPartition: 30))
        var merger = try scan.run(plan)
        let found = try merger.require("ssb", "phase").doubles()
        let expected = (0..<120).map { specimen.phase($0 / 10, $0 % 10) }
        #expect(Self.correlation(found, expected) > 0.998)
        let worst = zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) }
        #expect(worst < 0.1 * expected.reduce(0) { max($0, abs($1)) }, "\(worst)")
        // The square of the amplitude is the mean count in the disk.
        let amplitudes = try merger.require("ssb", "amplitude").doubles()
        #expect(amplitudes.allSatisfy { abs($0 * $0 / 40_000 - 1) < 0.1 })
        // Another orientation does not find it.
        setup.rotation += 180
        let turned = try RunPlan([setup.request], meta: try scan.meta(framesPerPartition: 30))
        var other = try scan.run(turned)
        #expect(Self.correlation(try other.require("ssb", "phase").doubles(), expected) < 0)
    }

    @Test func partOfAScanShowsItsPart() throws {
        let scan = ScanFixture()
        let plan = try RunPlan([Setup().request], meta: try scan.meta(framesPerPartition: 7))
        let lane = try UDFLane(plan, decoder: scan.decoder)
        var merger = ResultMerger(plan)
        for partition in 0..<2 {
            let task = try lane.begin(partition: partition)
            try scan.feed(task, task.positions)
            try merger.merge(try task.finish())
        }
        let phase = try merger.require("ssb", "phase").doubles()
        #expect(phase.prefix(14).allSatisfy { !$0.isNaN } && phase.dropFirst(14).allSatisfy(\.isNaN))
        #expect(merger.channels().first { $0.name == "phase" }?.valid?.ranges == [0..<14])
    }

    // MARK: Parameters

    @Test func energyIsThatOfElectrons() throws {
        let scan = ScanFixture()
        func fourier(_ parameters: [String: ParameterValue]) throws -> [Complex128] {
            var request = Setup().request
            request.parameters["wavelength"] = nil
            request.parameters.merge(parameters) { $1 }
            var merger = try scan.run(try RunPlan([request], meta: try scan.meta(framesPerPartition: 35)))
            return try merger.require("ssb", "fourier").elements(as: Complex128.self)
        }
        // Kirkland, Advanced Computing in Electron Microscopy: 1.97 pm at 300 keV, 3.70 pm at 100 keV.
        for (energy, wavelength) in [(300.0, 0.001_968_748_9), (100, 0.003_701_436_3)] {
            let found = try fourier(["energy": .number(energy)])
            let expected = try fourier(["wavelength": .number(wavelength)])
            let differences = zip(found, expected).map { hypot($0.real - $1.real, $0.imaginary - $1.imaginary) }
            #expect(differences.allSatisfy { $0 < 1e-5 * expected[0].real })
        }
    }

    @Test func parametersAsOnACommandLine() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 8)
        let text = "ssb:energy=200,step=0.04,0.03,semiconv=0.02,semiconv_pix=2.5"
        #expect(message { _ = try RunPlan([try UDFRequest(argument: text)], meta: meta) } == "no error")
        let own = try UDFRequest(
            SideBandUDF.self, .init(energy: 200, step: (0.04, 0.03), semiconv: 0.02, semiconvPixels: 2.5))
        let plans = try [own, UDFRequest(argument: text)].map { try RunPlan([$0], meta: meta) }
        #expect(plans[0].udfs[0].contentHash == plans[1].udfs[0].contentHash)
    }

    @Test func impossibleParametersAreNamed() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 8)
        func fault(_ name: String, _ value: ParameterValue?, _ meta: UDFMeta) -> String {
            var parameters = Setup().request.parameters
            parameters[name] = value
            return refusal("ssb", parameters, meta)
        }
        #expect(fault("wavelength", nil, meta).contains("the energy of the electrons in keV is needed"))
        #expect(fault("wavelength", 0, meta).contains("give one of the two, above 0"))
        #expect(fault("energy", 200, meta).contains("give one of the two, above 0"))
        #expect(fault("step", nil, meta).contains("step of the scan in nm is needed"))
        #expect(fault("step", [0.1, -1], meta).contains("step of the scan in nm is needed"))
        #expect(fault("step", [0.1, 1, 1], meta).contains("step of the scan in nm is needed"))
        #expect(fault("semiconv", 2, meta).contains("semiconvergence angle in rad is needed"))
        #expect(fault("semiconv_pix", 0.5, meta).contains("radius of the undiffracted disk in pixels is needed"))
        #expect(fault("cutoff", 0, meta).contains("cutoff: 0.0 is no number of pixels"))
        #expect(fault("scan_rotation", "inf", meta).contains("is no angle"))
        #expect(fault("cy", "nan", meta).contains("no place on the detector"))
        let line = try ScanFixture(navShape: [35]).meta(framesPerPartition: 8)
        #expect(fault("cutoff", 1, line).contains("not one of rows and columns"))
        let large = try UDFMeta(
            navShape: [1024, 1024], sigShape: SigShape(height: 256, width: 256), inputDType: .uint16,
            framesPerPartition: 1024)
        let refused = fault("semiconv_pix", 60, large)
        #expect(refused.contains("1024 × 1024 scan positions with a disk of 60.0 pixels take about"), "\(refused)")
        #expect(refused.contains("more than 2 GiB: bin the frames, or scan fewer positions"))
    }
}
