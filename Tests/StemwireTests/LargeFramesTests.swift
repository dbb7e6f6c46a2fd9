import Foundation
import Glibc
import MerlinProtocol
import MerlinSimulator
import Stemwire
import StemwireUDF
import Testing

/// Frames that are so large that the engine's threads read them themselves.
@Suite("large frames of files") struct LargeFramesTests {
    private static let shape = SigShape(height: 128, width: 256)

    /// Writes a recording of U16 frames; the sum of each.
    private static func record(_ frames: Int, to path: String) throws -> [Double] {
        let format = try DetectorFormat(layout: .single, sigShape: shape, counterDepth: .twelve, pixelType: .u16)
        let template = FrameHeaderText(format).template()
        var mib = Data()
        for frame in 0..<frames {
            var message = [UInt8](repeating: 0, count: template.bytes.count)
            message.withUnsafeMutableBytes { template.write(sequenceNumber: UInt64(frame + 1), time: .now, into: $0) }
            mib += message
            mib += [UInt8](repeating: UInt8(frame + 1), count: 2 * shape.pixelCount)
        }
        try mib.write(to: URL(fileURLWithPath: path))
        return (0..<frames).map { Double(($0 + 1) * 257 * shape.pixelCount) }
    }

    @Test(arguments: [1, 3]) func recording(threads: Int) async throws {
        let folder = try TemporaryFolder()
        let totals = try Self.record(40, to: folder.path + "/scan.mib")
        let context = LiveContext(threads: threads)
        let scan = try await context.load(folder.path + "/scan.mib", navShape: [5, 8], framesPerPartition: 6)
        for _ in 0..<2 {
            let outcome = try await context.run([sumsig, UDFRequest(name: "max")], on: scan, timeout: .seconds(60))
            #expect(outcome.isComplete && outcome.endReason == .complete && outcome.accounting.placed == 40)
            #expect(outcome["sumsig"]?.array.doubles() == totals)
            #expect(outcome["max"]?.array.doubles().allSatisfy { $0 == 40 * 257 } == true)
        }
    }

    @Test func raw() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/scan.raw"
        try Data((0..<12).flatMap { [UInt8](repeating: UInt8($0), count: Self.shape.pixelCount) })
            .write(to: URL(fileURLWithPath: path))
        let scan = try await LiveContext().load(
            raw: path, RawLayout(navShape: [3, 4], sigShape: Self.shape, pixel: .uint8))
        let outcome = try await LiveContext(threads: 2).run(sumsig, on: scan, timeout: .seconds(60))
        #expect(outcome["sumsig"]?.array.doubles() == (0..<12).map { Double($0 * Self.shape.pixelCount) })
    }

    @Test func rawFileThatBecomesShorter() async throws {
        let folder = try TemporaryFolder()
        for shape in [Self.shape, SigShape(height: 8, width: 8)] {
            let path = folder.path + "/scan.raw"
            try Data(count: 12 * shape.pixelCount).write(to: URL(fileURLWithPath: path))
            let scan = try await LiveContext().load(
                raw: path, RawLayout(navShape: [3, 4], sigShape: shape, pixel: .uint8))
            #expect(truncate(path, off_t(7 * shape.pixelCount)) == 0)
            await expectRunError({ if case .failed(let text) = $0 { text.contains(path) } else { false } }) {
                _ = try await LiveContext(threads: 2).run(sumsig, on: scan, timeout: .seconds(60))
            }
        }
    }

    @Test func fileThatBecomesShorter() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/scan.mib"
        _ = try Self.record(20, to: path)
        let scan = try await LiveContext().load(path, navShape: [4, 5])
        #expect(truncate(path, off_t(15 * 2 * Self.shape.pixelCount)) == 0)
        await expectRunError({ if case .failed(let text) = $0 { text.contains(path) } else { false } }) {
            _ = try await LiveContext(threads: 2).run(sumsig, on: scan, timeout: .seconds(60))
        }
    }
}
