import Foundation
import StemwireClient
import StemwireKernels
import StemwireProtocol
import StemwireSystem
import StemwireUDF
import Testing

@testable import StemwireWorker

@Suite(.timeLimit(.minutes(1))) struct WorkerTests {
    static let requests = [
        UDFRequest(name: "sum"), UDFRequest(name: "sumsig"), UDFRequest(name: "stddev"),
        UDFRequest(id: "ring", name: "ring", parameters: ["ri": .text("0.5"), "ro": .text("1.5")]),
        UDFRequest(name: "spread", parameters: ["scale": .text("2")]),
    ]

    /// Runs workers while `body` plays with the server, then has them leave.
    private func withWorkers(
        _ count: Int, threads: Int = 2, on server: FakeWorkServer, memoryBytes: Int = 1 << 20,
        verifiesChecksums: Bool? = nil, events: Locked<[WorkerEvent]> = Locked([]),
        _ body: ([Worker]) async throws -> Void
    ) async throws {
        var configuration = WorkerConfiguration(endpoint: await server.endpoint)
        configuration.threads = threads
        configuration.memoryBytes = memoryBytes
        configuration.verifiesChecksums = verifiesChecksums
        let registry = try UDFRegistry.test
        let workers = try (0..<count).map { _ in try Worker(configuration, udfs: registry) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in workers {
                group.addTask { try await worker.run { event in events.withLock { $0.append(event) } } }
            }
            try await body(workers)
            for worker in workers { await worker.leave(within: .seconds(5)) }
            try await group.waitForAll()
        }
        await server.until { $0.goodbyes == count }
        await server.stop()
    }

    private func expectSame(_ server: FakeWorkServer, as scan: TestScan, roi: PositionSet? = nil) async throws {
        #expect(await server.faults == [])
        let merged = await server.merger
        var result = try #require(merged)
        var expected = try scan.undisturbed(result.plan)
        #expect(result.isComplete || !scan.missing.isEmpty)
        let (found, right) = (result.channels(), expected.channels())
        #expect(found.count == right.count)
        for (channel, reference) in zip(found, right) {
            #expect(channel.array == reference.array, "\(channel.key)")
            #expect(channel.valid == reference.valid, "\(channel.key)")
        }
    }

    @Test(arguments: [(1, 1), (1, 3), (3, 2)]) func resultsHaveTheBitsOfOneThread(
        _ workers: Int, _ threads: Int
    ) async throws {
        var scan = TestScan()
        scan.missing = [3, 4, 5, 17, 59]
        let server = try await FakeWorkServer.start()
        try await withWorkers(workers, threads: threads, on: server) { _ in
            try await server.begin(Self.requests, on: scan, registry: .test)
            await server.until { $0.results.count == 8 }
            try await expectSame(server, as: scan)
        }
        let hello = try #require(await server.hellos.first)
        #expect(hello.worker.threads == UInt32(threads))
        #expect(hello.credit.items == UInt32(2 * threads + 1))
        #expect(hello.worker.udfs.contains { $0.name == "spread" && $0.version == 1 })
    }

    @Test func aRegionOfInterestAndAuxiliaryArraysTravelWithThePlan() async throws {
        let scan = TestScan()
        var roi = PositionSet(size: 60)
        roi.insert(5..<20)
        roi.insert(33..<34)
        let server = try await FakeWorkServer.start()
        try await withWorkers(1, on: server) { _ in
            try await server.begin(
                [UDFRequest(name: "sum"), UDFRequest(name: "sumsig")], on: scan, registry: .test, roi: roi,
                arrays: [(WireArrayHeader(roi.bitmap, udf: "", name: "roi"), roi.bitmap)])
            await server.until { $0.results.count == 8 }
            try await expectSame(server, as: scan)
        }
    }

    @Test func correctionsTravelWithThePlan() async throws {
        let scan = TestScan()
        let gain = ResultArray((0..<12).map { 1 + Float($0) / 16 }, shape: [3, 4])
        let excluded = ResultArray((0..<12).map { UInt8($0 == 6 ? 1 : 0) }, shape: [3, 4])
        let corrections = Corrections(gain: gain, excluded: try ExcludedPixels(mask: excluded))
        let server = try await FakeWorkServer.start()
        try await withWorkers(1, on: server) { _ in
            try await server.begin(
                [UDFRequest(name: "sum"), UDFRequest(name: "sumsig")], on: scan, registry: .test,
                arrays: [
                    (WireArrayHeader(gain, purpose: .gain, name: ""), gain.withUnsafeBytes { Array($0) }),
                    (WireArrayHeader(excluded, purpose: .excluded, name: ""), excluded.withUnsafeBytes { Array($0) }),
                ], corrections: corrections)
            await server.until { $0.results.count == 8 }
            try await expectSame(server, as: scan)
        }
    }

    @Test func aPlanThatCannotBeDoneIsToldWithItsReason() async throws {
        let scan = TestScan()
        let server = try await FakeWorkServer.start()
        try await withWorkers(1, on: server) { _ in
            let cases: [(UDFRequest, WireArrayHeader?, String)] = [
                (UDFRequest(name: "nothing"), nil, "there is no UDF \"nothing\""),
                (UDFRequest(name: "spread", parameters: ["scale": .text("-1")]), nil, "scale must be above 0"),
                (UDFRequest(name: "sum"), .with { $0.purpose = "flatfield" }, "flatfield"),
                (UDFRequest(name: "sum"), .with { ($0.purpose, $0.checksum) = ("roi", 7) }, "changed on the way"),
                (UDFRequest(name: "sum"), .with { $0.purpose = "roi" }, "0 bytes, not 8"),
            ]
            for (index, (request, header, why)) in cases.enumerated() {
                await server.begin(
                    [request], on: scan, arrays: header.map { [($0, [])] } ?? [], number: UInt32(index + 1))
                await server.until { $0.planned.count == index + 1 }
                let answer = await server.planned[index]
                #expect(answer.failure.contains(why), "\(answer.failure)")
            }
        }
    }

    @Test func aPlanIsAnsweredWithWhatTheServerNeedsToMerge() async throws {
        let server = try await FakeWorkServer.start()
        try await withWorkers(1, on: server) { _ in
            await server.begin([UDFRequest(id: "s", name: "spread")], on: TestScan())
            await server.until { $0.planned.count == 1 }
            let udf = try #require(await server.planned.first?.udfs.first)
            let plan = try RunPlan(
                [UDFRequest(id: "s", name: "spread")], registry: .test, meta: TestScan().meta())
            #expect(udf.contentHash == plan.udfs[0].contentHash)
            #expect(udf.order == "fixedTree")
            #expect(udf.buffers.map(\.use).filter { $0 == "resultOnly" }.count == 2)
            let mean = try #require(udf.buffers.first { $0.name == "mean" })
            #expect([mean.kind, mean.dtype, mean.use, mean.merge] == ["sig", "float64", "private", "custom"])
        }
    }

    @Test func aFailingUDFIsToldOnceForEachOfItsPartitions() async throws {
        let server = try await FakeWorkServer.start()
        let events = Locked<[WorkerEvent]>([])
        try await withWorkers(1, on: server, events: events) { _ in
            try await server.begin(
                [UDFRequest(name: "fails-at", parameters: ["position": .text("13")])], on: TestScan(),
                registry: .test)
            await server.until { $0.results.count == 7 && $0.failures.count == 1 }
            let failed = try #require(await server.failures.first)
            #expect(failed.item.partition == 1)
            #expect(failed.udf == "fails-at")
            #expect(failed.udfError)
            #expect(failed.message.contains("it was told to fail"))
        }
        #expect(events.value.contains { if case .failed = $0 { true } else { false } })
    }

    @Test func lostAndChangedFramesAreNoticedAndDoneAgain() async throws {
        let scan = TestScan()
        let server = try await FakeWorkServer.start()
        await server.change {
            $0.losesFramesOf = [2]
            $0.corrupts = [5]
        }
        try await withWorkers(1, on: server, verifiesChecksums: true) { _ in
            try await server.begin(Self.requests, on: scan, registry: .test)
            await server.until { $0.results.count == 8 }
            let failures = await server.failures.sorted { $0.item.partition < $1.item.partition }
            #expect(failures.map(\.item.partition) == [2, 5])
            #expect(failures.map(\.udfError) == [false, false])
            #expect(failures.first?.message.contains("frames lost on the way") == true)
            #expect(failures.last?.message.contains("checksum") == true)
            try await expectSame(server, as: scan)
        }
    }

    @Test func aPartitionLargerThanTheMemoryComesAlone() async throws {
        var scan = TestScan()
        scan.navShape = [60, 60]
        scan.framesPerPartition = 3000
        let server = try await FakeWorkServer.start()
        await server.change { $0.tileLength = 100 }
        try await withWorkers(1, threads: 1, on: server) { _ in
            try await server.begin([UDFRequest(name: "sumsig")], on: scan, registry: .test)
            await server.until { $0.results.count == 2 }
            try await expectSame(server, as: scan)
        }
    }

    @Test func mergeTasksGiveWhatTheUDFItselfGives() async throws {
        let scan = TestScan()
        let plan = try RunPlan([UDFRequest(name: "spread")], registry: .test, meta: scan.meta())
        var merger = try scan.undisturbed(plan)
        let channels = merger.channels()
        let server = try await FakeWorkServer.start()
        try await withWorkers(1, on: server) { _ in
            try await server.begin([UDFRequest(name: "spread")], on: scan, registry: .test)
            await server.until { $0.results.count == 8 }
            // Two frames' buffers by hand: mean and squares of 2 and 4 are 3 and 2.
            func buffers(_ value: Double) -> [ResultArray] {
                [
                    ResultArray([Double](repeating: value, count: 12), shape: [3, 4]),
                    ResultArray([Double](repeating: 0, count: 12), shape: [3, 4]), ResultArray([1.0], shape: []),
                ]
            }
            let names = ["mean", "squares", "count"]
            let arrays = buffers(2) + buffers(4)
            var task = WireMergeTask()
            (task.task, task.plan, task.udf, task.kind) = (1, 1, "spread", "merge")
            task.arrays = zip(names + names, arrays).map {
                WireArrayHeader($1, purpose: .buffer, udf: "spread", name: $0)
            }
            await server.askToMerge(task, parts: arrays.map { $0.withUnsafeBytes { Array($0) } })
            await server.until { $0.mergeAnswers.count == 1 }
            let (done, merged) = await server.mergeAnswers[0]
            #expect(done.failure == "")
            #expect(done.arrays.map(\.name) == names)
            #expect(merged[0]?.doubles() == [Double](repeating: 3, count: 12))
            #expect(merged[1]?.doubles() == [Double](repeating: 2, count: 12))
            #expect(merged[2]?.doubles() == [2])

            // Of the half of the scan.
            var processed = PositionSet(size: 60)
            processed.insert(0..<60)
            let first = ResultArray((0..<60).map { Double(TestScan.pixels(at: $0)[0]) }, shape: [6, 10])
            let all = (0..<60).map { TestScan.pixels(at: $0).map(Double.init) }
            let means = (0..<12).map { pixel in all.reduce(0) { $0 + $1[pixel] } / 60 }
            let squares = (0..<12).map { pixel in
                all.reduce(0) { $0 + ($1[pixel] - means[pixel]) * ($1[pixel] - means[pixel]) }
            }
            let inputs = [
                first, ResultArray(means, shape: [3, 4]), ResultArray(squares, shape: [3, 4]),
                ResultArray([60.0], shape: []),
            ]
            task.task = 2
            task.kind = "results"
            task.arrays =
                [WireArrayHeader(processed.bitmap, udf: "spread", name: "processed")]
                + zip(["first"] + names, inputs).map { WireArrayHeader($1, purpose: .buffer, udf: "spread", name: $0) }
            let parts = [processed.bitmap] + inputs.map { $0.withUnsafeBytes { Array($0) } }
            await server.askToMerge(task, parts: parts)
            await server.until { $0.mergeAnswers.count == 2 }
            let (computed, results) = await server.mergeAnswers[1]
            #expect(computed.failure == "")
            #expect(computed.arrays.map(\.purpose) == ["buffer", "buffer", "roi"])
            #expect(computed.arrays.map(\.name) == ["spread", "offset", "offset"])
            let spread = try #require(channels.first { $0.name == "spread" }).array.doubles()
            for (found, right) in zip(try #require(results[0]).doubles(), spread) {
                #expect(abs(found - right) < 1e-9 * right)
            }
            let valid = try #require(channels.first { $0.name == "offset" }?.valid)
            #expect(try #require(results[2]).elements(as: UInt8.self) == valid.bitmap)

            task.task = 3
            task.arrays.removeLast()
            await server.askToMerge(task, parts: parts.dropLast())
            await server.until { $0.mergeAnswers.count == 3 }
            #expect(await server.mergeAnswers[2].0.failure.contains("3 buffers where 4 are expected"))
        }
    }
}
