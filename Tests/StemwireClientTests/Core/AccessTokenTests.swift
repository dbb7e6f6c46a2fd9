import Foundation
import StemwireProtocol
import Testing
import ZeroMQ

@testable import StemwireClient

@Suite struct AccessTokenTests {
    private static func make() throws -> AccessToken {
        AccessToken(serverKey: try CurveKeyPair.generate().publicKey, keys: try .generate())
    }

    @Test func aTokenIsReadAsItWasWritten() throws {
        for _ in 0..<20 {
            let token = try Self.make()
            #expect(try AccessToken("  \(token.text)\n") == token)
            #expect(token.text.hasPrefix("stemwire1_") && token.text.utf8.count == 10 + 134)
            #expect(!"\(token)".contains(token.text) && !"\(token)".contains(token.keys.secretKey.z85))
        }
    }

    /// The bytes are told in PROTOCOL.md: read here by other code.
    @Test func theTextIsWhatTheProtocolSays() throws {
        let token = try Self.make()
        let text = token.text.dropFirst("stemwire1_".count).replacing("-", with: "+").replacing("_", with: "/")
        let bytes = try #require(Data(base64Encoded: text + String(repeating: "=", count: (4 - text.count % 4) % 4)))
        #expect(Array(bytes[..<32]) == token.serverKey.bytes)
        #expect(Array(bytes[32..<64]) == token.keys.publicKey.bytes)
        #expect(Array(bytes[64..<96]) == token.keys.secretKey.bytes)
        // CRC-32 of "123456789" (the catalogue's check value).
        #expect(Checksum.crc32(Array("123456789".utf8)) == 0xCBF4_3926)
        #expect(bytes[96...].reduce(0) { $0 << 8 | UInt32($1) } == Checksum.crc32(bytes[..<96]))
    }

    @Test func everyChangedCharacterIsFound() throws {
        let text = try Self.make().text
        for index in text.indices {
            var changed = text
            changed.replaceSubrange(index...index, with: text[index] == "A" ? "B" : "A")
            // The last one has bits to spare.
            if index == text.index(before: text.endIndex), (try? AccessToken(changed)) != nil { continue }
            #expect(throws: TokenError.self) { try AccessToken(changed) }
        }
        for bad in ["", "  ", "hello", String(text.dropLast(2)), text + "AAAA", text + " " + text, "stemwire2_AAAA"] {
            #expect(throws: TokenError.self) { try AccessToken(bad) }
        }
    }

    @Test func aTokenLiesInAFileThatNobodyElseReads() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("token-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let token = try Self.make()
        let attributes: [FileAttributeKey: Any] = [.posixPermissions: 0o600]
        #expect(FileManager.default.createFile(atPath: path, contents: Data(token.text.utf8), attributes: attributes))
        #expect(try AccessToken.find(path) == token)
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
        let open = #expect(throws: TokenError.self) { try AccessToken.find(path) }
        #expect(open?.description.contains("chmod 600") == true)
        let seen = #expect(throws: TokenError.self) { try AccessToken.find(token.text) }
        #expect(seen?.description.contains("command line") == true)
        #expect(throws: TokenError.self) { try AccessToken.find(path + ".none") }
    }
}
