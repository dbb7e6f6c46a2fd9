import StemwireClient
import StemwireViewer
import Testing

extension ViewerTests {
    @Suite("over HTTP") struct HTTPTests {
        @Test func thePageIsServedWithoutAServerBehind() async throws {
            // Nobody listens at port 1.
            try await ViewerBench.withViewer(of: 1) { port in
                try await visit(port) { visitor in
                    let page = try visitor.get("/")
                    #expect(page.status == 200 && page.text.contains("<title>Stemwire</title>"))
                    let policy = try #require(page.headers["content-security-policy"])
                    #expect(policy.contains("default-src 'none'") && !policy.contains("unsafe"))
                    for name in ["viewer.js", "viewer.css", "colourmaps.bin"] {
                        let file = try visitor.get("/\(name)")
                        #expect(file.status == 200 && !file.body.isEmpty)
                        #expect(file.headers["x-content-type-options"] == "nosniff")
                    }
                    let head = try visitor.get("/viewer.js", method: "HEAD")
                    #expect(head.status == 200 && head.body.isEmpty && Int(head.headers["content-length"]!)! > 1000)
                    #expect(try visitor.get("/healthz").text == "ok\n")
                    #expect(try visitor.get("/status").text.contains(#""link":{"state":"#))
                    #expect(try visitor.get("/snap/sumsig.npy").status == 404)
                    #expect(try visitor.get("/../../etc/passwd").status == 404)
                    #expect(try visitor.get("/%2e%2e/x").status == 404)
                    #expect(try visitor.get("/", method: "POST").status == 405)
                }
            }
        }

        @Test func requestsOfOtherPagesAndTooLargeOnesAreRefused() async throws {
            try await ViewerBench.withViewer(of: 1) { port in
                try await visit(port) { visitor in
                    let answer = try visitor.get("/status", host: "evil.example.org")
                    #expect(answer.status == 421)
                }
                for (origin, host, isWelcome) in [
                    ("http://127.0.0.1:\(port)", nil, true), (nil, nil, true),
                    ("http://evil.example.org", nil, false), ("http://evil.example.org", "evil.example.org", false),
                    ("null", nil, false),
                ] as [(String?, String?, Bool)] {
                    try await visit(port) { visitor in
                        let status = try visitor.upgrade(origin: origin, host: host)
                        #expect(status == 101)
                        try visitor.send(#"{"type":"next"}"#)
                        let frame = try visitor.frame()
                        #expect(frame.opcode == (isWelcome ? 2 : 8))
                        if !isWelcome { #expect(visitor.isClosed()) }
                    }
                }
                try await visit(port) { visitor in
                    let request = [
                        "GET /other HTTP/1.1", "Host: 127.0.0.1", "Connection: Upgrade", "Upgrade: websocket",
                        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", "",
                    ]
                    try visitor.send(Array(request.joined(separator: "\r\n").utf8))
                    #expect(visitor.isClosed())
                }
                // A body, a header without end, a line that is no HTTP.
                try await visit(port) { visitor in
                    let answer = try visitor.get("/", headers: ["Content-Length: 5", "", "12345"])
                    #expect(answer.status == 413)
                    #expect(visitor.isClosed())
                }
                for start in ["GET / HTTP/1.1\r\nX: ", "GET /"] {
                    try await visit(port) { visitor in
                        try visitor.send(Array(start.utf8))
                        let more = [UInt8](repeating: UInt8(ascii: "a"), count: 64 << 10)
                        // The connection is closed under the sender at some time.
                        for _ in 0..<64 { do { try visitor.send(more) } catch { break } }
                        #expect(visitor.isClosed())
                    }
                }
                try await visit(port) { visitor in
                    try visitor.send(Array("\u{1}\u{2}\u{3} nonsense\r\n\r\n".utf8))
                    #expect(visitor.isClosed())
                }
            }
        }

        @Test func channelsAreFiles() async throws {
            try await ViewerBench.run { bench in
                try await bench.startScan()
                try await bench.end()
                let truth = try await bench.server.snapshot().channel(udf: "sumsig", "intensity")!
                    .values(as: UInt64.self)
                try await visit(bench.port) { visitor in
                    var npy = try visitor.get("/snap/sumsig.intensity.npy")
                    while npy.status == 404 { npy = try visitor.get("/snap/sumsig.intensity.npy") }
                    #expect(npy.headers["content-type"] == "application/octet-stream")
                    #expect(npy.body.suffix(8 * 64).elementsEqual(truth.withUnsafeBytes { Array($0) }))
                    let tiff = try visitor.get("/snap/default/sumsig.tiff")
                    #expect(
                        tiff.body.suffix(4 * 64).elementsEqual(truth.map { Float($0) }.withUnsafeBytes { Array($0) }))
                    #expect(try visitor.get("/snap/sum.png?scale=log&map=magma").headers["content-type"] == "image/png")
                    #expect(try visitor.get("/snap/sum.png?map=pink").status == 400)
                    let unknown = try visitor.get("/snap/other.png")
                    #expect(unknown.status == 404 && unknown.text.contains("sumsig.intensity"))
                }
            }
        }

        @Test func aChannelIsAMovingPicture() async throws {
            try await ViewerBench.run { bench in
                try await visit(bench.port) { visitor in
                    for query in ["fps=0", "fps=x", "zoom=99", "map=pink", "other=1"] {
                        let refused = try visitor.get("/mjpeg/sumsig?\(query)")
                        #expect(refused.status == 400)
                    }
                }
                // Asked for before there is such a channel.
                let stream = Task {
                    try await visit(bench.port) { visitor in
                        let answer = try visitor.get("/mjpeg/sumsig?fps=30&zoom=2", headers: ["Connection: close"])
                        #expect(answer.status == 200)
                        #expect(answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=picture")
                        var bytes: [UInt8] = []
                        while bytes.ranges(of: Array("--picture\r\n".utf8)).count < 2 { bytes += try visitor.some() }
                        return bytes
                    }
                }
                try await bench.startScan()
                let bytes = try await stream.value
                #expect(bytes.contains(Array("Content-Type: image/jpeg\r\nContent-Length: ".utf8)))
                #expect(bytes.contains([0xFF, 0xD8, 0xFF]) && bytes.contains([0xFF, 0xD9, 0x0D, 0x0A]))
            }
        }

        @Test func settingsThatCannotBeAreRefused() async throws {
            var configuration = ViewerConfiguration(serverEndpoint: "127.0.0.1:1")
            configuration.bindHost = "0.0.0.0"
            #expect(throws: ViewerError.self) { try ViewerServer(configuration, logger: ViewerBench.quiet) }
            configuration.allowsInsecure = true
            configuration.port = 70_000
            #expect(throws: ViewerError.self) { try ViewerServer(configuration, logger: ViewerBench.quiet) }
            try await ViewerBench.withViewer(of: 1) { port in
                var taken = ViewerConfiguration(serverEndpoint: "127.0.0.1:1")
                taken.port = port
                let viewer = try ViewerServer(taken, logger: ViewerBench.quiet)
                await #expect(throws: ViewerError.self) { try await viewer.start() }
                await viewer.stop()
            }
        }
    }
}
