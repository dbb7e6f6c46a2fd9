import MerlinProtocol
import StemwireKernels
import StemwireUDF
import Testing

@Suite("Engine: order, pieces and places of frames")
struct EngineTests {
    private let registry: UDFRegistry

    init() throws {
        registry = try UDFRegistry.builtIn.adding(Brightest.self).adding(FloatMean.self).adding(Variance.self)
            .adding(PartitionCount.self).adding(Failing.self).adding(SeenOrder.self).adding(FrameMean.self)
    }

    /// - Parameter framesPerBlock: what would be as large as the cache.
    private func plan(_ names: [String], _ meta: UDFMeta, framesPerBlock: Int = 2) throws -> RunPlan {
        try RunPlan(
            names.map { UDFRequest(name: $0) }, registry: registry, meta: meta,
            blockBytes: framesPerBlock * meta.sigShape.pixelCount * meta.inputDType.byteCount)
    }

    @Test func userUDFOnCounts() throws {
        for dtype in [DType.uint8, .uint16, .uint32, .uint64] {
            let scan = ScanFixture(dtype: dtype)
            let request = UDFRequest(name: "brightest", parameters: ["above": 100])
            let plan = try RunPlan([request], registry: registry, meta: try scan.meta(framesPerPartition: 4))
            var merger = try scan.run(plan, .init(seed: 2))
            #expect(merger.array("brightest")?.counts == scan.frames.map { max($0.max()!, 100) - 100 })
        }
    }

    @Test(arguments: [1, 3, 8, 35])
    func floatingPointSumsKeepTheirBits(framesPerPartition: Int) throws {
        let scan = ScanFixture(dtype: .uint32)
        let meta = try scan.meta(framesPerPartition: framesPerPartition)
        // Beside UDFs with other wishes for the depth of tiles and the form of pixels, too.
        let plans = [
            try plan(["float-mean"], meta), try plan(["frame-mean", "float-mean", "variance", "sum"], meta),
            try plan(["variance", "frame-mean", "brightest", "float-mean"], meta),
        ]
        for missing in [[], [0, 1, 12, 20, 34]] as [Set<Int>] {
            let there = scan.frames.indices.filter { !missing.contains($0) }.map { scan.frames[$0] }
            var ordered = ScanFixture.Disorder.none
            ordered.missing = missing
            var reference = try scan.run(plans[0], ordered)
            let mean = try reference.require("float-mean", "mean")
            var variance: ResultArray?
            for seed in 1...9 as ClosedRange<UInt64> {
                let disorder = ScanFixture.Disorder(seed: seed, lanes: Int(seed % 3) + 1, missing: missing)
                var merger = try scan.run(plans[Int(seed % 3)], disorder)
                #expect(merger.array("float-mean", "mean") == mean, "seed \(seed)")
                #expect(merger.array("float-mean", "root") == reference.array("float-mean", "root"))
                guard let other = merger.array("variance", "variance") else { continue }
                #expect(variance == nil || variance == other, "seed \(seed)")
                variance = other
                let means = try merger.require("frame-mean").elements(as: Double.self)
                for (position, frame) in scan.frames.enumerated() where !missing.contains(position) {
                    #expect(means[position] == frame.reduce(0) { $0 + Double(Float($1)) } / Double(frame.count))
                }
            }
            for (pixel, value) in mean.elements(as: Float.self).enumerated() {
                let plain = there.reduce(0) { $0 + Double($1[pixel]) } / Double(there.count)
                #expect(abs(Double(value) - plain) < 1e-5 * plain)
                let squares = there.reduce(0) { $0 + (Double($1[pixel]) - plain) * (Double($1[pixel]) - plain) }
                let found = try #require(variance).elements(as: Double.self)[pixel]
                #expect(abs(found - squares / Double(there.count)) < 1e-6 * found)
            }
        }
    }

    @Test(arguments: [1, 2, 5, 8, 35], [1, 3, 50])
    func framesAndPartsComeInRisingOrder(framesPerPartition: Int, framesPerBlock: Int) throws {
        let scan = ScanFixture()
        let roi = PositionSet((0..<35).map { $0 % 5 != 3 && !(8..<12).contains($0) })
        for (seed, roi) in zip(
            1...12 as ClosedRange<UInt64>, [nil, roi, nil, nil, roi, roi, nil, nil, roi, nil, roi, nil])
        {
            let meta = try scan.meta(framesPerPartition: framesPerPartition, roi: roi)
            let plan = try plan(["seen-order", "variance", "sum"], meta, framesPerBlock: framesPerBlock)
            let missing: Set<Int> = seed % 3 == 0 ? [] : [2, 16, 17, 18, 19, 20, 21, 22, 23, 24, 30]
            var merger = try scan.run(plan, .init(seed: seed, missing: missing))
            let expected = SeenOrder.expected(
                (0..<35).filter { !missing.contains($0) && roi?.contains($0) != false })
            #expect(merger.array("seen-order", "hash")?.elements(as: UInt64.self)[0] == expected, "seed \(seed)")
        }
    }

    @Test func orderMattersForTheBitsOfFloatingPointSums() throws {
        // Else the test above shows nothing.
        let scan = ScanFixture(dtype: .uint32)
        var one = try scan.run(try plan(["float-mean"], try scan.meta(framesPerPartition: 1)))
        var other = try scan.run(try plan(["float-mean"], try scan.meta(framesPerPartition: 35)))
        #expect(one.array("float-mean", "mean") != other.array("float-mean", "mean"))
    }

    @Test func wholePartitionsWithLostFrames() throws {
        let scan = ScanFixture()
        let plan = try plan(["partition-count", "sum"], try scan.meta(framesPerPartition: 8))
        for seed in 1...4 as ClosedRange<UInt64> {
            let missing: Set<Int> = [9, 10, 32, 34]
            var merger = try scan.run(plan, .init(seed: seed, missing: missing))
            let frames = try merger.require("partition-count", "frames")
            #expect(frames.shape == [5, 7, 2])
            let expected = (0..<35).flatMap { position -> [Int32] in
                if missing.contains(position) { return [0, 0] }
                return [position / 8 == 1 ? 6 : position / 8 == 4 ? 1 : 8, Int32(position / 8)]
            }
            #expect(frames.elements(as: Int32.self) == expected)
            #expect(merger.array("partition-count", "newest")?.counts == scan.frames[33])
        }
    }

    @Test func frameAtATakenPositionIsLeftOut() throws {
        let scan = ScanFixture()
        let plan = try plan(["sum", "float-mean"], try scan.meta(framesPerPartition: 8))
        let task = try UDFLane(plan, decoder: scan.decoder).begin(partition: 1)
        #expect(try scan.feed(task, 9..<12) == 3)
        #expect(try scan.feed(task, 8..<16) == 5)
        #expect(try scan.feed(task, 8..<16) == 0)
        #expect(task.isComplete)
        #expect(task.takenPositions == [8..<16])
        var merger = ResultMerger(plan)
        try merger.merge(try task.finish())
        let sum = scan.frames[0].indices.map { pixel in (8..<16).reduce(0) { $0 + scan.frames[$1][pixel] } }
        #expect(merger.array("sum")?.counts == sum)
    }

    @Test func earlyResultsAreOfUDFsThatMayBeSplit() throws {
        let scan = ScanFixture()
        let plan = try plan(["float-mean", "sumsig", "partition-count"], try scan.meta(framesPerPartition: 8))
        let task = try UDFLane(plan, decoder: scan.decoder).begin(partition: 0)
        #expect(try task.flush() == nil)
        try scan.feed(task, 2..<5)
        #expect(task.pendingCount == 3)
        let early = try #require(try task.flush())
        #expect(early.parts.map(\.udf) == [1])
        #expect(early.parts[0].positions == [2..<5])
        #expect(early.parts[0].buffers[0].shape == [3])
        #expect(!early.isFinal)
        var merger = ResultMerger(plan)
        try merger.merge(early)
        #expect(merger.coverage.count(.processed) == 0)
        let channels = merger.channels()
        let shown = try #require(channels.first { $0.udf == "sumsig" })
        #expect(shown.valid?.ranges == [2..<5])
        try scan.feed(task, 0..<8)
        try merger.merge(try task.finish())
        #expect(merger.coverage.ranges(.processed) == [0..<8])
        #expect(merger.array("sumsig")?.counts.prefix(8) == scan.frames.map { $0.reduce(0, +) }.prefix(8))
    }

    @Test func manyTasksOnTheSameMachine() async throws {
        let scan = ScanFixture(navShape: [8, 8])
        let plan = try plan(["sum", "float-mean", "sumsig"], try scan.meta(framesPerPartition: 5))
        let bytes = Array(UnsafeRawBufferPointer(start: scan.base, count: 64 * scan.stride))
        let stride = scan.stride
        let offset = scan.pixelOffset
        let decoder = scan.decoder
        var merger = ResultMerger(plan)
        try await withThrowingTaskGroup(of: [PartitionResult].self) { group in
            for thread in 0..<4 {
                group.addTask {
                    let lane = try UDFLane(plan, decoder: decoder)
                    return try bytes.withUnsafeBytes { bytes in
                        try Swift.stride(from: thread, to: plan.meta.partitionCount, by: 4).map { partition in
                            let task = try lane.begin(partition: partition)
                            let first = task.positions.lowerBound
                            try task.process(
                                bytes.baseAddress! + first * stride, stride: stride, pixelOffset: offset,
                                count: task.positions.count, firstPosition: first)
                            return try task.finish()
                        }
                    }
                }
            }
            for try await results in group {
                for result in results { try merger.merge(result) }
            }
        }
        var reference = try scan.run(plan)
        #expect(merger.channels().map(\.array) == reference.channels().map(\.array))
    }

    @Test func floatingPointFrames() throws {
        let sig = SigShape(height: 2, width: 3)
        let pixels = (0..<24).map { Float($0) / 7 }
        let meta = try UDFMeta(navShape: [4], sigShape: sig, inputDType: .float32, framesPerPartition: 4)
        let plan = try plan(["float-mean"], meta)
        let task = try UDFLane(plan, decoder: NativeStackDecoder(dtype: .float32, sigShape: sig)).begin(partition: 0)
        try pixels.withUnsafeBytes { _ = try task.process($0.baseAddress!, stride: 24, count: 4, firstPosition: 0) }
        var merger = ResultMerger(plan)
        try merger.merge(try task.finish())
        let mean = try merger.require("float-mean", "mean").elements(as: Float.self)
        for index in 0..<6 { #expect(abs(mean[index] - (pixels[index] + pixels[index + 18]) / 2) < 1e-5) }
        let countsOnly = try registry.adding(CountsOnly.self)
        let request = UDFRequest(name: "counts-only")
        #expect(message { _ = try RunPlan([request], registry: countsOnly, meta: meta) }.hasSuffix("only on counts"))
    }

    @Test func auxiliaryDataComeWithTheirFrames() throws {
        let scan = ScanFixture(navShape: [2, 3])
        let shifts = ResultArray((0..<12).map { Float($0) }, shape: [2, 3, 2])
        let registry = try UDFRegistry().adding(Shifted.self)
        let meta = try scan.meta(framesPerPartition: 2)
        let request = UDFRequest(name: "shifted", auxiliary: ["shifts": shifts])
        var merger = try scan.run(try RunPlan([request], registry: registry, meta: meta), .init())
        #expect(merger.array("shifted", "shift")?.elements(as: Float.self) == [1, 5, 9, 13, 17, 21])
        let other = UDFRequest(name: "shifted", auxiliary: ["shifts": shifts.reshaped([3, 4])])
        #expect(message { _ = try RunPlan([other], registry: registry, meta: meta) }.contains("nav shape"))
    }

    @Test func errorsNameUDFPartitionAndCause() throws {
        let scan = ScanFixture()
        let meta = try scan.meta(framesPerPartition: 8)
        func fault(_ place: String, at: Int = 19) -> String {
            message {
                let request = UDFRequest(
                    id: "mine", name: "failing", parameters: ["at": .integer(Int64(at)), "place": .text(place)])
                let plan = try RunPlan([request], registry: registry, meta: meta)
                var merger = try scan.run(plan, .none)
                _ = merger.channels()
                if let failure = merger.failures.first { throw failure }
            }
        }
        #expect(fault("process").hasPrefix("UDF mine, partition 2: it was told to fail in process (scan positions 16"))
        #expect(fault("preprocess").hasPrefix("UDF mine, partition 0: it was told to fail in preprocess"))
        #expect(fault("postprocess").hasPrefix("UDF mine, partition 0: it was told to fail in postprocess"))
        #expect(fault("merge") == "UDF mine, partition 1: it was told to fail in merge")
        #expect(fault("computeResults").hasSuffix("it was told to fail in computeResults"))
        #expect(fault("type").contains("the pixels are uint16, not float64"))
        #expect(fault("name").contains("no buffer \"nothing\" here; there is intensity, last"))
        #expect(fault("buffer").contains("the buffer last is of int64, not of float32"))
        #expect(fault("write").contains("may only be read here"))
        #expect(fault("nowhere") == "no error")
    }

    @Test func failedTaskStaysFailedAndIsReported() throws {
        let scan = ScanFixture()
        let request = UDFRequest(name: "failing", parameters: ["at": 19])
        let plan = try RunPlan([request], registry: registry, meta: try scan.meta(framesPerPartition: 8))
        let lane = try UDFLane(plan, decoder: scan.decoder)
        let task = try lane.begin(partition: 2)
        var merger = ResultMerger(plan)
        do {
            try scan.feed(task, 16..<18)
            try scan.feed(task, 18..<24)
            Issue.record("it did not fail")
        } catch let error as UDFError {
            #expect(error.code == .processing && error.partition == 2 && error.udf == "failing")
            #expect(error.cause is UDFFailure)
            merger.fail(error, positions: task.takenPositions)
        }
        #expect(message { _ = try task.finish() }.contains("partition 2"))
        #expect(message { _ = try task.flush() }.contains("partition 2"))
        #expect(merger.coverage.ranges(.failed) == [16..<18])
        #expect(merger.failures.count == 1)
        // The lane is as good as new.
        let next = try lane.begin(partition: 3)
        try scan.feed(next, 24..<32)
        try merger.merge(try next.finish())
        #expect(merger.coverage.ranges(.processed) == [24..<32])
    }

    @Test func wrongUseIsRefused() throws {
        let scan = ScanFixture()
        let plan = try plan(["sum"], try scan.meta(framesPerPartition: 8))
        let lane = try UDFLane(plan, decoder: scan.decoder)
        #expect(message { _ = try lane.begin(partition: 5) }.contains("5 partitions"))
        #expect(message { _ = try lane.begin(partition: -1) }.contains("5 partitions"))
        let task = try lane.begin(partition: 4)
        #expect(task.positions == 32..<35)
        #expect(message { try scan.feed(task, 31..<33) }.contains("not all in the partition's 32..<35"))
        #expect(message { try task.process(scan.base, stride: 1, count: -1, firstPosition: 33) }.contains("-1 frames"))
        #expect(message { try task.process(scan.base, stride: 1, count: .max, firstPosition: 33) }.contains("frames"))
        _ = try task.finish()
        #expect(message { _ = try task.finish() }.contains("finished already"))
        #expect(message { try scan.feed(task, 32..<33) }.contains("finished already"))
        let other = NativeStackDecoder(dtype: .uint8, sigShape: scan.sigShape)
        #expect(message { _ = try UDFLane(plan, decoder: other) }.contains("uint8"))
    }
}

/// Uses values that came with the request.
struct Shifted: TileUDF {
    static let name = "shifted"

    init(parameters: NoParameters, meta: UDFMeta) {}

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("shift", .float32)] }

    func process(_ tile: FrameTile, _ context: Context) throws {
        let shifts = try context.auxiliary("shifts", as: Float.self)
        let out = try context.buffer("shift", as: Float.self)
        for index in 0..<tile.count { out[index] = shifts[2 * index] + shifts[2 * index + 1] }
    }
}
