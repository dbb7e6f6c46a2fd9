import StemwireClient
import StemwireProtocol
import StemwireSystem
import Testing

@testable import StemwireViewer

extension ViewerTests {
    @Suite("with tokens") struct TokenTests {
        /// Whose tokens are let in.
        private final class Guests: Sendable {
            let names = Locked<[String: PeerRole]>(["viewer": .viewer, "controller": .controller, "admin": .admin])

            var book: GuestBook {
                { token, _ in self.names.value[token].map { ViewerGuest(name: "of-\(token)", role: $0) } }
            }
        }

        private static let view =
            #"{"type":"view","panes":[{"pane":"nav","source":"channel","run":"default","udf":"sumsig","channel":"intensity"}]}"#

        private static func come(_ visitor: Visitor, as token: String) throws {
            #expect(try visitor.upgrade() == 101)
            try visitor.send(#"{"type":"token","token":"\#(token)"}"#)
        }

        /// The number and reason with which the viewer closes.
        private static func closing(_ visitor: Visitor) throws -> (code: Int, why: String) {
            var frame = try visitor.frame()
            while frame.opcode != 8 { frame = try visitor.frame() }
            try #require(frame.payload.count >= 2)
            return (
                Int(frame.payload[0]) << 8 | Int(frame.payload[1]),
                String(decoding: frame.payload.dropFirst(2), as: UTF8.self)
            )
        }

        @Test("by HTTP: the page itself and health are for all, everything else for those with a token")
        func http() async throws {
            let guests = Guests()
            let configure: (inout ViewerConfiguration) -> Void = { settings in
                settings.guests = guests.book
                settings.texts["readyz"] = OperatorPage(isForAll: true) { OperatorText("ready\n") }
                settings.texts["metrics"] = OperatorPage { OperatorText("of_the_server 1\n") }
            }
            try await ViewerBench.withViewer(of: 1, configure) { port in
                try await visit(port) { visitor in
                    for path in ["/", "/viewer.js", "/role.js", "/healthz", "/readyz"] {
                        let answer = try visitor.get(path)
                        #expect(answer.status == 200, "\(path): \(answer.status)")
                    }
                    for path in ["/status", "/metrics", "/snap/sum.npy", "/nothing"] {
                        for headers in [[], ["Authorization: Bearer stranger"], ["Authorization: Basic dmlld2VyOg=="]] {
                            let answer = try visitor.get(path, headers: headers)
                            #expect(answer.status == 401, "\(path): \(answer.status)")
                            #expect(answer.headers["www-authenticate"] == #"Bearer realm="stemwire""#)
                        }
                        // Not in the address, which logs keep.
                        let inAddress = try visitor.get("\(path)?token=viewer")
                        #expect(inAddress.status == 401)
                    }
                    #expect(try visitor.get("/mjpeg/sumsig").status == 401)
                    let token = ["Authorization: Bearer viewer"]
                    #expect(try visitor.get("/status", headers: token).text.contains(#""link":"#))
                    #expect(try visitor.get("/snap/sum.npy", headers: token).status == 404)
                    let metrics = try visitor.get("/metrics", headers: token).text
                    #expect(metrics.hasPrefix("of_the_server 1\n"))
                    #expect(metrics.contains("stemwire_viewer_tokens_refused_total 17\n"), "\(metrics)")
                    guests.names.withLock { $0["viewer"] = nil }
                    #expect(try visitor.get("/status", headers: token).status == 401)
                }
            }
        }

        @Test("by WebSocket: the first message is the token, or the page is told that one is needed")
        func socket() async throws {
            try await ViewerBench.withViewer(of: 1, { $0.guests = Guests().book }) { port in
                for first in [#"{"type":"next"}"#, #"{"type":"token","token":"stranger"}"#, "nonsense", Self.view] {
                    try await visit(port) { visitor in
                        #expect(try visitor.upgrade() == 101)
                        try visitor.send(first)
                        let (code, why) = try Self.closing(visitor)
                        #expect(code == 4401 && why.contains(first.contains("stranger") ? "not let in" : "enrol"))
                        #expect(visitor.isClosed())
                    }
                }
                for (token, may) in [("viewer", false), ("controller", true), ("admin", true)] {
                    try await visit(port) { visitor in
                        try Self.come(visitor, as: token)
                        let viewer = try visitor.next().header["viewer"]
                        #expect(viewer?["mayControl"] == .bool(may) && viewer?["role"]?.string == token)
                        #expect(viewer?["guest"]?.string == "of-\(token)" && viewer?["looksOnly"] == .bool(false))
                    }
                }
                // A program says it in the header of the request.
                try await visit(port) { visitor in
                    let status = try visitor.upgrade(headers: ["Authorization: Bearer admin"])
                    #expect(status == 101)
                    #expect(try visitor.next().header["viewer"]?["role"]?.string == "admin")
                }
                // Another site's page does not come in with a good token either.
                try await visit(port) { visitor in
                    #expect(try visitor.upgrade(origin: "http://evil.example.org") == 101)
                    try visitor.send(#"{"type":"token","token":"admin"}"#)
                    #expect(try Self.closing(visitor).code == 1008)
                }
            }
        }

        @Test("a viewer's page sees the scan and arms nothing; the viewer decides at each request")
        func roles() async throws {
            let guests = Guests()
            try await ViewerBench.run(viewer: { $0.guests = guests.book }) { bench in
                try await visit(bench.port) { visitor in
                    try Self.come(visitor, as: "viewer")
                    try visitor.send(Self.view)
                    _ = try visitor.next("the server") { $0.header["server"]?["state"]?.string == "idle" }
                    try visitor.send(#"{"type":"command","id":1,"name":"arm"}"#)
                    try visitor.send(#"{"type":"command","id":2,"name":"set","setting":"GAIN","value":"1"}"#)
                    try visitor.send(#"{"type":"detector","id":"d","udf":"disk","parameters":{"cy":8,"cx":8,"r":2}}"#)
                    try visitor.send(#"{"type":"command","id":3,"name":"settings","settings":["COUNTERDEPTH"]}"#)
                    var answers: [Int: JSONValue] = [:]
                    let last = try visitor.next("three answers") { message in
                        for answer in message.header["answers"]?.array ?? [] { answers[answer["id"]!.int!] = answer }
                        return answers.count == 3
                    }
                    for id in [1, 2] {
                        #expect(answers[id]?["done"] == .bool(false))
                        #expect(answers[id]?["text"]?.string?.contains("a viewer's") == true)
                    }
                    #expect(answers[3]?["done"] == .bool(true))
                    #expect(last.header["detectors"]?.array?.isEmpty == true)
                }
                #expect(try await bench.server.status().state == "idle")
                try await visit(bench.port) { visitor in
                    try Self.come(visitor, as: "controller")
                    _ = try visitor.next("the server") { $0.header["server"]?["state"]?.string == "idle" }
                    try visitor.send(#"{"type":"command","id":1,"name":"arm"}"#)
                    let armed = try visitor.next("an answer") { $0.header["answers"]?.array?.isEmpty == false }
                    #expect(armed.header["answers"]?.array?.first?["done"] == .bool(true))
                    // Less from the next request on.
                    guests.names.withLock { $0["controller"] = .viewer }
                    _ = try visitor.next("less") { $0.header["viewer"]?["mayControl"] == .bool(false) }
                    try visitor.send(#"{"type":"command","id":2,"name":"abort"}"#)
                    let refused = try visitor.next("a refusal") { $0.header["answers"]?.array?.isEmpty == false }
                    #expect(refused.header["answers"]?.array?.first?["done"] == .bool(false))
                }
                #expect(try await bench.server.status().state == "armed")
                try await bench.server.abort()
            }
        }

        @Test("a revoked token's pages and moving pictures are ended")
        func revoked() async throws {
            let guests = Guests()
            try await ViewerBench.run(viewer: { $0.guests = guests.book }) { bench in
                try await bench.startScan()
                try await bench.end()
                let ready = CountingSemaphore()
                async let picture: Void = visit(bench.port) { visitor in
                    let answer = try visitor.get("/mjpeg/sumsig", headers: ["Authorization: Bearer viewer"])
                    #expect(answer.status == 200)
                    ready.post()
                    #expect(visitor.isClosed())
                }
                async let page: Void = visit(bench.port) { visitor in
                    try Self.come(visitor, as: "viewer")
                    _ = try visitor.next()
                    ready.post()
                    let (code, why) = try Self.closing(visitor)
                    #expect(code == 4401 && why.contains("revoked"))
                    #expect(visitor.isClosed())
                }
                try await visit(bench.port) { visitor in
                    try Self.come(visitor, as: "admin")
                    _ = try visitor.next()
                    for _ in 0..<2 { #expect(ready.wait(timeout: .seconds(60))) }
                    guests.names.withLock { $0["viewer"] = nil }
                }
                _ = try await (picture, page)
            }
        }

        @Test("with tokens the page may be where others reach it")
        func address() async throws {
            var configuration = ViewerConfiguration(serverEndpoint: "127.0.0.1:1")
            (configuration.bindHost, configuration.port) = ("127.0.0.2", 0)
            #expect(throws: ViewerError.self) { try ViewerServer(configuration, logger: ViewerBench.quiet) }
            configuration.guests = Guests().book
            let viewer = try ViewerServer(configuration, logger: ViewerBench.quiet)
            #expect(try await viewer.start() > 0)
            await viewer.stop()
        }
    }
}
