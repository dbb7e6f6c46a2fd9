import MerlinProtocol
import StemwireKernels
import StemwireTestSupport
import StemwireUDF
import Testing

/// A scan of counts with corrections, and what its pixels become by the plainest means.
struct CorrectedScan {
    let scan: ScanFixture
    let corrections: Corrections
    /// [position][pixel]
    let pixels: [[Double]]

    /// - Parameters:
    ///   - images: The type of dark frame and gain map; nil for none of them.
    ///   - excluded: Pixels by their index.
    init(
        dtype: DType, images: DType? = .float32, excluded: [Int] = [0, 10, 11, 30, 53], bigEndian: Bool = false,
        seed: UInt64 = 3
    ) {
        let scan = ScanFixture(
            dtype: dtype, bigEndian: bigEndian, largest: dtype.byteCount == 8 ? 1 << 40 : nil, seed: seed)
        var generator = SeededGenerator(seed: seed)
        let shape = [scan.sigShape.height, scan.sigShape.width]
        func image(_ range: ClosedRange<Double>) -> ResultArray? {
            let numbers = (0..<scan.sigShape.pixelCount).map { _ in Double.random(in: range, using: &generator) }
            return switch images {
            case .float32?: ResultArray(numbers.map { Float($0) }, shape: shape)
            case .float64?: ResultArray(numbers, shape: shape)
            case .uint8?: ResultArray(numbers.map { UInt8(max($0, 1)) }, shape: shape)
            default: nil
            }
        }
        let width = scan.sigShape.width
        let (dark, gain) = (image(0...20), image(0.5...2))
        self.scan = scan
        corrections = Corrections(
            dark: dark, gain: gain,
            excluded: excluded.isEmpty ? nil : ExcludedPixels(excluded.map { (y: $0 / width, x: $0 % width) }))
        let isDouble = dtype.byteCount > 2 && dtype != .float32
        let (darks, gains) = (dark?.doubles(), gain?.doubles())
        pixels = scan.reals.map { frame in
            var corrected = frame.indices.map { index -> Double in
                let (d, g) = (darks?[index] ?? 0, gains?[index] ?? 1)
                let value = (frame[index] - d) * g
                return isDouble ? value : Double(Float(value))
            }
            let before = corrected
            for pixel in excluded {
                let (y, x) = (pixel / width, pixel % width)
                let good = frame.indices.filter { other in
                    let (row, column) = (other / width, other % width)
                    return abs(row - y) <= 1 && abs(column - x) <= 1 && !excluded.contains(other)
                }
                guard !good.isEmpty else { continue }
                let mean = good.reduce(0) { $0 + before[$1] } / Double(good.count)
                corrected[pixel] = isDouble ? mean : Double(Float(mean))
            }
            return corrected
        }
    }

    /// The corrected frames, as if they had come so.
    func corrected(_ dtype: DType) -> ScanFixture {
        ScanFixture(navShape: scan.navShape, sigShape: scan.sigShape, dtype: dtype) { position, pixel in
            let value = pixels[position][pixel]
            return dtype == .float32 ? UInt64(Float(value).bitPattern) : value.bitPattern
        }
    }

    func plan(
        _ requests: [UDFRequest], framesPerPartition: Int, registry: UDFRegistry = .builtIn, framesPerBlock: Int = 3
    ) throws -> RunPlan {
        let dtype = Corrections.dtype(of: scan.dtype)
        return try RunPlan(
            requests, registry: registry, meta: try scan.meta(framesPerPartition: framesPerPartition),
            corrections: corrections, blockBytes: framesPerBlock * scan.sigShape.pixelCount * dtype.byteCount)
    }

    /// Every built-in UDF.
    static let requests: [UDFRequest] = {
        let masks = ResultArray((0..<108).map { Float($0 % 7) - 2 }, shape: [2, 6, 9])
        let inline = try? UDFRequest(MasksUDF.self, .init(masks: masks))
        return [
            UDFRequest(name: "sum"), UDFRequest(name: "sumsig"), UDFRequest(name: "max"), UDFRequest(name: "monitor"),
            UDFRequest(name: "disk", parameters: ["cy": 2.5, "cx": 4, "r": 2]),
            UDFRequest(name: "ring", parameters: ["ri": 1.5, "ro": 3.2]),
            UDFRequest(name: "point", parameters: ["cy": 5, "cx": 0]),
            UDFRequest(name: "rectangle", parameters: ["y": 1, "x": 2, "height": 3, "width": 4]),
            UDFRequest(name: "com", parameters: ["r": 3, "regression": 1]), UDFRequest(name: "stddev"),
            UDFRequest(name: "logsum"), UDFRequest(name: "pick", parameters: ["frames": "3,10-12"]),
            UDFRequest(name: "partition-monitor"), UDFRequest(name: "radial-fourier", parameters: ["max_order": 3]),
            UDFRequest(name: "fem", parameters: ["rad_in": 1, "rad_out": 3]),
            UDFRequest(name: "crystallinity", parameters: ["rad_in": 1, "rad_out": 2.5]),
            UDFRequest(name: "guess-corrections"),
            UDFRequest(
                name: "ssb",
                parameters: ["energy": 200, "step": "0.04,0.03", "semiconv": 0.02, "semiconv_pix": 2.5]),
        ] + [inline].compactMap { $0 }
    }()
}
