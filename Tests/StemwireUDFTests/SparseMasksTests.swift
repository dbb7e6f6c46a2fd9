import Foundation
import MerlinProtocol
import StemwireKernels
import StemwireTestSupport
import StemwireUDF
import Testing

@Suite("Sums weighted with sparse masks")
struct SparseMasksTests {
    /// As `MasksTests.masks`, with most pixels 0, and one mask without any.
    static func masks(_ dtype: DType, isBinary: Bool = false, count: Int = 4, sig: (Int, Int) = (6, 9)) -> ResultArray {
        var masks = MasksTests.masks(dtype, count: count, isBinary: isBinary, sig: sig)
        let size = sig.0 * sig.1
        var generator = SeededGenerator(seed: 11)
        masks.withUnsafeMutableBytes { bytes in
            for pixel in 0..<count * size where pixel / size == 1 || Int.random(in: 0..<5, using: &generator) > 0 {
                for byte in 0..<dtype.byteCount { bytes[pixel * dtype.byteCount + byte] = 0 }
            }
        }
        return masks
    }

    /// The pixels of masks as a list, in disorder.
    static func list(_ masks: ResultArray) -> (coordinates: ResultArray, values: ResultArray) {
        let (height, width) = (masks.shape[1], masks.shape[2])
        let parts = MasksTests.parts(masks)
        var generator = SeededGenerator(seed: 13)
        let pixels = (0..<masks.count).filter { parts.real[$0] != 0 || parts.imaginary[$0] != 0 }
            .shuffled(using: &generator)
        let places =
            pixels.map { Int64($0 / (height * width)) } + pixels.map { Int64($0 / width % height) }
            + pixels.map { Int64($0 % width) }
        let values: ResultArray =
            switch masks.dtype {
            case .bool: ResultArray(pixels.map { _ in true }, shape: [pixels.count])
            case .uint8: ResultArray(pixels.map { UInt8(parts.real[$0]) }, shape: [pixels.count])
            case .int32: ResultArray(pixels.map { Int32(parts.real[$0]) }, shape: [pixels.count])
            case .float32: ResultArray(pixels.map { Float(parts.real[$0]) }, shape: [pixels.count])
            case .float64: ResultArray(pixels.map { parts.real[$0] }, shape: [pixels.count])
            case .complex64:
                ResultArray(
                    pixels.map { Complex64(Float(parts.real[$0]), Float(parts.imaginary[$0])) }, shape: [pixels.count])
            default:
                ResultArray(pixels.map { Complex128(parts.real[$0], parts.imaginary[$0]) }, shape: [pixels.count])
            }
        return (ResultArray(places, shape: [3, pixels.count]), values)
    }

    private func plain(_ scan: ScanFixture, _ weights: [Double], _ position: Int) -> [Double] {
        let pixels = scan.sigShape.pixelCount
        return (0..<weights.count / pixels).map { mask in
            (0..<pixels).reduce(0) { $0 + scan.reals[position][$1] * weights[mask * pixels + $1] }
        }
    }

    @Test(arguments: MasksTests.cases)
    func asInPlainLoops(_ test: MasksTests.Case) throws {
        let scan = ScanFixture(dtype: test.pixels)
        let masks = Self.masks(test.masks, isBinary: test.isBinary)
        let weights = MasksTests.parts(masks)
        let list = Self.list(masks)
        let requests = try [
            UDFRequest(MasksUDF.self, .init(masks: masks, sparse: .yes)),
            UDFRequest(
                MasksUDF.self,
                .init(coordinates: list.coordinates, values: list.values, count: 4, sparse: .yes)),
            UDFRequest(MasksUDF.self, .init(coordinates: list.coordinates, values: list.values, count: 4, sparse: .no)),
        ]
        for (missing, roi) in [([], nil), (lostPositions, someRegion)] as [(Set<Int>, PositionSet?)] {
            let processed = scan.processed(missing: missing, roi: roi)
            let results = try requests.map {
                try scan.agreedChannels($0, framesPerPartition: 8, missing: missing, roi: roi).array("intensity")
            }
            #expect(results[0] == results[1])
            let empty = Array(repeating: test.result == .uint64 ? 0 : Double.nan, count: 4)
            for found in results {
                #expect(found.dtype == test.result && found.shape == [5, 7, 4])
                for (part, own) in [(weights.real, \([Double], [Double]).0), (weights.imaginary, \.1)] {
                    guard part == weights.real || test.result.isComplex else { continue }
                    let expected = (0..<35).flatMap { processed.contains($0) ? plain(scan, part, $0) : empty }
                    let parts = MasksTests.parts(found)
                    #expect(agree((parts.real, parts.imaginary)[keyPath: own], expected, within: test.tolerance))
                }
            }
        }
    }

    @Test(arguments: [DType.float32, .float64, .complex64], [DType.uint16, .float32, .float64])
    func bitsDoNotDependOnThePartitions(dtype: DType, pixels: DType) throws {
        // More frames than are taken at once, and more pixels of a mask than are added up in a piece.
        let sig = SigShape(height: 30, width: 41)
        let scan = ScanFixture(navShape: [5, 7], sigShape: sig, dtype: pixels)
        let request = try UDFRequest(
            MasksUDF.self, .init(masks: Self.masks(dtype, sig: (30, 41)), sparse: .yes))
        let first = try scan.agreedChannels(request, framesPerPartition: 1).array("intensity")
        for (framesPerPartition, framesPerBlock) in [(4, 1), (35, 35), (35, 15), (20, 17)] {
            let other = try scan.agreedChannels(
                request, framesPerPartition: framesPerPartition, framesPerBlock: framesPerBlock)
            #expect(other["intensity"]?.array == first)
        }
    }

    @Test(arguments: [DType.uint8, .uint16, .uint32])
    func specklesAreExact(dtype: DType) throws {
        // With the largest counts, in which rounding would show.
        let sig = SigShape(height: 40, width: 50)
        let most: UInt64 = dtype == .uint8 ? 255 : dtype == .uint16 ? 65_535 : 0xff_ffff
        let scan = ScanFixture(navShape: [3, 7], sigShape: sig, dtype: dtype) { most - UInt64(($0 + $1) % 3) }
        let speckles = (0..<3 * sig.pixelCount).map { $0 % 3 != 1 }
        let request = try UDFRequest(
            MasksUDF.self, .init(masks: ResultArray(speckles, shape: [3, 40, 50]), sparse: .yes))
        let expected = scan.frames.flatMap { frame in
            (0..<3).map { mask in
                frame.indices.reduce(UInt64(0)) { speckles[mask * sig.pixelCount + $1] ? $0 + frame[$1] : $0 }
            }
        }
        let found = try scan.agreedChannels(request, framesPerPartition: 20).array("intensity")
        #expect(found.elements(as: UInt64.self) == expected)
    }

    @Test func whatTakesLessTimeIsChosen() throws {
        let sig = SigShape(height: 64, width: 64)
        let scan = ScanFixture(navShape: [2, 9], sigShape: sig)
        func results(_ share: Int) throws -> [ResultArray] {
            let weights = (0..<24 * sig.pixelCount).map { $0 % share == 0 ? Float($0 % 101) / 7 : 0 }
            let masks = ResultArray(weights, shape: [24, 64, 64])
            return try [MasksUDF.Sparse.auto, .yes, .no].map {
                let request = try UDFRequest(MasksUDF.self, .init(masks: masks, sparse: $0))
                let plan = try RunPlan([request], meta: try scan.meta(framesPerPartition: 18))
                var merger = try scan.run(plan)
                return try merger.require("masks")
            }
        }
        // The last bits tell which was taken.
        let (few, many) = (try results(34), try results(2))
        #expect(few[0] == few[1] && few[0] != few[2])
        #expect(many[0] == many[2] && many[0] != many[1])
    }

    @Test func pixelsNamedTwiceAreAddedUp() throws {
        let scan = ScanFixture(dtype: .uint8)
        let coordinates = ResultArray([Int32](arrayLiteral: 0, 2, 0, 0, 1, 3, 1, 1, 4, 5, 4, 4), shape: [3, 4])
        let values = ResultArray([2.5, 1, 0.25, -2.75] as [Double], shape: [4])
        let request = try UDFRequest(MasksUDF.self, .init(coordinates: coordinates, values: values))
        let found = try scan.agreedChannels(request, framesPerPartition: 8).array("intensity")
        #expect(found.shape == [5, 7, 3])
        #expect(found.doubles() == scan.reals.flatMap { [0, 0, $0[3 * 9 + 5]] })
    }

    // MARK: Identity

    @Test func contentAndNotThePathIsWhatCounts() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let meta = try ScanFixture().meta(framesPerPartition: 8)
        func hash(_ request: UDFRequest) throws -> UInt64 { try RunPlan([request], meta: meta).udfs[0].contentHash }
        let masks = Self.masks(.float32)
        try NumpyFile.write(masks, to: folder + "/a.npy")
        try NumpyFile.write(masks, to: folder + "/b.npy")
        let (a, b) = (
            try UDFRequest(argument: "masks:file=\(folder)/a.npy"),
            try UDFRequest(argument: "masks:file=\(folder)/b.npy")
        )
        let before = try hash(a)
        #expect(try hash(b) == before)
        #expect(try hash(UDFRequest(MasksUDF.self, .init(masks: masks))) == before)
        #expect(try hash(UDFRequest(MasksUDF.self, .init(masks: masks, shift: (1, 0)))) != before)
        for other in [Self.masks(.float64), Self.masks(.float32, count: 3), MasksTests.masks(.float32, count: 4)] {
            try NumpyFile.write(other, to: folder + "/b.npy")
            #expect(try hash(b) != before)
        }
        #expect(try hash(a) == before)
    }

    // MARK: Faults

    @Test func impossibleListsAreNamed() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 8)
        func fault(
            _ coordinates: [Int64], _ shape: [Int], values: ResultArray? = nil, count: Int? = nil
        ) throws -> String {
            let values = values ?? ResultArray([Float](repeating: 1, count: shape.last ?? 0), shape: [shape.last ?? 0])
            let request = try UDFRequest(
                MasksUDF.self,
                .init(coordinates: ResultArray(coordinates, shape: shape), values: values, count: count))
            return message { _ = try RunPlan([request], meta: meta) }
        }
        #expect(
            try fault([0, 1, 2, 3], [2, 2]).contains("coordinates: an array of int64 [2, 2] is no list of pixels"))
        #expect(try fault([0, 6, 8], [3, 1]).contains("coordinates: mask 0.0, y 6.0, x 8.0 is no pixel of a mask"))
        #expect(try fault([0, 0, 9], [3, 1]).contains("is no pixel of a mask for frames of 6 × 9 pixels"))
        #expect(try fault([-1, 0, 0], [3, 1], count: 1).contains("is no pixel of a mask"))
        #expect(try fault([.max, 0, 0], [3, 1]).contains("is too many; there can be at most 1048576"))
        #expect(try fault([2, 0, 0], [3, 1], count: 2).contains("count: 2 masks, where pixels of 3 are given"))
        #expect(try fault([], [3, 0]).contains("count: 0 masks"))
        let two = ResultArray([1, 2] as [Float], shape: [2])
        #expect(try fault([0, 0, 0], [3, 1], values: two).contains("values: an array of shape [2] for 1 pixels"))
        let bad = ResultArray([Float.infinity], shape: [1])
        #expect(try fault([0, 0, 0], [3, 1], values: bad).contains("values: pixel 0 contains inf"))
        #expect(refusal("masks", ["coordinates": "c.npy"], meta).contains("give either file (masks, y, x), or"))
        #expect(
            refusal("masks", ["file": "m.npy", "values": "c.npy"], meta).contains("give either file (masks, y, x)"))
        #expect(refusal("masks", ["file": "m.npy", "count": 3], meta).contains("count: it belongs to coordinates"))
        #expect(
            refusal("masks", ["coordinates": "/nowhere/c.npy", "values": "v"], meta).contains(
                "coordinates: cannot read /nowhere/c.npy"))
        #expect(refusal("masks", ["file": "m.npy", "sparse": "perhaps"], meta).contains("sparse"))
    }

    @Test func masksAreNotMoreThanMemoryHolds() throws {
        // One mask more than 2²⁷ weights make, in a file that takes no room on the disk.
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".npy").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let most = (1 << 27) / 54
        let header = NumpyFile.header(dtype: .uint8, shape: [most + 1, 6, 9])
        try Data(header).write(to: URL(fileURLWithPath: path))
        #expect(truncate(path, header.count + (most + 1) * 54) == 0)
        let meta = try ScanFixture().meta(framesPerPartition: 8)
        let refused = refusal("masks", ["file": .text(path)], meta)
        #expect(refused.contains("file: \(most + 1) masks are too many; for these frames there can be at most \(most)"))
        // As lists these would be few, but not as images.
        let list = ResultArray([Int32(1 << 20) - 1, 0, 0], shape: [3, 1])
        let one = ResultArray([Float(1)], shape: [1])
        let large = try UDFMeta(
            navShape: [2, 2], sigShape: SigShape(height: 128, width: 128), inputDType: .uint16, framesPerPartition: 1)
        let images = try UDFRequest(MasksUDF.self, .init(coordinates: list, values: one, sparse: .no))
        #expect(message { _ = try RunPlan([images], meta: large) }.contains("there can be at most 8192"))
        let lists = try UDFRequest(MasksUDF.self, .init(coordinates: list, values: one))
        #expect(message { _ = try RunPlan([lists], meta: large) } == "no error")
    }
}
