import StemwireClient
import StemwireProtocol
import StemwireSystem
import StemwireUDF
import StemwireWorker
import Testing

@testable import StemwireServer

extension ServerTests {
    @Suite("Runs with UDFs that only workers have", .timeLimit(.minutes(2))) struct ForeignRuns {
        static let selections = [
            UDFSelection("counts"), UDFSelection("blend"),
            UDFSelection("blend", id: "other", parameters: ["divisor": "7"]),
            UDFSelection("sum"),
        ]

        /// A bench whose server has the built-in UDFs only, unless told otherwise.
        static func run(
            threads: Int = 0, registry: UDFRegistry = .builtIn, dwell: Int = 0, _ body: (Bench) async throws -> Void
        ) async throws {
            try await Bench.run(nav: [12, 11]) {
                if dwell > 0 { $0.dwellMicroseconds = .init(dwell) }
            } server: {
                ($0.threads, $0.registry, $0.udfs) = (threads, registry, [])
                ($0.workerBeatInterval, $0.workerSilenceLimit) = (.milliseconds(250), .milliseconds(700))
            } _: {
                try await body($0)
            }
        }

        /// Runs workers in this process while `body` runs.
        static func withWorkers(_ count: Int, at bench: Bench, _ body: () async throws -> Void) async throws {
            var configuration = WorkerConfiguration(endpoint: "tcp://127.0.0.1:\(bench.endpoints.workPort)")
            configuration.threads = 1
            let workers = try (0..<count).map { number in
                configuration.name = "w\(number)"
                return try Worker(configuration, udfs: foreignRegistry)
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in workers { group.addTask { try await worker.run() } }
                do {
                    try await body()
                } catch {
                    group.cancelAll()
                    throw error
                }
                for worker in workers { await worker.leave(within: .seconds(5)) }
                try await group.waitForAll()
            }
        }

        /// Starts a run as soon as a worker offers its UDFs.
        static func start(
            _ client: StemwireConnection, _ selections: [UDFSelection] = selections, run: String = "mine"
        ) async throws {
            try await eventually("a worker that offers the UDFs") {
                do throws(ControlFailure) {
                    _ = try await client.startRun(selections, run: run, acquisitions: 1)
                    return ()
                } catch {
                    guard "\(error)".contains("there is no UDF") else { throw error }
                    return nil
                }
            }
        }

        static func finals(_ client: StemwireConnection) async throws -> [ChannelUpdate] {
            try await eventually("final results") {
                // There is none before the first frame.
                guard let snapshot = try? await client.snapshot() else { return nil }
                let channels = snapshot.channels.filter { $0.name.run == "mine" }
                let isOver = snapshot.end != nil && !channels.isEmpty
                return isOver && channels.allSatisfy(\.isFinal) ? channels : nil
            }
        }

        /// What threads of a server that has the UDFs itself make of the same scan.
        static func expected() async throws -> [ChannelUpdate] {
            var channels: [ChannelUpdate] = []
            try await run(threads: 1, registry: foreignRegistry) { bench in
                let client = try await bench.connect()
                try await start(client)
                try await client.startScan()
                channels = try await finals(client)
                await client.close()
            }
            return channels
        }

        static func expectSame(_ found: [ChannelUpdate], _ expected: [ChannelUpdate]) {
            #expect(found.map(\.name.channel) == expected.map(\.name.channel) && expected.count == 9)
            for (channel, right) in zip(found, expected) {
                #expect(channel.positionsProcessed == 132)
                #expect(
                    channel.doubles().map(\.bitPattern) == right.doubles().map(\.bitPattern),
                    "\(channel.name.udf).\(channel.name.channel)")
                let valid = (0..<132).map { channel.isValid(position: $0) }
                #expect(valid == (0..<132).map { right.isValid(position: $0) })
            }
        }

        @Test("the results have the bits of a server that has the UDFs itself", arguments: [1, 3])
        func sameBits(workers: Int) async throws {
            let expected = try await Self.expected()
            try await Self.run(threads: 1) { bench in
                let client = try await bench.connect()
                try await Self.withWorkers(workers, at: bench) {
                    try await Self.start(client)
                    try await client.startScan()
                    Self.expectSame(try await Self.finals(client), expected)
                    let status = try #require(try await client.status().runs.first { $0.run == "mine" })
                    #expect(status.error.isEmpty && status.finished && status.framesFailed == 0)
                }
                await client.close()
            }
        }

        @Test("a run waits for a worker, and then has the frames that came before", arguments: [0, 1])
        func workerComesLater(threads: Int) async throws {
            let expected = try await Self.expected()
            try await Self.run(threads: threads) { bench in
                let client = try await bench.connect()
                // With what the server does itself meanwhile.
                if threads > 0 { _ = try await client.startRun([UDFSelection("sum")], run: "own") }
                try await Self.withWorkers(1, at: bench) { try await Self.start(client) }
                try await client.startScan()
                try await eventually("the end of the scan") {
                    (try? await client.snapshot())?.end.map { _ in () }
                }
                #expect(try await client.snapshot().channels.allSatisfy { $0.name.run != "mine" })
                try await Self.withWorkers(2, at: bench) {
                    Self.expectSame(try await Self.finals(client), expected)
                }
                await client.close()
            }
        }

        /// A worker that offers `counts`, and does with the first plan what `answer` says.
        static func offer(
            _ bench: Bench, until isDone: CountingSemaphore, answer: @escaping @Sendable (WireWorkPlan) -> WirePlanned?
        ) async throws {
            try await onThread {
                let stranger = try Stranger(.dealer, port: bench.endpoints.workPort)
                var hello = WireWorkHello()
                (hello.versionMin, hello.versionMax, hello.epoch) = (1, 1, 1)
                // Asked before all others.
                hello.clientID = .init([UInt8](repeating: 0, count: 15) + [9])
                (hello.credit.items, hello.credit.bytes) = (4, 1 << 20)
                hello.worker.udfs = [.with { ($0.name, $0.version) = ("counts", 1) }]
                try stranger.send(.hello(hello))
                while true {
                    // Beats are awaited for 10 s at most.
                    try stranger.send(.beat(WireBeat()))
                    guard case .plan(let plan) = try stranger.work().kind else { continue }
                    if let answer = answer(plan) { try stranger.send(.planned(answer)) }
                    break
                }
                while !isDone.wait(timeout: .milliseconds(50)), !Task.isCancelled {
                    if answer(WireWorkPlan()) != nil { try stranger.send(.beat(WireBeat())) }
                }
            }
        }

        @Test("a worker that dies while it plans costs nothing but time")
        func planningWorkerDies() async throws {
            try await Self.run { bench in
                let client = try await bench.connect()
                let isDone = CountingSemaphore()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    // It says nothing any more once it has the plan.
                    group.addTask { try await Self.offer(bench, until: isDone) { _ in nil } }
                    try await Self.start(client, [UDFSelection("counts")])
                    try await client.startScan()
                    try await Self.withWorkers(1, at: bench) {
                        let channels = try await Self.finals(client)
                        isDone.post()
                        let totals = try (0..<132).map { try bench.total(acquisition: 0, frame: $0) }
                        #expect(channels.first { $0.name.channel == "frame" }?.doubles() == totals)
                    }
                    try await group.waitForAll()
                }
                await client.close()
            }
        }

        @Test(
            "when the only worker is killed while it plans, works, merges or finishes, another one goes on, whenever it comes",
            arguments: WorkerProcess.Phase.allCases)
        func workerIsKilled(phase: WorkerProcess.Phase) async throws {
            let expected = try await Self.expected()
            try await Self.run { bench in
                let client = try await bench.connect()
                let victim = try WorkerProcess(port: bench.endpoints.workPort, hangsIn: phase)
                try await Self.start(client)
                try await client.startScan()
                try await eventually("the worker in the midst of it") { victim.hangs ? () : nil }
                victim.kill()
                try await eventually("nobody there") {
                    let status = try await client.status()
                    return status.workers.isEmpty && status.dispatch.workersLost == 1 ? () : nil
                }
                try await Self.withWorkers(1, at: bench) {
                    Self.expectSame(try await Self.finals(client), expected)
                }
                await client.close()
            }
        }

        @Test(
            "what a thread of a worker hangs in, merging or finishing, is given to another worker",
            arguments: [WorkerProcess.Phase.merge, .results])
        func workerHangs(phase: WorkerProcess.Phase) async throws {
            let expected = try await Self.expected()
            try await Self.run { bench in
                let client = try await bench.connect()
                // Its other thread works on.
                let victim = try WorkerProcess(port: bench.endpoints.workPort, threads: 2, hangsIn: phase)
                try await Self.start(client)
                try await client.startScan()
                try await eventually("the worker in the midst of it") { victim.hangs ? () : nil }
                try await Self.withWorkers(1, at: bench) {
                    Self.expectSame(try await Self.finals(client), expected)
                }
                victim.kill()
                await client.close()
            }
        }

        @Test(
            "a worker that declares what cannot be is not believed",
            arguments: [
                ("larger than the", "nav", "float64", "positions", "any", [UInt32](repeating: 1 << 20, count: 3)),
                ("cannot be of kind", "nav", "float64", "sum", "any", []),
                ("cannot be of kind", "sig", "float128", "sum", "any", []),
                ("bool cannot be merged", "sig", "bool", "sum", "any", []),
                ("no merge order", "sig", "uint64", "sum", "automatic", []),
            ])
        func nonsense(
            _ why: String, _ kind: String, _ dtype: String, _ merge: String, _ order: String, _ shape: [UInt32]
        ) async throws {
            try await Self.run { bench in
                let client = try await bench.connect()
                let isDone = CountingSemaphore()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        try await Self.offer(bench, until: isDone) { plan in
                            .with {
                                $0.plan = plan.plan
                                $0.udfs = [
                                    .with {
                                        ($0.id, $0.name, $0.version, $0.order) = ("counts", "counts", 1, order)
                                        $0.buffers = [
                                            .with {
                                                ($0.name, $0.kind, $0.dtype) = ("b", kind, dtype)
                                                ($0.use, $0.merge, $0.extraShape) = ("exported", merge, shape)
                                            }
                                        ]
                                    }
                                ]
                            }
                        }
                    }
                    try await Self.start(client, [UDFSelection("counts")])
                    try await client.startScan()
                    let error = try await eventually("the end of the run") {
                        try await client.listRuns().first { $0.run == "mine" && $0.finished }?.error
                    }
                    isDone.post()
                    #expect(error.contains("no worker can do the run") && error.contains(why), "\(error)")
                    try await group.waitForAll()
                }
                await client.close()
            }
        }

        @Test("workers that leave in the middle of a scan change no bit")
        func workersLeave() async throws {
            let expected = try await Self.expected()
            try await Self.run(dwell: 4000) { bench in
                let client = try await bench.connect()
                try await Self.withWorkers(1, at: bench) {
                    for turn in 0..<3 {
                        // It goes without finishing anything.
                        let short = Task {
                            try await Self.withWorkers(2, at: bench) { try await Task.sleep(for: .seconds(9)) }
                        }
                        if turn == 0 {
                            try await Self.start(client)
                            try await client.startScan()
                        }
                        try await eventually("frames") {
                            try await client.status().acquisition.accounting.placed >= UInt64(30 + 35 * turn) ? () : nil
                        }
                        short.cancel()
                        _ = await short.result
                    }
                    Self.expectSame(try await Self.finals(client), expected)
                }
                await client.close()
            }
        }

        @Test("a merge that fails at the workers costs its own result, is told, and ends", arguments: [1, 2])
        func mergeFails(workers: Int) async throws {
            try await Self.run { bench in
                let client = try await bench.connect()
                try await Self.withWorkers(workers, at: bench) {
                    try await Self.start(client, [UDFSelection("quarrel")])
                    try await client.startScan()
                    let status = try await eventually("the end of the run") {
                        try await client.listRuns().first { $0.run == "mine" && $0.finished }
                    }
                    #expect(status.error.contains("the halves disagree"), "\(status.error)")
                    #expect(status.framesFailed + status.positionsProcessed == 132)
                    #expect(status.framesFailed > 0 && status.positionsProcessed >= 16)
                }
                await client.close()
            }
        }

        @Test("what nobody has is refused with all that there is; parameters are the worker's to judge")
        func refusals() async throws {
            try await Self.run { bench in
                let client = try await bench.connect()
                try await Self.withWorkers(1, at: bench) {
                    try await Self.start(client, [UDFSelection("blend", parameters: ["divisor": "-1"])])
                    await #expect { try await client.startRun([UDFSelection("nothing")]) } throws: {
                        "\($0)".contains("known are") && "\($0)".contains("workers offer blend, counts, quarrel")
                    }
                    try await client.startScan()
                    let error = try await eventually("the end of the run") {
                        try await client.listRuns().first { $0.run == "mine" && $0.finished }?.error
                    }
                    #expect(error.contains("the divisor must be above 0"), "\(error)")
                }
                await client.close()
            }
        }
    }
}
