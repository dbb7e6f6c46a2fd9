import MerlinSimulator
import StemwireAcquisition
import StemwireClient
import StemwireProtocol
import StemwireUDF
import StemwireWorker
import Testing

@testable import StemwireServer

extension ServerTests {
    /// Rings that are small beside what they have to keep; frames of 131 kB.
    @Suite("Frames that are kept for work") struct Retention {
        @Test(
            "the detector waits, and nothing is lost, where partitions are larger than the ring", arguments: [48, 256])
        func largerThanTheRing(framesPerPartition: Int) async throws {
            try await Bench.run(nav: [16, 16], sig: 256) { _ in
            } server: {
                $0.ringBytes = 8 << 20
                $0.framesPerPartition = framesPerPartition
                $0.threads = 1
                $0.idleLimit = .seconds(20)
            } _: { bench in
                let client = try await bench.connect()
                for run in ["second", "third", "fourth"] {
                    _ = try await client.startRun([UDFSelection("sumsig")], run: run, acquisitions: 1)
                }
                // A worker, which could not be given a partition anew, gets none.
                let worker = try Worker(WorkerConfiguration(endpoint: "tcp://127.0.0.1:\(bench.endpoints.workPort)"))
                let work = Task { try await worker.run() }
                try await eventually("a worker") {
                    try await client.status().workers.contains { !$0.isLocal } ? () : nil
                }
                let snapshot = try await Runs.scan(bench, client)
                let totals = try (0..<256).map { try bench.total(acquisition: 0, frame: $0) }
                for run in [AcquisitionServer.defaultRun, "second", "third"] {
                    let image = try #require(snapshot.channel(udf: "sumsig", "intensity", run: run))
                    #expect(image.doubles() == totals)
                    #expect(image.manifest.map { Array($0.workers.keys) } == ["this server"])
                }
                #expect(snapshot.channel(udf: "sumsig", "intensity", run: "fourth")?.positionsProcessed ?? 0 == 0)
                let refused = try #require(try await client.status().runs.first { $0.run == "fourth" })
                #expect(refused.error.contains("a partition of \(framesPerPartition) frames takes"))
                #expect(refused.error.contains("3 runs"))
                #expect(try await client.status().dispatch.framesGivenUp == 0)
                await worker.leave(within: .seconds(5))
                try await work.value
                await client.close()
            }
        }

        @Test("without threads of the server such partitions are refused when the detector is armed, with the numbers")
        func refused() async throws {
            try await Bench.run(nav: [16, 16], sig: 256) { _ in
            } server: {
                $0.ringBytes = 8 << 20
                $0.threads = 0
                $0.framesPerPartition = nil
            } _: { bench in
                let client = try await bench.connect()
                try await eventually("what the detector says of itself") {
                    try await client.status().detector.sigShape.isEmpty ? nil : ()
                }
                await #expect {
                    try await client.armWhenFree(ArmSettings(framesPerPartition: 64))
                } throws: {
                    ($0 as? ControlFailure)?.code == .invalidArgument
                        && "\($0)".contains("a partition of 64 frames takes 8 MiB of memory, and with a ring of 8 MiB")
                }
                try await client.armWhenFree(ArmSettings(framesPerPartition: 12))
                try await client.abort()
                await client.close()
            }
        }

        @Test("usual partitions fit into any ring, and workers lose nothing of them")
        func usualPartitions() async throws {
            try await Bench.run(nav: [16, 16], sig: 256) { _ in
            } server: {
                $0.ringBytes = 8 << 20
                $0.threads = 0
                $0.framesPerPartition = nil
                $0.idleLimit = .seconds(20)
            } _: { bench in
                let client = try await bench.connect()
                let worker = try Worker(WorkerConfiguration(endpoint: "tcp://127.0.0.1:\(bench.endpoints.workPort)"))
                let work = Task { try await worker.run() }
                let snapshot = try await Runs.scan(bench, client)
                // An eighth of 8 MiB has room for 8 frames.
                #expect(snapshot.start?.framesPerPartition == 8)
                let image = try #require(snapshot.channel(udf: "sumsig", "intensity"))
                #expect(image.doubles() == (try (0..<256).map { try bench.total(acquisition: 0, frame: $0) }))
                #expect(try await client.status().dispatch.framesGivenUp == 0)
                await worker.leave(within: .seconds(5))
                try await work.value
                await client.close()
            }
        }

        @Test("a run that joins with the frames from the start has all of them, where the ring is larger than the scan")
        func fromStart() async throws {
            try await Bench.run(nav: [32, 16], sig: 256) {
                $0.mode = .triggered
            } server: {
                // One and a half times the acquisition, of 67 MB.
                $0.ringBytes = 512 * (256 * 256 * 2 + 399) * 3 / 2
                $0.framesPerPartition = 64
                $0.udfs = []
                // Nothing comes between the triggers.
                $0.idleLimit = .seconds(30)
            } _: { bench in
                let client = try await bench.connect()
                try await client.detectorSet("NUMFRAMESPERTRIGGER", to: "500")
                try await client.armWhenFree()
                try await client.trigger()
                try await eventually("500 frames") {
                    try await client.status().acquisition.accounting.placed == 500 ? () : nil
                }
                _ = try await client.startRun(
                    [UDFSelection("sumsig")], run: "late", acquisitions: 1, joinCurrent: true, fromStart: true)
                try await client.trigger()
                let snapshot = try await Series.finalSnapshot(client)
                let image = try #require(snapshot.channel(udf: "sumsig", "intensity", run: "late"))
                #expect(image.positionsProcessed == 512)
                await client.close()
            }
        }
    }
}

@Suite("Lengths of partitions") struct PartitionLengthTests {
    struct Case: Sendable {
        let nav: [Int]
        let payloadBytes: Int
        let most: Int
        let length: Int
    }

    static let cases: [Case] = [
        Case(nav: [256, 256], payloadBytes: 131_072, most: 32 << 20, length: 256),
        Case(nav: [100, 100], payloadBytes: 131_072, most: 32 << 20, length: 200),
        Case(nav: [512, 512], payloadBytes: 131_072, most: 32 << 20, length: 256),
        Case(nav: [512, 512], payloadBytes: 32_768, most: 32 << 20, length: 512),
        Case(nav: [256, 256], payloadBytes: 524_288, most: 32 << 20, length: 64),
        Case(nav: [60, 60], payloadBytes: 524_288, most: 32 << 20, length: 60),
        Case(nav: [64, 64], payloadBytes: 131_072, most: 5 << 20, length: 32),
        Case(nav: [2000, 2000], payloadBytes: 1024, most: 32 << 20, length: 256),
        Case(nav: [8, 8], payloadBytes: 64 << 20, most: 32 << 20, length: 1),
    ]

    @Test("whole lines, about 256 frames, of a bounded size", arguments: cases)
    func usual(_ item: Case) throws {
        var configuration = SourceConfiguration()
        configuration.partitionBytes = item.most
        let shape = try NavShape(item.nav)
        #expect(configuration.partitionLength(shape, payloadBytes: item.payloadBytes) == item.length)
        configuration.framesPerPartition = 7
        #expect(configuration.partitionLength(shape, payloadBytes: item.payloadBytes) == 7)
    }

    @Test("servers with large rings have those of a run without a server")
    func sameEverywhere() {
        #expect(PartitionRetention.usualBytes(ringBytes: 256 << 20) == SourceConfiguration().partitionBytes)
        #expect(PartitionRetention.usualBytes(ringBytes: 8 << 20) == 1 << 20)
    }
}
