import MerlinProtocol
import StemwireKernels
import StemwireUDF
import Testing

@Suite("Corrections: dark frame, gain map, excluded pixels")
struct CorrectionsTests {
    /// Corrected frames, as `pick` gives them back.
    private func frames(_ scan: CorrectedScan, decoder: (any StackDecoder)? = nil) throws -> ResultArray {
        let plan = try scan.plan([UDFRequest(name: "pick", parameters: ["frames": "0-34"])], framesPerPartition: 8)
        var merger = try scan.scan.run(plan, .init(seed: 2), decoder: decoder)
        return try merger.require("pick")
    }

    @Test(
        arguments: [DType.uint8, .uint16, .uint32, .uint64, .float32, .float64],
        [DType?.none, .uint8, .float32, .float64])
    func pixelsAreThoseOfThePlainFormula(dtype: DType, images: DType?) throws {
        for excluded in [[], [0, 10, 11, 30, 53]] where images != nil || !excluded.isEmpty {
            let scan = CorrectedScan(dtype: dtype, images: images, excluded: excluded)
            let found = try frames(scan)
            #expect(found.dtype == ([.uint8, .uint16, .float32].contains(dtype) ? .float32 : .float64))
            #expect(found.doubles() == scan.pixels.flatMap { $0 }, "\(excluded.count) pixels excluded")
        }
    }

    @Test func darkOrGainAlone() throws {
        let scan = ScanFixture(dtype: .uint16)
        let image = ResultArray((0..<54).map { Float($0) / 8 }, shape: [6, 9])
        for (corrections, expected) in [
            (Corrections(dark: image), { (pixel: Float, number: Float) in pixel - number }),
            (Corrections(gain: image), { pixel, number in pixel * number }),
        ] {
            let plan = try RunPlan(
                [UDFRequest(name: "monitor")], meta: try scan.meta(framesPerPartition: 8), corrections: corrections)
            var merger = try scan.run(plan)
            let found = try merger.require("monitor").elements(as: Float.self)
            #expect(found == scan.frames[34].indices.map { expected(Float(scan.frames[34][$0]), Float($0) / 8) })
        }
    }

    /// The raw stream of a detector of 6 bits, which has to be decoded before it can be corrected.
    @Test func framesThatMustBeDecoded() throws {
        let header =
            "MQ1,000001,00384,01,0256,0001,R64,   1x1,01,2026-01-02 03:04:05.000000,0.001,0,0,0,1,1,1,"
            + "MQ1A,2026-01-02T03:04:05.000000000Z,1000000ns,6,"
        let bytes = Array(header.utf8) + Array(repeating: 0, count: 384 - header.utf8.count)
        let format = try bytes.withUnsafeBytes {
            try FrameFormat(header: $0, payloadBytes: 256, acquisitionDepth: nil)
        }
        let decoder = try FrameDecoder(format)
        #expect(decoder.undecodedStack(frames: UnsafeRawPointer(bitPattern: 64)!, stride: 256, count: 1) == nil)
        let meta = try UDFMeta(navShape: [3], format: format, framesPerPartition: 3)
        let payloads = (0..<768).map { UInt8($0 % 61) }
        let dark = ResultArray((0..<256).map { Float($0) / 16 }, shape: [1, 256])
        let plan = try RunPlan(
            [UDFRequest(name: "pick", parameters: ["frames": "0-2"])], meta: meta, corrections: Corrections(dark: dark))
        let task = try UDFLane(plan, decoder: decoder).begin(partition: 0)
        try payloads.withUnsafeBytes { _ = try task.process($0.baseAddress!, stride: 256, count: 3, firstPosition: 0) }
        var merger = ResultMerger(plan)
        try merger.merge(try task.finish())
        var decoded = [UInt8](repeating: 0, count: 768)
        payloads.withUnsafeBytes { source in
            decoded.withUnsafeMutableBytes {
                decoder.decodeStack(frames: source.baseAddress!, stride: 256, count: 3, into: $0)
            }
        }
        let found = try merger.require("pick").elements(as: Float.self)
        #expect(found == decoded.enumerated().map { Float($0.element) - Float($0.offset % 256) / 16 })
    }

    @Test func excludedPixelsTakeTheMeanOfTheirGoodNeighbours() throws {
        // Pixel values are their indices, so a mean in the middle is the pixel's own value.
        let scan = ScanFixture(navShape: [1], sigShape: SigShape(height: 4, width: 5), dtype: .uint8) { UInt64($1) }
        func corrected(_ excluded: [(y: Int, x: Int)], keeps: Bool = false) throws -> [Float] {
            let corrections = Corrections(excluded: ExcludedPixels(excluded), keepsIsolatedPixels: keeps)
            let plan = try RunPlan(
                [UDFRequest(name: "monitor")], meta: try scan.meta(framesPerPartition: 1), corrections: corrections)
            var merger = try scan.run(plan)
            return try merger.require("monitor").elements(as: Float.self)
        }
        #expect(try corrected([(y: 2, x: 3)])[13] == 13)
        #expect(try corrected([(y: 0, x: 0)])[0] == 4)
        #expect(try corrected([(y: 3, x: 4), (y: 3, x: 4)])[19] == (13 + 14 + 18) / 3)
        // Neighbours of each other: each takes the mean of the others.
        let pair = try corrected([(y: 0, x: 0), (y: 0, x: 1)])
        #expect(pair[0] == 5.5 && pair[1] == (2 + 5 + 6 + 7) / 4)
        // A pixel whose neighbours are all excluded.
        let corner = [(y: 0, x: 0), (y: 0, x: 1), (y: 1, x: 0), (y: 1, x: 1)]
        #expect(throws: CorrectionsError.isolated([DetectorPixel(y: 0, x: 0)])) {
            try Corrections(excluded: ExcludedPixels(corner)).check(scan.sigShape)
        }
        let kept = try corrected(corner, keeps: true)
        #expect(kept[0] == 0 && kept[1] == 4.5)
    }

    @Test(arguments: [DType.uint16, .uint32])
    func everyUDFSeesCorrectedPixels(dtype: DType) throws {
        // Each that there is; what `record` gives is a file.
        let known = Set(CorrectedScan.requests.map(\.name) + ["record"])
        #expect(known == Set(UDFRegistry.builtIn.entries.map(\.name)))
        let scan = CorrectedScan(dtype: dtype)
        let real = Corrections.dtype(of: dtype)
        let ready = scan.corrected(real)
        for framesPerPartition in [1, 4, 35] {
            let plan = try scan.plan(CorrectedScan.requests, framesPerPartition: framesPerPartition)
            #expect(plan.meta.inputDType == real && plan.sourceDType == dtype)
            let readyPlan = try RunPlan(
                CorrectedScan.requests, registry: .builtIn,
                meta: try ready.meta(framesPerPartition: framesPerPartition),
                blockBytes: 3 * ready.sigShape.pixelCount * real.byteCount)
            var merger = try scan.scan.run(plan, .init(seed: 5))
            var reference = try ready.run(readyPlan)
            #expect(merger.failures.isEmpty && merger.isComplete)
            for (found, expected) in zip(merger.channels(), reference.channels()) {
                #expect(found.array == expected.array, "\(found.key)")
            }
        }
    }

    @Test func sameBitsForAnyNumberOfThreads() throws {
        let scan = CorrectedScan(dtype: .uint16)
        let plan = try scan.plan(CorrectedScan.requests, framesPerPartition: 8)
        for missing in [[], lostPositions.subtracting([3])] as [Set<Int>] {
            var ordered = ScanFixture.Disorder.none
            ordered.missing = missing
            var reference = try scan.scan.run(plan, ordered)
            for (seed, lanes) in zip(1...4 as ClosedRange<UInt64>, [1, 2, 3, 8]) {
                var other = try scan.scan.run(plan, .init(seed: seed, lanes: lanes, missing: missing))
                for (left, right) in zip(reference.channels(), other.channels()) {
                    #expect(left.array == right.array, "\(left.key) with \(lanes) lanes")
                }
            }
        }
    }

    @Test(arguments: [DType.uint8, .uint32, .float32], [1, 4, 35])
    func sumsOfCorrectedPixels(dtype: DType, framesPerPartition: Int) throws {
        let scan = CorrectedScan(dtype: dtype, images: .float64)
        for missing in [[], lostPositions] as [Set<Int>] {
            var disorder = ScanFixture.Disorder(seed: 4)
            disorder.missing = missing
            let requests = CorrectedScan.requests.filter { $0.name != "pick" }
            var merger = try scan.scan.run(
                try scan.plan(requests, framesPerPartition: framesPerPartition), disorder)
            let there = scan.pixels.enumerated().filter { !missing.contains($0.offset) }.map(\.element)
            func masked(_ isIn: (Double, Double) -> Bool) -> [Double] {
                scan.pixels.enumerated().map { position, frame in
                    guard !missing.contains(position) else { return .nan }
                    return frame.indices.reduce(0) { isIn(Double($1 / 9), Double($1 % 9)) ? $0 + frame[$1] : $0 }
                }
            }
            func perPixel(_ body: ([Double]) -> Double) -> [Double] {
                there[0].indices.map { pixel in body(there.map { $0[pixel] }) }
            }
            let ring = { (y: Double, x: Double) in
                let squared = (y - 3) * (y - 3) + (x - 4) * (x - 4)
                return squared <= 3.2 * 3.2 && squared > 1.5 * 1.5
            }
            let expected: [String: [Double]] = [
                "sum": perPixel { $0.reduce(0, +) }, "max": perPixel { $0.max() ?? 0 },
                "monitor": there.last ?? [], "sumsig": masked { _, _ in true },
                "disk": masked { y, x in (y - 2.5) * (y - 2.5) + (x - 4) * (x - 4) <= 4 },
                "ring": masked(ring), "point": masked { y, x in y == 5 && x == 0 },
                "rectangle": masked { y, x in y >= 1 && y < 4 && x >= 2 && x < 6 },
            ]
            for (id, values) in expected {
                let found = try merger.require(id)
                let isPixel = id == "max" || id == "monitor"
                #expect(found.dtype == (isPixel ? Corrections.dtype(of: dtype) : .float64), "\(id)")
                #expect(agree(found.doubles(), values, within: isPixel ? 0 : 1e-12), "\(id)")
            }
        }
    }

    @Test func userUDFsGetRealNumbers() throws {
        let registry = try UDFRegistry.builtIn.adding(FloatMean.self).adding(Brightest.self).adding(CountsOnly.self)
        for dtype in [DType.uint16, .uint32] {
            let scan = CorrectedScan(dtype: dtype)
            // `float-mean` asks for float32, whatever the pixels are.
            let plan = try scan.plan([UDFRequest(name: "float-mean")], framesPerPartition: 35, registry: registry)
            var merger = try scan.scan.run(plan)
            let root = try merger.require("float-mean", "root").elements(as: Float.self)
            #expect(
                root.elementsEqual(scan.pixels.map { Float($0[0]).squareRoot() }) { $0 == $1 || $0.isNaN && $1.isNaN })
            let refusal = message {
                _ = try scan.plan([UDFRequest(name: "counts-only")], framesPerPartition: 8, registry: registry)
            }
            #expect(refusal.hasSuffix("only on counts; leave out the corrections"), "\(refusal)")
        }
    }

    @Test func nothingToCorrect() throws {
        let scan = ScanFixture()
        let meta = try scan.meta(framesPerPartition: 8)
        let plan = try RunPlan([UDFRequest(name: "sum")], meta: meta, corrections: Corrections())
        #expect(plan.corrections == nil && plan.meta == meta && Corrections().isEmpty)
        #expect(plan.udfs[0].contentHash == (try RunPlan([UDFRequest(name: "sum")], meta: meta)).udfs[0].contentHash)
    }

    @Test func resultsWithOtherCorrectionsAreRefused() throws {
        let scan = CorrectedScan(dtype: .uint16)
        let plan = try scan.plan([UDFRequest(name: "sum")], framesPerPartition: 8)
        var others = [Corrections(gain: scan.corrections.gain), Corrections(dark: scan.corrections.gain)]
        others.append(scan.corrections)
        others[2].keepsIsolatedPixels = true
        for other in others {
            let otherPlan = try RunPlan(
                [UDFRequest(name: "sum")], meta: try scan.scan.meta(framesPerPartition: 8), corrections: other)
            let task = try UDFLane(otherPlan, decoder: scan.scan.decoder).begin(partition: 0)
            try scan.scan.feed(task, 0..<8)
            let (sections, arrays) = try task.finish().flattened(otherPlan)
            let fault = message {
                try arrays[0].withUnsafeBytes { bytes in
                    _ = try PartitionResult(
                        plan: plan, partition: 0, generation: 0, isFinal: true, sections: sections, payloads: [bytes])
                }
            }
            #expect(fault.contains("with other parameters"))
        }
    }
}

/// A UDF that works on counts alone.
struct CountsOnly: TileUDF {
    static let name = "counts-only"
    init(parameters: NoParameters, meta: UDFMeta) {}
    var input: InputType { .stack }
    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("frames", .uint64)] }
    func process(_ tile: FrameTile, _ context: Context) throws { _ = try tile.stack() }
}
