import Foundation
import MerlinSimulator
import StemwireClient
import StemwireProtocol
import StemwireSystem
import StemwireTestSupport
import Testing

extension CommandLineTests {
    @Suite("Distribution") struct Distribution {
        static let frames = WorkerFarm.navShape.reduce(1, *)

        /// The results of an undisturbed scan, computed by one thread of the server.
        static let undisturbed = Locked<WorkerFarm.Results?>(nil)

        static func reference() async throws -> WorkerFarm.Results {
            if let known = undisturbed.withLock({ $0 }) { return known }
            let farm = try await WorkerFarm(threads: 1, dwell: 100)
            try await farm.startScan()
            let results = try await farm.finalResults()
            await farm.stop()
            undisturbed.withLock { $0 = results }
            return results
        }

        /// - Returns: whether all bits are those of the reference.
        @discardableResult
        static func expectSame(
            _ results: WorkerFarm.Results, _ reference: WorkerFarm.Results, _ comment: Comment
        ) -> Bool {
            var areSame = results.digests == reference.digests
            for (name, bytes) in reference.arrays {
                // Not in the macro, which would print them all.
                let (isSame, isValidSame) = (
                    results.arrays[name] == bytes, results.valid[name] == reference.valid[name]
                )
                #expect(isSame && isValidSame, "\(name), \(comment)")
                areSame = areSame && isSame && isValidSame
            }
            #expect(results.digests == reference.digests, comment)
            #expect(results.arrays.count == reference.arrays.count, comment)
            #expect(results.end.accounting.placed == frames && results.end.accounting.isBalanced, comment)
            #expect(results.manifest?.framesExpected == frames, comment)
            #expect(results.manifest?.framesReceived == frames, comment)
            #expect(results.manifest?.framesProcessed == frames, comment)
            #expect(results.manifest?.framesFailed == 0 && results.manifest?.missing.isEmpty == true, comment)
            return areSame
        }

        @Test("one worker, or three, or the server and a worker together: the same bits")
        func sameBits() async throws {
            let reference = try await Self.reference()
            for (threads, workers) in [(0, 1), (0, 3), (1, 1)] {
                let farm = try await WorkerFarm(threads: threads, dwell: 100)
                for _ in 0..<workers { try farm.addWorker() }
                try await farm.awaitWorkers(workers)
                try await farm.startScan()
                Self.expectSame(
                    try await farm.finalResults(), reference, "\(threads) threads of the server, \(workers) workers")
                let client = farm.client
                try await eventually("32 partitions done") { try await client.status().dispatch.partitionsDone == 32 }
                await farm.stop()
            }
        }

        @Test("a scan without any worker is received whole, and finished when one comes")
        func nobodyThere() async throws {
            let reference = try await Self.reference()
            let farm = try await WorkerFarm(threads: 0, dwell: 50)
            try await farm.startScan()
            let client = farm.client
            try await eventually("the end of the scan") {
                try await client.status().previousAcquisition.endReason == "complete"
            }
            try await eventually("32 partitions waiting") {
                let work = try await client.status().dispatch
                return work.partitionsWaiting == 32 && work.partitionsDone == 0
            }
            try farm.addWorker()
            Self.expectSame(try await farm.finalResults(), reference, "a worker that came afterwards")
            await farm.stop()
        }

        @Test("a dead worker is noticed, and what it held is done by another")
        func oneDies() async throws {
            let reference = try await Self.reference()
            let farm = try await WorkerFarm(threads: 0, dwell: 1000)
            for _ in 0..<2 { try farm.addWorker() }
            try await farm.awaitWorkers(2)
            try await farm.startScan()
            let client = farm.client
            try await eventually("work of both") {
                try await client.status().workers.filter { $0.done > 0 }.count == 2
            }
            farm.workers[0].process.signal(SIGKILL)
            let results = try await farm.finalResults()
            Self.expectSame(results, reference, "one of two killed")
            try await eventually("one worker lost") { try await client.status().dispatch.workersLost == 1 }
            #expect(results.manifest?.workers.count == 2)
            await farm.stop()
        }

        @Test("when all workers die in the middle of a scan it is received all the same, and finished when one comes")
        func allDie() async throws {
            let reference = try await Self.reference()
            let farm = try await WorkerFarm(threads: 0, dwell: 1500)
            for _ in 0..<2 { try farm.addWorker() }
            try await farm.awaitWorkers(2)
            try await farm.startScan()
            let client = farm.client
            try await eventually("work of both") {
                try await client.status().workers.filter { $0.done > 0 }.count == 2
            }
            for worker in farm.workers { worker.process.signal(SIGKILL) }
            try await eventually("the end of the scan, with nobody there") {
                let status = try await client.status()
                let work = status.dispatch
                return status.previousAcquisition.endReason == "complete" && status.workers.isEmpty
                    && work.workersLost == 2 && work.partitionsWaiting + work.partitionsDone == 32
            }
            #expect(try await client.status().dispatch.partitionsWaiting > 0)
            try farm.addWorker()
            Self.expectSame(try await farm.finalResults(), reference, "two workers killed, and then one that came")
            await farm.stop()
        }

        @Test(
            "a worker that freezes or dies is noticed within 3 s, unless told otherwise", arguments: [SIGSTOP, SIGKILL])
        func silence(signal: Int32) async throws {
            let reference = try await Self.reference()
            let farm = try await WorkerFarm(threads: 0, dwell: 1000, workerTimeout: nil)
            for _ in 0..<2 { try farm.addWorker() }
            try await farm.awaitWorkers(2)
            try await farm.startScan()
            let client = farm.client
            try await eventually("work of both") {
                try await client.status().workers.filter { $0.done > 0 }.count == 2
            }
            farm.workers[0].process.signal(signal)
            // The server's own clock: how long this process waits for its turn does not matter.
            var longestSilence: UInt64 = 0
            try await eventually("one worker lost") {
                let status = try await client.status()
                longestSilence = max(longestSilence, status.workers.map(\.lastBeatMs).max() ?? 0)
                return status.dispatch.workersLost == 1
            }
            // A server that stood still for a second itself gives its workers as long again.
            #expect(longestSilence <= 4000)
            // The connection of a process that freezes stays.
            if signal == SIGSTOP { #expect(longestSilence >= 2000) }
            Self.expectSame(try await farm.finalResults(), reference, "one of two frozen")
            await farm.stop()
        }

        @Test("workers on the server's machine may come by a path in place of a port")
        func localSocket() async throws {
            let reference = try await Self.reference()
            let folder = try TemporaryFolder()
            let farm = try await WorkerFarm(threads: 0, dwell: 100, options: ["--ipc", folder.path + "/sockets"])
            try farm.addWorker(at: "ipc://\(folder.path)/sockets/work")
            try farm.addWorker()
            try await farm.awaitWorkers(2)
            try await farm.startScan()
            Self.expectSame(try await farm.finalResults(), reference, "one worker by a path, one by a port")
            await farm.stop()
        }

        /// What happens to workers at random moments of a scan.
        @Test("workers killed, frozen and cut off at random moments: the same bits", arguments: chaosSeeds)
        func chaos(seed: UInt64) async throws {
            let reference = try await Self.reference()
            // Nobody's fault is any partition's: the limit is for those that kill by themselves.
            let farm = try await WorkerFarm(threads: 0, dwell: 1500, options: ["--quarantine-deaths", "1000"])
            for _ in 0..<4 { try farm.addWorker() }
            try await farm.awaitWorkers(4)
            var random = SeededGenerator(seed: seed)
            try await farm.startScan()
            var story: [String] = []
            for _ in 0..<5 {
                try await Task.sleep(for: .milliseconds(Int.random(in: 20...250, using: &random)))
                let victims =
                    Int.random(in: 0..<4, using: &random) == 0 ? [0, 1, 2, 3] : [Int.random(in: 0..<4, using: &random)]
                let kind = Int.random(in: 0..<3, using: &random)
                let pause = Duration.milliseconds(Int.random(in: 50...1500, using: &random))
                story.append("\(["kill", "freeze", "cut"][kind]) \(victims) for \(pause)")
                for victim in victims {
                    switch kind {
                    case 0:
                        farm.workers[victim].process.signal(SIGKILL)
                        try farm.replaceWorker(victim)
                    case 1:
                        let process = farm.workers[victim].process
                        process.signal(SIGSTOP)
                        Task.detached {
                            try? await Task.sleep(for: pause)
                            process.signal(SIGCONT)
                        }
                    default:
                        farm.workers[victim].proxy.cut(for: pause)
                    }
                }
            }
            let results = try await farm.finalResults()
            let areSame = Self.expectSame(results, reference, "seed \(seed): \(story.joined(separator: "; "))")
            let client = farm.client
            try await eventually("32 partitions done, and none left") {
                let work = try await client.status().dispatch
                return work.partitionsDone == 32 && work.partitionsWaiting + work.partitionsInFlight == 0
                    && work.partitionsQuarantined == 0
            }
            try Self.report(seed, areSame: areSame, story, try await client.status().dispatch)
            await farm.stop()
        }

        /// Adds a line to the file `STEMWIRE_CHAOS_REPORT`, for who runs many seeds.
        static func report(
            _ seed: UInt64, areSame: Bool, _ story: [String], _ work: WireDispatchStatus
        ) throws {
            guard let path = ProcessInfo.processInfo.environment["STEMWIRE_CHAOS_REPORT"],
                let file = FileHandle(forWritingAtPath: path)
            else { return }
            let line =
                "seed \(seed): \(areSame ? "the same bits" : "OTHER BITS"); \(work.workersLost) workers lost, \(work.partitionsRedone) partitions redone, "
                + "\(work.resultsIgnored) results twice; \(story.joined(separator: "; "))\n"
            try file.seekToEnd()
            try file.write(contentsOf: Data(line.utf8))
            try file.close()
        }

        /// `STEMWIRE_CHAOS_SEEDS=N` or `A…B` chooses the seeds.
        static let chaosSeeds: [UInt64] = {
            let wish = ProcessInfo.processInfo.environment["STEMWIRE_CHAOS_SEEDS"] ?? "3"
            let bounds = wish.split(separator: "-").compactMap { UInt64($0) }
            return bounds.count == 2
                ? Array(bounds[0]...max(bounds[0], bounds[1])) : Array(1...max(1, bounds.first ?? 3))
        }()
    }
}
