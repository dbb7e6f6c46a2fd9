import MerlinProtocol
import StemwireKernels
import StemwireTestSupport
import StemwireUDF
import Testing

@Suite("Built-in UDFs against plain sums")
struct BuiltInUDFTests {
    static let requests = [
        UDFRequest(name: "sum"), UDFRequest(name: "sumsig"), UDFRequest(name: "max"), UDFRequest(name: "monitor"),
        UDFRequest(name: "disk", parameters: ["cy": 2.5, "cx": 4, "r": 2]),
        UDFRequest(name: "ring", parameters: ["ri": 1.5, "ro": 3.2]),
        UDFRequest(name: "point", parameters: ["cy": 5, "cx": 0]),
        UDFRequest(name: "rectangle", parameters: ["y": 1, "x": 2, "height": 3, "width": 4]),
    ]

    /// What the UDFs above must give, in the plainest words.
    static func expected(_ scan: ScanFixture, without missing: Set<Int> = []) -> [String: [UInt64]] {
        let frames = scan.frames.enumerated().map { missing.contains($0.offset) ? nil : $0.element }
        let width = scan.sigShape.width
        func masked(_ isIn: (Double, Double) -> Bool) -> [UInt64] {
            frames.map { frame in
                guard let frame else { return 0 }
                return frame.indices.reduce(0) {
                    isIn(Double($1 / width), Double($1 % width)) ? $0 &+ frame[$1] : $0
                }
            }
        }
        let there = frames.compactMap { $0 }
        return [
            "sum": scan.frames[0].indices.map { pixel in there.reduce(0) { $0 &+ $1[pixel] } },
            "sumsig": masked { _, _ in true },
            "max": scan.frames[0].indices.map { pixel in there.map { $0[pixel] }.max() ?? 0 },
            "monitor": there.last ?? [],
            "disk": masked { y, x in (y - 2.5) * (y - 2.5) + (x - 4) * (x - 4) <= 4 },
            "ring": masked { y, x in
                let squared = (y - 3) * (y - 3) + (x - 4) * (x - 4)
                return squared <= 3.2 * 3.2 && squared > 1.5 * 1.5
            },
            "point": masked { y, x in y == 5 && x == 0 },
            "rectangle": masked { y, x in y >= 1 && y < 4 && x >= 2 && x < 6 },
        ]
    }

    static func expectEqual(
        _ merger: ResultMerger, _ scan: ScanFixture, without missing: Set<Int> = [], _ comment: Comment? = nil
    ) {
        var merger = merger
        for (id, values) in expected(scan, without: missing) {
            guard let array = merger.array(id) else {
                Issue.record("\(id) has no result")
                continue
            }
            #expect(array.counts == values, "\(id), \(comment?.rawValue ?? "")")
            let keepsType = id == "max" || id == "monitor"
            #expect(array.dtype == (keepsType ? scan.dtype : .uint64))
            let isSig = keepsType || id == "sum"
            #expect(array.shape == (isSig ? [scan.sigShape.height, scan.sigShape.width] : scan.navShape))
        }
    }

    @Test(arguments: [DType.uint8, .uint16, .uint32, .uint64], [1, 4, 35, 100])
    func anyOrderAndPartitionSize(dtype: DType, framesPerPartition: Int) throws {
        for seed in 1...6 as ClosedRange<UInt64> {
            let scan = ScanFixture(dtype: dtype, largest: dtype == .uint64 ? 1 << 50 : nil, seed: seed)
            let plan = try RunPlan(Self.requests, meta: try scan.meta(framesPerPartition: framesPerPartition))
            var disorder = ScanFixture.Disorder(seed: seed)
            if seed == 1 { disorder = .none }
            if seed > 4 { disorder.missing = [0, 3, 17, 18, 34] }
            let merger = try scan.run(plan, disorder)
            Self.expectEqual(merger, scan, without: disorder.missing, "seed \(seed)")
            #expect(merger.coverage.ranges(.missing).flatMap { $0 } == disorder.missing.sorted())
            #expect(merger.isComplete == disorder.missing.isEmpty)
        }
    }

    @Test func severalAtOnceEqualEachAlone() throws {
        let scan = ScanFixture()
        let meta = try scan.meta(framesPerPartition: 8)
        var together = try scan.run(try RunPlan(Self.requests, meta: meta), .init(seed: 9))
        for request in Self.requests {
            var alone = try scan.run(try RunPlan([request], meta: meta), .init(seed: 10))
            #expect(alone.array(request.id) == together.array(request.id), "\(request.id)")
        }
    }

    @Test(arguments: ["U08", "U16", "U32", "U64"])
    func detectorFormats(pixelType: String) throws {
        let dtype: DType = ["U08": .uint8, "U16": .uint16, "U32": .uint32, "U64": .uint64][pixelType]!
        let scan = ScanFixture(dtype: dtype, bigEndian: true, largest: dtype == .uint64 ? 1 << 50 : nil)
        let header = "MQ1,000001,00384,01,0009,0006,\(pixelType),   1x1,01,2026-01-02 03:04:05.000000,0.001,0,0,0,1,"
        let bytes = Array(header.utf8) + Array(repeating: 0, count: 384 - header.utf8.count)
        let format = try bytes.withUnsafeBytes {
            try FrameFormat(
                header: $0, payloadBytes: scan.sigShape.pixelCount * dtype.byteCount, acquisitionDepth: nil)
        }
        let meta = try UDFMeta(navShape: scan.navShape, format: format, framesPerPartition: 6)
        #expect(meta == (try scan.meta(framesPerPartition: 6)))
        // Alone, frames are worked on where they are; beside a UDF that wants native numbers, decoded.
        let registry = try UDFRegistry.builtIn.adding(Brightest.self)
        let others = [UDFRequest(name: "brightest"), UDFRequest(name: "float-mean")]
        let plans = [
            try RunPlan(Self.requests, meta: meta),
            try RunPlan(Self.requests + others, registry: try registry.adding(FloatMean.self), meta: meta),
        ]
        for plan in plans {
            let merger = try scan.run(plan, .init(seed: 3), decoder: try FrameDecoder(format))
            Self.expectEqual(merger, scan)
        }
    }

    @Test func narrowSumsAreEmptiedInTime() throws {
        // One pixel of 16 bits at its largest: 65,537 frames fill a sum of 32 bits.
        let count = 70_000
        let pixels = [UInt16](repeating: .max, count: count)
        let sig = SigShape(height: 1, width: 1)
        let meta = try UDFMeta(navShape: [count], sigShape: sig, inputDType: .uint16, framesPerPartition: count)
        let plan = try RunPlan([UDFRequest(name: "sum")], meta: meta)
        let lane = try UDFLane(plan, decoder: NativeStackDecoder(dtype: .uint16, sigShape: sig))
        let task = try lane.begin(partition: 0)
        try pixels.withUnsafeBytes { bytes in
            let first = bytes.baseAddress!
            try task.process(first, stride: 2, count: 40_000, firstPosition: 0)
            try task.process(first, stride: 2, count: 30_000, firstPosition: 40_000)
        }
        var merger = ResultMerger(plan)
        try merger.merge(try task.finish())
        #expect(merger.array("sum")?.elements(as: UInt64.self) == [70_000 * 65_535])
    }

    @Test func regionOfInterestIsHonoured() throws {
        let scan = ScanFixture()
        var generator = SeededGenerator(seed: 5)
        let roi = PositionSet((0..<35).map { _ in Bool.random(using: &generator) })
        let plan = try RunPlan(Self.requests, meta: try scan.meta(framesPerPartition: 4, roi: roi))
        let merger = try scan.run(plan, .init(seed: 6))
        Self.expectEqual(merger, scan, without: Set((0..<35).filter { !roi.contains($0) }))
        #expect(merger.isComplete)
        #expect(merger.coverage.ranges(.processed) == roi.ranges)
    }

    @Test func defaultsFollowLiberTEM() throws {
        let scan = ScanFixture(sigShape: SigShape(height: 20, width: 30), largest: 99)
        let plan = try RunPlan(
            [UDFRequest(name: "disk"), UDFRequest(name: "ring"), UDFRequest(name: "point")],
            meta: try scan.meta(framesPerPartition: 8))
        var merger = try scan.run(plan)
        func plain(_ isIn: (Int) -> Bool) -> [UInt64] {
            scan.frames.map { frame in
                frame.indices.reduce(0) {
                    let y = $1 / 30 - 10
                    let x = $1 % 30 - 15
                    return isIn(y * y + x * x) ? $0 + frame[$1] : $0
                }
            }
        }
        #expect(merger.array("disk")?.counts == plain { $0 <= 9 })
        #expect(merger.array("ring")?.counts == plain { $0 <= 100 && $0 > 64 })
        #expect(merger.array("point")?.counts == plain { $0 == 0 })
    }
}

extension ResultArray {
    /// The elements of an array of counts.
    var counts: [UInt64] {
        switch dtype {
        case .uint8: elements(as: UInt8.self).map { UInt64($0) }
        case .uint16: elements(as: UInt16.self).map { UInt64($0) }
        case .uint32: elements(as: UInt32.self).map { UInt64($0) }
        default: elements(as: UInt64.self)
        }
    }
}
