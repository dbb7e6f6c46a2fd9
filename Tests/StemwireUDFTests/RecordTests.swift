import Foundation
import MerlinProtocol
import StemwireKernels
import StemwireUDF
import Testing

@Suite("Recordings")
struct RecordTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    private func plan(
        _ scan: ScanFixture, _ path: String, framesPerPartition: Int = 4, overwrite: Bool = false
    ) throws -> RunPlan {
        let request = try UDFRequest(RecordUDF.self, .init(filename: path, overwrite: overwrite))
        return try RunPlan(
            [request, UDFRequest(name: "sumsig")], meta: try scan.meta(framesPerPartition: framesPerPartition))
    }

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    @Test(arguments: [DType.uint8, .uint16, .uint32, .uint64, .float32, .float64], [1, 2, 3, 8])
    func fileHoldsTheScan(dtype: DType, lanes: Int) throws {
        try withFolder { folder in
            let scan = ScanFixture(dtype: dtype)
            let path = folder + "/scan.npy"
            let request = UDFRequest(name: "record", parameters: ["filename": .text(path)])
            let plan = try RunPlan([request], meta: try scan.meta(framesPerPartition: lanes == 1 ? 35 : 4))
            var merger = try scan.run(plan, .init(seed: UInt64(lanes), lanes: lanes))
            let array = try NumpyFile.read(path)
            #expect(array.shape == [5, 7, 6, 9] && array.dtype == dtype)
            #expect(array.doubles() == scan.reals.flatMap { $0 })
            #expect(try merger.require("record", "recorded").elements(as: Bool.self).allSatisfy { $0 })
            #expect(!exists(path + ".partial"))
        }
    }

    @Test func framesAsTheDetectorSendsThem() throws {
        try withFolder { folder in
            let scan = ScanFixture(dtype: .uint16, bigEndian: true)
            let header = "MQ1,000001,00384,01,0009,0006,U16,   1x1,01,2026-01-02 03:04:05.000000,0.001,0,0,0,1,"
            let bytes = Array(header.utf8) + Array(repeating: 0, count: 384 - header.utf8.count)
            let format = try bytes.withUnsafeBytes {
                try FrameFormat(header: $0, payloadBytes: 108, acquisitionDepth: nil)
            }
            _ = try scan.run(try plan(scan, folder + "/scan.npy"), .none, decoder: try FrameDecoder(format))
            #expect(try NumpyFile.read(folder + "/scan.npy").doubles() == scan.reals.flatMap { $0 })
        }
    }

    @Test func lostFramesLeaveAPartialFile() throws {
        try withFolder { folder in
            let scan = ScanFixture()
            let path = folder + "/scan.npy"
            var disorder = ScanFixture.Disorder(seed: 5)
            disorder.missing = lostPositions
            var merger = try scan.run(try plan(scan, path), disorder)
            #expect(!exists(path))
            let array = try NumpyFile.read(path + ".partial")
            let none = Array(repeating: 0.0, count: 54)
            #expect(array.doubles() == (0..<35).flatMap { lostPositions.contains($0) ? none : scan.reals[$0] })
            let recorded = try merger.require("record", "recorded").elements(as: Bool.self)
            #expect(recorded == (0..<35).map { !lostPositions.contains($0) })
            // What is left over is not written into by the next run, but for good reason.
            #expect(message { _ = try plan(scan, path) }.contains("scan.npy.partial exists: another run is writing it"))
            _ = try scan.run(try plan(scan, path, overwrite: true))
            #expect(try NumpyFile.read(path).doubles() == scan.reals.flatMap { $0 })
            #expect(!exists(path + ".partial"))
        }
    }

    @Test func existingFilesAreKept() throws {
        try withFolder { folder in
            let (scan, other) = (ScanFixture(), ScanFixture(seed: 2))
            let path = folder + "/scan.npy"
            _ = try scan.run(try plan(scan, path))
            #expect(message { _ = try plan(scan, path) }.contains("scan.npy exists, and a recording replaces nothing"))
            // The old file is there until the new one is complete.
            let replacing = try plan(other, path, framesPerPartition: 7, overwrite: true)
            let lane = try UDFLane(replacing, decoder: other.decoder)
            for partition in 0..<5 {
                #expect(try NumpyFile.read(path).doubles() == scan.reals.flatMap { $0 })
                let task = try lane.begin(partition: partition)
                try other.feed(task, task.positions)
                _ = try task.finish()
            }
            #expect(try NumpyFile.read(path).doubles() == other.reals.flatMap { $0 })
        }
    }

    @Test func twoRunsDoNotWriteOneFile() throws {
        try withFolder { folder in
            let scan = ScanFixture()
            let path = folder + "/scan.npy"
            let plans = [try plan(scan, path), try plan(scan, path)]
            let tasks = try plans.map { try UDFLane($0, decoder: scan.decoder).begin(partition: 0) }
            try scan.feed(tasks[0], 0..<4)
            let refused = message { try scan.feed(tasks[1], 0..<4) }
            #expect(refused.contains("UDF record, partition 0: ") && refused.contains("scan.npy.partial exists"))
        }
    }

    @Test func planningWritesNothing() throws {
        try withFolder { folder in
            let scan = ScanFixture()
            _ = try plan(scan, folder + "/scan.npy")
            _ = try UDFLane(try plan(scan, folder + "/scan.npy"), decoder: scan.decoder).begin(partition: 0)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
        }
    }

    @Test func scansThatDoNotFitAreRefused() throws {
        try withFolder { folder in
            // 2 EiB, of which not even the empty file is left.
            let meta = try UDFMeta(
                navShape: [1 << 24, 1 << 20], sigShape: SigShape(height: 1024, width: 1024), inputDType: .uint16,
                framesPerPartition: 1)
            let request = try UDFRequest(RecordUDF.self, .init(filename: folder + "/scan.npy"))
            let refused = message { _ = try RunPlan([request], meta: meta) }
            #expect(refused.contains("the scan is too large"))
            let large = try UDFMeta(
                navShape: [1 << 16, 1 << 16], sigShape: SigShape(height: 512, width: 512), inputDType: .uint64,
                framesPerPartition: 1)
            let task = try UDFLane(
                try RunPlan([request], meta: large),
                decoder: NativeStackDecoder(dtype: .uint64, sigShape: large.sigShape)
            ).begin(partition: 3)
            let frame = [UInt64](repeating: 1, count: 512 * 512)
            let full = message {
                try frame.withUnsafeBytes {
                    _ = try task.process($0.baseAddress!, stride: $0.count, count: 1, firstPosition: 3)
                }
            }
            #expect(full.contains("the scan takes 8388608 GiB, and there is room for"), "\(full)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
        }
    }

    @Test func fileThatCannotBeMadeIsNamed() throws {
        let scan = ScanFixture()
        try withFolder { folder in
            let path = folder + "/scan.npy"
            // No file can be made where a folder is.
            try FileManager.default.createDirectory(atPath: path + ".partial", withIntermediateDirectories: true)
            let refused = message { _ = try scan.run(try plan(scan, path, overwrite: true)) }
            #expect(refused.hasPrefix("UDF record, partition 0: cannot make \(path).partial: Is a directory"))
        }
    }

    @Test func impossibleFilesAreNamed() throws {
        let scan = ScanFixture()
        let meta = try scan.meta(framesPerPartition: 8)
        #expect(refusal("record", [:], meta).contains("filename: no file to write is given"))
        #expect(refusal("record", ["filename": "folder/"], meta).contains("filename: no file to write is given"))
        #expect(
            refusal("record", ["filename": "/nowhere/scan.npy"], meta).contains(
                "filename: cannot make /nowhere/scan.npy: No such file or directory; make the folder first"))
        let region = try scan.meta(framesPerPartition: 8, roi: someRegion)
        #expect(
            refusal("record", ["filename": "scan.npy"], region).contains("leave out the region of interest"))
    }
}
