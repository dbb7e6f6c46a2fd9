import MerlinProtocol
import StemwireSystem
import Testing

@testable import StemwireAcquisition

/// A control socket that answers each request by a function, for as many connections as come.
private final class FakeDetector: Sendable {
    let listener: TCPListener
    private let thread: NamedThread
    private let isDone = Tally()

    /// - Parameter answer: the bytes to send for a request; nil to close the connection.
    init(_ answer: @escaping @Sendable (ControlRequest, Int) -> [UInt8]?) throws {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        self.listener = listener
        thread = try NamedThread("fake-detector") { [isDone] in
            var connections = 0
            while isDone.value == 0 {
                guard let connection = listener.accept(timeout: .milliseconds(20)) else { continue }
                connections += 1
                connection.setReceiveTimeout(.milliseconds(20))
                Self.serve(connection, isDone) { answer($0, connections) }
            }
        }
    }

    private static func serve(_ connection: TCPConnection, _ isDone: Tally, _ answer: (ControlRequest) -> [UInt8]?) {
        var parser = ControlStreamParser()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
        defer { buffer.deallocate() }
        while isDone.value == 0 {
            switch connection.receive(into: buffer) {
            case .bytes(let count): parser.append(buffer[..<count])
            case .timedOut: continue
            case .closed, .failed: return
            }
            while case .success(let request)? = parser.nextRequest() {
                guard let bytes = answer(request) else { return connection.shutdown() }
                do { try bytes.withUnsafeBytes { try connection.send($0) } } catch { return }
            }
        }
    }

    deinit {
        isDone.set(1)
        thread.join()
    }
}

@Suite("Merlin control client", .serialized)
struct MerlinControlTests {
    private func message(_ text: String, error: Int = 0) -> [UInt8] {
        MPXPrefix.encoded(bodyBytes: text.utf8.count + error) + Array(text.utf8)
    }

    @Test("get, set and command; names in any case")
    func exchange() throws {
        let fake = try FakeDetector { request, _ in
            switch (request.kind, request.key) {
            case (.get, "COUNTERDEPTH"): ControlReply(to: request, value: "12").encoded()
            case (.get, "ACQUISITIONTIME"): ControlReply(to: request, value: "1.000000").encoded()
            case (.set, _): ControlReply(to: request, code: request.value == "5" ? .ok : .outOfRange).encoded()
            default: ControlReply(to: request).encoded()
            }
        }
        let control = MerlinControl(host: "127.0.0.1", port: fake.listener.port)
        try control.connect()
        #expect(try control.get("COUNTERDEPTH") == "12")
        #expect(try control.integer("AcquisitionTime") == 1)
        try control.set("NUMFRAMESTOACQUIRE", to: 5)
        try control.command("STARTACQUISITION")
        #expect {
            try control.set("NUMFRAMESTOACQUIRE", to: 6)
        } throws: {
            guard case MerlinControlError.refused(_, _, .outOfRange) = $0 else { return false }
            return "\($0)".contains("NUMFRAMESTOACQUIRE")
        }
        #expect(try control.get("COUNTERDEPTH") == "12")
    }

    @Test("A8, A9, A11: error codes, lengths counted wrong, NULs, answers in pieces")
    func tolerance() throws {
        let fake = try FakeDetector { [self] request, _ in
            switch request.key {
            case "SHORT": message("GET,SHORT,7,0", error: -1)
            case "NUL": [0, 0] + message("GET,NUL,8,0\0")
            case "BUSY": message("CMD,BUSY,1")
            default: message("GET,\(request.name),x,0")
            }
        }
        let control = MerlinControl(host: "127.0.0.1", port: fake.listener.port)
        for _ in 0..<3 {
            #expect(try control.get("SHORT") == "7")
            #expect(try control.get("NUL") == "8")
        }
        #expect {
            try control.command("BUSY")
        } throws: {
            guard case MerlinControlError.refused(_, _, .busyOrUnknown) = $0 else { return false }
            return true
        }
        #expect {
            try control.integer("WORD")
        } throws: {
            guard case MerlinControlError.nonsense = $0 else { return false }
            return true
        }
    }

    @Test("no answer ends with the deadline, and the late one is not taken for another's")
    func deadline() throws {
        let fake = try FakeDetector { request, connection in
            if request.key == "SLOW" { return connection == 1 ? [] : nil }
            return ControlReply(to: request, value: "\(connection)").encoded()
        }
        let control = MerlinControl(host: "127.0.0.1", port: fake.listener.port, timeout: .milliseconds(150))
        let before = ContinuousClock.now
        #expect {
            try control.get("SLOW")
        } throws: {
            guard case MerlinControlError.timedOut(_, let request, _) = $0 else { return false }
            return request.key == "SLOW"
        }
        #expect(ContinuousClock.now - before < .milliseconds(250))
        #expect(try control.get("OTHER", timeout: .seconds(5)) == "2")
        #expect {
            try control.get("SLOW", timeout: .seconds(5))
        } throws: {
            guard case MerlinControlError.connectionLost = $0 else { return false }
            return true
        }
        #expect(try control.get("OTHER", timeout: .seconds(5)) == "3")
    }

    @Test("an answer to something else, and bytes that are no answer, are nonsense")
    func nonsense() throws {
        let fake = try FakeDetector { [self] request, _ in
            request.key == "NAME" ? message("GET,OTHER,1,0") : message("HTTP/1.1 400 Bad Request")
        }
        let control = MerlinControl(host: "127.0.0.1", port: fake.listener.port, timeout: .seconds(5))
        for name in ["NAME", "HTTP", "NAME"] {
            #expect {
                try control.get(name)
            } throws: {
                guard case MerlinControlError.nonsense = $0 else { return false }
                return true
            }
        }
    }

    @Test("a connection that the detector closed between two calls is made again")
    func closedBetween() throws {
        let fake = try FakeDetector { request, connection in
            request.key == "LAST" && connection == 1 ? nil : ControlReply(to: request, value: "\(connection)").encoded()
        }
        let control = MerlinControl(host: "127.0.0.1", port: fake.listener.port)
        #expect(try control.get("ONE") == "1")
        #expect(throws: MerlinControlError.self) { try control.get("LAST") }
        #expect(try control.get("ONE") == "2")
    }

    @Test("nobody there")
    func unreachable() throws {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        listener.shutdown()
        let control = MerlinControl(host: "127.0.0.1", port: listener.port, timeout: .milliseconds(500))
        #expect {
            try control.get("X")
        } throws: {
            guard case MerlinControlError.unreachable(let address, _) = $0 else { return false }
            return address == "127.0.0.1:\(listener.port)"
        }
    }

    @Test("a command file is sent line by line, and not at all if a line cannot be read")
    func commandFile() throws {
        let seen = Tally()
        let fake = try FakeDetector { request, _ in
            seen.add()
            return ControlReply(to: request, value: request.kind == .get ? "1" : nil).encoded()
        }
        let control = MerlinControl(host: "127.0.0.1", port: fake.listener.port)
        let replies = try control.run(commandFile: "SET,HVBIAS,120\r\n\r\n# a remark\nCMD,SOFTTRIGGER\n  \nGET,GAIN\n")
        #expect(replies.map(\.name) == ["HVBIAS", "SOFTTRIGGER", "GAIN"] && seen.value == 3)
        #expect {
            try control.run(commandFile: "SET,HVBIAS,120\nnonsense\n")
        } throws: {
            guard case MerlinControlError.commandFile(line: 2, _, _) = $0 else { return false }
            return true
        }
        #expect(seen.value == 3)
    }
}
