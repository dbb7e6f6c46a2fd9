import Glibc
import StemwireKernels

/// `logsum`: Σ ln(p − m + 1) over all frames, m being the frame's least pixel, for each detector pixel.
///
/// Shows what is weak but in many frames beside what is strong in few, as LiberTEM's `LogsumUDF`. Channel `intensity`
/// (sig, `float32`).
///
/// Of counts, the logarithms are added up as whole multiples of 2⁻³⁴, so sums are the same for any order, number of
/// threads and partition size, and hold 2²⁴ frames; what is rounded off is far below what `float32` shows. Of
/// floating-point pixels they are added up in `float64`, in a fixed order.
public struct LogSumUDF: TileUDF {
    public static let name = "logsum"
    private static let unit = 0x1p-34
    /// Differences below this have their logarithms in a table.
    private static let tableSize = 1 << 16

    private let isExact: Bool
    /// ln(d + 1) for each difference d, in units.
    private let table: [UInt64]

    public init(parameters: NoParameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        isExact = meta.hasCounts
        let size = !isExact ? 0 : meta.inputDType == .uint8 ? 1 << 8 : Self.tableSize
        table = (0..<size).map { Self.units(UInt64($0)) }
    }

    private static func units(_ difference: UInt64) -> UInt64 {
        UInt64((log1p(Double(difference)) / unit).rounded())
    }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        [
            .sig("intensity", .float32, use: .resultOnly),
            .sig("sums", isExact ? .uint64 : .float64, use: .private),
        ]
    }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        switch tile.dtype {
        case .uint8: try addCounts(tile, context, UInt8.self)
        case .uint16: try addCounts(tile, context, UInt16.self)
        case .uint32: try addCounts(tile, context, UInt32.self)
        case .uint64: try addCounts(tile, context, UInt64.self)
        default: try addReals(tile, context)
        }
    }

    private func addCounts<Pixel: ResultElement & FixedWidthInteger>(
        _ tile: FrameTile, _ context: Context, _ type: Pixel.Type
    ) throws {
        let sums = try context.buffer("sums", as: UInt64.self)
        try table.withUnsafeBufferPointer { table in
            for index in 0..<tile.count {
                let pixels = try tile.pixels(ofFrame: index, as: type)
                var least = Pixel.max
                for pixel in pixels { least = min(least, pixel) }
                for pixel in pixels.indices {
                    let difference = UInt64(pixels[pixel] &- least)
                    sums[pixel] &+=
                        difference < table.count ? table[Int(difference)] : Self.units(difference)
                }
            }
        }
    }

    private func addReals(_ tile: FrameTile, _ context: Context) throws {
        let sums = try context.buffer("sums", as: Double.self)
        try withUnsafeTemporaryAllocation(of: Double.self, capacity: tile.pixelCount) { pixels in
            guard let start = pixels.baseAddress else { return }
            for index in 0..<tile.count {
                try tile[index].copyPixels(0..<tile.pixelCount, to: start)
                var least = Double.infinity
                for pixel in pixels { least = pixel < least || pixel.isNaN ? pixel : least }
                for pixel in pixels.indices { sums[pixel] += log1p(pixels[pixel] - least) }
            }
        }
    }

    public func computeResults(_ context: ResultsContext) throws {
        let results = try context.results.elements("intensity", as: Float.self)
        if isExact {
            let sums = try context.merged.values("sums", as: UInt64.self)
            for pixel in sums.indices { results[pixel] = Float(Double(sums[pixel]) * Self.unit) }
        } else {
            let sums = try context.merged.values("sums", as: Double.self)
            for pixel in sums.indices { results[pixel] = Float(sums[pixel]) }
        }
    }
}
