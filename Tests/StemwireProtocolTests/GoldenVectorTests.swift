import Foundation
import StemwireProtocol
import SwiftProtobuf
import Testing

/// The byte vectors in proto/vectors were written by protoc from their text form, not by this code.
@Suite struct GoldenVectorTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../proto/vectors")

    static let names: [String] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return files.filter { $0.hasSuffix(".bin") }.map { String($0.dropLast(4)) }.sorted()
    }()

    static func type(of name: String) throws -> any Message.Type {
        switch name.split(separator: "-").first {
        case "live": WireLiveHeader.self
        case "request": WireRequest.self
        case "reply": WireReply.self
        case "work": WireWorkMessage.self
        default: throw CocoaError(.fileReadUnknown)
        }
    }

    @Test func everyKindHasAVector() {
        #expect(Self.names.filter { $0.hasPrefix("live-") }.count == 6)
        #expect(Self.names.filter { $0.hasPrefix("request-") }.count == 14)
        #expect(Self.names.filter { $0.hasPrefix("reply-") }.count == 11)
        #expect(Self.names.filter { $0.hasPrefix("work-") }.count == 25)
    }

    @Test(arguments: names)
    func isReadWholeAndWrittenTheSame(name: String) throws {
        let bytes = [UInt8](try Data(contentsOf: Self.folder.appending(path: name + ".bin")))
        let message = try Self.type(of: name).init(serializedBytes: bytes)
        #expect(message.unknownFields.data.isEmpty)
        let written: [UInt8] = try message.serializedBytes()
        #expect(written == bytes)
        let json = try message.jsonString()
        let back = try Self.type(of: name).init(jsonString: json)
        let again: [UInt8] = try back.serializedBytes()
        #expect(again == bytes)
    }

    @Test func aTileVectorMeansWhatItSays() throws {
        let bytes = [UInt8](try Data(contentsOf: Self.folder.appending(path: "live-tile.bin")))
        let header = try WireLiveHeader(serializedBytes: bytes)
        #expect(header.sequence == 7)
        guard case .tile(let tile) = header.kind else {
            Issue.record("no tile")
            return
        }
        #expect(tile.acquisition == Data(0..<16))
        #expect(tile.firstPosition == 256)
        #expect(tile.checksum == 12_345_678_901_234_567_890)
        let geometry = try TileGeometry(tile, payloadBytes: 830)
        #expect(geometry.pixels(ofFrame: 1) == 814..<830)
    }

    @Test func aNewerPeersFieldsAndKindsAreSkipped() throws {
        // Field 200 (varint 1) and a oneof kind nobody knows (field 90, empty message).
        let extra: [UInt8] = [0xC0, 0x0C, 0x01, 0xD2, 0x05, 0x00]
        let bytes = [UInt8](try Data(contentsOf: Self.folder.appending(path: "request-trigger.bin")))
        let request = try WireRequest(serializedBytes: bytes + extra)
        guard case .trigger = request.kind else {
            Issue.record("kind lost")
            return
        }
        #expect(try WireRequest(serializedBytes: extra).kind == nil)
    }
}
