import CBench
import MerlinProtocol
import StemwireKernels

/// The kernels beside what could stand in their place: Swift's SIMD types, and OpenBLAS on decoded pixels where a kernel is a
/// product; on one thread, from the same frames in memory, in turns. What they give is compared first.
///
/// Kept is the simplest within a tenth of the fastest. OpenBLAS makes floating-point numbers of counts, and gives other bits on
/// another processor; Swift has no code for one kind of processor that is chosen when the program runs.
enum AlternativesBenchmark {
    private static let framesAtOnce = 8

    /// A way of doing what a kernel does.
    private struct Way {
        let name: String
        /// Does it to `framesAtOnce` frames; false where it cannot be done here.
        let run: (_ first: Int) throws -> Bool
        /// What it gave.
        let results: () -> [Double]
    }

    static func run(pairs: Int) throws -> [Row] {
        let memory = try FrameMemory("U16", depth: .twelve, payloadBytes: 131_072)
        let bench = Workbench(memory)
        let all: [(name: String, ours: Way, others: [Way])] = [
            ("sum", bench.sum, [bench.swiftSum]),
            ("sumsig", bench.frameSum, [bench.swiftFrameSum, bench.blasFrameSum]),
            ("maximum", bench.maximum, [bench.swiftMaximum]),
            ("four masks", bench.masked, [bench.swiftMasked, bench.blasMasked]),
            ("moments", bench.moment, [bench.swiftMoment, bench.blasMoment]),
            ("decode to float", bench.float, [bench.swiftFloat]),
        ]
        return try all.flatMap { kernel in
            try kernel.others.compactMap { try compare(kernel.name, pairs, memory, kernel.ours, $0) }
        }
    }

    private static func compare(_ name: String, _ pairs: Int, _ memory: FrameMemory, _ ours: Way, _ other: Way) throws
        -> Row?
    {
        guard try ours.run(0) else { return nil }
        let expected = ours.results()
        guard try other.run(0) else { return nil }
        // OpenBLAS adds in single precision; what else there is is exact.
        guard zip(expected, other.results()).allSatisfy({ abs($0 - $1) <= 1e-3 * abs($0) }) else {
            throw BenchFailure("\(name): \(other.name) gives something else")
        }
        var (own, theirs) = ([Double](), [Double]())
        for round in 0...pairs {
            let rates = (try rate(memory, ours), try rate(memory, other))
            // The first round warms up.
            guard round > 0 else { continue }
            own.append(rates.0)
            theirs.append(rates.1)
        }
        return Row(
            name: "\(name): kernel by \(other.name)", target: .atLeast(0.9), values: zip(own, theirs).map { $0 / $1 },
            beside: "\(own.median.framesPerSecond) by \(theirs.median.framesPerSecond)")
    }

    /// Frames a second.
    private static func rate(_ memory: FrameMemory, _ way: Way) throws -> Double {
        let began = bench_now()
        var frames = 0
        while frames + framesAtOnce <= memory.frameCount {
            _ = try way.run(frames)
            frames += framesAtOnce
        }
        return Double(frames) / (bench_now() - began)
    }

    /// What the ways work on.
    private final class Workbench {
        private static let radii = [40.0, 60, 80, 100]
        private let memory: FrameMemory
        private let kernels = PixelKernels()
        private let swift: SwiftKernels
        private let masks: RunLengthMaskSet
        private let runs: [[Range<Int>]]
        private let ones: [Float]
        private let weights: [Float]
        private let coordinates: [Float]
        private let sums: UnsafeMutableBufferPointer<UInt32>
        private let maxima: UnsafeMutableBufferPointer<UInt16>
        private let frameSums = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: 4 * framesAtOnce)
        private let moments = UnsafeMutableBufferPointer<PixelMoments>.allocate(capacity: framesAtOnce)
        private let floats: UnsafeMutableBufferPointer<Float>
        private let products = UnsafeMutableBufferPointer<Float>.allocate(capacity: 4 * framesAtOnce)

        init(_ memory: FrameMemory) {
            self.memory = memory
            let sig = FrameMemory.sigShape
            let count = sig.pixelCount
            swift = SwiftKernels(pixelCount: count, width: sig.width)
            masks = RunLengthMaskSet(Self.radii.map { .disk(sig, cy: 128, cx: 128, radius: $0) })
            let isInside = Self.radii.map { radius in
                (0..<count).map { pixel in
                    let (y, x) = (Double(pixel / sig.width) - 128, Double(pixel % sig.width) - 128)
                    return y * y + x * x <= radius * radius
                }
            }
            runs = isInside.map { mask in
                var (found, first) = ([Range<Int>](), Int?.none)
                for pixel in 0...count {
                    let isIn = pixel < count && mask[pixel]
                    if isIn, first == nil { first = pixel }
                    if !isIn, let begin = first { (found, first) = (found + [begin..<pixel], nil) }
                }
                return found
            }
            ones = [Float](repeating: 1, count: count)
            weights = isInside.flatMap { $0.map { $0 ? 1 : 0 } }
            coordinates = ones + (0..<count).map { Float($0 / sig.width) } + (0..<count).map { Float($0 % sig.width) }
            sums = .allocate(capacity: count)
            maxima = .allocate(capacity: count)
            floats = .allocate(capacity: framesAtOnce * count)
        }

        deinit {
            sums.deallocate()
            maxima.deallocate()
            frameSums.deallocate()
            moments.deallocate()
            floats.deallocate()
            products.deallocate()
        }

        // MARK: Kernels

        var sum: Way {
            way("C") { [self] in
                kernels.addFrames($0, to: sums)
            } results: { [self] in
                takenSums()
            }
        }
        var frameSum: Way {
            way("C") { [self] in
                kernels.frameSums($0, into: frameSums)
            } results: { [self] in
                counts(1)
            }
        }
        var maximum: Way {
            way("C") { [self] in
                kernels.maximum($0, into: UnsafeMutableRawBufferPointer(maxima))
            } results: { [self] in
                takenMaxima()
            }
        }
        var masked: Way {
            way("C") { [self] in
                kernels.maskedSums($0, masks, into: frameSums)
            } results: { [self] in
                counts(Self.radii.count)
            }
        }
        var moment: Way {
            let whole = RunLengthMask.full(FrameMemory.sigShape)
            return way("C") { [self] in
                kernels.moments($0, over: whole, into: moments)
            } results: { [self] in
                takenMoments()
            }
        }
        var float: Way {
            way("C") { [self] in
                kernels.convertToFloat($0, into: floats)
            } results: { [self] in
                floats.map { Double($0) }
            }
        }

        private func way(_ name: String, _ run: @escaping (PixelStack) -> Void, results: @escaping () -> [Double])
            -> Way
        {
            prepare()
            return Way(
                name: name,
                run: { [memory] first in
                    guard let stack = memory.stack(first..<first + framesAtOnce) else {
                        throw BenchFailure("U16 frames have to be decoded first")
                    }
                    run(stack)
                    return true
                }, results: results)
        }

        // MARK: Swift

        var swiftSum: Way {
            swiftWay { [self] in
                swift.addFrames($0, stride: $1, count: framesAtOnce, to: sums.baseAddress!)
            } results: {
                [self] in
                takenSums()
            }
        }
        var swiftFrameSum: Way {
            swiftWay { [self] in
                swift.frameSums($0, stride: $1, count: framesAtOnce, into: frameSums.baseAddress!)
            } results: { [self] in
                counts(1)
            }
        }
        var swiftMaximum: Way {
            swiftWay { [self] in
                swift.maximum($0, stride: $1, count: framesAtOnce, into: UnsafeMutableRawPointer(maxima.baseAddress!))
            } results: { [self] in
                takenMaxima()
            }
        }
        var swiftMasked: Way {
            swiftWay { [self] in
                swift.maskedSums($0, stride: $1, count: framesAtOnce, runs, into: frameSums.baseAddress!)
            } results: { [self] in
                counts(Self.radii.count)
            }
        }
        var swiftMoment: Way {
            swiftWay { [self] in
                swift.moments($0, stride: $1, count: framesAtOnce, into: moments.baseAddress!)
            } results: { [self] in
                takenMoments()
            }
        }
        var swiftFloat: Way {
            swiftWay { [self] in
                swift.convertToFloat($0, stride: $1, count: framesAtOnce, into: floats.baseAddress!)
            } results: { [self] in
                floats.map { Double($0) }
            }
        }

        private func swiftWay(
            _ run: @escaping (_ frames: UnsafeRawPointer, _ stride: Int) -> Void, results: @escaping () -> [Double]
        ) -> Way {
            Way(
                name: "Swift SIMD",
                run: { [memory] first in
                    run(memory.firstPixel + first * memory.stride, memory.stride)
                    return true
                }, results: results)
        }

        // MARK: OpenBLAS

        var blasFrameSum: Way { blasWay(ones) }
        var blasMasked: Way { blasWay(weights) }
        var blasMoment: Way { blasWay(coordinates) }

        /// Frames times masks, after decoding.
        private func blasWay(_ columns: [Float]) -> Way {
            let count = columns.count / swift.pixelCount
            return Way(
                name: "OpenBLAS",
                run: { [self] first in
                    guard let stack = memory.stack(first..<first + framesAtOnce) else { return false }
                    kernels.convertToFloat(stack, into: floats)
                    return bench_multiply_by_openblas(
                        floats.baseAddress, framesAtOnce, columns, count, swift.pixelCount, products.baseAddress)
                }, results: { [self] in products[..<(count * framesAtOnce)].map { Double($0) } })
        }

        // MARK: Results

        private func prepare() {
            sums.initialize(repeating: 0)
            maxima.initialize(repeating: 0)
        }

        /// Sums add up: each way begins with none.
        private func takenSums() -> [Double] {
            defer { sums.initialize(repeating: 0) }
            return sums.map { Double($0) }
        }

        private func takenMaxima() -> [Double] {
            defer { maxima.initialize(repeating: 0) }
            return maxima.map { Double($0) }
        }

        private func counts(_ masks: Int) -> [Double] { frameSums[..<(masks * framesAtOnce)].map { Double($0) } }

        private func takenMoments() -> [Double] {
            moments.flatMap { [Double($0.sum), Double($0.y), Double($0.x)] }
        }
    }
}
