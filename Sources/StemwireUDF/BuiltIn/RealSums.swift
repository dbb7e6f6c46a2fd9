import StemwireKernels

/// Sums of pixels that are no counts: corrected ones, or floating-point numbers from files. Computed in `float64`, in an
/// order that depends on frame and ranges alone.
enum RealSums {
    /// The sum over some pixels of a frame.
    ///
    /// - Throws: `UDFFailure` when the pixels are no real numbers.
    static func sum(_ frame: Frame, _ ranges: [Range<Int>]) throws -> Double {
        var total = 0.0
        for range in ranges {
            precondition(range.lowerBound >= 0 && range.upperBound <= frame.pixelCount)
            switch frame.dtype {
            case .float32: total += sum(frame.base.assumingMemoryBound(to: Float.self) + range.lowerBound, range.count)
            case .float64: total += sum(frame.base.assumingMemoryBound(to: Double.self) + range.lowerBound, range.count)
            default:
                total += try withUnsafeTemporaryAllocation(of: Double.self, capacity: range.count) { pixels in
                    guard let start = pixels.baseAddress else { return 0 }
                    try frame.copyPixels(range, to: start)
                    return sum(UnsafePointer(start), range.count)
                }
            }
        }
        return total
    }

    /// sums[frame] = Σ over some pixels.
    ///
    /// - Throws: `UDFFailure` when the pixels are no real numbers.
    static func sum(
        _ tile: FrameTile, _ ranges: [Range<Int>], into sums: UnsafeMutableBufferPointer<Double>
    ) throws {
        for index in 0..<tile.count { sums[index] = try sum(tile[index], ranges) }
    }

    /// In eight sums side by side, so that additions need not wait for each other.
    private static func sum<Pixel: BinaryFloatingPoint>(_ pixels: UnsafePointer<Pixel>, _ count: Int) -> Double {
        var sums = SIMD8<Double>()
        var index = 0
        while index + 8 <= count {
            sums += eight(pixels + index)
            index += 8
        }
        var rest = 0.0
        while index < count {
            rest += Double(pixels[index])
            index += 1
        }
        return sums.sum() + rest
    }

    /// Σ p, Σ y · p and Σ x · p over some pixels of a frame.
    ///
    /// - Parameters:
    ///   - ranges: Each within a row.
    ///   - width: Pixels of a row.
    /// - Throws: `UDFFailure` when the pixels are no real numbers.
    static func moments(
        _ frame: Frame, _ ranges: [Range<Int>], width: Int
    ) throws -> (all: Double, y: Double, x: Double) {
        var sums = (all: 0.0, y: 0.0, x: 0.0)
        for range in ranges {
            precondition(range.lowerBound >= 0 && range.upperBound <= frame.pixelCount)
            let row: (all: Double, offsets: Double)
            switch frame.dtype {
            case .float32:
                row = moments(frame.base.assumingMemoryBound(to: Float.self) + range.lowerBound, range.count)
            case .float64:
                row = moments(frame.base.assumingMemoryBound(to: Double.self) + range.lowerBound, range.count)
            default:
                row = try withUnsafeTemporaryAllocation(of: Double.self, capacity: range.count) { pixels in
                    guard let start = pixels.baseAddress else { return (0, 0) }
                    try frame.copyPixels(range, to: start)
                    return moments(UnsafePointer(start), range.count)
                }
            }
            sums.all += row.all
            sums.y += Double(range.lowerBound / width) * row.all
            sums.x += Double(range.lowerBound % width) * row.all + row.offsets
        }
        return sums
    }

    /// Σ p and Σ i · p, i being the index of the pixel.
    private static func moments<Pixel: BinaryFloatingPoint>(
        _ pixels: UnsafePointer<Pixel>, _ count: Int
    ) -> (all: Double, offsets: Double) {
        var sums = SIMD8<Double>()
        var offsets = SIMD8<Double>()
        var place = SIMD8<Double>(0, 1, 2, 3, 4, 5, 6, 7)
        var index = 0
        while index + 8 <= count {
            let values = eight(pixels + index)
            sums += values
            offsets += place * values
            place += 8
            index += 8
        }
        var rest = (all: 0.0, offsets: 0.0)
        while index < count {
            rest.all += Double(pixels[index])
            rest.offsets += Double(index) * Double(pixels[index])
            index += 1
        }
        return (sums.sum() + rest.all, offsets.sum() + rest.offsets)
    }

    @inline(__always)
    private static func eight<Pixel: BinaryFloatingPoint>(_ pixels: UnsafePointer<Pixel>) -> SIMD8<Double> {
        SIMD8(
            Double(pixels[0]), Double(pixels[1]), Double(pixels[2]), Double(pixels[3]), Double(pixels[4]),
            Double(pixels[5]), Double(pixels[6]), Double(pixels[7]))
    }

    /// sums[pixel] += Σ over the frames of a tile, in rising order.
    ///
    /// - Throws: `UDFFailure` when the pixels are no real numbers.
    static func add(_ tile: FrameTile, to sums: UnsafeMutableBufferPointer<Double>) throws {
        precondition(sums.count >= tile.pixelCount, "too few sums")
        guard let sums = sums.baseAddress else { return }
        for index in 0..<tile.count {
            let frame = tile[index]
            switch frame.dtype {
            case .float32: add(frame.base.assumingMemoryBound(to: Float.self), tile.pixelCount, to: sums)
            case .float64: add(frame.base.assumingMemoryBound(to: Double.self), tile.pixelCount, to: sums)
            default:
                try withUnsafeTemporaryAllocation(of: Double.self, capacity: tile.pixelCount) { pixels in
                    guard let start = pixels.baseAddress else { return }
                    try frame.copyPixels(0..<tile.pixelCount, to: start)
                    add(UnsafePointer(start), tile.pixelCount, to: sums)
                }
            }
        }
    }

    private static func add<Pixel: BinaryFloatingPoint>(
        _ pixels: UnsafePointer<Pixel>, _ count: Int, to sums: UnsafeMutablePointer<Double>
    ) {
        for index in 0..<count { sums[index] += Double(pixels[index]) }
    }
}

/// Of pixels that are no counts, the largest ones and the newest frames.
enum RealPixels {
    /// largest[pixel] = the maximum over the frames of a tile and what is there; NaN where one of them is NaN.
    ///
    /// - Parameter largest: Of the type of the pixels.
    /// - Throws: `UDFFailure` when the pixels are no real numbers.
    static func maximum(_ tile: FrameTile, into largest: UnsafeMutableRawBufferPointer) throws {
        func integers<Pixel: ResultElement & FixedWidthInteger>(_ type: Pixel.Type) throws {
            let largest = largest.assumingMemoryBound(to: type)
            for index in 0..<tile.count {
                let pixels = try tile.pixels(ofFrame: index, as: type)
                for pixel in pixels.indices { largest[pixel] = max(largest[pixel], pixels[pixel]) }
            }
        }
        func reals<Pixel: ResultElement & BinaryFloatingPoint>(_ type: Pixel.Type) throws {
            let largest = largest.assumingMemoryBound(to: type)
            for index in 0..<tile.count {
                let pixels = try tile.pixels(ofFrame: index, as: type)
                for pixel in pixels.indices where pixels[pixel] > largest[pixel] || pixels[pixel].isNaN {
                    largest[pixel] = pixels[pixel]
                }
            }
        }
        switch tile.dtype {
        case .float32: try reals(Float.self)
        case .float64: try reals(Double.self)
        case .int32: try integers(Int32.self)
        case .int64: try integers(Int64.self)
        default: throw UDFFailure("the pixels are \(tile.dtype), no real numbers")
        }
    }

    /// Copies the last frame of a tile.
    static func copyLast(_ tile: FrameTile, into image: UnsafeMutableRawBufferPointer) {
        image.copyMemory(
            from: UnsafeRawBufferPointer(
                start: tile.base + (tile.count - 1) * tile.frameStride,
                count: tile.pixelCount * tile.dtype.byteCount))
    }
}

extension FrameTile {
    /// The pixels as `float32`, frames one right behind the other.
    ///
    /// - Precondition: They are real numbers in native byte order.
    func roundReals(into pixels: UnsafeMutableBufferPointer<Float>) {
        let width = 512
        withUnsafeTemporaryAllocation(of: Double.self, capacity: width) { numbers in
            guard let start = numbers.baseAddress else { return }
            for index in 0..<count {
                var first = 0
                while first < pixelCount {
                    let range = first..<Swift.min(first + width, pixelCount)
                    first = range.upperBound
                    do {
                        try self[index].copyPixels(range, to: start)
                    } catch {
                        preconditionFailure("a conversion from \(dtype) was planned: \(error)")
                    }
                    for offset in 0..<range.count {
                        pixels[index * pixelCount + range.lowerBound + offset] = Float(numbers[offset])
                    }
                }
            }
        }
    }
}
