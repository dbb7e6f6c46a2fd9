import StemwireClient
import StemwireSystem
import Testing

@testable import StemwireViewer

extension ViewerTests {
    @Suite("over the WebSocket") struct LiveTests {
        private static let view =
            #"{"type":"view","panes":[{"pane":"nav","source":"channel","run":"default","udf":"sumsig","channel":"intensity"}]}"#

        private static func isEnded(_ message: ReadMessage) -> Bool {
            message.header["acquisition"]?["endReason"]?.string != nil
        }

        @Test func aScanIsShownAsItIsWithItsAccount() async throws {
            try await ViewerBench.run(faults: "drop-at=20+21,duplicate-at=30") { bench in
                let shown = Task {
                    try await visit(bench.port) { visitor in
                        #expect(try visitor.upgrade() == 101)
                        try visitor.send(Self.view)
                        var last: (pane: JSONValue, data: [UInt8], map: [UInt8])?
                        var end: JSONValue?
                        _ = try visitor.next("the end and the final image") { message in
                            if let pane = message.pane("nav"), let data = message.array(pane, "data"),
                                let map = message.array(pane, "coverage")
                            {
                                last = (pane, data, map)
                            }
                            end = message.header["acquisition"]
                            // The last partition is worked on when the end has come: until then frames of it are received only.
                            return Self.isEnded(message)
                                && last.map { $0.map.contains(2) && !$0.map.contains(3) } == true
                        }
                        return (try #require(last), try #require(end))
                    }
                }
                try await bench.startScan()
                let (image, end) = try await shown.value
                let truth = try await bench.server.snapshot().channel(udf: "sumsig", "intensity")!
                    .values(as: UInt64.self)
                #expect(image.data == truth.map { UInt32($0) }.withUnsafeBytes { Array($0) })
                var map = [UInt8](repeating: 1, count: 64)
                (map[19], map[20], map[29]) = (2, 2, 6)
                #expect(image.map == map)
                let counts = end["accounting"]
                #expect(counts?["missing"]?.int == 2 && counts?["duplicates"]?.int == 1 && counts?["placed"]?.int == 62)
                #expect(counts?["balanced"] == .bool(true) && end["navShape"] == .ints([8, 8]))
            }
        }

        @Test func whoComesAfterTheEndSeesTheResults() async throws {
            try await ViewerBench.run { bench in
                try await bench.startScan()
                try await bench.end()
                try await ViewerBench.withViewer(of: bench.controlPort) { port in
                    try await visit(port) { visitor in
                        #expect(try visitor.upgrade() == 101)
                        try visitor.send(Self.view)
                        let last = try visitor.next("the final image") { message in
                            message.pane("nav")?["final"] == .bool(true)
                        }
                        #expect(last.header["acquisition"]?["accounting"]?["placed"]?.int == 64)
                    }
                }
            }
        }

        @Test func commandsAreDoneAndAnswered() async throws {
            try await ViewerBench.run { bench in
                try await visit(bench.port) { visitor in
                    #expect(try visitor.upgrade() == 101)
                    _ = try visitor.next("the server") { $0.header["server"]?["state"]?.string == "idle" }
                    try visitor.send(#"{"type":"command","id":1,"name":"trigger"}"#)
                    try visitor.send(#"{"type":"command","id":2,"name":"arm","navShape":[4,16]}"#)
                    var answers: [Int: Bool] = [:]
                    _ = try visitor.next("two answers") { message in
                        for answer in message.header["answers"]?.array ?? [] {
                            answers[answer["id"]!.int!] = answer["done"] == .bool(true)
                        }
                        return answers.count == 2
                    }
                    #expect(answers[2] == true)
                    try visitor.send(#"{"type":"command","id":3,"name":"trigger"}"#)
                    let end = try visitor.next("the end", until: Self.isEnded)
                    #expect(end.header["acquisition"]?["navShape"] == .ints([4, 16]))
                }
            }
        }

        @Test func aCheckTellsWhatAScanTakesAndChangesNothing() async throws {
            try await ViewerBench.run { bench in
                try await visit(bench.port) { visitor in
                    #expect(try visitor.upgrade() == 101)
                    _ = try visitor.next("the server") { $0.header["server"]?["state"]?.string == "idle" }
                    func report(_ number: Int, _ more: String) throws -> JSONValue {
                        try visitor.send(#"{"type":"command","id":\#(number),"name":"check"\#(more)}"#)
                        var report: JSONValue?
                        _ = try visitor.next("the report") { message in
                            let answer = message.header["answers"]?.array?.first { $0["id"]?.int == number }
                            report = answer?["report"]
                            return report != nil
                        }
                        return try #require(report)
                    }
                    let good = try report(1, "")
                    #expect(good["ok"] == .bool(true) && good["needed"]?.int == 64 && good["triggers"]?.int == 1)
                    let other = try report(2, #","navShape":[4,4]"#)
                    let codes = other["findings"]?.array?.compactMap { $0["code"]?.string } ?? []
                    #expect(other["ok"] == .bool(false) && codes.contains("frames.tooMany"))
                    #expect(try report(3, #","navShape":[4,4],"frames":16"#)["ok"] == .bool(true))
                }
                #expect(try await bench.server.status().state == "idle")
            }
        }

        @Test func theHistoryIsReadByWhoeverLooks() async throws {
            try await ViewerBench.withHistory { bench in
                try await bench.startScan()
                try await bench.end()
                try await ViewerBench.withViewer(of: bench.controlPort, { $0.role = .look }) { port in
                    try await visit(port) { visitor in
                        #expect(try visitor.upgrade() == 101)
                        func ask(_ number: Int, _ more: String) throws -> JSONValue? {
                            try visitor.send(#"{"type":"history","id":\#(number)\#(more)}"#)
                            var answer: JSONValue?
                            _ = try visitor.next("the answer") { message in
                                answer = message.header["answers"]?.array?.first { $0["id"]?.int == number }
                                return answer != nil
                            }
                            return answer
                        }
                        _ = try visitor.next("the acquisition", until: Self.isEnded)
                        // It is written by a thread of its own.
                        var entry: JSONValue?
                        for number in 1...1000 where entry == nil {
                            entry = try ask(number, "")?["report"]?["entries"]?.array?.first
                        }
                        #expect(entry?["navShape"] == .ints([8, 8]) && entry?["runs"] == nil)
                        let id = try #require(entry?["id"]?.string)
                        let whole = try ask(2000, #","acquisition":"\#(id)""#)?["report"]?["entries"]?.array?.first
                        #expect(
                            whole?["accounting"]?["placed"]?.int == 64
                                && whole?["header"]?.string?.contains("HDR") == true)
                        #expect(whole?["runs"]?.array?.first?["udfs"]?.array?.count == 2)
                        let other = try ask(2001, #","acquisition":"\#(acquisition(9))""#)
                        #expect(other?["report"]?["entries"] == .array([]))
                    }
                }
            }
        }

        @Test func aServerWithoutAHistorySaysSo() async throws {
            try await ViewerBench.run { bench in
                try await visit(bench.port) { visitor in
                    #expect(try visitor.upgrade() == 101)
                    _ = try visitor.next("the server") { $0.header["server"]?["state"]?.string == "idle" }
                    try visitor.send(#"{"type":"history","id":1}"#)
                    let answered = try visitor.next("the answer") { $0.header["answers"]?.array?.isEmpty == false }
                    let answer = answered.header["answers"]?.array?.first
                    #expect(answer?["done"] == .bool(false) && answer?["text"]?.string?.contains("--history") == true)
                }
            }
        }

        @Test func aVirtualDetectorIsComputedFromNowOnAndLetGo() async throws {
            try await ViewerBench.run(nav: [16, 16], dwellMicroseconds: 4000) { bench in
                try await bench.startScan()
                try await visit(bench.port) { visitor in
                    #expect(try visitor.upgrade() == 101)
                    _ = try visitor.next("a scan that runs") { $0.header["channels"]?.array?.isEmpty == false }
                    try visitor.send(
                        #"{"type":"view","panes":[{"pane":"nav","source":"detector","id":"d1","channel":"intensity"}]}"#
                    )
                    for radius in 1...5 {
                        try visitor.send(
                            #"{"type":"detector","id":"d1","udf":"disk","parameters":{"cy":8,"cx":8,"r":\#(radius)}}"#)
                    }
                    let image = try visitor.next("the disk's image") { $0.pane("nav")?["data"] != nil }
                    #expect(image.pane("nav")?["udf"]?.string == "d1")
                    let applied = try visitor.next("the last wish done") {
                        $0.header["detectors"]?.array?.first?["applied"] == .bool(true)
                    }
                    #expect(applied.header["detectors"]?.array?.first?["parameters"]?["r"]?.string == "5")
                    try visitor.send(#"{"type":"dropDetector","id":"d1"}"#)
                    _ = try visitor.next("nothing left") { $0.header["detectors"]?.array?.isEmpty == true }
                    try visitor.send(
                        #"{"type":"detector","id":"d2","udf":"rectangle","parameters":{"y":90,"x":0,"height":1,"width":1}}"#
                    )
                    let refused = try visitor.next("a refusal") {
                        $0.header["detectors"]?.array?.first?["problem"]?.string != nil
                    }
                    #expect(
                        refused.header["detectors"]?.array?.first?["problem"]?.string?.contains("not inside") == true)
                }
                try await bench.server.abort()
            }
        }

        @Test func aPositionShowsItsFrame() async throws {
            try await ViewerBench.run { bench in
                try await bench.startScan()
                try await bench.end()
                let totals = try await bench.server.snapshot().channel(udf: "sumsig", "intensity")!
                    .values(as: UInt64.self)
                try await visit(bench.port) { visitor in
                    #expect(try visitor.upgrade() == 101)
                    try visitor.send(#"{"type":"view","panes":[{"pane":"sig","source":"position","position":37}]}"#)
                    let message = try visitor.next("the frame") { $0.pane("sig")?["data"] != nil }
                    let pane = try #require(message.pane("sig"))
                    #expect(pane["shape"] == .ints([16, 16]) && pane["position"]?.int == 37)
                    let pixels = try #require(message.array(pane, "data"))
                    let sum = stride(from: 0, to: 512, by: 2).reduce(0) {
                        $0 + UInt64(pixels[$1]) + UInt64(pixels[$1 + 1]) << 8
                    }
                    #expect(sum == totals[37])
                }
            }
        }

        @Test func whoDoesNotReadHurtsNobody() async throws {
            try await ViewerBench.run(nav: [32, 32]) { bench in
                let (asked, over) = (CountingSemaphore(), CountingSemaphore())
                let idle = Task {
                    try await visit(bench.port) { visitor in
                        #expect(try visitor.upgrade() == 101)
                        try visitor.send(Self.view)
                        // Asks again and again, and reads nothing.
                        for _ in 0..<2000 { try visitor.send(#"{"type":"next"}"#) }
                        asked.post()
                        _ = over.wait(timeout: .seconds(120))
                    }
                }
                try await visit(bench.port) { visitor in
                    #expect(try visitor.upgrade() == 101)
                    #expect(asked.wait(timeout: .seconds(120)))
                    try visitor.send(Self.view)
                    _ = try visitor.next("both pages") { $0.header["viewer"]?["pages"]?.int == 2 }
                }
                try await bench.startScan()
                try await visit(bench.port) { visitor in
                    #expect(try visitor.upgrade() == 101)
                    try visitor.send(Self.view)
                    let end = try visitor.next("the end", until: Self.isEnded)
                    #expect(end.header["acquisition"]?["accounting"]?["placed"]?.int == 1024)
                }
                over.post()
                try await idle.value
            }
        }

        @Test func nonsenseClosesTheConnectionAndNothingElse() async throws {
            try await ViewerBench.withViewer(of: 1) { port in
                for send in [
                    { try $0.send("nonsense") }, { try $0.send(#"{"type":"view"}"#) },
                    { try $0.send(frame: 2, [1, 2, 3]) }, { try $0.send(frame: 1, [], claims: 1 << 40) },
                    { try $0.send(frame: 11, []) },
                ] as [@Sendable (Visitor) throws -> Void] {
                    try await visit(port) { visitor in
                        #expect(try visitor.upgrade() == 101)
                        try send(visitor)
                        #expect(visitor.isClosed())
                    }
                }
                try await visit(port) { visitor in
                    #expect(try visitor.upgrade() == 101)
                    try visitor.send(frame: 9, Array("are you there".utf8))
                    let pong = try visitor.frame()
                    #expect(pong.opcode == 10 && pong.payload == Array("are you there".utf8))
                    #expect(try visitor.next().header["link"] != nil)
                    try visitor.send(frame: 8, [0x03, 0xE8])
                    #expect(try visitor.frame().opcode == 8)
                    #expect(visitor.isClosed())
                }
            }
        }

        @Test func pagesAreLimited() async throws {
            try await ViewerBench.withViewer(of: 1, { $0.maximumPages = 1 }) { port in
                try await visit(port) { first in
                    #expect(try first.upgrade() == 101)
                    _ = try first.next()
                    let second = try Visitor(port: port)
                    #expect(try second.upgrade() == 101)
                    let refused = try second.frame()
                    #expect(refused.opcode == 8 && String(decoding: refused.payload, as: UTF8.self).contains("1 pages"))
                }
            }
        }

        @Test func anotherServerInItsPlaceIsFoundAndToldOf() async throws {
            var former = 0
            try await ViewerBench.run { former = $0.controlPort }
            // Nobody is there now: it is told, with the reason.
            try await ViewerBench.withViewer(of: former) { port in
                try await visit(port) { visitor in
                    #expect(try visitor.upgrade() == 101)
                    let message = try visitor.next("the loss") { $0.header["link"]?["state"]?.string == "lost" }
                    #expect(message.header["link"]?["reason"]?.string?.contains("nobody answers") == true)
                    try visitor.send(#"{"type":"command","id":1,"name":"arm"}"#)
                    let answer = try visitor.next("the answer") { $0.header["answers"]?.array?.isEmpty == false }
                    #expect(answer.header["answers"]?.array?.first?["done"] == .bool(false))
                }
            }
        }
    }
}
