import Testing

@testable import MerlinProtocol

@Suite struct ControlMessageTests {
    /// Lengths as in the vendor's interface specification.
    @Test(
        arguments: [
            (ControlRequest.set("NUMFRAMESTOACQUIRE", "1"), "MPX,0000000025,SET,NUMFRAMESTOACQUIRE,1"),
            (.get("NUMFRAMESTOACQUIRE"), "MPX,0000000023,GET,NUMFRAMESTOACQUIRE"),
            (.cmd("STARTACQUISITION"), "MPX,0000000021,CMD,STARTACQUISITION"),
            (.get("ACQUISITIONTIME"), "MPX,0000000020,GET,ACQUISITIONTIME"),
            (.set("ACQUISITIONTIME", "1"), "MPX,0000000022,SET,ACQUISITIONTIME,1"),
        ])
    func requests(request: ControlRequest, wire: String) throws {
        #expect(request.encoded() == Array(wire.utf8))
        #expect(try ControlRequest.parse(wire.utf8.dropFirst(15)) == request)
    }

    @Test(
        arguments: [
            (
                ControlReply(to: .set("NUMFRAMESTOACQUIRE", "1")),
                "MPX,0000000025,SET,NUMFRAMESTOACQUIRE,0"
            ),
            (
                ControlReply(to: .get("NUMFRAMESTOACQUIRE"), value: "1"),
                "MPX,0000000027,GET,NUMFRAMESTOACQUIRE,1,0"
            ),
            (ControlReply(to: .cmd("STARTACQUISITION")), "MPX,0000000023,CMD,STARTACQUISITION,0"),
            (ControlReply(to: .get("NOSUCH"), code: .unrecognisedCommand), "MPX,0000000013,GET,NOSUCH,2"),
            (ControlReply.malformedRequest, "MPX,0000000008,ERROR,1"),
        ])
    func replies(reply: ControlReply, wire: String) throws {
        #expect(reply.encoded() == Array(wire.utf8))
        #expect(try ControlReply.parse(wire.utf8.dropFirst(15)) == reply)
    }

    @Test func valuesOfReplies() throws {
        let time = try ControlReply.parse("GET,ACQUISITIONTIME,0.412270,0".utf8)
        #expect(time.doubleValue == 0.41227 && time.integerValue == nil)
        let whole = try ControlReply.parse("GET,ACQUISITIONTIME,1.000000,0".utf8)
        #expect(whole.integerValue == 1)
        let large = try ControlReply.parse("GET,NUMFRAMESTOACQUIRE,42949672950,0".utf8)
        #expect(large.integerValue == 42_949_672_950)
        let path = try ControlReply.parse("GET,FILEDIRECTORY,d:\\a,b\\,0".utf8)
        #expect(path.value == "d:\\a,b\\" && path.code == .ok)
        let odd = try ControlReply.parse("GET,HVBIAS,nan,0".utf8)
        #expect(odd.doubleValue == nil && odd.integerValue == nil)
        let huge = try ControlReply.parse("GET,HVBIAS,1e300,0".utf8)
        #expect(huge.integerValue == nil)
    }

    @Test func caseAndSpellingOfNames() throws {
        let request = try ControlRequest.parse("get,ImageX".utf8)
        #expect(request == .get("IMAGEX"))
        #expect(request.name == "ImageX" && request.key == "IMAGEX")
        #expect(Set([request, .get("imagex")]).count == 1)
        #expect(ControlReply(to: request, value: "256").description == "GET,ImageX,256,0")
        #expect(request != .cmd("ImageX"))
    }

    @Test func aValueMayHoldCommasAndBeEmpty() throws {
        #expect(try ControlRequest.parse("SET,FILENAME,a,b,c".utf8) == .set("FILENAME", "a,b,c"))
        #expect(try ControlRequest.parse("SET,FILENAME,".utf8) == .set("FILENAME", ""))
    }

    @Test(arguments: ["", ",", "GET", "GET,", "SET,NAME", "CMD,,0", "SET,,1"]) func incompleteRequest(text: String) {
        #expect(throws: ControlMessageError.self) { try ControlRequest.parse(text.utf8) }
    }

    @Test(arguments: ["", "GET,IMAGEX", "GET,IMAGEX,256,", "SET,X", "0", "GET,0", "FOO,X,0", "GET,X,1,-1", ",,0"])
    func badReply(text: String) {
        #expect(throws: ControlMessageError.self) { try ControlReply.parse(text.utf8) }
    }

    @Test func requestsThatAreNoText() throws {
        #expect(throws: ControlMessageError.unknownKind("ÿþ")) { try ControlRequest.parse([0xFF, 0xFE]) }
        // µ in Latin-1.
        #expect(try ControlRequest.parse(Array("SET,UNIT,".utf8) + [0xB5]).value == "µ")
    }
}
