import Testing

@testable import StemwireViewer

@Suite("What a page may ask") struct ViewerRequestTests {
    private func read(_ text: String) throws -> ViewerRequest { try ViewerRequest(Array(text.utf8)) }

    @Test func requestsAreRead() throws {
        #expect(try read(#"{"type":"next"}"#) == .next)
        let view = try read(
            #"{"type":"view","panes":[{"pane":"nav","source":"channel","run":"default","udf":"sum-2","channel":"intensity"},"#
                + #"{"pane":"sig","source":"position","position":12},"#
                + #"{"pane":"more","source":"detector","id":"d1","channel":"field"},"#
                + #"{"pane":"old","source":"past","acquisition":"0-1","run":"r","udf":"u","channel":"c"}]}"#)
        #expect(
            view
                == .view([
                    PaneRequest(pane: "nav", source: .channel(run: "default", udf: "sum-2", channel: "intensity")),
                    PaneRequest(pane: "sig", source: .position(12)),
                    PaneRequest(pane: "more", source: .detector("d1", channel: "field")),
                    PaneRequest(pane: "old", source: .past("0-1", run: "r", udf: "u", channel: "c")),
                ]))
        #expect(
            try read(
                #"{"type":"detector","id":"d1","udf":"ring","parameters":{"cy":12.5,"cx":3,"ri":0.25,"ro":40}}"#)
                == .detector(
                    VirtualDetector(
                        id: "d1", udf: "ring", parameters: ["cy": "12.5", "cx": "3", "ri": "0.25", "ro": "40"])))
        #expect(try read(#"{"type":"dropDetector","id":"d1"}"#) == .dropDetector("d1"))
        #expect(
            try read(#"{"type":"command","id":3,"name":"arm","navShape":[256,128]}"#)
                == .command(number: 3, .arm(navShape: [256, 128])))
        #expect(try read(#"{"type":"command","id":3,"name":"arm"}"#) == .command(number: 3, .arm(navShape: nil)))
        #expect(try read(#"{"type":"command","id":0,"name":"abort"}"#) == .command(number: 0, .abort))
        #expect(
            try read(#"{"type":"command","id":1,"name":"scan","navShape":[8,4]}"#)
                == .command(number: 1, .scan(ScanWish(navShape: [8, 4]))))
        #expect(
            try read(#"{"type":"command","id":1,"name":"check","navShape":[8,4],"frames":32}"#)
                == .command(number: 1, .check(ScanWish(navShape: [8, 4], frames: 32))))
        #expect(try read(#"{"type":"history","id":4}"#) == .history(number: 4, .list(before: nil)))
        #expect(try read(#"{"type":"history","id":4,"before":17}"#) == .history(number: 4, .list(before: 17)))
        #expect(
            try read(#"{"type":"history","id":5,"acquisition":"\#(acquisition(0xA7))"}"#)
                == .history(number: 5, .acquisition(acquisition(0xA7))))
        #expect(
            try read(#"{"type":"command","id":2,"name":"settings","settings":["GAIN","THRESHOLD0"]}"#)
                == .command(number: 2, .settings(["GAIN", "THRESHOLD0"])))
        #expect(
            try read(#"{"type":"command","id":3,"name":"set","setting":"GAIN","value":"SLGM"}"#)
                == .command(number: 3, .set("GAIN", to: "SLGM")))
    }

    @Test(arguments: [
        "", "[]", "null", "{", #"{"type":"other"}"#, #"{"type":"view"}"#,
        #"{"type":"view","panes":[{"pane":"a/b","source":"position","position":1}]}"#,
        #"{"type":"view","panes":[{"pane":"a","source":"position","position":-1}]}"#,
        #"{"type":"view","panes":[{"pane":"a","source":"position","position":1e300}]}"#,
        #"{"type":"view","panes":[{"pane":"a","source":"position","position":1},{"pane":"a","source":"position","position":2}]}"#,
        #"{"type":"view","panes":[1,2,3,4,5,6,7]}"#,
        #"{"type":"view","panes":[{"pane":"a","source":"channel","run":"r","udf":"<b>","channel":"c"}]}"#,
        #"{"type":"detector","id":"d-1","udf":"disk"}"#, #"{"type":"detector","id":"d1","udf":"pick"}"#,
        #"{"type":"detector","id":"d1","udf":"masks","parameters":{"file":"/etc/passwd"}}"#,
        #"{"type":"detector","id":"d1","udf":"disk","parameters":{"ro":1}}"#,
        #"{"type":"detector","id":"d1","udf":"disk","parameters":{"r":"1"}}"#,
        #"{"type":"detector","id":"d1","udf":"disk","parameters":{"r":1e12}}"#,
        #"{"type":"detector","id":"muchtoolongforanid","udf":"disk"}"#,
        #"{"type":"command","id":1,"name":"format"}"#, #"{"type":"command","name":"arm"}"#,
        #"{"type":"command","id":1,"name":"arm","navShape":[0,5]}"#,
        #"{"type":"command","id":1,"name":"arm","navShape":[5,"6"]}"#,
        #"{"type":"command","id":1,"name":"check","frames":0}"#,
        #"{"type":"command","id":1,"name":"scan","frames":1.5}"#,
        #"{"type":"command","id":1,"name":"scan","frames":1e12}"#,
        #"{"type":"history"}"#, #"{"type":"history","id":1,"before":0}"#, #"{"type":"history","id":1,"before":-4}"#,
        #"{"type":"history","id":1,"acquisition":"0123"}"#,
        #"{"type":"history","id":1,"acquisition":"g1234567-89ab-cdef-0123-456789abcdef"}"#,
        #"{"type":"command","id":1,"name":"settings","settings":[]}"#,
        #"{"type":"command","id":1,"name":"settings","settings":["gain"]}"#,
        #"{"type":"command","id":1,"name":"set","setting":"GAIN","value":"1,SET,HVBIAS,9"}"#,
        #"{"type":"command","id":1,"name":"set","setting":"GAIN","value":"1\nMPX"}"#,
        #"{"type":"command","id":1,"name":"set","setting":"GAIN","value":""}"#,
    ])
    func whatCannotBeIsRefused(_ text: String) {
        #expect(throws: ViewerRequestError.self) { try read(text) }
    }

    @Test func whatIsTooLargeOrTooDeepIsRefused() {
        let large = #"{"type":"next","x":""# + String(repeating: "a", count: ViewerRequest.maximumBytes) + #""}"#
        #expect(throws: ViewerRequestError.self) { try read(large) }
        let deep = String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000)
        #expect(throws: ViewerRequestError.self) { try read(deep) }
    }

    @Test func randomBytesNeverHurt() {
        var random = SystemRandomNumberGenerator()
        let sound = Array(#"{"type":"detector","id":"d1","udf":"ring","parameters":{"cy":12.5,"cx":3}}"#.utf8)
        for _ in 0..<2000 {
            var bytes = sound
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
            }
            _ = try? ViewerRequest(bytes)
        }
    }
}

@Suite("JSON") struct JSONValueTests {
    @Test func whatIsWrittenIsReadAgain() throws {
        let value = JSONValue.object([
            ("a", .array([.null, .bool(true), .int(-3), .number(0.1)])),
            ("b", .string("quote \" slash \\ \n \u{1} ü 中 😀")),
        ])
        #expect(try JSONValue(parsing: Array(value.text.utf8)) == value)
    }

    @Test func nothingThatEndsAScriptIsWritten() {
        #expect(JSONValue.string("</script>\u{2028}").text == "\"\\u003c/script>\\u2028\"")
        #expect(JSONValue.number(.nan).text == "null" && JSONValue.number(.infinity).text == "null")
        #expect(JSONValue.number(1e300).text == "1e+300" && JSONValue.int(1 << 52).text == "4503599627370496")
    }
}
