import Foundation
import MerlinProtocol
import MerlinSimulator
import Stemwire
import StemwireAcquisition
import StemwireUDF
import Testing

@Suite("arrays and files") struct DataSetTests {
    private static func pixels<Pixel: FixedWidthInteger>(_ type: Pixel.Type) -> [Pixel] {
        (0..<2 * 3 * 8 * 5).map { Pixel(truncatingIfNeeded: $0 &* 2_654_435_761) }
    }

    private static func totals(_ pixels: [some BinaryInteger]) -> [Double] {
        (0..<6).map { frame in pixels[frame * 40..<(frame + 1) * 40].reduce(0) { $0 + Double($1) } }
    }

    private static func check(_ scan: Acquisition, _ pixels: [some BinaryInteger]) async throws {
        let outcome = try await LiveContext().run([sumsig, UDFRequest(name: "max")], on: scan, timeout: .seconds(120))
        #expect(outcome.isComplete && outcome.navShape == [2, 3] && outcome.sigShape == [8, 5])
        #expect(outcome["sumsig"]?.array.doubles() == totals(pixels))
        let most = (0..<40).map { pixel in (0..<6).map { Double(pixels[$0 * 40 + pixel]) }.max() ?? 0 }
        #expect(outcome["max"]?.array.doubles() == most)
    }

    @Test func memory() async throws {
        let shape = SigShape(height: 8, width: 5)
        let context = LiveContext()
        func check<Pixel: FixedWidthInteger & UnsignedInteger & BitwiseCopyable & Sendable>(
            _ type: Pixel.Type
        ) async throws {
            let pixels = Self.pixels(type)
            let connection = try context.makeConnection(.memory(pixels, navShape: [2, 3], sigShape: shape))
            let scan = try context.makeAcquisition(connection, framesPerPartition: 4)
            // A live data set can be run again and again.
            for _ in 0..<2 { try await Self.check(scan, pixels) }
        }
        try await check(UInt8.self)
        try await check(UInt16.self)
        try await check(UInt32.self)
    }

    @Test func memoryWaitsForItsStart() async throws {
        let diary = Diary()
        let context = LiveContext()
        let connection = try context.makeConnection(
            .memory(Self.pixels(UInt16.self), navShape: [2, 3], sigShape: SigShape(height: 8, width: 5)))
        let scan = try context.prepareAcquisition(connection) { acquisition, _ in
            await expectRunError({ $0.isBadRequest(with: "no detector") }) { try await acquisition.command("ANY") }
            diary.note("start")
            try await acquisition.start()
        }
        let outcome = try await context.run(sumsig, on: scan, timeout: .seconds(120)) { progress in
            if progress.placed > 0 { diary.note("frames") }
        }
        #expect(outcome.isComplete)
        let notes = diary.all
        #expect(notes.first == "start" && notes.count > 1 && notes.dropFirst().allSatisfy { $0 == "frames" })
    }

    @Test func numpy() async throws {
        let folder = try TemporaryFolder()
        let pixels = Self.pixels(UInt16.self)
        let path = folder.path + "/scan.npy"
        try NumpyFile.write(ResultArray(pixels, shape: [2, 3, 8, 5]), to: path)
        try await Self.check(LiveContext().load(path), pixels)
        try NumpyFile.write(ResultArray(pixels, shape: [6, 8, 5]), to: path)
        try await Self.check(LiveContext().load(path, navShape: [2, -1]), pixels)
        await expectRunError({ $0.isBadRequest(with: path) }) {
            _ = try await LiveContext().load(path, navShape: [4, -1])
        }
        await expectRunError({ $0.isBadRequest(with: path) }) { _ = try await LiveContext().load(path, navShape: [5]) }
        for (array, word) in [
            (ResultArray([Float](repeating: 0, count: 8), shape: [2, 2, 2]), "float32"),
            (ResultArray([UInt8](repeating: 0, count: 8), shape: [4, 2]), "axes"),
        ] {
            try NumpyFile.write(array, to: path)
            await expectRunError({ $0.isBadRequest(with: path, word) }) { _ = try await LiveContext().load(path) }
        }
    }

    @Test(arguments: [false, true]) func raw(_ isBigEndian: Bool) async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/scan.raw"
        let pixels = Self.pixels(UInt32.self)
        let stored = pixels.map { isBigEndian ? $0.bigEndian : $0.littleEndian }
        try (Data([1, 2, 3]) + stored.withUnsafeBytes { Data($0) } + Data([4, 5])).write(
            to: URL(fileURLWithPath: path))
        var layout = RawLayout(
            navShape: [2, 3], sigShape: SigShape(height: 8, width: 5), pixel: .uint32, isBigEndian: isBigEndian,
            offset: 3)
        try await Self.check(LiveContext().load(raw: path, layout), pixels)
        layout.navShape = [2, 4]
        await expectRunError({ $0.isBadRequest(with: "240", "320") }) { [layout] in
            _ = try await LiveContext().load(raw: path, layout)
        }
        layout.offset = 10_000
        await expectRunError({ $0.isBadRequest(with: "10000") }) { [layout] in
            _ = try await LiveContext().load(raw: path, layout)
        }
        await expectRunError({ $0.isBadRequest(with: "absent.raw") }) { [layout] in
            _ = try await LiveContext().load(raw: folder.path + "/absent.raw", layout)
        }
    }

    @Test func recording() async throws {
        let folder = try TemporaryFolder()
        let format = try DetectorFormat(
            layout: .single, sigShape: SigShape(height: 16, width: 16), counterDepth: .twelve, pixelType: .u16)
        let pattern = SelfIdentifyingPattern(format)
        let template = FrameHeaderText(format).template()
        var totals: [Double] = []
        var mib = Data()
        for frame in 0..<12 {
            let image = pattern.encoded(.init(acquisition: 0, frame: UInt32(frame)), as: UInt16.self)
            totals.append(image.reduce(0) { $0 + Double($1) })
            var message = [UInt8](repeating: 0, count: template.bytes.count)
            message.withUnsafeMutableBytes { template.write(sequenceNumber: UInt64(frame + 1), time: .now, into: $0) }
            mib += message + FrameEncoder(format).encoded(image)
        }
        try mib.write(to: URL(fileURLWithPath: folder.path + "/scan.mib"))
        let context = LiveContext(threads: 2)
        let scan = try await context.load(folder.path + "/scan.mib", navShape: [3, -1])
        let outcome = try await context.run(sumsig, on: scan, timeout: .seconds(120))
        #expect(outcome.isComplete && outcome.navShape == [3, 4] && outcome["sumsig"]?.array.doubles() == totals)
        let margins = try await context.load(
            folder.path + "/scan.mib", navShape: [2, 4], margins: ScanMargins(leadIn: 1, flybackPerLine: 1, tail: 1))
        let inner = try await context.run(sumsig, on: margins, timeout: .seconds(120))
        #expect(inner.accounting.leadInFrames == 1 && inner.accounting.flybackFrames == 2)
        #expect(inner["sumsig"]?.array.doubles() == Array(totals[1..<5] + totals[6..<10]))
    }
}
