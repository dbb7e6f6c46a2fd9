import Testing

@testable import ZeroMQ

@Suite struct MultipartTests {
    /// Two connected sockets of one context.
    private func withPair(
        _ transport: Place.Transport, _ kind: Socket.Kind = .pair,
        _ body: (borrowing Socket, borrowing Socket) throws -> Void
    ) throws {
        let place = try Place(transport)
        let context = try Context()
        let bound = try Socket(kind, in: context, options: patient())
        let endpoint = try bound.bind(place.endpoint)
        let connected = try Socket(kind, in: context, options: patient())
        try connected.connect(endpoint)
        try body(connected, bound)
    }

    @Test(arguments: Place.Transport.allCases)
    func copiedAndUncopiedPartsKeepTheirOrder(_ transport: Place.Transport) throws {
        let count = Owner.Count()
        try withPair(transport) { sender, receiver in
            var message = Multipart()
            message.append(copying: "topic")
            message.append(Owner.message(count, size: 70_000, filling: 9))
            message.appendEmpty()
            message.append(
                Message(size: 300) { bytes in
                    for index in bytes.indices { bytes[index] = UInt8(index & 255) }
                })
            message.append(Message(size: 3))
            message.append(Owner.message(count, size: 1, filling: 5))
            let (parts, bytes) = (message.count, message.byteCount)
            #expect(parts == 6)
            #expect(bytes == 5 + 70_000 + 300 + 3 + 1)
            try sender.send(message)
            let received = try receiver.receive()
            #expect(received.map(\.count) == [5, 70_000, 0, 300, 3, 1])
            #expect(received[0].text == "topic")
            #expect(received[1].bytes.allSatisfy { $0 == 9 })
            #expect(received[3].bytes == (0..<300).map { UInt8($0 & 255) })
            #expect(received[4].bytes == [0, 0, 0])
            #expect(received[5].withBytes { $0.unsafeLoad(as: UInt8.self) } == 5)
        }
        #expect(count.wait() && count.wait())
        #expect(count.released == 2)
    }

    @Test func partsOutliveSocketAndContext() throws {
        var kept: ReceivedPart?
        try withPair(.tcp) { sender, receiver in
            try sender.send(Message(size: 50_000) { $0.initializeMemory(as: UInt8.self, repeating: 3) })
            kept = try receiver.receive()[0]
        }
        #expect(kept?.bytes == [UInt8](repeating: 3, count: 50_000))
    }

    @Test(arguments: Place.Transport.allCases)
    func tooManyPartsAreDrainedAndTheNextMessageIsWhole(_ transport: Place.Transport) throws {
        try withPair(transport) { sender, receiver in
            var huge = Multipart()
            for index in 0..<5000 { huge.append(copying: [UInt8(index & 255)]) }
            try sender.send(huge)
            try sender.send(Multipart(copying: [1], [2]))
            let failure = #expect(throws: ZMQError.self) { try receiver.receive(limit: 10) }
            #expect(failure?.code == .tooManyParts)
            #expect(try receiver.receive(limit: 2).map(\.bytes) == [[1], [2]])
            let isEmpty = try receiver.tryReceive() == nil
            #expect(isEmpty)
        }
    }

    @Test func exactlyTheLimitIsAllowed() throws {
        try withPair(.inproc) { sender, receiver in
            try sender.send(Multipart(copying: [1], [2], [3]))
            #expect(try receiver.receive(limit: 3).count == 3)
            try sender.send(Multipart(copying: [1], [2], [3]))
            #expect(throws: ZMQError.self) { try receiver.receive(limit: 2) }
            try sender.send(Multipart(copying: [4]))
            #expect(try receiver.tryReceive(limit: 1)?.map(\.bytes) == [[4]])
        }
    }

    @Test func aRefusedMessageIsKeptWhole() throws {
        let context = try Context()
        let socket = try Socket(.push, in: context, options: patient())
        var message = Multipart(copying: [1, 2], [3])
        for _ in 0..<3 {
            #expect(try !socket.trySend(&message))
            let bytes = message.byteCount
            #expect(bytes == 3)
        }
        let place = try Place(.inproc)
        try socket.bind(place.endpoint)
        let puller = try Socket(.pull, in: context, options: patient())
        try puller.connect(place.endpoint)
        // A send may look for news only once a millisecond; this looks at once.
        #expect(try socket.events == .writable)
        #expect(try socket.trySend(&message))
        let left = message.count
        #expect(left == 0)
        #expect(try puller.receive().map(\.bytes) == [[1, 2], [3]])
    }

    /// The peer's queue goes away between two parts: the rest is swallowed, and the next message is not its tail.
    @Test(arguments: [2, 3, 4])
    func aPeerThatGoesMidMessageGetsNothing(_ partCount: Int) throws {
        let context = try Context()
        let place = try Place(.inproc)
        let sender = try Socket(.dealer, in: context, options: patient())
        try sender.bind(place.endpoint)
        // The close reaches the sender by way of another thread: perhaps not in time for the first tries.
        let deadline = ContinuousClock.now + .seconds(60)
        var intact = true
        while intact, ContinuousClock.now < deadline {
            let first = try Socket(.dealer, in: context, options: patient())
            try first.connect(place.endpoint)
            #expect(try sender.events == .writable)
            let head = Message(copying: [0])
            #expect(try sender.core.send(head.pointer, flags: 1 | 2))
            first.close()
            for _ in 0..<500 { _ = try sender.events }
            var rest = Multipart()
            for index in 1..<partCount { rest.append(copying: [UInt8(index)]) }
            intact = try sender.core.sendRest(rest.parts[...], flags: 1)
            while try sender.events.contains(.writable), ContinuousClock.now < deadline {}
        }
        #expect(!intact)
        let second = try Socket(.dealer, in: context, options: patient())
        try second.connect(place.endpoint)
        try sender.send(Multipart(copying: [7], [8]))
        #expect(try second.receive().map(\.bytes) == [[7], [8]])
    }

    @Test func oneMessageIsReusedInALoop() throws {
        try withPair(.inproc) { sender, receiver in
            var message = Message()
            #expect(try !receiver.tryReceive(into: &message))
            for round in 0..<20 {
                try sender.send(Multipart(copying: [UInt8(round)], [1, 2]))
                try receiver.receive(into: &message)
                let first = message.withUnsafeBytes { $0[0] }
                #expect(first == UInt8(round))
                #expect(try receiver.hasMoreParts)
                #expect(try receiver.tryReceive(into: &message))
                let count = message.count
                #expect(count == 2)
                #expect(try !receiver.hasMoreParts)
            }
        }
    }

    @Test func forwardedPartsShareTheirMemory() throws {
        try withPair(.inproc) { sender, receiver in
            for size in [10, 100_000] {
                try sender.send(Message(size: size) { $0.initializeMemory(as: UInt8.self, repeating: 6) })
                var part: ReceivedPart? = try receiver.receive()[0]
                let there = try #require(part).withUnsafeBytes { $0.baseAddress }
                var message = Multipart()
                message.append(try #require(part))
                part = nil
                try receiver.send(message)
                let back = try sender.receive()[0]
                #expect(back.bytes == [UInt8](repeating: 6, count: size))
                if size > 1000 { #expect(back.withUnsafeBytes { $0.baseAddress } == there) }
            }
        }
    }

    @Test func textIsCheckedAndPeersAreNamed() throws {
        try withPair(.tcp) { sender, receiver in
            try sender.send(copying: [0xff, 0xfe])
            let part = try receiver.receive()[0]
            #expect(part.text == nil)
            #expect(part.peerAddress == "127.0.0.1")
            #expect(part.userID == nil)
        }
    }
}
