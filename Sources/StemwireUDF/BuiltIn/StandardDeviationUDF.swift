import StemwireKernels

/// `stddev`: mean, variance and standard deviation over all frames, for each detector pixel.
///
/// Channels `mean`, `var` and `std` (sig, `float64`); the variance is that of the population, Σ (p − mean)² / n. NaN
/// while there is no frame.
///
/// Of counts, Σ p and Σ p² are added up in integers, and var = (n · Σ p² − (Σ p)²) / n² is rounded at the end: the same
/// for any order, number of threads and partition size, and without the cancellation that this formula has in
/// floating-point numbers. Σ p² has 96 bits for pixels of 32 bits or more, so it holds 2³² frames of 32-bit counts.
///
/// Of floating-point pixels, parts of the scan are joined as in LiberTEM's `StdDevUDF`: with δ = mean₁ − mean₀,
/// v = v₀ + v₁ + n₀ n₁ / (n₀ + n₁) · δ² for the sums of squared deviations (Chan, Golub, LeVeque 1979).
public struct StandardDeviationUDF: PixelWorkUDF {
    public static let name = "stddev"

    /// How Σ p² is kept.
    private enum Numbers {
        /// In 64 bits: at least 2³² frames of pixels of 16 bits.
        case narrowCounts
        /// In two sums, of the lower 32 bits and the bits above.
        case wideCounts
        /// As the sum of squared deviations.
        case reals
    }

    private let numbers: Numbers

    public init(parameters: NoParameters, meta: UDFMeta) throws {
        try checkRealPixels(meta)
        numbers =
            switch meta.inputDType {
            case .uint8, .uint16: .narrowCounts
            case .uint32, .uint64: .wideCounts
            default: .reals
            }
    }

    public var input: InputType { numbers == .narrowCounts ? .stack : .native }
    // The deviations of a tile of one frame are none: all would be left to the joining.
    public var preferredTileDepth: Int { numbers == .reals ? 8 : 1 }

    public func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] {
        let results = ["mean", "var", "std"].map { BufferDeclaration.sig($0, .float64, use: .resultOnly) }
        let count = BufferDeclaration.single("frames", .uint64, use: .private)
        switch numbers {
        case .narrowCounts:
            return results + [count, .sig("sums", .uint64, use: .private), .sig("squares", .uint64, use: .private)]
        case .wideCounts:
            return results + [
                count, .sig("sums", .uint64, use: .private), .sig("squares", .uint64, use: .private),
                .sig("upper_squares", .uint64, use: .private),
            ]
        case .reals:
            return results + [
                count, .sig("sums", .float64, use: .private),
                .sig("deviations", .float64, use: .private, merge: .custom),
            ]
        }
    }

    public func process(_ tile: FrameTile, _ context: Context) throws {
        if try isWorkDone(on: tile, context) { return }
        let frames = try context.buffer("frames", as: UInt64.self)
        if numbers == .reals {
            try addReals(tile, context, framesBefore: frames[0])
        } else if tile.dtype == .uint32 {
            try addWide(tile, context, UInt32.self)
        } else {
            try addWide(tile, context, UInt64.self)
        }
        frames[0] += UInt64(tile.count)
    }

    func work(on frames: Range<Int>, _ context: Context) throws -> PixelWork? {
        guard numbers == .narrowCounts else { return nil }
        try context.buffer("frames", as: UInt64.self)[0] += UInt64(frames.count)
        return .addFrames(
            to: try context.buffer("sums", as: UInt64.self), squares: try context.buffer("squares", as: UInt64.self))
    }

    /// Adds Σ p and Σ p²; the latter in 128 bits, of which `upper_squares` gets the upper half, until `postprocess`.
    private func addWide<Pixel: ResultElement & FixedWidthInteger>(
        _ tile: FrameTile, _ context: Context, _ type: Pixel.Type
    ) throws {
        let sums = try context.buffer("sums", as: UInt64.self)
        let lower = try context.buffer("squares", as: UInt64.self)
        let upper = try context.buffer("upper_squares", as: UInt64.self)
        for index in 0..<tile.count {
            let pixels = try tile.pixels(ofFrame: index, as: type)
            for pixel in pixels.indices {
                let value = UInt64(pixels[pixel])
                let square = value.multipliedFullWidth(by: value)
                let (sum, carry) = lower[pixel].addingReportingOverflow(square.low)
                sums[pixel] &+= value
                lower[pixel] = sum
                upper[pixel] &+= square.high &+ (carry ? 1 : 0)
            }
        }
    }

    /// Makes the sums of squares such that those of partitions can be added without a carry: bits 0 to 31, and the
    /// rest.
    public func postprocess(_ context: Context) throws {
        guard numbers == .wideCounts else { return }
        let lower = try context.buffer("squares", as: UInt64.self)
        let upper = try context.buffer("upper_squares", as: UInt64.self)
        for pixel in lower.indices {
            upper[pixel] = upper[pixel] << 32 | lower[pixel] >> 32
            lower[pixel] &= 0xffff_ffff
        }
    }

    private func addReals(_ tile: FrameTile, _ context: Context, framesBefore: UInt64) throws {
        let sums = try context.buffer("sums", as: Double.self)
        let deviations = try context.buffer("deviations", as: Double.self)
        let before = Double(framesBefore)
        let count = Double(tile.count)
        // Some pixels of all frames at a time, so that they stay in the first-level cache between the two passes.
        let width = 512
        try withUnsafeTemporaryAllocation(of: Double.self, capacity: width * tile.count) { values in
            guard let start = values.baseAddress else { return }
            var first = 0
            while first < tile.pixelCount {
                let range = first..<min(first + width, tile.pixelCount)
                first = range.upperBound
                for index in 0..<tile.count { try tile[index].copyPixels(range, to: start + index * width) }
                for (offset, pixel) in range.enumerated() {
                    var sum = 0.0
                    for index in 0..<tile.count { sum += values[index * width + offset] }
                    let mean = sum / count
                    var squares = 0.0
                    for index in 0..<tile.count {
                        let deviation = values[index * width + offset] - mean
                        squares += deviation * deviation
                    }
                    deviations[pixel] = Self.join(
                        (before, sums[pixel], deviations[pixel]), (count, sum, squares))
                    sums[pixel] += sum
                }
            }
        }
    }

    public func merge(into destination: UDFBuffers, from source: UDFBuffers) throws {
        let counts = (
            Double(try destination.values("frames", as: UInt64.self)[0]),
            Double(try source.values("frames", as: UInt64.self)[0])
        )
        let left = try destination.values("sums", as: Double.self)
        let right = try source.values("sums", as: Double.self)
        let merged = try destination.elements("deviations", as: Double.self)
        let other = try source.values("deviations", as: Double.self)
        for pixel in merged.indices {
            merged[pixel] = Self.join((counts.0, left[pixel], merged[pixel]), (counts.1, right[pixel], other[pixel]))
        }
    }

    /// The sum of squared deviations of two parts together.
    private static func join(
        _ a: (count: Double, sum: Double, deviations: Double), _ b: (count: Double, sum: Double, deviations: Double)
    ) -> Double {
        guard a.count > 0 else { return b.deviations }
        guard b.count > 0 else { return a.deviations }
        let shift = b.sum / b.count - a.sum / a.count
        return a.deviations + b.deviations + a.count * b.count / (a.count + b.count) * shift * shift
    }

    public func computeResults(_ context: ResultsContext) throws {
        let count = try context.merged.values("frames", as: UInt64.self)[0]
        let mean = try context.results.elements("mean", as: Double.self)
        let variance = try context.results.elements("var", as: Double.self)
        let deviation = try context.results.elements("std", as: Double.self)
        guard count > 0 else {
            for buffer in [mean, variance, deviation] { buffer.update(repeating: .nan) }
            return
        }
        switch numbers {
        case .narrowCounts, .wideCounts:
            let sums = try context.merged.values("sums", as: UInt64.self)
            let squares = try context.merged.values("squares", as: UInt64.self)
            let upper =
                numbers == .wideCounts ? try context.merged.values("upper_squares", as: UInt64.self) : nil
            for pixel in sums.indices {
                let square = UInt128(squares[pixel]) &+ (UInt128(upper?[pixel] ?? 0) << 32)
                let sum = UInt128(sums[pixel])
                mean[pixel] = Double(sums[pixel]) / Double(count)
                variance[pixel] =
                    Double(wide: UInt128(count) &* square &- sum &* sum) / (Double(count) * Double(count))
            }
        case .reals:
            let sums = try context.merged.values("sums", as: Double.self)
            let deviations = try context.merged.values("deviations", as: Double.self)
            for pixel in sums.indices {
                mean[pixel] = sums[pixel] / Double(count)
                variance[pixel] = deviations[pixel] / Double(count)
            }
        }
        for pixel in variance.indices { deviation[pixel] = variance[pixel].squareRoot() }
    }
}
