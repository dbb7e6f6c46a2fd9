import StemwireKernels

/// The kernels as they would be in Swift alone: SIMD types, 16 big-endian pixels at a time, no code for one kind of processor.
struct SwiftKernels {
    /// Pixels in a frame, a multiple of 16, and in its line, one too.
    let pixelCount: Int
    let width: Int

    typealias Pixels = SIMD16<UInt16>
    typealias Sums = SIMD16<UInt32>

    @inline(__always)
    private func load(_ pixels: UnsafeRawPointer, _ first: Int) -> Pixels {
        let big = pixels.loadUnaligned(fromByteOffset: 2 * first, as: Pixels.self)
        return (big &<< 8) | (big &>> 8)
    }

    @inline(__always)
    private func widened(_ pixels: Pixels) -> Sums { Sums(truncatingIfNeeded: pixels) }

    func addFrames(_ frames: UnsafeRawPointer, stride: Int, count: Int, to sums: UnsafeMutablePointer<UInt32>) {
        let sums = UnsafeMutableRawPointer(sums)
        for first in Swift.stride(from: 0, to: pixelCount, by: 16) {
            var sum = sums.loadUnaligned(fromByteOffset: 4 * first, as: Sums.self)
            for frame in 0..<count { sum &+= widened(load(frames + frame * stride, first)) }
            sums.storeBytes(of: sum, toByteOffset: 4 * first, as: Sums.self)
        }
    }

    func maximum(_ frames: UnsafeRawPointer, stride: Int, count: Int, into maxima: UnsafeMutableRawPointer) {
        for first in Swift.stride(from: 0, to: pixelCount, by: 16) {
            var most = maxima.loadUnaligned(fromByteOffset: 2 * first, as: Pixels.self)
            for frame in 0..<count { most = pointwiseMax(most, load(frames + frame * stride, first)) }
            maxima.storeBytes(of: most, toByteOffset: 2 * first, as: Pixels.self)
        }
    }

    /// The sum of pixels of one line or of a frame; at most 2^20 of them.
    @inline(__always)
    private func sum(_ pixels: UnsafeRawPointer, _ range: Range<Int>) -> UInt64 {
        var sum = Sums()
        let whole = range.lowerBound + range.count / 16 * 16
        for first in Swift.stride(from: range.lowerBound, to: whole, by: 16) { sum &+= widened(load(pixels, first)) }
        var total = UInt64(0)
        for lane in 0..<16 { total += UInt64(sum[lane]) }
        for pixel in whole..<range.upperBound {
            total += UInt64(UInt16(bigEndian: pixels.loadUnaligned(fromByteOffset: 2 * pixel, as: UInt16.self)))
        }
        return total
    }

    func frameSums(_ frames: UnsafeRawPointer, stride: Int, count: Int, into sums: UnsafeMutablePointer<UInt64>) {
        for frame in 0..<count { sums[frame] = sum(frames + frame * stride, 0..<pixelCount) }
    }

    /// - Parameters:
    ///   - masks: the pixels of each, as runs.
    ///   - sums: (frames, masks).
    func maskedSums(
        _ frames: UnsafeRawPointer, stride: Int, count: Int, _ masks: [[Range<Int>]],
        into sums: UnsafeMutablePointer<UInt64>
    ) {
        for frame in 0..<count {
            for (mask, runs) in masks.enumerated() {
                var total = UInt64(0)
                for run in runs { total += sum(frames + frame * stride, run) }
                sums[frame * masks.count + mask] = total
            }
        }
    }

    func moments(
        _ frames: UnsafeRawPointer, stride: Int, count: Int, into moments: UnsafeMutablePointer<PixelMoments>
    ) {
        var columns = Sums()
        for lane in 0..<16 { columns[lane] = UInt32(lane) }
        for frame in 0..<count {
            var found = PixelMoments()
            for row in 0..<pixelCount / width {
                var (sum, weighted) = (Sums(), Sums())
                for first in Swift.stride(from: 0, to: width, by: 16) {
                    let pixels = widened(load(frames + frame * stride, row * width + first))
                    sum &+= pixels
                    weighted &+= pixels &* (columns &+ UInt32(first))
                }
                var (total, x) = (UInt64(0), UInt64(0))
                for lane in 0..<16 { (total, x) = (total + UInt64(sum[lane]), x + UInt64(weighted[lane])) }
                found.sum += total
                found.y += UInt64(row) * total
                found.x += x
            }
            moments[frame] = found
        }
    }

    func convertToFloat(_ frames: UnsafeRawPointer, stride: Int, count: Int, into floats: UnsafeMutablePointer<Float>) {
        for frame in 0..<count {
            let target = UnsafeMutableRawPointer(floats + frame * pixelCount)
            for first in Swift.stride(from: 0, to: pixelCount, by: 16) {
                let pixels = load(frames + frame * stride, first)
                target.storeBytes(of: SIMD16<Float>(pixels), toByteOffset: 4 * first, as: SIMD16<Float>.self)
            }
        }
    }
}
