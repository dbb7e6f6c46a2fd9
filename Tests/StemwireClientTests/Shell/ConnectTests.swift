import StemwireProtocol
import StemwireSystem
import Testing

@testable import StemwireClient

/// A new user's first error tells what is wrong, within the timeout.
@Suite(.timeLimit(.minutes(1))) struct ConnectTests {
    /// Connects to what must fail.
    private func failure(_ endpoint: String, timeout: Duration = .milliseconds(300)) async throws -> ConnectError {
        let began = ContinuousClock.now
        do {
            let connection = try await StemwireConnection.connect(to: endpoint, timeout: timeout)
            await connection.close()
        } catch {
            // And what a busy machine adds.
            #expect(ContinuousClock.now - began < timeout + .seconds(5))
            return error
        }
        throw Unexpected()
    }

    private struct Unexpected: Error {}

    @Test func greetingAndGoodbye() async throws {
        try await withServer { server, client in
            #expect(client.server.version == 1)
            #expect(client.server.source == "merlin")
            #expect(client.server.udfs == ["sum"])
            let hello = await server.requests.first?.hello
            #expect(hello?.client == "test")
            #expect(hello?.versionMin == 1)
            await client.close()
            await #expect(throws: ControlFailure.self) { try await client.status() }
        }
    }

    @Test func nobodyThere() async throws {
        // TCPMUX: reserved, and in use nowhere.
        let error = try await failure("127.0.0.1:1")
        guard case .nobodyThere = error else { throw error }
        #expect(error.description.contains("stemwire serve"))
    }

    @Test func aHostThatDoesNotExist() async throws {
        let error = try await failure("no-such-host.invalid")
        switch error {
        case .nobodyThere, .timedOut: break
        default: throw error
        }
    }

    @Test func somebodyMuteIsThere() async throws {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        defer { listener.shutdown() }
        let error = try await failure("127.0.0.1:\(listener.port)")
        guard case .silent = error else { throw error }
        #expect(error.description.contains("stopped"))
    }

    @Test func somebodyElseIsThere() async throws {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        let web = try NamedThread("web") {
            while let connection = listener.accept(timeout: .seconds(60)) {
                let answer = Array("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".utf8)
                answer.withUnsafeBytes { _ = try? connection.send($0) }
                connection.shutdown()
            }
        }
        let result = await Result { try await failure("127.0.0.1:\(listener.port)") }
        listener.shutdown()
        web.join()
        guard case .notStemwire = try result.get() else { throw try result.get() }
    }

    @Test func theWrongSocketOfTheRightServer() async throws {
        let server = try await FakeServer.start()
        let live = try await failure("127.0.0.1:\(await server.livePort)")
        let work = try await failure("127.0.0.1:\(await server.workPort)")
        await server.stop()
        guard case .notStemwire = live else { throw live }
        guard case .notStemwire(_, let why) = work else { throw work }
        #expect(why.contains("did not answer HELLO"))
    }

    @Test func aServerThatDoesNotAnswer() async throws {
        let server = try await FakeServer.start()
        await server.change { $0.isMute = true }
        let error = try await failure(await server.endpoint)
        await server.stop()
        guard case .notStemwire(_, let why) = error else { throw error }
        #expect(why.contains("did not answer HELLO"))
    }

    @Test func anotherVersion() async throws {
        let server = try await FakeServer.start()
        await server.change { server in
            server.answer = { _ in
                var reply = WireReply()
                reply.failure.code = "unsupportedVersion"
                reply.failure.message = "this server speaks 2 to 3"
                return reply
            }
        }
        let error = try await failure(await server.endpoint, timeout: .seconds(60))
        guard case .unsupportedVersion(_, let ours, let theirs) = error else { throw error }
        #expect(ours == 1...1)
        #expect(theirs == "this server speaks 2 to 3")
        await server.change { server in
            server.answer = { _ in
                var reply = WireReply()
                reply.welcome.version = 2
                return reply
            }
        }
        let later = try await failure(await server.endpoint, timeout: .seconds(60))
        guard case .unsupportedVersion = later else { throw later }
        await server.stop()
    }

    @Test func aServerThatIsJustBeingStartedIsFound() async throws {
        let host = FakeServer.ownHost()
        async let connection = StemwireConnection.connect(to: "\(host):7400", timeout: .seconds(120))
        let server = try await FakeServer.start(host: host, controlPort: 7400)
        let client = try await connection
        await client.close()
        await server.stop()
    }

    @Test func cancellationEndsConnecting() async throws {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        defer { listener.shutdown() }
        let task = Task {
            try await StemwireConnection.connect(to: "127.0.0.1:\(listener.port)", timeout: .seconds(600))
        }
        task.cancel()
        await #expect { try await task.value } throws: { error in
            if case ConnectError.cancelled = error { true } else { false }
        }
    }

    @Test func connectionsThatAreForgottenCloseThemselves() async throws {
        let server = try await FakeServer.start()
        for _ in 0..<20 { _ = try await StemwireConnection.connect(to: await server.endpoint, timeout: .seconds(5)) }
        await server.stop()
    }
}

extension Result where Failure == any Error {
    init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
