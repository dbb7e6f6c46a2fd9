import Foundation
import MerlinProtocol
import StemwireKernels
import StemwireTestSupport
import StemwireUDF
import Testing

@Suite("Sums weighted with masks")
struct MasksTests {
    /// Numbers of the wanted type: masks of 0 and 1, small integers, or real numbers.
    static func masks(_ dtype: DType, count: Int = 3, isBinary: Bool = false, sig: (Int, Int) = (6, 9)) -> ResultArray {
        var generator = SeededGenerator(seed: 7)
        let shape = [count, sig.0, sig.1]
        let size = count * sig.0 * sig.1
        let whole = (0..<size).map { _ in Int.random(in: isBinary ? 0...1 : -9...9, using: &generator) }
        let real = (0..<size).map { _ in Double.random(in: -2...2, using: &generator) }
        switch dtype {
        case .bool: return ResultArray(whole.map { $0 > 0 }, shape: shape)
        case .uint8: return ResultArray(whole.map { UInt8(abs($0)) }, shape: shape)
        case .int32: return ResultArray(whole.map { Int32($0) }, shape: shape)
        case .float32: return ResultArray(real.map { Float($0) }, shape: shape)
        case .float64: return ResultArray(real, shape: shape)
        case .complex64:
            return ResultArray(real.indices.map { Complex64(Float(real[$0]), Float(whole[$0])) }, shape: shape)
        case .complex128:
            return ResultArray(real.indices.map { Complex128(real[$0], Double(whole[$0])) }, shape: shape)
        default: preconditionFailure("\(dtype)")
        }
    }

    /// Real and imaginary parts.
    static func parts(_ array: ResultArray) -> (real: [Double], imaginary: [Double]) {
        switch array.dtype {
        case .complex64:
            (array.doubles(), array.elements(as: Complex64.self).map { Double($0.imaginary) })
        case .complex128: (array.doubles(), array.elements(as: Complex128.self).map(\.imaginary))
        default: (array.doubles(), array.doubles().map { _ in 0 })
        }
    }

    private func plain(
        _ scan: ScanFixture, _ weights: [Double], _ processed: [Int], missing: Double
    ) -> [Double] {
        let pixels = scan.sigShape.pixelCount
        return scan.frames.indices.flatMap { position in
            (0..<weights.count / pixels).map { mask in
                guard processed.contains(position) else { return missing }
                return scan.reals[position].indices.reduce(0) {
                    $0 + scan.reals[position][$1] * weights[mask * pixels + $1]
                }
            }
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var masks: DType
        var isBinary = false
        var pixels: DType
        var result: DType
        var tolerance: Double
        var testDescription: String { "\(isBinary ? "binary " : "")\(masks) on \(pixels)" }
    }

    static let cases = [
        Case(masks: .bool, isBinary: true, pixels: .uint8, result: .uint64, tolerance: 0),
        Case(masks: .uint8, isBinary: true, pixels: .uint16, result: .uint64, tolerance: 0),
        Case(masks: .int32, isBinary: true, pixels: .uint32, result: .uint64, tolerance: 0),
        Case(masks: .bool, isBinary: true, pixels: .float32, result: .float32, tolerance: 1e-5),
        Case(masks: .bool, isBinary: true, pixels: .float64, result: .float64, tolerance: 1e-12),
        Case(masks: .int32, pixels: .uint8, result: .float64, tolerance: 0),
        Case(masks: .uint8, pixels: .uint16, result: .float64, tolerance: 0),
        Case(masks: .int32, pixels: .uint32, result: .float64, tolerance: 0),
        Case(masks: .float32, pixels: .uint8, result: .float32, tolerance: 1e-4),
        Case(masks: .float32, pixels: .uint16, result: .float32, tolerance: 1e-2),
        Case(masks: .float32, pixels: .float32, result: .float32, tolerance: 1e-4),
        Case(masks: .float32, pixels: .uint32, result: .float64, tolerance: 1e-6),
        Case(masks: .float64, pixels: .uint16, result: .float64, tolerance: 1e-9),
        Case(masks: .float64, pixels: .float64, result: .float64, tolerance: 1e-12),
        Case(masks: .complex64, pixels: .uint16, result: .complex64, tolerance: 1e-2),
        Case(masks: .complex128, pixels: .uint8, result: .complex128, tolerance: 1e-10),
        Case(masks: .complex64, pixels: .float64, result: .complex128, tolerance: 1e-10),
    ]

    @Test(arguments: cases, [1, 4, 35])
    func weightedSums(_ test: Case, framesPerPartition: Int) throws {
        let scan = ScanFixture(dtype: test.pixels)
        let masks = Self.masks(test.masks, isBinary: test.isBinary)
        let weights = Self.parts(masks)
        let request = try UDFRequest(MasksUDF.self, .init(masks: masks))
        for (missing, roi) in [([], nil), (lostPositions, someRegion)] as [(Set<Int>, PositionSet?)] {
            let channels = try scan.agreedChannels(
                request, framesPerPartition: framesPerPartition, missing: missing, roi: roi)
            let array = try channels.array("intensity")
            #expect(array.dtype == test.result)
            #expect(array.shape == [5, 7, 3])
            let found = Self.parts(array)
            let processed = scan.processed(missing: missing, roi: roi)
            let empty = test.result == .uint64 ? 0 : Double.nan
            let tolerance = test.tolerance
            #expect(agree(found.real, plain(scan, weights.real, processed, missing: empty), within: tolerance))
            guard test.result.isComplex else { continue }
            #expect(
                agree(found.imaginary, plain(scan, weights.imaginary, processed, missing: empty), within: tolerance))
        }
    }

    @Test(arguments: [DType.float32, .float64, .complex64], [DType.uint16, .float32, .float64])
    func bitsDoNotDependOnThePartitions(dtype: DType, pixels: DType) throws {
        // More than one block of pixels, and not a whole number of them.
        let scan = ScanFixture(navShape: [3, 3], sigShape: SigShape(height: 70, width: 61), dtype: pixels)
        let masks = Self.masks(dtype, count: 5, sig: (70, 61))
        let request = try UDFRequest(MasksUDF.self, .init(masks: masks))
        let first = try scan.agreedChannels(request, framesPerPartition: 1).array("intensity")
        for (framesPerPartition, framesPerBlock) in [(4, 1), (9, 4), (9, 15)] {
            let other = try scan.agreedChannels(
                request, framesPerPartition: framesPerPartition, framesPerBlock: framesPerBlock)
            #expect(other["intensity"]?.array == first)
        }
        let expected = plain(scan, Self.parts(masks).real, Array(scan.frames.indices), missing: .nan)
        let largest = expected.reduce(0) { max($0, abs($1)) }
        let worst = zip(first.doubles(), expected).reduce(0) { max($0, abs($1.0 - $1.1)) }
        #expect(worst <= (first.dtype.isFloat64 ? 1e-12 : 1e-5) * largest)
    }

    @Test(arguments: [DType.uint8, .uint16, .uint32])
    func binaryMasksOfEveryGrainAreExact(dtype: DType) throws {
        // Disks are worked on in runs, speckles pixel by pixel; with the largest counts, in which rounding would show.
        let sig = SigShape(height: 60, width: 70)
        let most: UInt64 = dtype == .uint8 ? 255 : dtype == .uint16 ? 65_535 : 0xff_ffff
        let scan = ScanFixture(navShape: [2, 3], sigShape: sig, dtype: dtype) { most - UInt64(($0 + $1) % 3) }
        let disks = (0..<2 * sig.pixelCount).map { index -> Bool in
            let (y, x) = (index % sig.pixelCount / 70 - 30, index % 70 - 40)
            return y * y + x * x <= (index < sig.pixelCount ? 900 : 300)
        }
        let speckles = (0..<2 * sig.pixelCount).map { $0 % 2 == 0 || $0 % 5 == 0 || $0 > sig.pixelCount + 99 }
        for masks in [disks, speckles] {
            let array = ResultArray(masks, shape: [2, 60, 70])
            let channels = try scan.agreedChannels(
                try UDFRequest(MasksUDF.self, .init(masks: array)), framesPerPartition: 4)
            let expected = scan.frames.flatMap { frame in
                [0, sig.pixelCount].map { first in
                    frame.indices.reduce(UInt64(0)) { masks[first + $1] ? $0 + frame[$1] : $0 }
                }
            }
            #expect(try channels.array("intensity").elements(as: UInt64.self) == expected)
        }
    }

    @Test func blocksWithoutMaskAreLeftOut() throws {
        // One pixel far behind the others.
        let sig = SigShape(height: 80, width: 80)
        let scan = ScanFixture(navShape: [2, 3], sigShape: sig, dtype: .uint16)
        var weights = Array(repeating: Float(0), count: 2 * sig.pixelCount)
        weights[5] = 2
        weights[sig.pixelCount + 6399] = 0.5
        let masks = ResultArray(weights, shape: [2, 80, 80])
        let channels = try scan.agreedChannels(
            try UDFRequest(MasksUDF.self, .init(masks: masks)), framesPerPartition: 4)
        let expected = scan.reals.flatMap { [2 * $0[5], 0.5 * $0[6399]] }
        #expect(try channels.numbers("intensity") == expected)
    }

    // MARK: Where masks come from

    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    @Test func fileAndArrayAreTheSame() throws {
        try withFolder { folder in
            let scan = ScanFixture(dtype: .uint8)
            for dtype in [DType.bool, .int32, .float32, .complex128] {
                let masks = Self.masks(dtype, isBinary: dtype == .bool)
                try NumpyFile.write(masks, to: folder + "/masks.npy")
                let fromFile = try scan.agreedChannels(
                    try UDFRequest(argument: "masks:file=\(folder)/masks.npy"), framesPerPartition: 8)
                let fromArray = try scan.agreedChannels(
                    try UDFRequest(MasksUDF.self, .init(masks: masks)), framesPerPartition: 8)
                #expect(try fromFile.array("intensity") == fromArray.array("intensity"))
            }
        }
    }

    @Test func impossibleMasksAreNamed() throws {
        let meta = try ScanFixture().meta(framesPerPartition: 8)
        func fault(_ masks: ResultArray) throws -> String {
            let request = try UDFRequest(MasksUDF.self, .init(masks: masks))
            return message { _ = try RunPlan([request], meta: meta) }
        }
        #expect(refusal("masks", [:], meta).contains("file: no masks are given"))
        #expect(refusal("masks", ["file": ""], meta).contains("file: no masks are given"))
        #expect(
            refusal("masks", ["file": "/nowhere/m.npy"], meta).contains("file: cannot read /nowhere/m.npy: No such"))
        #expect(refusal("masks", ["file": "/dev/null"], meta).contains("file: /dev/null is not a file"))
        #expect(refusal("masks", ["file": "data:;base64,AAA"], meta).contains("not base64"))
        #expect(refusal("masks", ["file": "data:;base64,AAAA"], meta).contains("file: it is not a .npy file"))
        #expect(refusal("masks", ["mask": "m.npy"], meta).contains("masks takes file"))
        #expect(try fault(Self.masks(.float32, sig: (9, 6))).contains("it must have the shape [masks, 6, 9]"))
        #expect(
            try fault(ResultArray(zeros: .float32, shape: [6, 9])).contains("of shape [6, 9] is no stack of masks"))
        #expect(try fault(ResultArray(zeros: .float32, shape: [0, 6, 9])).contains("no stack of masks"))
        var values = Array(repeating: Float(1), count: 2 * 54)
        values[60] = .nan
        #expect(try fault(ResultArray(values, shape: [2, 6, 9])).contains("file: mask 1 contains nan"))
        try withFolder { folder in
            #expect(refusal("masks", ["file": .text(folder)], meta).contains("is not a file"))
            let text = folder + "/masks.npy"
            try "1 0 1".write(toFile: text, atomically: true, encoding: .utf8)
            #expect(refusal("masks", ["file": .text(text)], meta).contains("masks.npy: it is not a .npy file"))
            #expect(message { _ = try NumpyFile.read(text, largest: 4) }.contains("has 5 bytes; at most 4 are read"))
        }
    }

    @Test func bytesSurviveAsText() throws {
        // Masks whose file has every length modulo 3.
        let scan = ScanFixture(sigShape: SigShape(height: 1, width: 1), dtype: .uint8)
        for count in 1...4 {
            let masks = ResultArray((0..<count).map { UInt8($0 * 60 + 5) }, shape: [count, 1, 1])
            let request = try UDFRequest(MasksUDF.self, .init(masks: masks))
            let numbers = try scan.agreedChannels(request, framesPerPartition: 35).numbers("intensity")
            #expect(numbers == scan.reals.flatMap { frame in masks.doubles().map { $0 * frame[0] } })
        }
    }
}

extension DType {
    /// Whether numbers, or their parts, are `float64`.
    fileprivate var isFloat64: Bool { self == .float64 || self == .complex128 }
}
