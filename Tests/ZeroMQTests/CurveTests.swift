import Testing

@testable import ZeroMQ

@Suite struct CurveTests {
    @Test func keysTravelAsText() throws {
        try #require(ZMQLibrary.has(.curve))
        let pair = try CurveKeyPair.generate()
        #expect(try CurveKeyPair.generate() != pair)
        #expect(pair.publicKey.z85.utf8.count == 40)
        #expect(try CurvePublicKey(z85: pair.publicKey.z85) == pair.publicKey)
        #expect(try CurvePublicKey(bytes: pair.publicKey.bytes) == pair.publicKey)
        let again = try CurveKeyPair(secretKey: CurveSecretKey(z85: pair.secretKey.z85))
        #expect(again == pair)
    }

    /// The example pair of libzmq's manual (zmq_curve).
    @Test func aKnownPairFits() throws {
        let secret = try CurveSecretKey(z85: "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6")
        #expect(try secret.publicKey.z85 == "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7")
    }

    @Test func secretsAreNotPrinted() throws {
        let pair = try CurveKeyPair.generate()
        var dumped = ""
        dump(pair, to: &dumped)
        for text in [pair.secretKey.description, "\(pair)", String(reflecting: pair), dumped] {
            #expect(!text.contains(pair.secretKey.z85))
            #expect(!text.contains(pair.secretKey.bytes.map(String.init).joined(separator: ", ")))
        }
    }

    @Test(arguments: [("", 0), ("0", 5), ("0", 39), ("0", 45), ("\"", 40), ("#", 40), ("é", 20)])
    func malformedKeysAreRefused(_ character: String, _ count: Int) {
        let text = String(repeating: character, count: count)
        let failure = #expect(throws: ZMQError.self) { try CurvePublicKey(z85: text) }
        #expect(failure?.code == .malformedKey)
        #expect(failure?.description.contains("40 characters") == true)
        #expect(throws: ZMQError.self) { try CurveSecretKey(z85: text) }
        #expect(throws: ZMQError.self) { try CurvePublicKey(bytes: Array(text.utf8)) }
    }

    /// The test vector of RFC 32.
    @Test func z85IsTheStandards() {
        let bytes: [UInt8] = [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B]
        #expect(Z85.encode(bytes) == "HelloWorld")
        #expect(Z85.decode("HelloWorld") == bytes)
        #expect(Z85.encode([]) == "")
        #expect(Z85.decode("") == [])
        #expect(Z85.encode([1, 2, 3]) == nil)
        for text in ["Hell", "HelloW", "Hel\0o", "He lo", "Héll"] { #expect(Z85.decode(text) == nil) }
        // A group above 2³²−1.
        #expect(Z85.decode("#####") == nil)
        for length in stride(from: 4, through: 64, by: 4) {
            let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 151 &+ length) }
            #expect(Z85.encode(bytes).flatMap { Z85.decode($0) } == bytes)
        }
    }

    @Test func theRightKeyConnectsAndCarriesMessages() throws {
        let server = try CurveKeyPair.generate()
        let context = try Context()
        let replier = try Socket(
            .rep, in: context, options: patient { $0.curve = .server(secretKey: server.secretKey) })
        let monitor = try SocketMonitor(replier)
        let endpoint = try replier.bind("tcp://127.0.0.1:*")
        let role = CurveRole.client(try .generate(), server: server.publicKey)
        let requester = try Socket(.req, in: context, options: patient { $0.curve = role })
        try requester.connect(endpoint)
        try requester.send(Message(size: 100_000) { $0.initializeMemory(as: UInt8.self, repeating: 9) })
        #expect(try replier.receive()[0].bytes == [UInt8](repeating: 9, count: 100_000))
        try replier.send(copying: "secret")
        #expect(try requester.receiveTexts() == ["secret"])
        while try monitor.next(timeout: .seconds(60)) != .handshakeSucceeded(endpoint: endpoint) {}
    }

    enum Impostor: CaseIterable, Sendable { case wrongServerKey, noKey, serverWithoutKey }

    @Test(arguments: Impostor.allCases)
    func theWrongKeyIsToldAndCarriesNothing(_ impostor: Impostor) throws {
        let server = try CurveKeyPair.generate()
        let context = try Context()
        let puller = try Socket(
            .pull, in: context,
            options: patient { if impostor != .serverWithoutKey { $0.curve = .server(secretKey: server.secretKey) } })
        let monitor = try SocketMonitor(puller)
        let endpoint = try puller.bind("tcp://127.0.0.1:*")
        let other = try CurveKeyPair.generate()
        let key = impostor == .wrongServerKey ? other.publicKey : server.publicKey
        let role = CurveRole.client(try .generate(), server: key)
        let pusher = try Socket(.push, in: context, options: patient { if impostor != .noKey { $0.curve = role } })
        try pusher.connect(endpoint)
        // Queued, or refused when the connection has failed already.
        var message = Message(copying: "never")
        _ = try pusher.trySend(&message)
        var failure: MonitorEvent.HandshakeFailure?
        while failure == nil {
            let event = try monitor.next(timeout: .seconds(60))
            #expect(event != .handshakeSucceeded(endpoint: endpoint))
            if case .handshakeFailed(endpoint, let reason) = event { failure = reason }
        }
        #expect(failure == (impostor == .wrongServerKey ? .cryptographic : .mechanismMismatch))
        let isEmpty = try puller.tryReceive() == nil
        #expect(isEmpty)
    }

    @Test func aDomainWithoutAuthenticatorLetsNobodyIn() throws {
        let server = try CurveKeyPair.generate()
        let context = try Context()
        let puller = try Socket(
            .pull, in: context,
            options: patient {
                $0.curve = .server(secretKey: server.secretKey)
                $0.zapDomain = "stemwire"
                $0.zapEnforceDomain = true
            })
        let monitor = try SocketMonitor(puller)
        let endpoint = try puller.bind("tcp://127.0.0.1:*")
        let role = CurveRole.client(try .generate(), server: server.publicKey)
        let pusher = try Socket(.push, in: context, options: patient { $0.curve = role })
        try pusher.connect(endpoint)
        var message = Message(copying: "never")
        _ = try pusher.trySend(&message)
        while true {
            let event = try monitor.next(timeout: .seconds(60))
            #expect(event != .handshakeSucceeded(endpoint: endpoint))
            if case .handshakeFailed = event { break }
        }
        let isEmpty = try puller.tryReceive() == nil
        #expect(isEmpty)
    }
}
