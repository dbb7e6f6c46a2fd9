import Glibc
import MerlinProtocol

/// A simulated 4D-STEM scan: each frame is counted electron by electron from the ``Specimen`` at its probe position.
///
/// The number of electrons in a frame is Poisson distributed around the dose, and each takes its way at random: into the
/// direct disk, a Bragg disk or the diffuse scattering. So all pixels are independent Poisson counts. A frame is fully
/// given by (seed, frame number): the same in every acquisition, whatever was made before. Electrons that miss the
/// detector or hit the gap of a quad are not counted.
public struct SyntheticPattern: FramePattern {
    public let sigShape: SigShape
    /// Scan shape, slowest axis first. The last two axes span the specimen; further axes repeat it with other noise.
    public let navShape: [Int]
    /// Mean number of electrons in a frame.
    public let dose: Double
    public let seed: UInt64
    /// Radius of the disks in pixels.
    public let diskRadius: Double

    private let specimen: Specimen
    private let height: Int
    private let width: Int
    private let gapRows: Range<Int>
    private let gapColumns: Range<Int>
    /// Electron positions within a disk, within close and within high-angle scattering: `tableSize` each, in 1/64 pixel.
    private let offsets: [Offset]

    private struct Offset: Sendable {
        var y: Int32
        var x: Int32
    }

    private static let tableBits: UInt64 = 14
    private static let tableSize = 1 << 14
    /// Entries of the table that turns random bits into a beam.
    private static let choices = 4096
    private static let subpixel = 64.0

    /// - Parameters:
    ///   - navShape: at least one axis, all positive.
    ///   - dose: mean electrons a frame; nil for one that suits the counter depth (see ``defaultDose(_:)``).
    public init(_ format: DetectorFormat, navShape: [Int], seed: UInt64, dose: Double? = nil) {
        precondition(!navShape.isEmpty && navShape.allSatisfy { $0 > 0 }, "a scan shape has positive axes")
        sigShape = format.sigShape
        height = format.sigShape.height
        width = format.sigShape.width
        gapRows = format.gapRows
        gapColumns = format.gapColumns
        self.navShape = navShape
        self.seed = seed
        self.dose = dose ?? Self.defaultDose(format)
        diskRadius = Self.diskRadius(format.sigShape)
        specimen = Specimen(seed: seed)
        offsets = Self.makeOffsets(radius: diskRadius)
    }

    /// Radius of the disks for an image of this shape: 20 pixels on 256 × 256.
    public static func diskRadius(_ shape: SigShape) -> Double {
        20.0 / 256 * Double(min(shape.height, shape.width))
    }

    /// Electrons a frame that look good and stay far below saturation: 16 in a pixel of the undiffracted disk, with a
    /// 1-bit counter 0.12.
    public static func defaultDose(_ format: DetectorFormat) -> Double {
        let radius = diskRadius(format.sigShape)
        return (format.counterDepth == .one ? 0.12 : 16) * .pi * radius * radius
    }

    public func render(frame: Int, acquisition: UInt64, into image: UnsafeMutableBufferPointer<UInt32>) {
        precondition(image.count == sigShape.pixelCount, "an image of \(sigShape) pixels is needed")
        image.update(repeating: 0)
        let (y, x) = position(frame)
        let pattern = specimen.pattern(y: y, x: x)
        var random = RandomSource(seed: seed, stream: UInt64(bitPattern: Int64(frame)))
        let electrons = Self.poisson(mean: dose, &random)

        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.choices) { choice in
            withUnsafeTemporaryAllocation(of: Target.self, capacity: pattern.beams.count + 2) { targets in
                fill(choice, targets, pattern)
                offsets.withUnsafeBufferPointer { offsets in
                    scatter(electrons, &random, choice, targets, offsets, image)
                }
            }
        }
        clearGap(image)
    }

    /// Where a kind of electron goes: centre in 1/64 pixel, and its part of the table of offsets.
    private struct Target {
        var y: Int32
        var x: Int32
        var table: Int
        /// Width of the jitter in pixels.
        var spread: Int32 = 1
    }

    private func fill(
        _ choice: UnsafeMutableBufferPointer<UInt8>, _ targets: UnsafeMutableBufferPointer<Target>,
        _ pattern: Specimen.Pattern
    ) {
        func fixed(_ radii: Double, _ side: Int) -> Int32 {
            Int32((radii * diskRadius + Double(side) / 2) * Self.subpixel)
        }
        var (used, sum) = (0, 0.0)
        func add(_ weight: Double, _ target: Target, _ index: Int) {
            targets[index] = target
            sum += weight
            let end = min(Self.choices, Int((sum * Double(Self.choices)).rounded()))
            while used < end {
                choice[used] = UInt8(truncatingIfNeeded: index)
                used += 1
            }
        }
        for (index, beam) in pattern.beams.enumerated() {
            add(beam.weight, Target(y: fixed(beam.y, height), x: fixed(beam.x, width), table: 0), index)
        }
        let centre = (fixed(pattern.shiftY, height), fixed(pattern.shiftX, width))
        let count = pattern.beams.count
        add(pattern.diffuse, Target(y: centre.0, x: centre.1, table: Self.tableSize, spread: 2), count)
        let highAngle = Target(y: centre.0, x: centre.1, table: 2 * Self.tableSize, spread: 12)
        add(pattern.highAngle, highAngle, count + 1)
        // Rounding may leave the last entries open: they are the direct beam's.
        while used < Self.choices {
            choice[used] = 0
            used += 1
        }
    }

    @inline(__always)
    private func scatter(
        _ electrons: Int, _ random: inout RandomSource, _ choice: UnsafeMutableBufferPointer<UInt8>,
        _ targets: UnsafeMutableBufferPointer<Target>, _ offsets: UnsafeBufferPointer<Offset>,
        _ image: UnsafeMutableBufferPointer<UInt32>
    ) {
        let (height, width) = (UInt32(height), UInt32(width))
        for _ in 0..<electrons {
            let bits = random.next()
            let target = targets[Int(choice[Int(truncatingIfNeeded: bits & 4095)])]
            let index = Int(truncatingIfNeeded: (bits >> 12) & UInt64(Self.tableSize - 1))
            let offset = offsets[target.table &+ index]
            // A jitter, for a disk of one pixel, softens the edges and hides that the table is finite.
            let jitterY = (Int32(truncatingIfNeeded: (bits >> 26) & 63) &- 32) &* target.spread
            let jitterX = (Int32(truncatingIfNeeded: (bits >> 32) & 63) &- 32) &* target.spread
            let y = UInt32(bitPattern: (target.y &+ offset.y &+ jitterY) >> 6)
            let x = UInt32(bitPattern: (target.x &+ offset.x &+ jitterX) >> 6)
            if y < height, x < width { image[Int(y &* width &+ x)] &+= 1 }
        }
    }

    private func clearGap(_ image: UnsafeMutableBufferPointer<UInt32>) {
        guard !gapRows.isEmpty || !gapColumns.isEmpty else { return }
        for row in 0..<height {
            for column in gapRows.contains(row) ? 0..<width : gapColumns { image[row * width + column] = 0 }
        }
    }

    /// Place of a frame on the specimen, both axes in 0 ..< 1.
    private func position(_ frame: Int) -> (y: Double, x: Double) {
        let columns = navShape[navShape.count - 1]
        let rows = navShape.count > 1 ? navShape[navShape.count - 2] : 1
        let row = (frame / columns) % rows
        return ((Double(row) + 0.5) / Double(rows), (Double(frame % columns) + 0.5) / Double(columns))
    }

    /// A Poisson number; from a mean of 200 on by the normal approximation.
    static func poisson(mean: Double, _ random: inout RandomSource) -> Int {
        guard mean > 0 else { return 0 }
        if mean < 200 {
            let limit = exp(-mean)
            var (count, product) = (0, random.unit())
            while product > limit {
                count += 1
                product *= random.unit()
            }
            return count
        }
        let radius = (-2 * log(1 - random.unit())).squareRoot()
        return max(0, Int((mean + mean.squareRoot() * radius * cos(2 * .pi * random.unit())).rounded()))
    }

    /// Evenly spread points (Vogel's sunflower spiral), mapped to each of the radial distributions.
    private static func makeOffsets(radius: Double) -> [Offset] {
        let golden = Double.pi * (3 - 5.0.squareRoot())
        /// Radius, in disk radii, within which a fraction of the electrons lies.
        let distributions: [(Double) -> Double] = [
            { fraction in fraction.squareRoot() },
            // Gaussian in the plane: inelastic scattering around the beam.
            { fraction in 1.7 * (-2 * log(1 - fraction)).squareRoot() },
            // Thermal diffuse scattering: 1 / (1 + r²)² in the plane, wide.
            { fraction in 5 * (fraction / (1 - fraction)).squareRoot() },
        ]
        return distributions.flatMap { distribution in
            (0..<tableSize).map { index in
                let distance = min(
                    distribution((Double(index) + 0.5) / Double(tableSize)) * radius * subpixel, Double(Int32.max / 4))
                let angle = Double(index) * golden
                return Offset(
                    y: Int32((distance * sin(angle)).rounded()), x: Int32((distance * cos(angle)).rounded()))
            }
        }
    }
}
