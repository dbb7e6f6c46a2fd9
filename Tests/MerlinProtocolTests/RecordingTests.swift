import Foundation
import Testing

@testable import MerlinProtocol

/// Real recordings, unpacked for as long as the tests run. They are not part of the project; where they are absent, the
/// tests are skipped.
private enum Recordings {
    static let archive: String? = {
        let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let path = root.deletingLastPathComponent().appendingPathComponent("shared/data/merlin-recordings.tar.gz").path
        return FileManager.default.isReadableFile(atPath: path) ? path : nil
    }()

    static func unpack() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        let tar = Process()
        tar.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        tar.arguments = ["tar", "xzf", archive ?? "", "-C", folder.path]
        try tar.run()
        tar.waitUntilExit()
        try #require(tar.terminationStatus == 0)
        return folder
    }

    struct Recording {
        var path: String
        var frames: Int
        var shape: SigShape
        var pixelType: PixelType
        var depth: CounterDepth
        var layout: SensorLayout
    }

    private static func recording(
        _ path: String, _ frames: Int, _ height: Int, _ width: Int, _ type: PixelType, _ depth: CounterDepth,
        _ layout: SensorLayout
    ) -> Recording {
        Recording(
            path: path, frames: frames, shape: SigShape(height: height, width: width), pixelType: type, depth: depth,
            layout: layout)
    }

    private static let quad = "read_mib/Quad_9_Frames/Quad_9_Frames_CounterDepth_"
    private static let single = "read_mib/Single_9_Frames/Single_9_Frames_CounterDepth_"
    private static let scan = "rosettasciio/Merlin_navigation4x2_"

    static let all = [
        recording(quad + "12_Rows_256", 9, 512, 512, .u16, .twelve, .quad),
        recording(quad + "1_Rows_256", 9, 512, 512, .u08, .one, .quad),
        recording(quad + "1_Rows_256RAW", 9, 512, 512, .r64, .one, .quad),
        recording(single + "12_Rows_256", 9, 256, 256, .u16, .twelve, .single),
        recording(single + "1_Rows_256", 9, 256, 256, .u08, .one, .single),
        recording(single + "1_Rows_256RAW", 9, 256, 256, .r64, .one, .single),
        recording(single + "24_Rows_256", 9, 256, 256, .u32, .twentyFour, .single),
        recording(single + "6_Rows_256", 9, 256, 256, .u08, .six, .single),
        recording(scan + "ROI/001_4x2_6bit", 8, 256, 256, .u08, .six, .single),
        recording(scan + "ROI/002_4x2_6bit_roi128", 8, 128, 256, .u08, .six, .single),
        recording(
            scan + "signalNx256_ROI/002_merlin_test_roi_sig256x128_nav4x2_hot_pixel_52x_39y", 8, 128, 256, .u16,
            .twelve, .single),
        recording(
            scan + "signalNx256_ROI/003_merlin_test_roi_sig256x64_nav4x2_hot_pixel_52x_39y", 8, 64, 256, .u16, .twelve,
            .single),
    ]
}

@Suite(.enabled(if: Recordings.archive != nil, "the recordings are not here")) struct RecordingTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try Recordings.unpack()
    }

    @Test func formatsFileSetsAndSequenceNumbers() throws {
        for recording in Recordings.all {
            for pathExtension in ["hdr", "mib"] {
                let set = try MIBFileSet(path: "\(folder.path)/\(recording.path).\(pathExtension)")
                let name = Comment(rawValue: recording.path + "." + pathExtension)
                // Names begin alike (…_256, …_256RAW), and yet each set is one file.
                #expect(set.members.map { $0.path } == ["\(folder.path)/\(recording.path).mib"], name)
                #expect(set.warnings.isEmpty, name)
                #expect(set.frameCount == recording.frames, name)
                #expect(set.format.sigShape == recording.shape, name)
                #expect(set.format.pixelType == recording.pixelType, name)
                #expect(set.format.counterDepth == recording.depth, name)
                #expect(set.format.layout == recording.layout, name)
                #expect(set.format.chipCount == (recording.layout == .quad ? 4 : 1), name)
                #expect(set.format.dataOffset == (recording.layout == .quad ? 768 : 384), name)
            }
            let file = try MIBFile(path: "\(folder.path)/\(recording.path).mib")
            #expect(file.trailingBytes == 0)
            for index in 0..<file.frameCount {
                let header = try file.header(ofFrame: index)
                #expect(header.fields.sequenceNumber == UInt64(index + 1))
                #expect(header.fields.sequenceDigits == 6)
                #expect(header.thresholds.count == 8)
                #expect(header.chips.count == file.format.chipCount)
                #expect(header.chips.allSatisfy { $0.chipType == "3RX" && $0.dacs.count == 27 })
                #expect(header.extended?.counterDepth == recording.depth)
                #expect(header.extended?.utcTime.hasSuffix("Z") == true)
                let nanoseconds = try #require(header.extended?.shutterNanoseconds)
                #expect(try abs(Double(nanoseconds) * 1e-9 - #require(header.shutterSeconds)) < 1e-6)
                #expect(file.format.matches(header.fields, bodyBytes: file.frameBytes))
            }
        }
    }

    @Test func acquisitionHeaders() throws {
        for recording in Recordings.all {
            let set = try MIBFileSet(path: "\(folder.path)/\(recording.path).hdr")
            let header = try #require(set.acquisitionHeader)
            #expect(header.text.count == 2048)
            #expect(header.warnings.isEmpty)
            #expect(header.framesInAcquisition == UInt64(recording.frames))
            #expect(header.counterDepth == recording.depth)
            #expect(header.sensorLayout == recording.layout)
            #expect(header["Software Version"] != nil && header["Medipix Clock"]?.hasSuffix("MHz") == true)
        }
    }

    @Test func scanSizeOfNewerSoftware() throws {
        let roi = Recordings.all.filter { $0.path.contains("signalNx256") }
        #expect(roi.count == 2)
        for recording in roi {
            let header = try #require(MIBFileSet(path: "\(folder.path)/\(recording.path).mib").acquisitionHeader)
            #expect(header.scanX == 4 && header.scanY == 2)
            #expect(header.framesPerTrigger == 4)
            #expect(header["Software Version"] == "1.5.0.197")
        }
        let older = try #require(MIBFileSet(path: "\(folder.path)/\(Recordings.all[0].path).hdr").acquisitionHeader)
        #expect(older.scanX == nil && older.scanY == nil)
    }

    @Test func rowROIKeepsTheFirstRowsOfTheFile() throws {
        // The hot pixel in the file's name, row 39 and column 52 of the processed image, in file order.
        for recording in Recordings.all where recording.path.contains("hot_pixel") {
            let file = try MIBFile(path: "\(folder.path)/\(recording.path).mib")
            let pixels = try file.pixels(ofFrame: 0)
            #expect(pixels.count == recording.shape.pixelCount * 2)
            let index = 2 * (39 * 256 + 52)
            #expect(pixels[index] > 0 || pixels[index + 1] > 0)
        }
    }

    @Test func aRecordingReplayedAsAStream() throws {
        for recording in Recordings.all.prefix(3) {
            let set = try MIBFileSet(path: "\(folder.path)/\(recording.path).hdr")
            let reader = MIBReader(set)
            var stream = Wire.message(try #require(set.acquisitionHeader).text)
            var bodies: [[UInt8]] = []
            for index in 0..<set.frameCount {
                var body = [UInt8](repeating: 0, count: set.format.messageBytes)
                try body.withUnsafeMutableBytes { try reader.readFrames(index..<(index + 1), into: $0) }
                bodies.append(body)
                stream += Wire.message(body)
            }
            let found = events(stream, pieces: [1000, 60000, 1, 14, 200_000])
            #expect(found.count == 1 + set.frameCount)
            let isSame = found.dropFirst().elementsEqual(bodies) { event, body in
                event == .message(.frame, body, intact: true)
            }
            #expect(isSame)
        }
    }
}
