import CBench
import MerlinProtocol
import StemwireKernels
import StemwireUDF

/// What is done to pixels, on one thread, from memory, as a part of what one thread can read.
enum KernelBenchmark {
    /// Frames in a call: what a tile of a detector's stream has.
    private static let framesAtOnce = 7

    static func run(pairs: Int) async throws -> [Row] {
        try kernels(pairs) + decoders(pairs) + ProductBenchmark.run(pairs: pairs) + fused(pairs)
    }

    private static func kernels(_ pairs: Int) throws -> [Row] {
        let memory = try FrameMemory("U16", depth: .twelve, payloadBytes: 131_072)
        let kernels = PixelKernels()
        let sig = FrameMemory.sigShape
        let masks = RunLengthMaskSet(
            [20.0, 30, 40, 50].map { .disk(sig, cy: 128, cx: 128, radius: 2 * $0) })
        let whole = RunLengthMask.full(sig)
        let sums = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: sig.pixelCount)
        let maxima = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * sig.pixelCount, alignment: 64)
        let frameSums = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: 4 * framesAtOnce)
        let moments = UnsafeMutableBufferPointer<PixelMoments>.allocate(capacity: framesAtOnce)
        defer {
            sums.deallocate()
            maxima.deallocate()
            frameSums.deallocate()
            moments.deallocate()
        }
        sums.initialize(repeating: 0)
        maxima.initializeMemory(as: UInt8.self, repeating: 0)
        let all: [(name: String, target: Double, run: (PixelStack) -> Void)] = [
            ("sum", 0.8, { kernels.addFrames($0, to: sums) }),
            ("sumsig", 0.8, { kernels.frameSums($0, into: frameSums) }),
            ("maximum", 0.8, { kernels.maximum($0, into: maxima) }),
            ("four masks", 0.5, { kernels.maskedSums($0, masks, into: frameSums) }),
            ("moments", 0.5, { kernels.moments($0, over: whole, into: moments) }),
        ]
        return try all.map { kernel in
            let values = try ratios(pairs, memory) {
                for first in stride(from: 0, to: memory.frameCount - framesAtOnce + 1, by: framesAtOnce) {
                    guard let stack = memory.stack(first..<first + framesAtOnce) else {
                        throw BenchFailure("U16 frames have to be decoded first")
                    }
                    kernel.run(stack)
                }
            }
            return Row(
                name: "U16: \(kernel.name)", target: .atLeast(kernel.target), values: values.ratios, beside: values.text
            )
        }
    }

    /// Into a block that stays in the cache, as the engine decodes.
    private static func decoders(_ pairs: Int) throws -> [Row] {
        let formats: [(depth: CounterDepth, payloadBytes: Int)] = [(.one, 8192), (.six, 65_536), (.twelve, 131_072)]
        return try formats.map { depth, payloadBytes in
            let memory = try FrameMemory("R64", depth: depth, payloadBytes: payloadBytes)
            let atOnce = max(1, RunPlan.blockBytes / memory.decoder.imageBytes)
            let images = UnsafeMutableRawBufferPointer.allocate(
                byteCount: atOnce * memory.decoder.imageBytes, alignment: 64)
            defer { images.deallocate() }
            let larger = max(payloadBytes, memory.decoder.imageBytes)
            let values = try ratios(pairs, memory, bytesPerFrame: larger) {
                for first in stride(from: 0, to: memory.frameCount - atOnce + 1, by: atOnce) {
                    memory.decoder.decodeStack(
                        frames: memory.firstPixel + first * memory.stride, stride: memory.stride, count: atOnce,
                        into: images)
                }
            }
            return Row(
                name: "R64 \(depth.rawValue)-bit: decode", target: .atLeast(0.5), values: values.ratios,
                beside: values.text + ", by the larger side")
        }
    }

    // MARK: Several UDFs in one pass

    private static func fused(_ pairs: Int) throws -> [Row] {
        let memory = try FrameMemory("U16", depth: .twelve, payloadBytes: 131_072)
        let requests = [
            UDFRequest(name: "sum"), UDFRequest(name: "sumsig"),
            try UDFRequest(argument: "disk:r=40"), try UDFRequest(argument: "ring:ri=50,ro=90"),
            try UDFRequest(argument: "com:r=100"),
        ]
        var contest: [(name: String, seconds: [Double])] = []
        for request in requests { contest.append((request.name, [])) }
        contest.append(("all", []))
        for round in 0...pairs {
            for index in contest.indices {
                let chosen = index < requests.count ? [requests[index]] : requests
                let seconds = try time(chosen, memory)
                if round > 0 { contest[index].seconds.append(seconds) }
            }
        }
        let alone = contest.dropLast()
        guard let all = contest.last, let dearest = alone.max(by: { $0.seconds.median < $1.seconds.median }) else {
            return []
        }
        let each = alone.map { "\($0.name) \(Int(Double(memory.frameCount) / $0.seconds.median).grouped)" }
        return [
            Row(
                name: "sum + sumsig + disk + ring + com", target: .atMost(1.5),
                values: zip(all.seconds, dearest.seconds).map { $0 / $1 },
                beside: "the time of \(dearest.name) alone; fps alone: \(each.joined(separator: ", "))")
        ]
    }

    /// Seconds that the engine takes for all frames, on this thread.
    private static func time(_ requests: [UDFRequest], _ memory: FrameMemory) throws -> Double {
        let framesPerPartition = 256
        let meta = try UDFMeta(
            navShape: [memory.frameCount / framesPerPartition, framesPerPartition], sigShape: FrameMemory.sigShape,
            inputDType: .uint16, framesPerPartition: framesPerPartition)
        let lane = try UDFLane(try RunPlan(requests, meta: meta), decoder: memory.decoder)
        let began = bench_now()
        for partition in 0..<memory.frameCount / framesPerPartition {
            let task = try lane.begin(partition: partition)
            let end = (partition + 1) * framesPerPartition
            for first in stride(from: partition * framesPerPartition, to: end, by: framesAtOnce) {
                try task.process(
                    memory.firstPixel + first * memory.stride, stride: memory.stride,
                    count: min(framesAtOnce, end - first), firstPosition: first)
            }
            _ = try task.finish()
        }
        return bench_now() - began
    }

    // MARK: Measuring

    /// Passes over all frames, each beside one that only reads: rates as parts of the reader's.
    private static func ratios(
        _ pairs: Int, _ memory: FrameMemory, bytesPerFrame: Int? = nil, _ pass: () throws -> Void
    ) throws -> (ratios: [Double], text: String) {
        var (ratios, rates, readRates) = ([Double](), [Double](), [Double]())
        let bytes = Double(memory.frameCount * (bytesPerFrame ?? memory.format.payloadBytes))
        for round in 0...pairs {
            let began = bench_now()
            try pass()
            let middle = bench_now()
            _ = bench_read_memory(memory.bytes.baseAddress, memory.bytes.count)
            let end = bench_now()
            // The first round warms up.
            guard round > 0 else { continue }
            rates.append(bytes / (middle - began))
            readRates.append(Double(memory.bytes.count) / (end - middle))
            ratios.append(rates[round - 1] / readRates[round - 1])
        }
        let gigabytes = { (rate: Double) in "\((rate / 1e8).rounded() / 10)" }
        return (ratios, "\(gigabytes(rates.median)) of \(gigabytes(readRates.median)) GB/s")
    }
}
