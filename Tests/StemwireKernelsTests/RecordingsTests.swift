import Foundation
import MerlinProtocol
import StemwireKernels
import Testing

/// Decoded recordings of real detectors against the table beside them. Skipped where they are absent: they are not part
/// of the project.
@Suite struct RecordingsTests {
    static let folder = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .appending(path: "../../../shared/data").standardizedFileURL
    static let archive = folder.appending(path: "merlin-recordings.tar.gz")
    static let isPresent = FileManager.default.fileExists(atPath: archive.path)

    struct Recording {
        var name: String
        var shape: [Int]
        var dtype: String
        var sum: UInt64
        var sha256: String
    }

    /// Rows `| name | 9×512×512 | uint16 | sum | sha256 |` of the table.
    static func table() throws -> [Recording] {
        let text = try String(contentsOf: folder.appending(path: "README.md"), encoding: .utf8)
        return text.split(separator: "\n").compactMap { line in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 5, let sum = UInt64(cells[3]) else { return nil }
            return Recording(
                name: cells[0], shape: cells[1].split(separator: "×").compactMap { Int($0) }, dtype: cells[2],
                sum: sum, sha256: cells[4])
        }
    }

    static func run(_ tool: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [tool] + arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "\(tool) failed")
        return String(decoding: output, as: UTF8.self)
    }

    @Test(.enabled(if: isPresent, "the recordings are not here"))
    func recordingsDecodeToTheKnownArrays() throws {
        let scratch = FileManager.default.temporaryDirectory.appending(path: "stemwire-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: scratch) }
        _ = try Self.run("tar", ["-xzf", Self.archive.path, "-C", scratch.path])
        let recordings = try Self.table()
        #expect(recordings.count == 12)
        for recording in recordings {
            let file = try Data(contentsOf: scratch.appending(path: recording.name + ".mib"), options: .alwaysMapped)
            let frames = recording.shape[0]
            let array = scratch.appending(path: "array")
            for level in InstructionSet.supported {
                let (decoded, sum) = try decode(file, frames: frames, level: level)
                #expect(decoded.count == recording.shape.reduce(1, *) * decoded.bytesPerPixel)
                #expect(decoded.dtype.rawValue == recording.dtype)
                #expect(sum == recording.sum, "\(recording.name)")
                try decoded.bytes.write(to: array)
                let hash = try Self.run("sha256sum", [array.path]).prefix(64)
                #expect(hash == recording.sha256, "\(recording.name) at level \(level)")
            }
        }
    }

    private struct Decoded {
        var bytes: Data
        var dtype: DType
        var bytesPerPixel: Int { dtype.byteCount }
        var count: Int { bytes.count }
    }

    /// All frames of a file as one array [frame, y, x], and the sum of its pixels.
    private func decode(_ file: Data, frames: Int, level: InstructionSet) throws -> (Decoded, UInt64) {
        try file.withUnsafeBytes { file in
            let frameBytes = file.count / frames
            let fields = try FrameHeaderFields.parse(.init(rebasing: file[..<1024]))
            let format = try FrameFormat(
                header: .init(rebasing: file[..<1024]), payloadBytes: frameBytes - fields.dataOffset,
                acquisitionDepth: nil)
            let decoder = try FrameDecoder(format, instructionSet: level)
            var bytes = Data(count: frames * decoder.imageBytes)
            var sums = [UInt64](repeating: 0, count: frames)
            bytes.withUnsafeMutableBytes { images in
                decoder.decodeStack(
                    frames: file.baseAddress! + fields.dataOffset, stride: frameBytes, count: frames, into: images)
                let stack = decoder.decodedStack(images.baseAddress!, count: frames)
                sums.withUnsafeMutableBufferPointer { PixelKernels(level).frameSums(stack, into: $0) }
            }
            return (Decoded(bytes: bytes, dtype: decoder.encoding.dtype), sums.reduce(0, +))
        }
    }
}
