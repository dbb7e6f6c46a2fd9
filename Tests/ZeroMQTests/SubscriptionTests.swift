import Testing

@testable import ZeroMQ

@Suite struct SubscriptionTests {
    @Test func comingAndGoingIsTold() throws {
        let context = try Context()
        let publisher = try Socket(.xpub, in: context, options: patient())
        let endpoint = try publisher.bind("tcp://127.0.0.1:*")
        let subscriber = try Socket(.sub, in: context, options: patient())
        try subscriber.connect(endpoint)
        try subscriber.subscribe("1/tile/")
        #expect(try publisher.nextSubscription() == .subscribed(Array("1/tile/".utf8)))
        try subscriber.subscribe([0, 1, 255])
        #expect(try publisher.nextSubscription() == .subscribed([0, 1, 255]))
        try publisher.send(Multipart(copying: Array("1/tile/a".utf8), [1]))
        #expect(try subscriber.receive().last?.bytes == [1])
        try subscriber.unsubscribe("1/tile/")
        #expect(try publisher.nextSubscription() == .unsubscribed(Array("1/tile/".utf8)))
        // Gone without a word: told all the same.
        subscriber.close()
        #expect(try publisher.nextSubscription() == .unsubscribed([0, 1, 255]))
        let isEmpty = try publisher.tryReceiveSubscription() == nil
        #expect(isEmpty)
    }

    @Test(arguments: [
        (XPUBVerbosity.changes, ["+a", "-a", "+end"]),
        (.allSubscriptions, ["+a", "+a", "-a", "+end"]),
        (.everything, ["+a", "+a", "-a", "-a", "+end"]),
    ])
    func verbosityDecidesAboutRepetitions(_ verbosity: XPUBVerbosity, _ expected: [String]) throws {
        let context = try Context()
        let place = try Place(.inproc)
        let publisher = try Socket(.xpub, in: context, options: patient { $0.xpubVerbosity = verbosity })
        try publisher.bind(place.endpoint)
        let first = try Socket(.sub, in: context, options: patient())
        let second = try Socket(.sub, in: context, options: patient())
        try first.connect(place.endpoint)
        try second.connect(place.endpoint)
        try first.subscribe("a")
        try second.subscribe("a")
        _ = try publisher.events
        try first.unsubscribe("a")
        _ = try publisher.events
        try second.unsubscribe("a")
        _ = try publisher.events
        try second.subscribe("end")
        var told: [String] = []
        while told.last != "+end" {
            switch try publisher.nextSubscription() {
            case .subscribed(let topic): told.append("+" + String(decoding: topic, as: UTF8.self))
            case .unsubscribed(let topic): told.append("-" + String(decoding: topic, as: UTF8.self))
            case .message: told.append("message")
            }
        }
        #expect(told == expected)
    }

    @Test func newcomersAreWelcomed() throws {
        let context = try Context()
        let publisher = try Socket(
            .xpub, in: context, options: patient { $0.welcomeMessage = Array("1/hello/".utf8) })
        let endpoint = try publisher.bind("tcp://127.0.0.1:*")
        let subscriber = try Socket(.sub, in: context, options: patient())
        try subscriber.subscribe("1/hello/")
        try subscriber.connect(endpoint)
        #expect(try publisher.nextSubscription() == .subscribed(Array("1/hello/".utf8)))
        #expect(try subscriber.receiveTexts() == ["1/hello/"])
    }

    @Test func aManualPublisherDecidesWhoGetsWhat() throws {
        let context = try Context()
        let publisher = try Socket(.xpub, in: context, options: patient { $0.xpubManual = true })
        let endpoint = try publisher.bind("tcp://127.0.0.1:*")
        let subscriber = try Socket(.sub, in: context, options: patient())
        try subscriber.connect(endpoint)
        try subscriber.subscribe("everything")
        #expect(try publisher.nextSubscription() == .subscribed(Array("everything".utf8)))
        try publisher.subscribe("some")
        try publisher.send(copying: "everything")
        try publisher.send(copying: "some")
        // The subscriber filters by what it asked for itself: ask for this too, which the publisher has granted.
        try subscriber.subscribe("some")
        _ = try publisher.nextSubscription()
        try publisher.subscribe("some")
        try publisher.send(copying: "something")
        let received = try subscriber.receiveTexts()
        #expect(received == ["some"] || received == ["something"])
    }

    @Test func messagesUpstreamAreToldApart() throws {
        let context = try Context()
        let place = try Place(.inproc)
        let publisher = try Socket(.xpub, in: context, options: patient())
        try publisher.bind(place.endpoint)
        let subscriber = try Socket(.xsub, in: context, options: patient())
        try subscriber.connect(place.endpoint)
        try subscriber.send(copying: [9, 8])
        #expect(try publisher.nextSubscription() == .message([[9, 8]]))
    }

    @Test func countedSubscriptionsEndWithTheLast() throws {
        let context = try Context()
        let publisher = try Socket(.xpub, in: context, options: patient())
        let endpoint = try publisher.bind("tcp://127.0.0.1:*")
        let subscriber = try Socket(.sub, in: context, options: patient())
        try subscriber.connect(endpoint)
        try subscriber.subscribe("a")
        try subscriber.subscribe("a")
        try subscriber.unsubscribe("a")
        try subscriber.subscribe("b")
        #expect(try publisher.nextSubscription() == .subscribed(Array("a".utf8)))
        #expect(try publisher.nextSubscription() == .subscribed(Array("b".utf8)))
        try publisher.send(copying: "a")
        #expect(try subscriber.receiveTexts() == ["a"])
    }
}
