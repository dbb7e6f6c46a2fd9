import MerlinProtocol
import Testing

@testable import MerlinSimulator

@Suite struct PatternTests {
    private func format(
        _ shape: (Int, Int), _ depth: CounterDepth, _ layout: SensorLayout = .single
    ) throws -> DetectorFormat {
        try DetectorFormat(
            layout: layout, sigShape: SigShape(height: shape.0, width: shape.1), counterDepth: depth, pixelType: .u32)
    }

    // MARK: - Self-identifying frames

    @Test(arguments: CounterDepth.allCases) func framesTellWhichTheyAre(depth: CounterDepth) throws {
        for (shape, layout) in [((8, 8), SensorLayout.single), ((16, 12), .single), ((18, 18), .quadWithGap)] {
            let pattern = SelfIdentifyingPattern(try format(shape, depth, layout))
            for (acquisition, frame) in [(0, 0), (1, 7), (65535, UInt32.max), (3, 1_048_575)] as [(UInt16, UInt32)] {
                let identity = SelfIdentifyingPattern.Identity(acquisition: acquisition, frame: frame)
                var image = pattern.encoded(identity, as: UInt32.self)
                #expect(image.allSatisfy { $0 < 1 << UInt32(depth.rawValue) })
                #expect(pattern.identify(image) == identity)
                // Every pixel counts.
                image[image.count - 1] ^= 1
                #expect(pattern.identify(image) == nil)
            }
            #expect(pattern.identify([UInt32](repeating: 0, count: shape.0 * shape.1)) == nil)
        }
    }

    @Test func mixedAndShiftedFramesAreFound() throws {
        let pattern = SelfIdentifyingPattern(try format((16, 16), .one))
        let first = pattern.image(frame: 5, acquisition: 1)
        let second = pattern.image(frame: 6, acquisition: 1)
        #expect(pattern.identify(first)?.frame == 5)
        #expect(pattern.identify(Array(first[..<128] + second[128...])) == nil)
        #expect(pattern.identify(Array(first[1...] + first[..<1])) == nil)
    }

    // MARK: - Synthetic scans

    @Test func aFrameDependsOnSeedAndNumberAlone() throws {
        let format = try format((64, 64), .twelve)
        let pattern = SyntheticPattern(format, navShape: [6, 5], seed: 3)
        let again = SyntheticPattern(format, navShape: [6, 5], seed: 3)
        let other = SyntheticPattern(format, navShape: [6, 5], seed: 4)
        let forwards = (0..<6).map { pattern.image(frame: $0) }
        let backwards = (0..<6).reversed().map { again.image(frame: $0, acquisition: 9) }
        #expect(forwards == Array(backwards.reversed()))
        #expect(forwards[0] != forwards[1])
        #expect(forwards[2] != other.image(frame: 2))
        // The next repetition of the scan: the same place, other noise.
        #expect(pattern.image(frame: 30) != forwards[0])
    }

    @Test func dosePoissonNoiseAndPlaceOfTheDiskAreRight() throws {
        // The hole of the specimen, where all electrons go into the disk.
        let specimen = Specimen(seed: 1)
        let side = 24
        let hole = try #require(
            (0..<(side * side)).first {
                specimen.thickness(
                    y: (Double($0 / side) + 0.5) / Double(side), x: (Double($0 % side) + 0.5) / Double(side)) == 0
            })
        let dose = 3000.0
        let pattern = SyntheticPattern(try format((64, 64), .twelve), navShape: [side, side], seed: 1, dose: dose)
        // All axes in front of the last two repeat the specimen with other noise.
        let sums = (0..<60).map { repetition in
            pattern.image(frame: hole + repetition * side * side).reduce(0.0) { $0 + Double($1) }
        }
        let mean = sums.reduce(0, +) / 60
        #expect(abs(mean - dose) < 5 * (dose / 60).squareRoot())
        let variance = sums.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 59
        #expect((0.5...1.7).contains(variance / dose))

        let image = pattern.image(frame: hole)
        let shift = specimen.shift(
            y: (Double(hole / side) + 0.5) / Double(side), x: (Double(hole % side) + 0.5) / Double(side))
        var (sumY, sumX, total) = (0.0, 0.0, 0.0)
        for (index, count) in image.enumerated() {
            sumY += Double(count) * (Double(index / 64) + 0.5)
            sumX += Double(count) * (Double(index % 64) + 0.5)
            total += Double(count)
        }
        #expect(abs(sumY / total - 32 - shift.y * pattern.diskRadius) < 0.25)
        #expect(abs(sumX / total - 32 - shift.x * pattern.diskRadius) < 0.25)
        // Nothing beyond the disk, its shift and its soft edge.
        let radius = pattern.diskRadius * 1.4 + 1
        for (index, count) in image.enumerated() where count > 0 {
            let (y, x) = (Double(index / 64) + 0.5 - 32, Double(index % 64) + 0.5 - 32)
            #expect(y * y + x * x < radius * radius)
        }
    }

    @Test func virtualImagesShowTheSpecimen() throws {
        let specimen = Specimen(seed: 5)
        let side = 16
        let pattern = SyntheticPattern(try format((32, 32), .twelve), navShape: [side, side], seed: 5, dose: 2000)
        var (inFilm, inHole) = ([(bright: Double, dark: Double)](), [(bright: Double, dark: Double)]())
        for frame in 0..<(side * side) {
            let image = pattern.image(frame: frame)
            var (bright, dark) = (0.0, 0.0)
            for (index, count) in image.enumerated() {
                let (y, x) = (Double(index / 32) - 15.5, Double(index % 32) - 15.5)
                if y * y + x * x < 9 { bright += Double(count) } else if y * y + x * x > 36 { dark += Double(count) }
            }
            let thickness = specimen.thickness(
                y: (Double(frame / side) + 0.5) / Double(side), x: (Double(frame % side) + 0.5) / Double(side))
            if thickness > 0 { inFilm.append((bright, dark)) } else { inHole.append((bright, dark)) }
        }
        #expect(inFilm.count > 100 && inHole.count > 3)
        func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
        let brightFilm = mean(inFilm.map(\.bright))
        #expect(mean(inHole.map(\.bright)) > 1.2 * brightFilm)
        #expect(mean(inFilm.map(\.dark)) > 10 * mean(inHole.map(\.dark)))
        // More structure than noise within the film.
        let deviation = mean(inFilm.map { ($0.bright - brightFilm) * ($0.bright - brightFilm) }).squareRoot()
        #expect(deviation > 3 * brightFilm.squareRoot())
    }

    @Test func gapsAndSmallCountersAreRespected() throws {
        let gap = SyntheticPattern(try format((34, 34), .twelve, .quadWithGap), navShape: [4], seed: 1)
        let image = gap.image(frame: 1)
        #expect((0..<34).allSatisfy { image[16 * 34 + $0] == 0 && image[$0 * 34 + 17] == 0 })
        #expect(image.contains { $0 > 0 })
        let bit = try format((64, 64), .one)
        let pattern = SyntheticPattern(bit, navShape: [4], seed: 1)
        let counts = pattern.image(frame: 0)
        #expect(counts.count { $0 > 1 } * 8 < counts.count { $0 == 1 })
    }

    @Test func smallPoissonNumbersHaveTheirMean() {
        var random = RandomSource(seed: 1)
        let sum = (0..<2000).reduce(0) { sum, _ in sum + SyntheticPattern.poisson(mean: 2.5, &random) }
        #expect(abs(Double(sum) / 2000 - 2.5) < 0.2)
        #expect(SyntheticPattern.poisson(mean: 0, &random) == 0)
    }
}
