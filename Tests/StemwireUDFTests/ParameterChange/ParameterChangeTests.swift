import MerlinProtocol
import StemwireKernels
import StemwireUDF
import Testing

@Suite("Parameters that change while a run goes on")
struct ParameterChangeTests {
    let scan = ScanFixture()
    let registry: UDFRegistry

    init() throws {
        registry = try UDFRegistry.builtIn.adding(Weighted.self).adding(Counted.self).adding(Rooted.self)
            .adding(FloatMean.self)
    }

    private func plan(_ requests: [UDFRequest], framesPerPartition: Int = 8, generation: UInt32 = 0) throws -> RunPlan {
        let meta = try scan.meta(framesPerPartition: framesPerPartition)
        return try RunPlan(
            requests, registry: registry, meta: meta, generation: generation,
            blockBytes: 3 * scan.sigShape.pixelCount * 2)
    }

    private func result(_ plan: RunPlan, _ partition: Int, _ frames: Range<Int>? = nil) throws -> PartitionResult {
        let task = try UDFLane(plan, decoder: scan.decoder).begin(partition: partition)
        try scan.feed(task, frames ?? task.positions)
        return try task.finish()
    }

    private let counted = UDFRequest(name: "counted")
    private let tripled = UDFRequest(name: "counted", parameters: ["factor": 3])

    @Test func rowsStayAndSumsStartAnew() throws {
        let old = try plan([counted, UDFRequest(name: "sum")])
        let new = try old.changed(to: [tripled], registry: registry)
        #expect(new.generation == 1)
        var merger = ResultMerger(old)
        for partition in 0..<3 { try merger.merge(try result(old, partition)) }
        let before = merger.versions
        try merger.adopt(new)
        #expect(merger.versions["sum"] == before["sum"] && merger.versions["counted"] != before["counted"])
        #expect(merger.array("counted", "total") == ResultArray(zeros: .uint64, shape: [6, 9]))
        // `counted` has lost its sums: the positions are not in all results any more.
        #expect(merger.coverage.count(.processed) == 0 && merger.coverage.ranges(.received) == [0..<24])
        #expect(merger.outdated.ranges == [0..<24] && merger.outdatedPartitions == [0, 1, 2])
        for partition in 3..<5 { try merger.merge(try result(new, partition)) }
        let values = try merger.require("counted", "value").counts
        #expect(values == scan.frames.enumerated().map { $0.element[0] * ($0.offset < 24 ? 1 : 3) })
        let channels = merger.channels()
        let row = try #require(channels.first { $0.key == "counted.value" })
        #expect(row.valid?.ranges == [0..<35] && row.outdated?.ranges == [0..<24] && row.generation == 1)
        let total = try #require(channels.first { $0.key == "counted.total" })
        #expect(
            total.array.counts == scan.frames[0].indices.map { p in scan.frames[24...].reduce(0) { $0 + $1[p] * 3 } })
        #expect(total.outdated == nil && total.generation == 1)
        let sum = try #require(channels.first { $0.key == "sum.intensity" })
        #expect(sum.array.counts == scan.frames[0].indices.map { p in scan.frames.reduce(0) { $0 + $1[p] } })
        #expect(sum.generation == 0)
        #expect(merger.coverage.ranges(.processed) == [24..<35] && !merger.isComplete)
        #expect(merger.coverage.generation(at: 24) == 1)
    }

    @Test func theSeamShowsInTheCoverage() throws {
        let disk = UDFRequest(name: "disk", parameters: ["r": 2])
        let old = try plan([disk, UDFRequest(name: "sumsig")], generation: 5)
        let new = try old.changed(to: [UDFRequest(name: "disk", parameters: ["r": 3])], registry: registry)
        var merger = ResultMerger(old)
        for partition in [0, 1] { try merger.merge(try result(old, partition)) }
        try merger.adopt(new)
        for partition in [2, 3, 4] { try merger.merge(try result(new, partition)) }
        #expect(merger.isComplete)
        let runs = merger.coverage.processedGenerations
        #expect(runs.map(\.positions) == [0..<16, 16..<35] && runs.map(\.generation) == [5, 6])
        // A change that changes nothing leaves no seam, and goes on from there.
        try merger.adopt(try new.changed(to: [UDFRequest(name: "disk", parameters: ["r": 3.0])], registry: registry))
        #expect(merger.coverage.processedGenerations.map(\.generation) == [5, 7])
        #expect(merger.outdated.ranges == [0..<16])
        let again = try #require(merger.recomputation(ofPartition: 1))
        #expect(again.udfs.map(\.id) == ["disk"] && again.generation == 7)
        try merger.merge(try result(again, 1))
        #expect(merger.coverage.processedGenerations.map(\.positions) == [0..<8, 8..<35])
        #expect(merger.recomputation(ofPartition: 1) == nil && merger.recomputation(ofPartition: 0) != nil)
        #expect(merger.channels()[0].outdated?.ranges == [0..<8])
    }

    @Test func lateResultsGiveRowsWhereThereIsNothingNewer() throws {
        let old = try plan([counted])
        let new = try old.changed(to: [tripled], registry: registry)
        let newest = try new.changed(to: [UDFRequest(name: "counted", parameters: ["factor": 5])], registry: registry)
        var merger = ResultMerger(old)
        try merger.adopt(new)
        try merger.merge(try result(new, 1, 10..<12))
        try merger.adopt(newest)
        try merger.merge(try result(newest, 1, 14..<16))
        // Rows of the first parameters: where there are none of the second ones, nor of the third.
        #expect(try merger.merge(try result(old, 1)) == .merged)
        let factors: [UInt64] = [1, 1, 3, 3, 1, 1, 5, 5]
        let values = try merger.require("counted", "value").counts
        #expect(values[8..<16].elementsEqual(zip(scan.frames[8..<16], factors).map { $0[0] * $1 }))
        #expect(
            try merger.require("counted", "total").counts
                == scan.frames[0].indices.map { (scan.frames[14][$0] + scan.frames[15][$0]) * 5 })
        #expect(try merger.merge(try result(old, 1)) == .duplicate)
        #expect(try merger.merge(try result(new, 1, 8..<9)) == .merged)
        #expect(try merger.require("counted", "value").counts[8] == scan.frames[8][0] * 3)
        #expect(try merger.merge(try result(new, 1, 14..<16)) == .duplicate)
        #expect(merger.outdated.ranges == [8..<14])
        #expect(merger.channels()[0].outdated?.ranges == [8..<14])
    }

    @Test func resultsAreComputedWithTheNewParametersFromTheRowsThereAre() throws {
        let rooted = UDFRequest(name: "rooted")
        let old = try plan([rooted])
        var merger = ResultMerger(old)
        for partition in 0..<5 { try merger.merge(try result(old, partition)) }
        #expect(merger.isComplete)
        let changed = UDFRequest(name: "rooted", parameters: ["offset": 100])
        try merger.adopt(try old.changed(to: [changed], registry: registry))
        let roots = try merger.require("rooted", "root").elements(as: Double.self)
        #expect(roots == scan.frames.map { Double($0[0]).squareRoot() + 100 })
        #expect(merger.isComplete && merger.coverage.processedGenerations.map(\.generation) == [0])
    }

    @Test func rowsOfAnotherLayoutStartAnew() throws {
        let wide = UDFRequest(name: "weighted", parameters: ["columns": 3])
        let old = try plan([UDFRequest(name: "weighted"), UDFRequest(name: "sumsig")])
        let new = try old.changed(to: [wide], registry: registry)
        var merger = ResultMerger(old)
        try merger.merge(try result(old, 0))
        try merger.adopt(new)
        let empty = merger.channels()
        #expect(empty[0].array.shape == [5, 7, 3] && empty[0].valid?.isEmpty == true && empty[0].outdated == nil)
        #expect(empty[0].array.elements(as: Double.self).allSatisfy { $0.isNaN })
        // Rows of the old layout have no place any more.
        #expect(try merger.merge(try result(old, 2)) == .merged)
        #expect(merger.channels()[0].valid?.isEmpty == true)
        #expect(merger.channels().last?.valid?.ranges == [0..<8, 16..<24])
        #expect(merger.outdatedPartitions == [0, 2])
        try merger.merge(try result(new, 1))
        #expect(merger.channels()[0].valid?.ranges == [8..<16])
        let values = try merger.require("weighted", "value").elements(as: Double.self)
        #expect(values[24] == Double(scan.frames[8][0]))
    }

    @Test func resultsOfOtherGenerationsAreRefused() throws {
        let first = try plan([counted], generation: 3)
        let early = try plan([counted], generation: 2)
        let late = try plan([counted], generation: 4)
        var merger = ResultMerger(first)
        #expect(message { try merger.merge(try result(early, 0)) }.contains("generation 2; the run has had 3 to 3"))
        #expect(message { try merger.merge(try result(late, 0)) }.contains("generation 4"))
        #expect(merger.coverage.count(.processed) == 0 && merger.failures.isEmpty)
    }

    @Test func otherPlansAreRefused() throws {
        let sum = UDFRequest(name: "sum")
        let old = try plan([counted, sum])
        var merger = ResultMerger(old)
        func fault(_ next: RunPlan) -> String { message { try merger.adopt(next) } }
        #expect(fault(try plan([counted, sum])).contains("at 0 already"))
        #expect(fault(try plan([counted], generation: 1)).contains("only parameters can change"))
        #expect(fault(try plan([sum, counted], generation: 1)).contains("only parameters can change"))
        #expect(fault(try plan([counted, sum], framesPerPartition: 7, generation: 1)).contains("stay the same"))
        let corrections = Corrections(gain: ResultArray(zeros: .float32, shape: [6, 9]))
        let corrected = try RunPlan(
            [counted, sum], registry: registry, meta: old.meta, corrections: corrections, generation: 1)
        #expect(fault(corrected).contains("corrections of a run stay the same"))
        #expect(fault(try plan([tripled, sum], generation: 9)) == "no error")
        #expect(merger.plan.generation == 9)
    }

    @Test func impossibleChangesAreNamed() throws {
        let old = try plan([counted, UDFRequest(id: "bf", name: "disk")])
        func fault(_ requests: [UDFRequest]) -> String {
            message { _ = try old.changed(to: requests, registry: registry) }
        }
        #expect(fault([UDFRequest(id: "x", name: "disk")]).contains("only counted, bf; UDFs cannot be added"))
        #expect(fault([tripled, counted]).contains("given twice"))
        #expect(fault([UDFRequest(id: "bf", name: "ring")]).contains("cannot become a ring"))
        #expect(fault([UDFRequest(id: "bf", name: "disk", parameters: ["r": -1])]).contains("is no radius"))
        #expect(fault([UDFRequest(id: "bf", name: "disk", parameters: ["q": 1])]).contains("no parameter \"q\""))
        #expect(fault([]) == "no error")
        let same = try old.changed(to: [UDFRequest(name: "counted", parameters: ["factor": 1])], registry: registry)
        #expect(same.udfs.map(\.contentHash) == old.udfs.map(\.contentHash) && same.generation == 1)
    }

    @Test func otherAuxiliaryDataAreOtherParameters() throws {
        let registry = try UDFRegistry().adding(Shifted.self)
        func request(_ value: Float) -> UDFRequest {
            let shifts = ResultArray([Float](repeating: value, count: 70), shape: [5, 7, 2])
            return UDFRequest(name: "shifted", auxiliary: ["shifts": shifts])
        }
        let meta = try scan.meta(framesPerPartition: 8)
        let old = try RunPlan([request(1)], registry: registry, meta: meta)
        var merger = ResultMerger(old)
        try merger.merge(try result(old, 0))
        try merger.adopt(try old.changed(to: [request(1)], registry: registry))
        #expect(merger.outdated.isEmpty)
        try merger.adopt(try merger.plan.changed(to: [request(2)], registry: registry))
        #expect(merger.outdated.ranges == [0..<8])
        try merger.merge(try result(merger.plan, 0))
        #expect(try merger.require("shifted", "shift").elements(as: Float.self)[0..<8] == [4, 4, 4, 4, 4, 4, 4, 4])
    }

    @Test func partsOfARestrictedPlanTravel() throws {
        let old = try plan([UDFRequest(name: "sum"), counted, UDFRequest(name: "float-mean")])
        let whole = try old.changed(to: [tripled], registry: registry)
        let part = whole.restricted(to: ["counted"])
        #expect(part.udfs.map(\.id) == ["counted"])
        let made = try result(part, 2)
        #expect(made.parts.map(\.udf) == [1])
        let (sections, arrays) = made.flattened(part)
        #expect(sections.map(\.udf) == ["counted"])
        let payloads = arrays.map { array in array.withUnsafeBytes { Array($0) } }
        let copies = payloads.map { bytes in
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
            copy.copyBytes(from: bytes)
            return UnsafeRawBufferPointer(copy)
        }
        defer { copies.forEach { $0.deallocate() } }
        for plan in [part, whole] {
            let taken = try PartitionResult(
                plan: plan, partition: 2, generation: 1, isFinal: true, sections: sections, payloads: copies)
            #expect(taken == made)
        }
    }
}
