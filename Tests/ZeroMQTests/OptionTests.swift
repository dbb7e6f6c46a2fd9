import CLibzmq
import Testing

@testable import ZeroMQ

@Suite struct OptionTests {
    @Test func valuesReachTheLibrary() throws {
        let context = try Context()
        let socket = try Socket(.dealer, in: context) {
            $0.sendHighWaterMark = 3
            $0.receiveHighWaterMark = 4
            $0.linger = .milliseconds(70)
            $0.sendTimeout = .milliseconds(8)
            $0.receiveTimeout = .unlimited
            $0.sendBuffer = 65_536
            $0.receiveBuffer = 131_072
            $0.backlog = 128
            $0.handshakeInterval = .seconds(2)
            $0.heartbeatInterval = .seconds(1)
            $0.heartbeatTimeout = .seconds(5)
            $0.heartbeatTTL = .seconds(6)
            $0.connectTimeout = .milliseconds(900)
            $0.reconnectInterval = .milliseconds(50)
            $0.reconnectIntervalMaximum = .seconds(3)
            $0.tcpMaxRetransmit = .seconds(10)
            $0.ipv6 = true
            $0.immediate = true
            $0.probeRouter = true
            $0.routingID = Array("worker-1".utf8)
            $0.zapDomain = "stemwire"
            $0.zapEnforceDomain = true
        }
        let expected: [(Int32, Int32)] = [
            (ZMQ_SNDHWM, 3), (ZMQ_RCVHWM, 4), (ZMQ_LINGER, 70), (ZMQ_SNDTIMEO, 8), (ZMQ_RCVTIMEO, -1),
            (ZMQ_SNDBUF, 65_536), (ZMQ_RCVBUF, 131_072), (ZMQ_BACKLOG, 128), (ZMQ_HANDSHAKE_IVL, 2000),
            (ZMQ_HEARTBEAT_IVL, 1000), (ZMQ_HEARTBEAT_TIMEOUT, 5000), (ZMQ_HEARTBEAT_TTL, 6000),
            (ZMQ_CONNECT_TIMEOUT, 900), (ZMQ_RECONNECT_IVL, 50), (ZMQ_RECONNECT_IVL_MAX, 3000),
            (ZMQ_TCP_MAXRT, 10_000), (ZMQ_IPV6, 1), (ZMQ_IMMEDIATE, 1),
            (Int32(STEMWIRE_ZMQ_ZAP_ENFORCE_DOMAIN), 1),
        ]
        for (option, value) in expected { #expect(try socket.core.integer("\(option)", option) == value) }
        #expect(try socket.routingID == Array("worker-1".utf8))
        try socket.configure { $0.handshakeInterval = .unlimited }
        #expect(try socket.core.integer("handshake", ZMQ_HANDSHAKE_IVL) == 0)
        #expect(try socket.core.integer("linger", ZMQ_LINGER) == 70)
    }

    @Test func aSocketDoesNotLingerForEver() throws {
        let context = try Context()
        let socket = try Socket(.push, in: context)
        #expect(try socket.core.integer("linger", ZMQ_LINGER) == 500)
    }

    @Test func refusedValuesNameTheOption() throws {
        let context = try Context()
        let failure = #expect(throws: ZMQError.self) {
            _ = try Socket(.router, in: context) { $0.routingID = [UInt8](repeating: 1, count: 256) }
        }
        #expect(failure?.operation == "set routingID")
        #expect(failure?.advice?.contains("out of range") == true)
        let wrongKind = #expect(throws: ZMQError.self) {
            _ = try Socket(.push, in: context) { $0.routerMandatory = true }
        }
        #expect(wrongKind?.operation == "set routerMandatory")
        #expect(wrongKind?.subject == "1 on PUSH")
        #expect(throws: ZMQError.self) { _ = try Socket(.push, in: context) { $0.sendHighWaterMark = -1 } }
    }

    /// What cannot be read back: taken by the kind that it is for.
    @Test func optionsOfOneKindAreTaken() throws {
        let context = try Context()
        _ = try Socket(.router, in: context) {
            $0.routerMandatory = true
            $0.routerHandover = true
            $0.probeRouter = true
            $0.maxMessageSize = 65_536
        }
        _ = try Socket(.xpub, in: context) {
            $0.xpubManual = true
            $0.xpubNoDrop = true
            $0.welcomeMessage = [1]
            $0.xpubVerbosity = .everything
        }
        _ = try Socket(.req, in: context) {
            $0.requestCorrelate = true
            $0.requestRelaxed = true
        }
    }

    @Test func relaxedRequestsMayBeRepeated() throws {
        let context = try Context()
        let place = try Place(.inproc)
        let server = try Socket(.router, in: context, options: patient())
        try server.bind(place.endpoint)
        let client = try Socket(
            .req, in: context,
            options: patient {
                $0.requestCorrelate = true
                $0.requestRelaxed = true
            })
        try client.connect(place.endpoint)
        try client.send(copying: "first")
        let first = try server.receive()
        try client.send(copying: "second")
        // A reply to the request given up is not taken for the reply to this one.
        for (request, text) in [(first, "late"), (try server.receive(), "in time")] {
            var reply = Multipart()
            for part in request.dropLast() { reply.append(part) }
            reply.append(copying: text)
            try server.send(reply)
        }
        #expect(try client.receiveTexts() == ["in time"])
    }
}
