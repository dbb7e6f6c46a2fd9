import Foundation
import MerlinProtocol
import Stemwire
import StemwireKernels
import StemwireUDF
import Testing

extension LiveContextTests {
    @Suite("corrections") struct Corrected {
        private let sig = SigShape(height: 4, width: 4)
        private let frames = (0..<96).map { UInt16($0 * 7 % 50) }
        private let dark = ResultArray((0..<16).map { Float($0) / 4 }, shape: [4, 4])
        private let gain = ResultArray((0..<16).map { 1 + Float($0) / 16 }, shape: [4, 4])

        /// The corrected pixels, [position][pixel]; pixel 5 is dead.
        private var expected: [[Float]] {
            (0..<6).map { position in
                var frame = (0..<16).map { pixel in
                    (Float(frames[position * 16 + pixel]) - Float(pixel) / 4) * (1 + Float(pixel) / 16)
                }
                let neighbours = [0, 1, 2, 4, 6, 8, 9, 10]
                frame[5] = Float(neighbours.reduce(0.0) { $0 + Double(frame[$1]) } / 8)
                return frame
            }
        }

        private func scan(_ context: LiveContext) throws -> Acquisition {
            let connection = try context.makeConnection(.memory(frames, navShape: [2, 3], sigShape: sig))
            return try context.makeAcquisition(connection, framesPerPartition: 2)
        }

        @Test("applied before any UDF, and said in the outcome")
        func applied() async throws {
            let corrections = Corrections(dark: dark, gain: gain, excluded: ExcludedPixels([(y: 1, x: 1)]))
            for threads in [1, 3] {
                let context = LiveContext(threads: threads)
                let udfs = [UDFRequest(name: "sumsig"), UDFRequest(name: "max"), UDFRequest(name: "monitor")]
                let outcome = try await context.run(udfs, on: scan(context), corrections: corrections)
                #expect(outcome.isComplete && outcome.corrections == corrections && outcome.dtype == .uint16)
                #expect(outcome["monitor"]?.array.elements(as: Float.self) == expected[5])
                let largest = (0..<16).map { pixel in expected.map { $0[pixel] }.max()! }
                #expect(outcome["max"]?.array.elements(as: Float.self) == largest)
                let totals = try #require(outcome["sumsig"]).array.elements(as: Double.self)
                for (found, frame) in zip(totals, expected) {
                    #expect(abs(found - frame.reduce(0) { $0 + Double($1) }) < 1e-9)
                }
                let json = try #require(StemwireProcess.object(outcome.json()))
                #expect(json["corrections"] as? [String] == ["dark", "gain", "excluded"])
            }
        }

        @Test("in updates; and none is as if there were none")
        func updates() async throws {
            let context = LiveContext()
            var last: RunUpdate?
            for try await update in context.updates(
                [UDFRequest(name: "sum")], on: try scan(context), corrections: Corrections(dark: dark))
            {
                last = update
            }
            #expect(try #require(last)["sum"]?.dtype == .float64 && last?.outcome?.isComplete == true)
            let plain = try await context.run(UDFRequest(name: "sum"), on: scan(context), corrections: Corrections())
            #expect(plain["sum"]?.dtype == .uint64 && plain.corrections == nil)
        }

        @Test("what does not fit the frames is refused")
        func misfit() async throws {
            let context = LiveContext()
            for (corrections, reason) in [
                (Corrections(dark: ResultArray(zeros: .float32, shape: [4, 5])), "4 × 5 pixels"),
                (Corrections(excluded: ExcludedPixels([(y: 4, x: 0)])), "y = 4, x = 0"),
            ] {
                do {
                    _ = try await context.run(UDFRequest(name: "sum"), on: scan(context), corrections: corrections)
                    Issue.record("it ran")
                } catch RunError.badRequest(let text) {
                    #expect(text.contains("corrections: ") && text.contains(reason), "\(text)")
                }
            }
        }
    }
}

extension CommandLineTests {
    @Suite("stemwire run with corrections") struct RunCorrections {
        @Test("dark frame, gain map and excluded pixels from files")
        func files() async throws {
            let folder = try TemporaryFolder()
            let path = folder.path
            try NumpyFile.write(
                ResultArray([Float](repeating: 1, count: 65536), shape: [256, 256]), to: path + "/d.npy")
            try NumpyFile.write(
                ResultArray([Double](repeating: 2.5, count: 65536), shape: [256, 256]), to: path + "/g.npy")
            try NumpyFile.write(ResultArray([0, 0, 17, 33] as [Int64], shape: [2, 2]), to: path + "/x.npy")
            let (detector, source) = try await Run.detector("--wait-trigger")
            let run = try await StemwireProcess.run(
                "run", source, "--udf", "sum", "--trigger", "soft", "--nav-shape", "6", "8", "--output", path, "--json",
                "--dark", path + "/d.npy", "--gain", path + "/g.npy", "--excluded", path + "/x.npy", "--timeout", "20")
            #expect(run.code == 0, "\(run.errors)")
            let sum = try NumpyFile.read(path + "/sum.intensity.npy")
            #expect(sum.dtype == .float64 && sum.doubles().allSatisfy { $0 == 2 * 2.5 * 48 })
            #expect(run.objects.first?["corrections"] as? [String] == ["dark", "gain", "excluded"])
            detector.signal(SIGTERM)
            #expect(try await detector.ended(limit: .seconds(60)).code == 0)
        }

        @Test("what cannot be: 64, and the file's name")
        func usage() async throws {
            let folder = try TemporaryFolder()
            try NumpyFile.write(ResultArray(zeros: .float32, shape: [4]), to: folder.path + "/flat.npy")
            for (option, file, reason) in [
                ("--dark", "/none.npy", "none.npy"), ("--gain", "/none.npy", "none.npy"),
                ("--excluded", "/flat.npy", "shape [4]"), ("--dark", "/flat.npy", "shape [4]"),
            ] {
                let run = try await StemwireProcess.run(
                    "run", "synthetic", "--udf", "sum", "--nav-shape", "2", "2", option, folder.path + file)
                #expect(run.code == 64 && run.errors.contains(reason), "\(option): \(run.code) \(run.errors)")
            }
        }
    }
}
