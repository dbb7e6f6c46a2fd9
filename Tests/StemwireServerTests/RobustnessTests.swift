import Foundation
import MerlinSimulator
import StemwireAcquisition
import StemwireClient
import StemwireProtocol
import StemwireSystem
import Testing
import ZeroMQ

@testable import StemwireServer

/// Messages a port in the fuzz tests; `STEMWIRE_TEST_SCALE=100000` for the long way.
private let fuzzMessages = ProcessInfo.processInfo.environment["STEMWIRE_TEST_SCALE"].flatMap { Int($0) } ?? 2000

extension ServerTests {
    @Suite("Hostile and careless peers") struct Robustness {
        @Test("random bytes and random messages on all ports, while scans run: nothing is lost, all is counted")
        func fuzz() async throws {
            try await Bench.run(nav: [32, 32]) {
                $0.dwellMicroseconds = 300
            } _: { bench in
                let client = try await bench.connect()
                let done = Locked(false)
                let before = try Self.residentBytes()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    let ports = [
                        bench.endpoints.controlPort, bench.endpoints.livePort, bench.endpoints.workPort,
                        bench.detector.control, bench.detector.trigger, bench.detector.data,
                    ]
                    group.addTask {
                        defer { done.value = true }
                        try await onThread {
                            for (number, port) in ports.enumerated() {
                                // The detector's ports take one or two clients at a time, and as many as may wait.
                                let connections = number < 3 ? fuzzMessages / 10 : 8
                                try Self.sendRandomBytes(
                                    to: port, seed: UInt64(number), messages: fuzzMessages, connections: connections)
                            }
                            for (number, type) in ["DEALER", "XSUB", "REQ"].enumerated() {
                                try Self.sendRandomFrames(
                                    as: type, to: ports[number], seed: UInt64(10 + number), messages: fuzzMessages)
                            }
                            for port in [ports[0], ports[2]] {
                                try Self.sendRandomMessages(to: port, seed: UInt64(port), messages: fuzzMessages)
                            }
                        }
                    }
                    group.addTask {
                        var scans = 0
                        while !done.value || scans == 0 {
                            let stream = client.tiles(options: .init(repair: true, untilEnd: true))
                            try await stream.subscribed()
                            try await client.startScan()
                            let seen = try #require(try await Seen.follow(stream, bench.pattern).first)
                            expectComplete(seen, frames: 1024)
                            scans += 1
                        }
                        print("\(fuzzMessages) random messages on each port, \(scans) scans meanwhile")
                    }
                    try await group.waitForAll()
                }
                let status = try await client.status()
                #expect(status.malformedControl > UInt64(fuzzMessages / 2))
                #expect(status.malformedWork > UInt64(fuzzMessages / 2))
                #expect(status.malformedLive > UInt64(fuzzMessages / 4))
                #expect(bench.simulator.statistics.refusedRequests > 0)
                #expect(try Self.residentBytes() - before < 128 << 20)
                await client.close()
            }
        }

        /// Connections that speak no ZMTP, or whatever else the port expects.
        static func sendRandomBytes(to port: Int, seed: UInt64, messages: Int, connections: Int) throws {
            var random = RandomSource(seed: seed)
            for _ in 0..<connections {
                guard let connection = try? TCPConnection.connect(host: "127.0.0.1", port: port, timeout: .seconds(5))
                else { throw TooLate(what: "port \(port) takes connections no more", limit: .seconds(5)) }
                connection.setSendTimeout(.milliseconds(100))
                for _ in 0..<messages / connections {
                    var bytes = (0..<Int.random(in: 1..<200, using: &random)).map { _ in random.byte }
                    // Some of it looks like what the detector understands.
                    if bytes.count < 30 { bytes = Array("MPX,0000000012,GET,NOTHING".utf8) + bytes }
                    guard (try? bytes.withUnsafeBytes { try connection.send($0) }) != nil else { break }
                }
                // Half of them leave without a word.
                if Bool.random(using: &random) { connection.resetOnClose() }
            }
        }

        /// Whole messages of nonsense, of any number of parts; a few are beyond the limits.
        static func sendRandomMessages(to port: Int, seed: UInt64, messages: Int) throws {
            var random = RandomSource(seed: seed)
            var peer = try Stranger(.dealer, port: port)
            for number in 0..<messages {
                var message = Multipart()
                for _ in 0..<(Bool.random(using: &random) ? 1 : Int.random(in: 1...12, using: &random)) {
                    message.append(copying: (0..<Int.random(in: 0..<80, using: &random)).map { _ in random.byte })
                }
                _ = try peer.socket.send(message)
                if number % 500 == 499 {
                    // Too large, so that the server ends the connection. By a socket of its own: when a connection breaks in
                    // the middle of a message of several parts, just when its socket is closed, libzmq 4.3.4 aborts.
                    try Stranger(.dealer, port: port).send([UInt8](repeating: 1, count: 600_000))
                }
                // Answers are not read by everybody.
                if Int.random(in: 0..<10, using: &random) == 0 { while try peer.socket.tryReceive() != nil {} }
                if Int.random(in: 0..<50, using: &random) == 0 { peer = try Stranger(.dealer, port: port) }
            }
        }

        /// Frames of ZMTP with any flags: commands, parts without an end, lengths that are not kept.
        static func sendRandomFrames(as type: String, to port: Int, seed: UInt64, messages: Int) throws {
            var random = RandomSource(seed: seed)
            var peer: RawZMTP?
            for _ in 0..<messages {
                let connected = try peer ?? RawZMTP(port: port, socketType: type)
                var frame = (0..<Int.random(in: 0..<200, using: &random)).map { _ in random.byte }
                if type == "XSUB", !frame.isEmpty, Bool.random(using: &random) { frame[0] &= 1 }
                let isGood = Int.random(in: 0..<20, using: &random) > 0
                let header: [UInt8] =
                    isGood ? [Bool.random(using: &random) ? 1 : 0, UInt8(frame.count)] : [random.byte, random.byte]
                let isSent = (try? connected.send(header + frame)) != nil
                // A frame that breaks the protocol ends the connection sooner or later.
                peer = isSent && isGood ? connected : nil
            }
        }

        static func residentBytes() throws -> Int {
            let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
            return try #require(Int(fields[1])) * Int(sysconf(Int32(_SC_PAGESIZE)))
        }

        static func virtualBytes() throws -> Int {
            let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
            return try #require(Int(fields[0])) * Int(sysconf(Int32(_SC_PAGESIZE)))
        }

        @Test("subscribers and fetchers that never read cost the acquisition nothing, and little memory")
        func neverRead() async throws {
            try await Bench.run(nav: [64, 64], sig: 64) { _ in
            } server: {
                $0.liveShare = 0.05
                $0.udfs = []
                // The machine may have much else to do.
                $0.idleLimit = .seconds(20)
            } _: { bench in
                let client = try await bench.connect()
                let warmUp = try await Fetch.scan(bench, client)
                let before = try Self.residentBytes()
                let idle = try await onThread { [bench] in
                    var peers: [RawZMTP] = []
                    for _ in 0..<4 {
                        let peer = try RawZMTP(port: bench.endpoints.livePort, socketType: "SUB")
                        try peer.send(part: [1])
                        peers.append(peer)
                    }
                    // And one that asks for all frames, again and again, with endless credit.
                    let fetcher = try RawZMTP(port: bench.endpoints.workPort, socketType: "DEALER")
                    var hello = WireWorkMessage()
                    (hello.hello.versionMin, hello.hello.versionMax) = (1, 1)
                    (hello.hello.credit.items, hello.hello.credit.bytes) = (.max, .max)
                    try fetcher.send(part: hello.serializedBytes())
                    for number in 0..<60 as Range<UInt64> {
                        var fetch = WireWorkMessage()
                        fetch.fetch.request = number
                        fetch.fetch.acquisition = .init(warmUp.acquisition.bytes)
                        (fetch.fetch.first, fetch.fetch.count) = (0, 4096)
                        try fetcher.send(part: fetch.serializedBytes())
                    }
                    return peers + [fetcher]
                }
                try await eventually("four subscribers") { try await client.status().live.subscriptions > 0 ? () : nil }
                for _ in 0..<2 {
                    // 35 MB of frames, through a ring of 16 MB.
                    let events = client.events()
                    try await events.subscribed()
                    try await client.startScan()
                    let end = try await within("the end") { () -> AcquisitionEnd? in
                        for try await event in events { if case .ended(let end) = event { return end } }
                        return nil
                    }
                    #expect(end?.reason == .complete && end?.accounting.placed == 4096, "\(end as Any)")
                    #expect(end?.accounting.droppedByRingFull == 0)
                    #expect((end?.tilesDropped ?? 0) > 0)
                    let status = try await client.status()
                    #expect(status.live.bytesPinned <= FrameRing.usualSlotBytes && status.live.tilesDropped > 0)
                }
                #expect(try Self.residentBytes() - before < 64 << 20)
                for peer in idle { peer.connection.shutdown() }
                // What they held comes back.
                try await eventually("all memory back") {
                    let status = try await client.status()
                    return status.live.bytesPinned == 0 && status.ring.slotsFree >= 3 ? () : nil
                }
                await client.close()
            }
        }

        @Test("peers that vanish in the middle of a message, or of a fetch, leave nothing behind")
        func vanish() async throws {
            try await Bench.run(nav: [32, 32], sig: 64) { bench in
                let client = try await bench.connect()
                let end = try await Fetch.scan(bench, client)
                try await onThread { [bench] in
                    let ends = bench.endpoints
                    for (port, type) in [
                        (ends.controlPort, "DEALER"), (ends.livePort, "SUB"), (ends.workPort, "DEALER"),
                    ] {
                        for how in 0..<4 {
                            let peer = try RawZMTP(port: port, socketType: type)
                            switch how {
                            // Half a frame; half a header; a message without its last part; and with a reset.
                            case 0: try peer.send([0, 200] + [UInt8](repeating: 1, count: 77))
                            case 1: try peer.send([2, 0, 0, 0])
                            case 2: try peer.send(part: [1, 2, 3], more: true)
                            default:
                                try peer.send([0, 200, 1])
                                peer.connection.resetOnClose()
                            }
                        }
                    }
                    for _ in 0..<8 {
                        let peer = try Stranger(.dealer, port: ends.workPort)
                        try peer.greet()
                        try peer.fetch(Array(end.acquisition.bytes), 0..<1024)
                        guard case .tile = try peer.work().kind else { throw Stranger.Unexpected() }
                    }
                }
                try await eventually("no peers, no pinned memory") {
                    let status = try await client.status()
                    return status.workPeers == 0 && status.ring.slotsFree > 0 ? () : nil
                }
                let stream = client.tiles(options: .init(repair: true, untilEnd: true))
                try await stream.subscribed()
                try await client.startScan()
                expectComplete(try #require(try await Seen.follow(stream, bench.pattern).first), frames: 1024)
                await client.close()
            }
        }

        @Test("a flood of subscriptions takes no memory for long, and honest subscribers come back")
        func subscriptionFlood() async throws {
            try await Bench.run { bench in
                let client = try await bench.connect()
                let stream = client.tiles(options: .init(repair: true))
                try await stream.subscribed()
                let before = try Self.residentBytes()
                try await onThread { [bench] in
                    var random = RandomSource(seed: 3)
                    for _ in 0..<3 {
                        // The port is closed for a moment when the one before was dismissed.
                        guard let peer = try? RawZMTP(port: bench.endpoints.livePort, socketType: "SUB") else {
                            continue
                        }
                        for _ in 0..<2000 {
                            let topic = (0..<500).map { _ in random.byte }
                            guard (try? peer.send(part: [1] + topic)) != nil else { break }
                        }
                    }
                }
                try await eventually("the subscriber from before the flood") {
                    let status = try await client.status()
                    return status.malformedLive > 1000 && status.live.subscriptions >= 1 ? () : nil
                }
                for number in 0..<2 {
                    try await client.startScan()
                    _ = try await eventually("the end of scan \(number)") {
                        try await client.status().previousAcquisition.generation == UInt64(number + 1) ? () : nil
                    }
                }
                let seen = try await Seen.follow(stream, bench.pattern, acquisitions: 2)
                #expect(seen.count == 2 && seen.allSatisfy { $0.frames.count == 64 && $0.misplaced == [] })
                #expect(try Self.residentBytes() - before < 96 << 20)
                await client.close()
            }
        }

        @Test("one client's flood of requests leaves room for others")
        func requestFlood() async throws {
            let silent = try TCPListener(host: "127.0.0.1", port: 0)
            let data = try TCPListener(host: "127.0.0.1", port: 0)
            try await Bench.serve(Bench.serverConfiguration(controlPort: silent.port, dataPort: data.port)) {
                _, endpoints in
                let client = try await Bench.connect(endpoints)
                try await onThread {
                    let flood = try Stranger(.dealer, port: endpoints.controlPort)
                    var get = WireDetectorRequest()
                    get.get = "COUNTERDEPTH"
                    // As many answers as wait for a peer that does not read them yet.
                    for number in 0..<60 {
                        var request = Control.request("\(number)", .detector(get))
                        request.deadlineMs = 500
                        try flood.send(request)
                    }
                    let other = try Stranger(.req, port: endpoints.controlPort)
                    #expect(try other.ask(Control.request("o", .status(.init()))).status.state == "idle")
                    let codes = try (0..<60).map { _ in try flood.reply().failure.code }
                    #expect(codes.count { $0 == "busy" } == 60 - ControlDesk<Int, Int>.maximumOfPeer)
                    #expect(codes.count { $0 == "timedOut" } == ControlDesk<Int, Int>.maximumOfPeer)
                }
                await client.close()
            }
        }

        @Test("a server that stops gives all memory back, whatever peers hold")
        func stopWithHeldTiles() async throws {
            let ring = 4 << 30
            let before = try Self.virtualBytes()
            try await Bench.run(nav: [32, 32], sig: 64) { _ in
            } server: {
                $0.ringBytes = ring
                $0.udfs = []
            } _: { bench in
                let client = try await bench.connect()
                let idle = try await onThread { [bench] in
                    let peer = try RawZMTP(port: bench.endpoints.livePort, socketType: "SUB")
                    try peer.send(part: [1])
                    return peer
                }
                let end = try await Fetch.scan(bench, client)
                #expect(try Self.virtualBytes() - before > ring)
                let fetcher = try await onThread { [bench] in
                    let peer = try RawZMTP(port: bench.endpoints.workPort, socketType: "DEALER")
                    var hello = WireWorkMessage()
                    (hello.hello.versionMin, hello.hello.versionMax) = (1, 1)
                    (hello.hello.credit.items, hello.hello.credit.bytes) = (.max, .max)
                    try peer.send(part: hello.serializedBytes())
                    var fetch = WireWorkMessage()
                    fetch.fetch.acquisition = .init(end.acquisition.bytes)
                    fetch.fetch.count = 1024
                    try peer.send(part: fetch.serializedBytes())
                    return peer
                }
                try await eventually("a fetcher") { try await client.status().workPeers == 1 ? () : nil }
                await client.close()
                await bench.server.stop()
                _ = (idle, fetcher)
            }
            try await eventually("the ring's memory back") { try Self.virtualBytes() - before < ring / 2 ? () : nil }
        }

        @Test("a server that cannot start leaves nothing open")
        func failedStart() async throws {
            let taken = try TCPListener(host: "127.0.0.1", port: 0)
            let ports = try freePorts(2)
            var configuration = Bench.serverConfiguration(controlPort: 1, dataPort: 1)
            (configuration.controlPort, configuration.livePort, configuration.workPort) = (
                taken.port, ports[0], ports[1]
            )
            let server = try AcquisitionServer(configuration)
            await #expect { try await server.start() } throws: { error in
                if case .cannotStart(let reason)? = error as? ServerError {
                    reason.contains("\(taken.port)")
                } else {
                    false
                }
            }
            // Its other ports are free again, which takes libzmq's own thread a moment.
            _ = try await eventually("free ports") { try? ports.map { try TCPListener(host: "127.0.0.1", port: $0) } }
        }
    }
}

extension RandomSource {
    fileprivate var byte: UInt8 {
        mutating get { UInt8(truncatingIfNeeded: next()) }
    }
}
