import Foundation
import MerlinProtocol
import StemwireKernels
import StemwireUDF
import Testing

@Suite("Statistics over frames against plain sums")
struct FrameStatisticsTests {
    static let cases: [(Set<Int>, PositionSet?)] = [([], nil), (lostPositions, nil), (lostPositions, someRegion)]

    // MARK: stddev

    @Test(arguments: [DType.uint8, .uint16, .uint32, .uint64, .float32, .float64], [1, 4, 35])
    func meanVarianceAndDeviation(dtype: DType, framesPerPartition: Int) throws {
        let scan = ScanFixture(dtype: dtype, largest: dtype == .uint64 ? 1 << 40 : nil)
        for (missing, roi) in Self.cases {
            let channels = try scan.agreedChannels(
                UDFRequest(name: "stddev"), framesPerPartition: framesPerPartition, missing: missing, roi: roi)
            let there = scan.processed(missing: missing, roi: roi).map { scan.reals[$0] }
            let means = there[0].indices.map { pixel in
                there.reduce(0) { $0 + $1[pixel] } / Double(there.count)
            }
            let variances = there[0].indices.map { pixel in
                there.reduce(0) { $0 + pow($1[pixel] - means[pixel], 2) } / Double(there.count)
            }
            #expect(agree(try channels.numbers("mean"), means, within: 1e-12))
            #expect(agree(try channels.numbers("var"), variances, within: 1e-12))
            #expect(agree(try channels.numbers("std"), variances.map { $0.squareRoot() }, within: 1e-12))
            for name in ["mean", "var", "std"] {
                #expect(try channels.array(name).shape == [6, 9])
                #expect(try channels.array(name).dtype == .float64)
            }
        }
        let meta = try scan.meta(framesPerPartition: 4)
        #expect(RunPlanChannels.of("stddev", meta) == ["mean", "var", "std"])
    }

    @Test(arguments: [DType.uint16, .uint32])
    func varianceOfCountsIsExact(dtype: DType) throws {
        // Large counts that hardly vary: the textbook formula in floating-point numbers gives nonsense here.
        let top: UInt64 = dtype == .uint16 ? 65_535 : 0xffff_ffff
        let scan = ScanFixture(navShape: [20, 20], sigShape: SigShape(height: 1, width: 3), dtype: dtype) {
            top - UInt64($0 % 2) * UInt64($1)
        }
        var first: [String: ResultChannel]?
        for framesPerPartition in [1, 7, 64, 400] {
            let channels = try scan.agreedChannels(
                UDFRequest(name: "stddev"), framesPerPartition: framesPerPartition)
            #expect(try channels.numbers("mean") == [Double(top), Double(top) - 0.5, Double(top) - 1])
            #expect(try channels.numbers("var") == [0, 0.25, 1])
            #expect(try channels.numbers("std") == [0, 0.5, 1])
            for (name, channel) in first ?? [:] { #expect(channels[name]?.array == channel.array) }
            first = channels
        }
    }

    @Test(arguments: [DType.uint16, .float32])
    func nothingHasNoStatistics(dtype: DType) throws {
        let scan = ScanFixture(dtype: dtype)
        let channels = try scan.agreedChannels(
            UDFRequest(name: "stddev"), framesPerPartition: 8, missing: Set(scan.frames.indices))
        for name in ["mean", "var", "std"] { #expect(try channels.numbers(name).allSatisfy(\.isNaN)) }
    }

    // MARK: logsum

    @Test(arguments: [DType.uint8, .uint16, .uint32, .uint64, .float32, .float64], [1, 4, 35])
    func sumOfLogarithms(dtype: DType, framesPerPartition: Int) throws {
        let scan = ScanFixture(dtype: dtype)
        for (missing, roi) in Self.cases {
            let channels = try scan.agreedChannels(
                UDFRequest(name: "logsum"), framesPerPartition: framesPerPartition, missing: missing, roi: roi)
            var sums = Array(repeating: 0.0, count: scan.sigShape.pixelCount)
            for position in scan.processed(missing: missing, roi: roi) {
                let frame = scan.reals[position]
                for pixel in frame.indices { sums[pixel] += log(frame[pixel] - frame.min()! + 1) }
            }
            #expect(agree(try channels.numbers("intensity"), sums, within: 1e-6))
            #expect(try channels.array("intensity").dtype == .float32)
            #expect(try channels.array("intensity").shape == [6, 9])
        }
    }

    @Test func logarithmsOfCountsAreTheSameForAnyPartitionSize() throws {
        let scan = ScanFixture(dtype: .uint32, largest: 200_000)
        let first = try scan.agreedChannels(UDFRequest(name: "logsum"), framesPerPartition: 1)
        for framesPerPartition in [2, 5, 9, 35] {
            let other = try scan.agreedChannels(
                UDFRequest(name: "logsum"), framesPerPartition: framesPerPartition, framesPerBlock: 2)
            #expect(other["intensity"]?.array == first["intensity"]?.array)
        }
    }

    // MARK: partition-monitor

    @Test(arguments: [DType.uint8, .uint16, .uint32, .uint64, .float32, .float64], [1, 4, 8, 35])
    func sumOfTheNewestPartition(dtype: DType, framesPerPartition: Int) throws {
        let scan = ScanFixture(dtype: dtype, largest: dtype == .uint64 ? 1 << 40 : nil)
        for (missing, roi) in Self.cases + [([34, 33, 32, 31, 29], nil)] {
            let channels = try scan.agreedChannels(
                UDFRequest(name: "partition-monitor"), framesPerPartition: framesPerPartition, missing: missing,
                roi: roi)
            let there = scan.processed(missing: missing, roi: roi)
            let newest = there.filter { $0 / framesPerPartition == there.last! / framesPerPartition }
            let sums = scan.frames[0].indices.map { pixel in newest.reduce(0) { $0 + scan.reals[$1][pixel] } }
            let isFloat = dtype.isFloatingPoint
            #expect(agree(try channels.numbers("intensity"), sums, within: isFloat ? 1e-12 : 0))
            #expect(try channels.array("intensity").dtype == (isFloat ? .float64 : .uint64))
        }
    }

    @Test func complexPixelsAreRefused() throws {
        let meta = try UDFMeta(
            navShape: [3, 4], sigShape: SigShape(height: 4, width: 4), inputDType: .complex64, framesPerPartition: 4)
        for name in ["stddev", "logsum", "partition-monitor"] {
            #expect(refusal(name, [:], meta).contains("the pixels are complex64, but must be real numbers"))
            #expect(refusal(name, ["r": 1], meta).contains("has no parameter \"r\"; \(name) takes none"))
        }
    }
}
