import Testing

@testable import ZeroMQ

/// Every kind, with every kind it talks to, over every transport.
@Suite struct KindTests {
    static let pairs: [(Socket.Kind, Socket.Kind)] = [
        (.push, .pull), (.pair, .pair), (.req, .rep), (.dealer, .rep), (.dealer, .dealer), (.dealer, .router),
        (.req, .router), (.router, .router), (.pub, .sub), (.pub, .xsub), (.xpub, .sub), (.xpub, .xsub),
    ]

    @Test(arguments: pairs, Place.Transport.allCases)
    func messagesTravel(_ kinds: (Socket.Kind, Socket.Kind), _ transport: Place.Transport) throws {
        let place = try Place(transport)
        let context = try Context()
        let server = try Socket(
            kinds.1, in: context,
            options: patient {
                if kinds.1 == .router { $0.routingID = Array("server".utf8) }
            })
        let endpoint = try server.bind(place.endpoint)
        let client = try Socket(
            kinds.0, in: context,
            options: patient {
                if kinds.0 == .router { $0.routerMandatory = true }
            })
        if kinds.1 == .sub || kinds.1 == .xsub { try server.subscribe("a") }
        try client.connect(endpoint)
        switch kinds {
        case (.pub, _), (.xpub, _): try publish(client, server)
        case (_, .rep): try request(client, server)
        case (.router, .router): try routeBoth(client, server)
        case (_, .router): try route(client, server)
        default:
            try client.send(Multipart(copying: Array("one".utf8), Array("two".utf8)))
            #expect(try server.receiveTexts() == ["one", "two"])
        }
    }

    private func publish(_ client: borrowing Socket, _ server: borrowing Socket) throws {
        if client.kind == .xpub {
            // A bound socket takes a new peer in when its thread calls it: here, to send its subscriptions.
            try server.configure { $0.receiveTimeout = .milliseconds(5) }
            let deadline = ContinuousClock.now + .seconds(60)
            while try !client.events.contains(.readable), ContinuousClock.now < deadline {
                #expect(throws: ZMQError.self) { try server.receive() }
            }
            try server.configure { $0.receiveTimeout = .seconds(10) }
            #expect(try client.nextSubscription() == .subscribed(Array("a".utf8)))
            try client.send(copying: "b unwanted")
            try client.send(copying: "a wanted")
            #expect(try server.receiveTexts() == ["a wanted"])
        } else {
            // A PUB does not say when it has a subscriber.
            let deadline = ContinuousClock.now + .seconds(60)
            try server.configure { $0.receiveTimeout = .milliseconds(5) }
            var received: [String?]?
            while received == nil, ContinuousClock.now < deadline {
                try client.send(copying: "b unwanted")
                try client.send(copying: "a wanted")
                received = try? server.receiveTexts()
            }
            #expect(received == ["a wanted"])
        }
    }

    private func request(_ client: borrowing Socket, _ server: borrowing Socket) throws {
        // A DEALER writes itself the delimiter that a REQ puts in front.
        let delimiter: [[UInt8]] = client.kind == .dealer ? [[]] : []
        var question = Multipart()
        for part in delimiter { question.append(copying: part) }
        question.append(copying: "question")
        try client.send(question)
        #expect(try server.receiveTexts() == ["question"])
        try server.send(copying: "answer")
        #expect(try client.receiveTexts().last == "answer")
    }

    private func route(_ client: borrowing Socket, _ server: borrowing Socket) throws {
        try client.send(copying: "question")
        let parts = try server.receive()
        #expect(parts.last?.text == "question")
        #expect(parts.count == (client.kind == .req ? 3 : 2))
        var answer = Multipart()
        for part in parts.dropLast() { answer.append(part) }
        answer.append(copying: "answer")
        try server.send(answer)
        #expect(try client.receiveTexts() == ["answer"])
    }

    private func routeBoth(_ client: borrowing Socket, _ server: borrowing Socket) throws {
        // The peers know each other's id only after the handshake; until then sending is unroutable.
        let deadline = ContinuousClock.now + .seconds(60)
        var isSent = false
        while !isSent {
            do throws(ZMQError) {
                try client.send(Multipart(copying: Array("server".utf8), Array("hello".utf8)))
                isSent = true
            } catch {
                try #require(error.code == .unroutable && ContinuousClock.now < deadline, "\(error)")
            }
        }
        #expect(try server.receive().last?.text == "hello")
    }

    @Test func outOfTurnIsTyped() throws {
        let context = try Context()
        let socket = try Socket(.rep, in: context, options: patient())
        let failure = #expect(throws: ZMQError.self) { try socket.send(copying: "early") }
        #expect(failure?.code == .outOfTurn)
    }

    @Test func wrongDirectionIsTyped() throws {
        let context = try Context()
        let socket = try Socket(.sub, in: context, options: patient())
        let failure = #expect(throws: ZMQError.self) { try socket.send(copying: "x") }
        #expect(failure?.code == .notSupported)
    }

    @Test func routerTellsUnroutable() throws {
        let context = try Context()
        let mandatory = try Socket(.router, in: context, options: patient { $0.routerMandatory = true })
        try mandatory.bind("tcp://127.0.0.1:*")
        let failure = #expect(throws: ZMQError.self) {
            try mandatory.send(Multipart(copying: Array("nobody".utf8), [1, 2, 3]))
        }
        #expect(failure?.code == .unroutable)
        var message = Multipart(copying: Array("nobody".utf8), [1, 2, 3])
        #expect(throws: ZMQError.self) { try mandatory.trySend(&message) }
        let careless = try Socket(.router, in: context, options: patient())
        try careless.send(Multipart(copying: Array("nobody".utf8), [1, 2, 3]))
    }

    @Test func routerHandoverGivesTheIDToTheNewPeer() throws {
        let context = try Context()
        let router = try Socket(.router, in: context, options: patient { $0.routerHandover = true })
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        let sameID = patient { $0.routingID = Array("worker".utf8) }
        let first = try Socket(.dealer, in: context, options: sameID)
        try first.connect(endpoint)
        try first.send(copying: "first")
        #expect(try router.receiveTexts() == ["worker", "first"])
        let second = try Socket(.dealer, in: context, options: sameID)
        try second.connect(endpoint)
        try second.send(copying: "second")
        #expect(try router.receiveTexts() == ["worker", "second"])
        try router.send(Multipart(copying: Array("worker".utf8), Array("to you".utf8)))
        #expect(try second.receiveTexts() == ["to you"])
    }

    @Test func probingRouterAnnouncesItself() throws {
        let context = try Context()
        let router = try Socket(.router, in: context, options: patient())
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        let dealer = try Socket(
            .dealer, in: context,
            options: patient {
                $0.probeRouter = true
                $0.routingID = Array("me".utf8)
            })
        try dealer.connect(endpoint)
        #expect(try router.receiveTexts() == ["me", ""])
    }
}
