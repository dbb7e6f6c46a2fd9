import Testing

@testable import MerlinProtocol

@Suite struct MPXStreamParserTests {
    private static func body(_ message: [UInt8]) -> [UInt8] { Array(message.dropFirst(15)) }

    @Test func messagesInOneBuffer() {
        let stream = Wire.acquisitionHeader(frames: 2) + Wire.smallFrame(1) + Wire.smallFrame(2)
        #expect(
            events(stream) == [
                .message(.acquisitionHeader, Self.body(Wire.acquisitionHeader(frames: 2)), intact: true),
                .message(.frame, Self.body(Wire.smallFrame(1)), intact: true),
                .message(.frame, Self.body(Wire.smallFrame(2)), intact: true),
            ])
    }

    @Test func splitAtEveryByteGivesTheSameSteps() {
        let stream =
            [0, 0] + Wire.acquisitionHeader(frames: 9) + Wire.smallFrame(1) + Wire.smallFrame(2)
            + Wire.smallFrame(3).dropLast(9) + Wire.smallFrame(4) + Array("MMPX,12".utf8) + Wire.smallFrame(5)
            + Wire.message("PR1,some profile") + Wire.smallFrame(6) + Wire.message("PR1,not a message at all") + [1, 2]
            + Wire.smallFrame(7)
        let whole = events(stream)
        #expect(whole.count == 12)
        for cut in 1..<stream.count {
            #expect(events(stream, pieces: [cut]) == whole, "cut at \(cut)")
        }
        #expect(events(stream, pieces: Array(repeating: 1, count: stream.count)) == whole)
        #expect(events(stream, pieces: Array(repeating: 7, count: stream.count / 7)) == whole)
    }

    @Test func waitsForExactlyTheMissingBytes() {
        let frame = Wire.smallFrame(1)
        var parser = MPXStreamParser()
        func next(_ bytes: some Collection<UInt8>) -> MPXStreamParser.Step {
            Array(bytes).withUnsafeBytes { parser.next($0) }
        }
        #expect(next([]) == .needMore(15))
        #expect(next(frame.prefix(5)) == .needMore(10))
        #expect(next(frame.prefix(15)) == .needMore(4))
        #expect(next(frame + frame) == .message(MPXMessage(kind: .frame, totalBytes: frame.count, intact: true)))
        // From the second frame of a size on, the whole rest and the next prefix can be asked for at once.
        #expect(next(frame.prefix(20)) == .needMore(frame.count - 20 + 15))
        #expect(next(frame) == .needMore(15))
        #expect(next(frame + frame.prefix(14)) == .needMore(1))
    }

    @Test func lastMessageIsGivenOutWhenQuiet() {
        let frame = Wire.smallFrame(1)
        #expect(events(frame, quietAtEnd: false).isEmpty)
        #expect(events(frame) == [.message(.frame, Self.body(frame), intact: true)])
        #expect(events(frame + frame.prefix(10)) == [.message(.frame, Self.body(frame), intact: true)])
    }

    @Test func unfinishedMessageIsKeptWhenQuiet() {
        let frame = Wire.smallFrame(1)
        for cut in 0..<frame.count {
            #expect(events(Array(frame.prefix(cut))).isEmpty, "cut at \(cut)")
        }
    }

    @Test func aMessageThatEndsInAnMIsGivenOutWhenQuiet() {
        for tail in ["M", "MP", "MPX"] {
            let frame = Wire.smallFrame(1, pixels: Array(repeating: 1, count: 16 - tail.utf8.count) + tail.utf8)
            #expect(events(frame) == [.message(.frame, Self.body(frame), intact: true)])
            #expect(events(frame + frame).count == 2)
        }
    }

    @Test(arguments: 4..<15) func theNextPrefixIsNoPixelsThoughThePauseComesInsideIt(cut: Int) {
        // The first bytes of the next message fill up the frame that was cut short, to the byte or beyond.
        let truncated = Array(Wire.smallFrame(2).dropLast(cut))
        let next = Wire.smallFrame(3)
        for arrived in cut..<15 {
            let found = events(Wire.smallFrame(1) + truncated + next.prefix(arrived))
            #expect(found == [.message(.frame, Self.body(Wire.smallFrame(1)), intact: true)], "\(arrived) bytes")
        }
        #expect(
            events(Wire.smallFrame(1) + truncated + next).dropFirst() == [
                .message(.frame, Self.body(truncated), intact: false),
                .message(.frame, Self.body(next), intact: true),
            ])
    }

    @Test(arguments: 1..<95) func frameCutShortDoesNotTakeTheNextWithIt(cut: Int) {
        let frame = Wire.smallFrame(2)
        let truncated = Array(frame.dropLast(cut))
        let stream = Wire.smallFrame(1) + truncated + Wire.smallFrame(3) + Wire.smallFrame(4)
        let found = events(stream)
        #expect(found.first == .message(.frame, Self.body(Wire.smallFrame(1)), intact: true))
        #expect(
            found.suffix(2) == [
                .message(.frame, Self.body(Wire.smallFrame(3)), intact: true),
                .message(.frame, Self.body(Wire.smallFrame(4)), intact: true),
            ])
        if truncated.count >= 19 {
            #expect(found.count == 4)
            #expect(found[1] == .message(.frame, Self.body(truncated), intact: false))
        } else {
            #expect(found.contains(.skipped(truncated.count)))
        }
    }

    @Test func frameCutShortBeforeANewAcquisitionAndSilence() {
        let frame = Wire.smallFrame(3)
        let header = Wire.acquisitionHeader(frames: 5)
        let stream = Wire.smallFrame(1) + Wire.smallFrame(2) + frame.dropLast(40) + header
        #expect(
            events(stream).suffix(2) == [
                .message(.frame, Self.body(Array(frame.dropLast(40))), intact: false),
                .message(.acquisitionHeader, Self.body(header), intact: true),
            ])
    }

    @Test func frameCutShortByAsMuchAsAnAcquisitionHeader() {
        // Here a prefix stands where the frame should end, and only a look at the right place finds the header.
        let header = Wire.acquisitionHeader(frames: 5)
        let pixels = [UInt8](repeating: 3, count: 256)
        func frame(_ number: Int) -> [UInt8] {
            let text = "MQ1,00000\(number),00064,01,0016,0016,U08,   1x1,01,2024-01-01,"
            return Wire.message(Wire.frameBody(text, dataOffset: 64, payload: pixels))
        }
        let cut = Array(frame(2).dropLast(header.count))
        let found = events(header + frame(1) + cut + header + frame(3) + frame(4))
        #expect(
            found == [
                .message(.acquisitionHeader, Self.body(header), intact: true),
                .message(.frame, Self.body(frame(1)), intact: true),
                .message(.frame, Self.body(cut), intact: false),
                .message(.acquisitionHeader, Self.body(header), intact: true),
                .message(.frame, Self.body(frame(3)), intact: true),
                .message(.frame, Self.body(frame(4)), intact: true),
            ])
    }

    @Test func frameWithDeclaredLengthTooShortLeavesGarbage() {
        var frame = Wire.smallFrame(1)
        frame.replaceSubrange(0..<15, with: Wire.message([UInt8](repeating: 0, count: 75)).prefix(15))
        let found = events(Wire.smallFrame(9) + frame + Wire.smallFrame(2))
        #expect(found.count == 4)
        #expect(found[1] == .message(.frame, Array(frame[15..<90]), intact: true))
        #expect(found[2] == .skipped(5))
        #expect(found[3] == .message(.frame, Self.body(Wire.smallFrame(2)), intact: true))
    }

    @Test(
        arguments: [
            "MPX", "MMPX", "MMMPX,", "MPX,MPX,", "MPX,0000000000,", "MPX,0000000001,", "MPX,9999999999,",
            "MPX,-000000001,", "MPX,+000000020,", "MPX,        20,", "MPX,00000000200", "MPX,٠٠٠٠٠,", "mpx,0000000020,",
            "MPX,0000000020,MPX,0000000020,", "MPX,0000000300,no known kind", "MPX,0067108000,MQ1,", "\0\0\0", "\0M\0",
            "MPX,0000000020,MQ1,", "MPX,0000000020,HDR,", "MPX,0000005000,MQ1,000001,", "MP", "M",
        ])
    func findsTheNextMessageBehind(garbage: String) {
        let header = Wire.acquisitionHeader(frames: 1)
        let frame = Wire.smallFrame(1)
        let tail = [Event.message(.frame, Self.body(frame), intact: true)]
        #expect(events(Array(garbage.utf8) + frame + frame).suffix(2) == tail + tail)
        #expect(events(Array(garbage.utf8) + frame).suffix(1) == tail)
        #expect(
            events(Array(garbage.utf8) + header + frame).suffix(2)
                == [.message(.acquisitionHeader, Self.body(header), intact: true)] + tail)
    }

    @Test func aPlausibleFalseLengthDoesNotHoldUpTheStream() {
        // No pause in the stream, and far less than the invented length follows.
        let stream = Array("MPX,0060000000,MQ1,".utf8) + Wire.smallFrame(1) + Wire.smallFrame(2)
        let found = events(stream, quietAtEnd: false)
        #expect(found.contains(.message(.frame, Self.body(Wire.smallFrame(1)), intact: true)))
    }

    @Test func lengthsAboveTheLimitAreGarbage() {
        let frame = Wire.smallFrame(1)
        let limits = MPXStreamParser.Limits(maxMessageBytes: frame.count)
        #expect(events(frame + frame, limits: limits).count == 2)
        let lower = MPXStreamParser.Limits(maxMessageBytes: frame.count - 1)
        #expect(events(frame + frame, limits: lower) == [.skipped(2 * frame.count)])
    }

    @Test func aLimitThatMeansNoneCannotOverflow() {
        let limits = MPXStreamParser.Limits(maxMessageBytes: .max)
        #expect(events(Array("MPX,9999999999,MQ1,".utf8), limits: limits).isEmpty)
    }

    @Test func anUnknownKindIsAMessageIfAPrefixFollows() {
        let other = Wire.message("XYZ,1,2,3")
        let found = events(other + Wire.smallFrame(1))
        #expect(found.first == .message(.other, Array("XYZ,1,2,3".utf8), intact: true))
        #expect(found.count == 2)
        #expect(events(other + [9] + Wire.smallFrame(1)).first == .skipped(other.count + 1))
    }
}
