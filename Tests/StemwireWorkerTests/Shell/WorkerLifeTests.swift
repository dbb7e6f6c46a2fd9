import Foundation
import StemwireProtocol
import StemwireSystem
import StemwireUDF
import Testing

@testable import StemwireWorker

/// Servers that come and go, and workers that leave.
@Suite(.timeLimit(.minutes(1))) struct WorkerLifeTests {
    private func worker(
        at endpoint: String, connectTimeout: Duration? = nil, threads: Int = 1
    ) throws -> Worker {
        var configuration = WorkerConfiguration(endpoint: endpoint)
        configuration.threads = threads
        configuration.connectTimeout = connectTimeout
        return try Worker(configuration, udfs: .test)
    }

    private func expectSame(_ server: FakeWorkServer, as scan: TestScan) async throws {
        #expect(await server.faults == [])
        let merged = await server.merger
        var result = try #require(merged)
        var expected = try scan.undisturbed(result.plan)
        #expect(result.channels().map(\.array) == expected.channels().map(\.array))
    }

    @Test func aServerThatIsStartedAnewIsFoundAndServed() async throws {
        let scan = TestScan()
        let host = "tcp://127.0.3.\(Int.random(in: 1...254))"
        let first = try await FakeWorkServer.start(at: host + ":*")
        let endpoint = await first.endpoint
        let worker = try worker(at: endpoint)
        let events = Locked<[WorkerEvent]>([])
        async let work: Void = worker.run { event in events.withLock { $0.append(event) } }
        try await first.begin([UDFRequest(name: "sum")], on: scan, registry: .test)
        await first.until { $0.results.count >= 2 }
        await first.stop()
        let second = try await FakeWorkServer.start(at: endpoint)
        try await second.begin([UDFRequest(name: "sum"), UDFRequest(name: "spread")], on: scan, registry: .test)
        await second.until { $0.results.count == 8 }
        try await expectSame(second, as: scan)
        await worker.leave()
        try await work
        await second.until { $0.goodbyes == 1 }
        #expect(await second.hellos.last?.epoch ?? 0 > 1)
        let kinds = events.value.filter {
            switch $0 {
            case .connected, .lost: true
            default: false
            }
        }
        #expect(kinds.count >= 3)
        if case .connected = kinds.first, case .lost = kinds.dropFirst().first, case .connected = kinds.last {
        } else {
            Issue.record("\(kinds)")
        }
        await second.stop()
    }

    @Test func aServerThatForgetsItsWorkersGetsTheirResultsOnce() async throws {
        let scan = TestScan()
        let server = try await FakeWorkServer.start()
        await server.change { $0.acknowledges = false }
        let worker = try worker(at: await server.endpoint, threads: 2)
        async let work: Void = worker.run()
        try await server.begin([UDFRequest(name: "sum"), UDFRequest(name: "spread")], on: scan, registry: .test)
        await server.until { $0.results.count >= 3 }
        await server.forgetAll()
        // Not acknowledged, so they come again by the next connection.
        await server.until { $0.hellos.count >= 2 && Set($0.results.map(\.item.partition)).count == 8 }
        try await expectSame(server, as: scan)
        let before = await server.results.count
        await server.change {
            $0.acknowledges = true
            $0.forgetAll()
        }
        await server.until { $0.results.count >= before + 8 }
        await worker.leave()
        try await work
        await server.until { $0.goodbyes == 1 }
        await server.stop()
    }

    @Test func worksOverASocketOfTheSameMachine() async throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "stemwire-\(UUID().uuidString.prefix(8))")
            .path
        let server = try await FakeWorkServer.start(at: "ipc://" + path)
        let scan = TestScan()
        let worker = try worker(at: "ipc://" + path)
        async let work: Void = worker.run()
        try await server.begin([UDFRequest(name: "sumsig")], on: scan, registry: .test)
        await server.until { $0.results.count == 8 }
        try await expectSame(server, as: scan)
        await worker.leave()
        try await work
        await server.stop()
        try? FileManager.default.removeItem(atPath: path)
    }

    @Test func withoutAServerTheConnectTimeoutEndsIt() async throws {
        // Nobody listens at the discard port of this address.
        let worker = try worker(at: "tcp://127.0.3.255:9", connectTimeout: .milliseconds(200))
        do {
            try await worker.run()
            Issue.record("it ended well")
        } catch {
            guard case .unreachable(_, _, let why) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(why.contains("nobody listens"))
        }
    }

    @Test func aWorkerThatIsToldToLeaveBeforeItRunsDoesNotRun() async throws {
        let worker = try worker(at: "tcp://127.0.3.255:9")
        await worker.leave()
        try await worker.run()
    }

    @Test func cancellingItsTaskEndsIt() async throws {
        let server = try await FakeWorkServer.start()
        let worker = try worker(at: await server.endpoint)
        let task = Task { try await worker.run() }
        await server.until { $0.hellos.count == 1 }
        task.cancel()
        try await task.value
        await server.until { $0.goodbyes == 1 }
        await server.stop()
        let late = try self.worker(at: "tcp://127.0.3.255:9")
        let cancelled = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await late.run()
        }
        try await cancelled.value
    }

    @Test func theAliveFileTellsOfTheServersSignsOfLife() async throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "stemwire-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let server = try await FakeWorkServer.start()
        var configuration = WorkerConfiguration(endpoint: await server.endpoint)
        configuration.aliveFile = path
        let worker = try Worker(configuration, udfs: .test)
        #expect(FileManager.default.fileExists(atPath: path))
        async let work: Void = worker.run()
        await server.until { $0.beats > 0 }
        try age(path)
        try await untilTouched(path)
        // Its own beats alone say nothing of what the server hears or answers.
        await server.change { $0.isSilent = true }
        let heard = await server.beats
        await server.until { $0.beats > heard + 2 }
        try age(path)
        let later = await server.beats
        await server.until { $0.beats > later + 15 }
        #expect(try changed(path) == .distantPast)
        // One that is removed comes back.
        try FileManager.default.removeItem(atPath: path)
        await server.change { $0.isSilent = false }
        try await untilTouched(path)
        await worker.leave()
        try await work
        await server.stop()
    }

    @Test func withoutAServerTheAliveFileIsTouchedAllTheSame() async throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "stemwire-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        var configuration = WorkerConfiguration(endpoint: "tcp://127.0.3.255:9")
        configuration.aliveFile = path
        let worker = try Worker(configuration, udfs: .test)
        try age(path)
        async let work: Void = worker.run()
        try await untilTouched(path)
        await worker.leave()
        try await work
    }

    private func age(_ path: String) throws {
        try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 0)], ofItemAtPath: path)
    }

    /// When the file was changed; `distantPast` when that was by `age`.
    private func changed(_ path: String) throws -> Date {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        let date = try #require(attributes[.modificationDate] as? Date)
        return date.timeIntervalSince1970 < 1 ? .distantPast : date
    }

    private func untilTouched(_ path: String) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while (try? changed(path)).map({ $0 == .distantPast }) ?? true {
            try #require(ContinuousClock.now < deadline)
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    // MARK: Settings

    @Test(arguments: [
        ("tcp://host", "tcp://host:7402", false), ("host:7000", "tcp://host:7000", false),
        ("localhost", "tcp://localhost:7402", true), ("tcp://[::1]:80", "tcp://[::1]:80", true),
        ("ipc:///run/stemwire", "ipc:///run/stemwire", true),
    ]) func anAddressIsRead(_ text: String, _ address: String, _ isLocal: Bool) throws {
        let endpoint = try WorkEndpoint(text)
        #expect(endpoint.address == address)
        #expect(endpoint.isLocal == isLocal)
    }

    @Test(arguments: ["", "tcp://", "http://host", "host:0", "ipc://", "ipc://" + String(repeating: "x", count: 108)])
    func noAddressIsTold(_ text: String) {
        #expect(throws: WorkerError.self) { try WorkEndpoint(text) }
    }

    @Test func settingsThatCannotBeAreTold() {
        func message(_ change: (inout WorkerConfiguration) -> Void) -> String {
            var configuration = WorkerConfiguration(endpoint: "host")
            change(&configuration)
            do {
                _ = try Worker(configuration)
                return ""
            } catch {
                return error.description
            }
        }
        #expect(message { _ in } == "")
        #expect(message { $0.threads = 0 }.contains("0 threads"))
        #expect(message { $0.memoryBytes = 5 }.contains("5 bytes"))
        #expect(message { $0.name = "" }.contains("name"))
        #expect(message { $0.connectTimeout = .zero }.contains("timeout"))
        #expect(message { $0.endpoint = "ftp://x" }.contains("7402"))
        #expect(message { $0.aliveFile = "/nowhere/alive" }.contains("/nowhere/alive"))
    }

    @Test func theCommandLineIsRead() throws {
        let options = try WorkerOptions.parse([
            "--connect", "tcp://host:1", "--threads", "3", "--memory-limit", "64", "--connect-timeout", "2.5", "--name",
            "w", "--alive-file", "/run/alive", "--json",
        ])
        let configuration = try options.configuration()
        #expect(configuration.endpoint == "tcp://host:1")
        #expect(configuration.threads == 3)
        #expect(configuration.memoryBytes == 64 << 20)
        #expect(configuration.connectTimeout == .seconds(2.5))
        #expect(configuration.name == "w")
        #expect(configuration.aliveFile == "/run/alive")
        #expect(options.json)
        for arguments in [["--memory-limit", "0"], ["--connect-timeout", "0"], ["--leave-timeout", "-1"]] {
            #expect(throws: (any Error).self) { try WorkerOptions.parse(arguments).configuration() }
        }
    }

    @Test func eventsAreOneObjectALine() {
        let event = WorkerEvent.connected(session: "00ff", epoch: 2)
        #expect(
            ParameterValue.object(event.object).json == #"{"epoch":2,"event":"connected","session":"00ff"}"#)
    }
}
