import StemwireProtocol
import Testing

@testable import StemwireClient

@Suite(.timeLimit(.minutes(1))) struct ResultStreamTests {
    /// What a loop has been told, in words.
    private func told(_ event: ResultEvent) -> String {
        switch event {
        case .started(let start): "started \(start.generation)"
        case .update(let update): "\(update.name.udf) v\(update.version)\(update.isFinal ? " final" : "")"
        case .ended(let end): "ended \(end.generation)"
        }
    }

    private func collect(_ stream: ResultStream, until last: String) async throws -> [String] {
        var all: [String] = []
        for try await event in stream {
            all.append(told(event))
            if all.last == last { break }
        }
        return all
    }

    @Test func updatesAndTheEndArrive() async throws {
        try await withServer { server, client in
            let stream = client.updates()
            try await stream.subscribed()
            await server.begin(TestAcquisition())
            var iterator = stream.makeAsyncIterator()
            #expect(told(try await ResultStream.take(&iterator)) == "started 1")
            for version in 1...5 as ClosedRange<UInt64> {
                await server.update(TestResult(version: version))
                guard case .update(let update) = try await ResultStream.take(&iterator) else { throw Wrong() }
                #expect(update.version == version)
                #expect(try update.values(as: UInt64.self) == [UInt64](repeating: version, count: 128))
                #expect(update.name == ChannelName(run: "r1", udf: "sum", channel: "intensity"))
                #expect(update.shape == [8, 16] && update.kind == .nav && update.isValid(position: 127))
            }
            await server.finish()
            await server.update(TestResult(version: 6, isFinal: true))
            #expect(told(try await ResultStream.take(&iterator)) == "sum v6 final")
            #expect(told(try await ResultStream.take(&iterator)) == "ended 1")
        }
    }

    private struct Wrong: Error {}

    @Test func joiningLateBeginsWithTheSnapshot() async throws {
        try await withServer { server, client in
            await server.begin(TestAcquisition())
            for version in 1...7 as ClosedRange<UInt64> { await server.update(TestResult(version: version)) }
            let stream = client.updates()
            try await stream.subscribed()
            // An older state that was still on its way.
            await server.change { server in
                let scan = server.scan!
                let old = TestResult(version: 6)
                server.publish(
                    .update(old.wire(of: scan)),
                    to: .result(source: "merlin", run: "r1", udf: "sum", channel: "intensity"),
                    payloads: [old.array(of: scan), old.mask(of: scan)])
                server.update(TestResult(version: 9, isFinal: true))
                server.finish()
            }
            let all = try await collect(stream, until: "ended 1")
            #expect(all.first == "started 1")
            #expect(all.suffix(2) == ["sum v9 final", "ended 1"])
            #expect(!all.contains("sum v6"))
        }
    }

    @Test func whatIsOverIsDeliveredToo() async throws {
        try await withServer { server, client in
            await server.change { server in
                server.begin(TestAcquisition())
                server.update(TestResult(version: 7, isFinal: true))
                server.finish()
            }
            let all = try await collect(client.updates(), until: "ended 1")
            #expect(all == ["started 1", "sum v7 final", "ended 1"])
        }
    }

    @Test func aLostFinalStateAndALostEndAreDeliveredAllTheSame() async throws {
        try await withServer { server, client in
            let stream = client.updates()
            try await stream.subscribed()
            await server.change { server in
                server.begin(TestAcquisition(), isLost: true)
                server.update(TestResult(version: 1))
                server.update(TestResult(version: 2, isFinal: true), isLost: true)
                server.update(TestResult(udf: "max", version: 2, isFinal: true), isLost: true)
                server.finish(isLost: true)
            }
            let all = try await collect(stream, until: "ended 1")
            #expect(all.contains("sum v2 final") && all.contains("max v2 final") && all.contains("started 1"))
            #expect(all.last == "ended 1")
        }
    }

    @Test func filtersKeepOthersOut() async throws {
        try await withServer { server, client in
            let stream = client.updates(udf: "max")
            try await stream.subscribed()
            await server.change { server in
                server.begin(TestAcquisition())
                server.update(TestResult(udf: "sum", version: 1, isFinal: true))
                server.update(TestResult(udf: "max", version: 1, isFinal: true))
                server.finish()
            }
            #expect(try await collect(stream, until: "ended 1") == ["started 1", "max v1 final", "ended 1"])
            let narrow = client.updates(run: "r1", udf: "max", channel: "intensity")
            try await narrow.subscribed()
            #expect(await server.topics.contains("1/result/merlin/r1/max/intensity/"))
            withExtendedLifetime(narrow) {}
            await #expect { for try await _ in client.updates(run: "a/b") {} } throws: { error in
                if case SubscriptionError.badName("a/b") = error { true } else { false }
            }
        }
    }

    @Test func aMaximumRateHoldsStatesBackButNotTheFinalOne() async throws {
        try await withServer { server, client in
            let stream = client.updates(maximumRate: 0.001)
            try await stream.subscribed()
            await server.begin(TestAcquisition())
            await server.update(TestResult(version: 1))
            var iterator = stream.makeAsyncIterator()
            var all = [told(try await ResultStream.take(&iterator)), told(try await ResultStream.take(&iterator))]
            await server.change { server in
                for version in 2...9 as ClosedRange<UInt64> { server.update(TestResult(version: version)) }
                server.update(TestResult(version: 10, isFinal: true))
                server.finish()
            }
            while all.last != "ended 1" { all.append(told(try await ResultStream.take(&iterator))) }
            #expect(all == ["started 1", "sum v1", "sum v10 final", "ended 1"])
        }
    }

    @Test func aHeldBackStateComesWhenItIsDue() async throws {
        try await withServer { server, client in
            let stream = client.updates(maximumRate: 20)
            try await stream.subscribed()
            await server.begin(TestAcquisition())
            var iterator = stream.makeAsyncIterator()
            #expect(told(try await ResultStream.take(&iterator)) == "started 1")
            await server.update(TestResult(version: 1))
            #expect(told(try await ResultStream.take(&iterator)) == "sum v1")
            await server.update(TestResult(version: 2))
            #expect(told(try await ResultStream.take(&iterator)) == "sum v2")
        }
    }

    @Test func eventsAreToldInOrder() async throws {
        try await withServer { server, client in
            let stream = client.events()
            try await stream.subscribed()
            await server.change { server in
                var event = WireEvent()
                event.severity = "warning"
                event.code = "detector.connected"
                event.text = "it is there"
                server.publish(.event(event), to: .event(source: "merlin"))
                server.begin(TestAcquisition())
                server.finish()
                event.code = "lost"
                server.publish(.event(event), to: .event(source: "merlin"), isLost: true)
                event.code = "last"
                server.publish(.event(event), to: .event(source: "merlin"))
            }
            var all: [String] = []
            for try await event in stream {
                switch event {
                case .event(let event): all.append(event.description)
                case .started(let start): all.append("started \(start.generation)")
                case .ended(let end): all.append("ended \(end.reason)")
                case .missed(let count): all.append("missed \(count)")
                case .status, .serverRestarted: break
                }
                if all.last?.hasPrefix("warning last") == true { break }
            }
            #expect(
                Set(all) == [
                    "warning detector.connected: it is there", "started 1", "ended complete", "missed 1",
                    "warning last: it is there",
                ])
        }
    }
}
