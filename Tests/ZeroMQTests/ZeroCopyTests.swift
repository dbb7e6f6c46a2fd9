import StemwireSystem
import Synchronization
import Testing

@testable import ZeroMQ

@Suite struct ZeroCopyTests {
    @Test(arguments: Place.Transport.allCases)
    func anOwnerIsReleasedOnceAfterDelivery(_ transport: Place.Transport) throws {
        let place = try Place(transport)
        let context = try Context()
        let puller = try Socket(.pull, in: context, options: patient())
        let endpoint = try puller.bind(place.endpoint)
        let pusher = try Socket(.push, in: context, options: patient())
        try pusher.connect(endpoint)
        let count = Owner.Count()
        for round in 1...30 {
            try pusher.send(Owner.message(count, size: round * 1000, filling: UInt8(round)))
            var parts: [ReceivedPart]? = try puller.receive()
            #expect(parts?[0].bytes == [UInt8](repeating: UInt8(round), count: round * 1000))
            // Over inproc the receiver reads the sender's own memory, and is who lets it go.
            if transport == .inproc { #expect(count.released == round - 1) }
            parts = nil
            #expect(count.wait())
            #expect(count.released == round)
        }
    }

    @Test func theReleaseFunctionGetsBytesAndHint() throws {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 8)
        memory.initializeMemory(as: UInt8.self, repeating: 1)
        defer { memory.deallocate() }
        let hint = UnsafeMutablePointer<Int>.allocate(capacity: 2)
        hint.initialize(repeating: 0, count: 2)
        defer { hint.deallocate() }
        do {
            let message = Message(UnsafeRawBufferPointer(memory), hint: hint) { bytes, hint in
                let counts = hint!.assumingMemoryBound(to: Int.self)
                counts[0] += 1
                counts[1] = Int(bitPattern: bytes)
            }
            let size = message.count
            #expect(size == 64)
        }
        #expect(hint[0] == 1)
        #expect(hint[1] == Int(bitPattern: memory.baseAddress))
    }

    @Test func unsentMessagesReleaseTheirOwner() throws {
        let count = Owner.Count()
        do {
            let message = Owner.message(count)
            let size = message.count
            #expect(size == 100_000)
        }
        #expect(count.released == 1)
        do {
            var message = Multipart()
            message.append(Owner.message(count))
            message.append(Owner.message(count))
            message.removeAll()
            #expect(count.released == 3)
            message.append(Owner.message(count, size: 0))
        }
        #expect(count.released == 4)
    }

    @Test func aFailedSendReleasesOnce() throws {
        let count = Owner.Count()
        let context = try Context()
        let router = try Socket(.router, in: context, options: patient { $0.routerMandatory = true })
        #expect(throws: ZMQError.self) {
            var message = Multipart(copying: [9])
            message.append(Owner.message(count))
            try router.send(message)
        }
        #expect(count.released == 1)
        let pusher = try Socket(.push, in: context, options: patient { $0.sendTimeout = .zero })
        let failure = #expect(throws: ZMQError.self) { try pusher.send(Owner.message(count)) }
        #expect(failure?.code == .timedOut)
        #expect(count.released == 2)
        do {
            var message = Owner.message(count)
            #expect(try !pusher.trySend(&message))
            #expect(count.released == 2)
        }
        #expect(count.released == 3)
        pusher.close()
        let closed = #expect(throws: ZMQError.self) { try pusher.send(Owner.message(count)) }
        #expect(closed?.code == .closed)
        #expect(count.released == 4)
        context.shutdown()
        #expect(throws: ZMQError.self) { try router.events }
        let ended = #expect(throws: ZMQError.self) { try router.send(Owner.message(count)) }
        #expect(ended?.code == .terminated)
        #expect(count.released == 5)
    }

    @Test(arguments: Place.Transport.allCases)
    func queuedMessagesAreReleasedWhenTheContextEnds(_ transport: Place.Transport) throws {
        let count = Owner.Count()
        do {
            let place = try Place(transport)
            let context = try Context()
            // Bound and never read: some messages lie in the kernel, some in the queues of either side.
            let puller = try Socket(.pull, in: context, options: patient { $0.receiveHighWaterMark = 1 })
            let endpoint = try puller.bind(place.endpoint)
            let pusher = try Socket(.push, in: context, options: patient())
            try pusher.connect(endpoint)
            for _ in 0..<40 { try pusher.send(Owner.message(count)) }
            context.shutdown()
        }
        // The context's end has waited for its I/O thread, so all are released by now.
        #expect(count.released == 40)
    }

    @Test func severalSubscribersShareOneOwner() throws {
        let context = try Context()
        let publisher = try Socket(.xpub, in: context, options: patient { $0.xpubVerbosity = .allSubscriptions })
        let endpoint = try publisher.bind("tcp://127.0.0.1:*")
        let first = try Socket(.sub, in: context, options: patient())
        let second = try Socket(.sub, in: context, options: patient())
        try first.subscribe("")
        try second.subscribe("")
        try first.connect(endpoint)
        try second.connect(endpoint)
        for _ in 0..<2 { #expect(try publisher.nextSubscription() == .subscribed([])) }
        let count = Owner.Count()
        try publisher.send(Owner.message(count, size: 200_000))
        #expect(try first.receive()[0].count == 200_000)
        #expect(try second.receive()[0].count == 200_000)
        #expect(count.wait())
        #expect(count.released == 1)
    }

    @Test func nobodySubscribedReleasesAtOnce() throws {
        let count = Owner.Count()
        let context = try Context()
        let publisher = try Socket(.pub, in: context, options: patient())
        try publisher.send(Owner.message(count))
        #expect(count.released == 1)
    }
}
