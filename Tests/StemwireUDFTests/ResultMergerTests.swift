import StemwireKernels
import StemwireUDF
import Testing

@Suite("Partition results: travelling and merging")
struct ResultMergerTests {
    private let scan = ScanFixture()
    private let plan: RunPlan

    init() throws {
        let registry = try UDFRegistry.builtIn.adding(FloatMean.self).adding(PartitionCount.self)
        let names = ["sum", "sumsig", "monitor", "float-mean", "partition-count"]
        plan = try RunPlan(
            names.map { UDFRequest(name: $0) }, registry: registry, meta: try scan.meta(framesPerPartition: 8),
            generation: 2)
    }

    private func result(_ partition: Int, _ frames: Range<Int>? = nil) throws -> PartitionResult {
        let task = try UDFLane(plan, decoder: scan.decoder).begin(partition: partition)
        try scan.feed(task, frames ?? task.positions)
        return try task.finish()
    }

    private func travelled(
        _ result: PartitionResult, partition: Int? = nil, generation: UInt32? = nil,
        _ change: (inout [PartitionResult.Section], inout [[UInt8]]) -> Void = { _, _ in }
    ) throws -> PartitionResult {
        var (sections, arrays) = result.flattened(plan)
        var payloads = arrays.map { array in array.withUnsafeBytes { Array($0) } }
        arrays = []
        change(&sections, &payloads)
        let copies = payloads.map { bytes in
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
            copy.copyBytes(from: bytes)
            return copy
        }
        defer { copies.forEach { $0.deallocate() } }
        return try PartitionResult(
            plan: plan, partition: partition ?? result.partition, generation: generation ?? result.generation,
            isFinal: result.isFinal, sections: sections, payloads: copies.map { UnsafeRawBufferPointer($0) })
    }

    @Test func travellingChangesNothing() throws {
        for frames in [nil, 9..<12] as [Range<Int>?] {
            let result = try result(1, frames)
            #expect(try travelled(result) == result)
        }
        let task = try UDFLane(plan, decoder: scan.decoder).begin(partition: 4)
        try scan.feed(task, 32..<33)
        try scan.feed(task, 34..<35)
        let early = try #require(try task.flush())
        #expect(early.parts.map(\.positions) == Array(repeating: [32..<33, 34..<35], count: 3))
        #expect(try travelled(early) == early)
    }

    @Test func hostileResultsAreRefused() throws {
        let good = try result(1)
        func fault(
            partition: Int? = nil, generation: UInt32? = nil,
            _ change: (inout [PartitionResult.Section], inout [[UInt8]]) -> Void = { _, _ in }
        ) -> String {
            message { _ = try travelled(good, partition: partition, generation: generation, change) }
        }
        #expect(fault() == "no error")
        #expect(fault(partition: 5).contains("partition 5"))
        #expect(fault(partition: -1).contains("partition -1"))
        #expect(fault(partition: 2).contains("leave the partition's 16..<24"))
        #expect(fault(generation: 3).contains("generation 3"))
        #expect(fault { sections, _ in sections[0].udf = "disk" }.contains("does not have"))
        #expect(fault { sections, _ in sections[1] = sections[0] }.contains("two results of the same UDF"))
        #expect(fault { sections, _ in sections[0].contentHash ^= 1 }.contains("another version"))
        #expect(fault { sections, _ in sections[0].positions = [8..<12, 11..<16] }.contains("do not rise"))
        #expect(fault { sections, _ in sections[0].positions = [8..<12, 12..<16] }.contains("do not rise"))
        #expect(fault { sections, _ in sections[0].positions = [8..<8] }.contains("do not rise"))
        #expect(fault { sections, _ in sections[0].positions = [7..<9] }.contains("do not rise"))
        #expect(fault { sections, _ in sections[1].positions = [8..<9] }.contains("is expected"))
        #expect(fault { sections, _ in sections[0].buffers[0].name = "x" }.contains("buffer x of uint64"))
        #expect(fault { sections, _ in sections[0].buffers[0].dtype = .float64 }.contains("of float64"))
        #expect(fault { sections, _ in sections[0].buffers[0].shape = [Int.max, 2] }.contains("is expected"))
        #expect(fault { sections, _ in sections[0].buffers = [] }.contains("0 buffers"))
        #expect(fault { _, payloads in payloads[0].removeLast() }.contains("cannot consist of"))
        #expect(fault { _, payloads in payloads.removeLast() }.contains("left"))
        #expect(fault { _, payloads in payloads.append([]) }.contains("belong to no UDF"))
        #expect(fault { sections, payloads in (sections, payloads) = ([], []) } == "no error")
    }

    @Test func firstResultCounts() throws {
        var merger = ResultMerger(plan)
        #expect(try merger.merge(try result(1)) == .merged)
        let before = merger.channels()
        #expect(try merger.merge(try result(1)) == .duplicate)
        #expect(try merger.merge(try result(1, 9..<12)) == .duplicate)
        #expect(merger.channels() == before)
        #expect(try merger.merge(try result(2, 17..<19)) == .merged)
        let partial = merger.channels()
        #expect(message { try merger.merge(try result(2)) }.contains("in the results already; it was not merged"))
        // Other frames of a partition that was merged as a whole.
        #expect(message { try merger.merge(try result(2, 20..<21)) }.contains("in the results already"))
        #expect(merger.channels() == partial)
        #expect(merger.coverage.ranges(.processed) == [8..<16, 17..<19])
        #expect(merger.coverage.generation(at: 9) == 2)
        #expect(merger.failures.isEmpty)
    }

    @Test func whatIsKnownOfAResultIsLeftAsItIs() throws {
        // A worker was lost before it had finished a partition, and another one has done it again.
        let lost = try UDFLane(plan, decoder: scan.decoder).begin(partition: 1)
        try scan.feed(lost, 8..<16)
        var merger = ResultMerger(plan)
        try merger.merge(try #require(try lost.flush()))
        let before = merger.versions
        #expect(merger.coverage.count(.processed) == 0)
        #expect(try merger.merge(try result(1)) == .merged)
        #expect(merger.versions["sum"] == before["sum"] && merger.versions["float-mean"] == 1)
        #expect(merger.coverage.ranges(.processed) == [8..<16])
        #expect(try merger.merge(try lost.finish()) == .duplicate)
        let sum = scan.frames[0].indices.map { pixel in (8..<16).reduce(0) { $0 + scan.frames[$1][pixel] } }
        #expect(merger.array("sum")?.counts == sum)
    }

    @Test func unprocessedPositionsAreNaNOrZero() throws {
        var merger = ResultMerger(plan)
        let empty = merger.channels()
        #expect(
            empty.map(\.key) == [
                "sum.intensity", "sumsig.intensity", "monitor.intensity", "float-mean.mean", "float-mean.root",
                "partition-count.frames", "partition-count.newest",
            ])
        #expect(empty.allSatisfy { $0.version == 0 })
        #expect(empty[4].array.elements(as: Float.self).allSatisfy { $0.isNaN })
        #expect(empty[0].array == ResultArray(zeros: .uint64, shape: [6, 9]))
        try merger.merge(try result(3))
        let root = merger.channels()[4]
        #expect(root.array.shape == [5, 7] && root.valid?.ranges == [24..<32] && root.kind == .nav)
        for (position, value) in root.array.elements(as: Float.self).enumerated() {
            #expect(value.isNaN != (24..<32).contains(position))
        }
        #expect(merger.channels()[0].valid == nil)
    }

    @Test func versionsRiseWithNews() throws {
        var merger = ResultMerger(plan)
        try merger.merge(try result(0))
        let first = merger.versions
        let task = try UDFLane(plan, decoder: scan.decoder).begin(partition: 1)
        try scan.feed(task, 8..<10)
        try merger.merge(try #require(try task.flush()))
        #expect(merger.versions["sum"] == 2 && first["sum"] == 1)
        // Not before its partition is complete.
        #expect(merger.versions["float-mean"] == 1)
        #expect(merger.channels().map(\.version) == [2, 2, 2, 1, 1, 1, 1])
    }

    @Test func snapshotsDoNotChange() throws {
        var merger = ResultMerger(plan)
        try merger.merge(try result(0))
        let before = merger.channels()
        let bytes = before.map { channel in channel.array.withUnsafeBytes { Array($0) } }
        for partition in 1..<5 { try merger.merge(try result(partition)) }
        #expect(before.map { channel in channel.array.withUnsafeBytes { Array($0) } } == bytes)
    }

    @Test func newestFrameIsOfTheHighestPosition() throws {
        var merger = ResultMerger(plan)
        try merger.merge(try result(2, 18..<20))
        #expect(merger.array("monitor")?.counts == scan.frames[19])
        try merger.merge(try result(0))
        #expect(merger.array("monitor")?.counts == scan.frames[19])
        try merger.merge(try result(3, 24..<25))
        #expect(merger.array("monitor")?.counts == scan.frames[24])
    }
}
