import CBench
import MerlinProtocol
import StemwireKernels

/// Frames weighted with many dense masks: the kernels' product beside OpenBLAS, from the same undecoded frames, on one
/// thread.
///
/// OpenBLAS is no alternative even where it is as fast: its results have other bits on another processor, for another
/// number of frames at once, and for another number of threads.
enum ProductBenchmark {
    private static let maskCount = 16
    /// Frames in a call.
    private static let framesAtOnce = 8
    /// Pixels in a call, as the engine's masks have.
    private static let blockPixels = 2048

    static func run(pairs: Int) throws -> [Row] {
        let memory = try FrameMemory("U16", depth: .twelve, payloadBytes: 131_072)
        let pixels = FrameMemory.sigShape.pixelCount
        let weights = (0..<maskCount * pixels).map { Float(($0 * 7919) % 1009) / 1009 }
        let blocks = stride(from: 0, to: pixels, by: blockPixels).map { first in
            PackedMasks(maskCount: maskCount, pixelCount: blockPixels) { weights[$0 * pixels + first + $1] }
        }
        let sums = UnsafeMutableBufferPointer<Double>.allocate(capacity: framesAtOnce * maskCount)
        let floats = UnsafeMutableBufferPointer<Float>.allocate(capacity: framesAtOnce * pixels)
        let products = UnsafeMutableBufferPointer<Float>.allocate(capacity: framesAtOnce * maskCount)
        defer {
            sums.deallocate()
            floats.deallocate()
            products.deallocate()
        }
        let kernels = PixelKernels()
        var (ours, theirs) = ([Double](), [Double]())
        for round in 0...pairs {
            let own = try rate(memory) { stack in
                sums.initialize(repeating: 0)
                for (block, masks) in blocks.enumerated() {
                    let first = block * blockPixels
                    kernels.addProducts(stack.pixels(first..<first + blockPixels), masks, to: sums)
                }
                return true
            }
            let other = try rate(memory) { stack in
                kernels.convertToFloat(stack, into: floats)
                return bench_multiply_by_openblas(
                    floats.baseAddress, framesAtOnce, weights, maskCount, pixels, products.baseAddress)
            }
            // The first round warms up.
            guard round > 0, let own else { continue }
            ours.append(own)
            if let other { theirs.append(other) }
        }
        let name = "U16: \(maskCount) dense masks"
        guard !theirs.isEmpty else {
            return [
                Row(
                    name: name, target: .none, values: ours, unit: " fps",
                    beside: "no libopenblas0 here to compare with")
            ]
        }
        return [
            Row(
                name: name, target: .atLeast(0.9), values: zip(ours, theirs).map { $0 / $1 },
                beside: "\(ours.median.framesPerSecond), by the \(theirs.median.framesPerSecond) of OpenBLAS")
        ]
    }

    /// Frames a second; nil when `multiply` cannot be done.
    private static func rate(_ memory: FrameMemory, _ multiply: (PixelStack) -> Bool) throws -> Double? {
        let began = bench_now()
        var frames = 0
        while frames + framesAtOnce <= memory.frameCount {
            guard let stack = memory.stack(frames..<frames + framesAtOnce) else {
                throw BenchFailure("U16 frames have to be decoded first")
            }
            guard multiply(stack) else { return nil }
            frames += framesAtOnce
        }
        return Double(frames) / (bench_now() - began)
    }
}
