import StemwireTestSupport
import Testing

@testable import MerlinProtocol

@Suite struct ControlStreamParserTests {
    static let mixture: [ControlRequest] = [
        .get("IMAGEX"), .set("COUNTERDEPTH", "12"), .cmd("SOFTTRIGGER"), .set("FILENAME", "a,b"), .get("MX"),
        .set("THRESHOLD0", "12.5"), .cmd("STARTACQUISITION"),
    ]
    static let replies: [ControlReply] = [
        ControlReply(to: mixture[0], value: "256"), ControlReply(to: mixture[1]), ControlReply(to: mixture[2]),
        ControlReply(to: mixture[3], code: .outOfRange), ControlReply(to: mixture[4], value: "0.412270"),
        .malformedRequest, ControlReply(to: mixture[6], code: .busyOrUnknown),
    ]

    /// A message whose length is wrong by `error`.
    static func message(_ text: String, off error: Int) -> [UInt8] {
        let digits = String(text.utf8.count + 1 + error)
        return Array("MPX,\(String(repeating: "0", count: 10 - digits.count))\(digits),\(text)".utf8)
    }

    static func requests(_ pieces: [[UInt8]], quietAtEnd: Bool = false) -> [ControlRequest] {
        var parser = ControlStreamParser()
        var found: [ControlRequest] = []
        for piece in pieces {
            parser.append(piece)
            while let result = parser.nextRequest() { found += (try? result.get()).map { [$0] } ?? [] }
        }
        while quietAtEnd, let result = parser.nextRequest(quiet: true) {
            found += (try? result.get()).map { [$0] } ?? []
        }
        return found
    }

    static func replies(_ pieces: [[UInt8]]) -> [ControlReply] {
        var parser = ControlStreamParser()
        var found: [ControlReply] = []
        for piece in pieces {
            parser.append(piece)
            while let result = parser.nextReply() { found += (try? result.get()).map { [$0] } ?? [] }
        }
        return found
    }

    @Test func severalInOneRead() {
        #expect(Self.requests([Self.mixture.flatMap { $0.encoded() }]) == Self.mixture)
        #expect(Self.replies([Self.replies.flatMap { $0.encoded() }]) == Self.replies)
    }

    @Test func inPiecesOfEverySize() {
        let requests = Self.mixture.flatMap { $0.encoded() }
        let replies = Self.replies.flatMap { $0.encoded() }
        for cut in 1..<requests.count {
            #expect(Self.requests([Array(requests[..<cut]), Array(requests[cut...])]) == Self.mixture, "cut \(cut)")
        }
        for cut in 1..<replies.count {
            #expect(Self.replies([Array(replies[..<cut]), Array(replies[cut...])]) == Self.replies, "cut \(cut)")
        }
        #expect(Self.requests(requests.map { [$0] }) == Self.mixture)
        #expect(Self.replies(replies.map { [$0] }) == Self.replies)
    }

    @Test(arguments: [-1, 1]) func wrongLengthsInOneRead(error: Int) {
        let requests = Self.mixture.flatMap { Self.message($0.description, off: error) }
        #expect(Self.requests([requests], quietAtEnd: true) == Self.mixture)
        let replies = Self.replies.flatMap { Self.message($0.description, off: error) }
        #expect(Self.replies([replies]) == Self.replies)
    }

    @Test(arguments: [-1, 1]) func wrongLengthsOneByOne(error: Int) {
        for request in Self.mixture {
            #expect(
                Self.requests([Self.message(request.description, off: error)], quietAtEnd: true) == [request])
        }
        for reply in Self.replies {
            #expect(Self.replies([Self.message(reply.description, off: error)]) == [reply])
            // A short length with the last byte in a read of its own.
            let bytes = Self.message(reply.description, off: error)
            #expect(Self.replies([bytes.dropLast(1), bytes.suffix(1)].map { Array($0) }) == [reply])
        }
    }

    @Test func aLineEndOrNULBehindAShortLength() {
        for tail in ["\0", "\r\n", "\n\0"] {
            let bytes = Self.mixture.flatMap { Self.message($0.description, off: -1) + Array(tail.utf8) }
            #expect(Self.requests([bytes]) == Self.mixture)
        }
    }

    @Test func aNeedlessZeroIsAnsweredWithoutWaiting() {
        for text in ["GET,IMAGEX,0", "CMD,SOFTTRIGGER,0"] {
            for error in [-1, 0, 1] {
                #expect(Self.requests([Self.message(text, off: error)]).count == 1, "\(text) off by \(error)")
            }
        }
    }

    @Test func aMissingByteIsWaitedForUnlessQuiet() {
        let bytes = ControlRequest.get("IMAGEX").encoded()
        #expect(Self.requests([Array(bytes.dropLast())]).isEmpty)
        #expect(Self.requests([Array(bytes.dropLast(2))], quietAtEnd: true).isEmpty)
    }

    @Test func garbageAndNULsBetweenMessages() {
        var stream: [UInt8] = Array("\0\0MPX,MMPX,0000000000,".utf8)
        for request in Self.mixture { stream += [0] + request.encoded() + Array("\0\r\n".utf8) }
        #expect(Self.requests([stream]) == Self.mixture)
        #expect(Self.requests(stream.map { [$0] }) == Self.mixture)
    }

    @Test func unreadableMessagesAreReportedAndPassedOver() {
        var parser = ControlStreamParser()
        parser.append(Wire.message("PUT,X,1") + Wire.message("GET,") + ControlRequest.get("IMAGEX").encoded())
        #expect(parser.nextRequest() == .failure(.unknownKind("PUT,X,1")))
        #expect(parser.nextRequest() == .failure(.incomplete("GET,")))
        #expect(parser.nextRequest() == .success(.get("IMAGEX")))
        #expect(parser.nextRequest() == nil)
        #expect(parser.skippedBytes == 0)
    }

    @Test func lengthsAboveTheLimitAreGarbage() {
        var parser = ControlStreamParser(maximumTextBytes: 100)
        parser.append("MPX,0000000102,".utf8)
        parser.append(ControlRequest.get("IMAGEX").encoded())
        #expect(parser.nextRequest() == .success(.get("IMAGEX")))
        #expect(parser.skippedBytes == 15)
    }

    @Test func aFloodOfNULsIsNotKept() {
        var parser = ControlStreamParser()
        parser.append("M".utf8)
        for _ in 0..<50 {
            parser.append([UInt8](repeating: 0, count: 1000))
            #expect(parser.nextRequest(quiet: true) == nil)
        }
        #expect(parser.skippedBytes == 1)
        parser.append("MPX,0000000010,GET".utf8)
        parser.append([UInt8](repeating: 0, count: 1000))
        #expect(parser.nextRequest() == .failure(.incomplete("GET")))
        parser.append(ControlRequest.get("IMAGEX").encoded())
        #expect(parser.nextRequest() == .success(.get("IMAGEX")))
    }

    @Test func randomBytesNeverTrap() {
        var generator = SeededGenerator(seed: 99)
        let parts = ["MPX,", "0000000012,", "GET,", "SET,A,", "\0", ",", "0", "M", "9999999999,", "\u{ff}"]
        for _ in 0..<3000 {
            var parser = ControlStreamParser()
            for _ in 0..<12 {
                parser.append(parts.randomElement(using: &generator)!.utf8)
                while parser.nextRequest(quiet: Bool.random(using: &generator)) != nil {}
            }
            parser.append(ControlRequest.cmd("ABORT").encoded())
            parser.append(ControlRequest.cmd("RESET").encoded())
            var last: ControlRequest?
            while let result = parser.nextRequest(quiet: true) { last = try? result.get() }
            #expect(last == .cmd("RESET"))
        }
    }
}
