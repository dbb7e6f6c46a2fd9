import Glibc
import MerlinProtocol
import StemwireKernels

/// The part of a frame's discrete Fourier transform that lies in a ring around frequency 0.
///
/// F(ky, kx) = Σ_y Σ_x f(y, x) e^(−2πi (ky y / height + kx x / width)), for kx = 0 … width div 2: first
/// G(y, kx) = Σ_x f e^(−2πi kx x / width) for the kx that occur, then F(ky, kx) = Σ_y G e^(−2πi ky y / height) for the
/// ky that occur (the separation of the two-dimensional transform into rows and columns).
public struct RingTransform: Sendable {
    private let sigShape: SigShape
    /// The kx that occur, and the ky.
    private let columns: [Int]
    private let rows: [Int]
    /// For each of `columns`, the indices in `rows` of the frequencies in the ring.
    private let selected: [[Int]]
    /// [kx, real and imaginary part, x].
    private let alongX: [Double]
    /// [ky, real and imaginary part, real and imaginary part of G, y].
    private let alongY: [Double]
    private let kernels = PixelKernels()

    init(_ sigShape: SigShape, inner: Double, outer: Double) {
        self.sigShape = sigShape
        let (height, width) = (sigShape.height, sigShape.width)
        // Where numpy.fft.fftshift takes a frequency from, counted from the middle of the frame.
        func distance(_ frequency: Int, _ size: Int) -> Double {
            Double((frequency + size - size / 2) % size) - Double(size) / 2
        }
        var ring: [(column: Int, rows: [Int])] = []
        for kx in 0...width / 2 {
            let dx = distance(kx, width)
            let inside = (0..<height).filter { ky in
                let squared = distance(ky, height) * distance(ky, height) + dx * dx
                return squared <= outer * outer && squared > inner * inner
            }
            if !inside.isEmpty { ring.append((kx, inside)) }
        }
        columns = ring.map(\.column)
        let rows = Set(ring.flatMap(\.rows)).sorted()
        self.rows = rows
        let places = Dictionary(uniqueKeysWithValues: rows.enumerated().map { ($1, $0) })
        selected = ring.map { $0.rows.compactMap { places[$0] } }
        let xWaves = Waves(width)
        alongX = columns.flatMap { kx in
            (0..<width).map { xWaves.cosine(kx, $0) } + (0..<width).map { -xWaves.sine(kx, $0) }
        }
        // (re + i im)(cos − i sin) = re cos + im sin + i (im cos − re sin).
        let yWaves = Waves(height)
        alongY = rows.flatMap { ky in
            let cosines = (0..<height).map { yWaves.cosine(ky, $0) }
            let sines = (0..<height).map { yWaves.sine(ky, $0) }
            return cosines + sines + sines.map { -$0 } + cosines
        }
    }

    /// Whether no frequency lies in the ring.
    var isEmpty: Bool { columns.isEmpty }

    /// Memory for the steps of a transform. Belongs to one thread.
    public final class Scratch {
        fileprivate var frame: [Double]
        /// [y, kx, real and imaginary part].
        fileprivate var inRows: [Double]
        /// [kx, real and imaginary part, y].
        fileprivate var turned: [Double]
        /// [kx, ky, real and imaginary part].
        fileprivate var inRing: [Double]

        fileprivate init(frame: Int, rows: Int, ring: Int) {
            self.frame = Array(repeating: 0, count: frame)
            inRows = Array(repeating: 0, count: rows)
            turned = inRows
            inRing = Array(repeating: 0, count: ring)
        }

        /// Gives the frame to be filled, [y, x].
        func fill(_ body: (UnsafeMutablePointer<Double>) throws -> Void) rethrows {
            try frame.withUnsafeMutableBufferPointer { try body($0.baseAddress!) }
        }
    }

    func makeScratch() -> Scratch {
        Scratch(
            frame: sigShape.pixelCount, rows: sigShape.height * columns.count * 2,
            ring: columns.count * rows.count * 2)
    }

    /// Σ |F| over the ring.
    func sumOfMagnitudes(_ scratch: Scratch) -> Double {
        let (height, width) = (sigShape.height, sigShape.width)
        multiply(scratch.frame, rows: height, length: width, alongX, into: &scratch.inRows)
        for y in 0..<height {
            for part in 0..<2 * columns.count {
                scratch.turned[part * height + y] = scratch.inRows[y * 2 * columns.count + part]
            }
        }
        multiply(scratch.turned, rows: columns.count, length: 2 * height, alongY, into: &scratch.inRing)
        var sum = 0.0
        for (column, inside) in selected.enumerated() {
            for row in inside {
                let first = 2 * (column * rows.count + row)
                let (real, imaginary) = (scratch.inRing[first], scratch.inRing[first + 1])
                sum += (real * real + imaginary * imaginary).squareRoot()
            }
        }
        return sum
    }

    /// products[row, wave] = Σ over the row's numbers · the wave's.
    private func multiply(
        _ numbers: [Double], rows: Int, length: Int, _ waves: [Double], into products: inout [Double]
    ) {
        numbers.withUnsafeBufferPointer { numbers in
            waves.withUnsafeBufferPointer { waves in
                products.withUnsafeMutableBufferPointer { products in
                    products.update(repeating: 0)
                    guard let base = numbers.baseAddress, let waveBase = waves.baseAddress else { return }
                    kernels.addProducts(
                        RowMatrix(base: base, stride: length, rowCount: rows, columnCount: length),
                        RowMatrix(
                            base: waveBase, stride: length, rowCount: waves.count / length, columnCount: length),
                        to: products)
                }
            }
        }
    }
}

/// cos and sin of 2π k n / size, from one period of them.
private struct Waves {
    private let size: Int
    private let cosines: [Double]
    private let sines: [Double]

    init(_ size: Int) {
        self.size = size
        cosines = (0..<size).map { cos(2 * .pi * Double($0) / Double(size)) }
        sines = (0..<size).map { sin(2 * .pi * Double($0) / Double(size)) }
    }

    func cosine(_ k: Int, _ n: Int) -> Double { cosines[k * n % size] }
    func sine(_ k: Int, _ n: Int) -> Double { sines[k * n % size] }
}
