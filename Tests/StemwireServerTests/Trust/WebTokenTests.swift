import Foundation
import Logging
import StemwireProtocol
import StemwireTestSupport
import Testing
import ZeroMQ

@testable import StemwireServer

@Suite("Web tokens") struct WebTokenTests {
    @Test("a token is a secret text of which the list holds the hash, beside the keys")
    func list() throws {
        let token = WebToken.make()
        #expect(token.text.utf8.count == WebToken.length && WebToken(token.text)?.hash == token.hash)
        #expect(WebToken.make().text != token.text)
        for text in [
            "", "stemweb1_", token.text + "0", String(token.text.dropLast()), token.text.uppercased(),
            "stemweb2" + token.text.dropFirst(8), String(token.text.dropLast()) + "g",
        ] { #expect(WebToken(text) == nil) }
        var shown = ""
        dump(token, to: &shown)
        #expect(!"\(token) \(shown)".contains(token.text.suffix(64)))

        var list = AllowList()
        try list.add(.init(name: "anna", role: .viewer, key: CurveKeyPair.generate().publicKey))
        try list.add(AllowList.Page(name: "screen", role: .controller, token: token.hash))
        #expect(!list.text.contains(token.text) && !list.text.contains(token.text.suffix(64)))
        let again = AllowList(list.text)
        #expect(again == list && again.problems.isEmpty && again.pages.map(\.name) == ["screen"])
        // A name is there once, whichever way it comes; a token too.
        let other = WebToken.make().hash
        #expect(throws: AllowListError.nameIsTaken("anna")) {
            try list.add(AllowList.Page(name: "anna", role: .viewer, token: other))
        }
        #expect(throws: AllowListError.nameIsTaken("screen")) {
            try list.add(.init(name: "screen", role: .viewer, key: CurveKeyPair.generate().publicKey))
        }
        #expect(throws: AllowListError.noPageRole(.worker)) {
            try list.add(AllowList.Page(name: "w", role: .worker, token: other))
        }
        #expect(throws: AllowListError.self) {
            try list.add(AllowList.Page(name: "twice", role: .viewer, token: token.hash))
        }
        #expect(AllowList("a viewer sha256:12\n").problems.count == 1)
        try list.remove("screen")
        #expect(list.pages.isEmpty && list.entries.count == 1)
    }

    @Test("the hash is SHA-256, as sha256sum makes it")
    func hash() throws {
        let text = "stemweb1_" + String(repeating: "0123456789abcdef", count: 4)
        #expect(try #require(WebToken(text)).hash.description == "sha256:" + Self.known)
    }

    private static let known = "fdab4d892e530646c3c745742a712b0014bc31fec9ac8b88b9844f09cdb9edef"

    @Test("the gate heeds the list while it runs; while that cannot be read nobody new comes in")
    func gate() async throws {
        let folder = try KeyFolder()
        let gate = try WebGate(folder.keys, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        defer { gate.stop() }
        let (anna, bert) = (WebToken.make(), WebToken.make())
        #expect(gate.guest(anna.text) == nil)
        try folder.keys.changeAllowList { list throws(AllowListError) in
            try list.add(AllowList.Page(name: "anna", role: .viewer, token: anna.hash))
            try list.add(AllowList.Page(name: "bert", role: .admin, token: bert.hash))
        }
        _ = try await eventually("anna's token") { gate.guest(anna.text) != nil ? true : nil }
        #expect(gate.guest(anna.text) == .init(name: "anna", role: .viewer))
        #expect(gate.guest(bert.text)?.role == .admin && gate.guest(WebToken.make().text) == nil && gate.count == 2)
        #expect(gate.guest("nonsense") == nil)
        try folder.revoke("anna")
        _ = try await eventually("anna shut out") { gate.guest(anna.text, isNew: false) == nil ? true : nil }
        let path = folder.keys.allowListPath
        try FileManager.default.moveItem(atPath: path, toPath: path + ".away")
        _ = try await eventually("nobody new") { gate.guest(bert.text) == nil ? true : nil }
        #expect(gate.guest(bert.text, isNew: false)?.name == "bert")
        try FileManager.default.moveItem(atPath: path + ".away", toPath: path)
        _ = try await eventually("bert again") { gate.guest(bert.text) != nil ? true : nil }
    }
}
