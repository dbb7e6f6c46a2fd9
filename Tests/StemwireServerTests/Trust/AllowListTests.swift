import Foundation
import StemwireProtocol
import StemwireSystem
import SwiftProtobuf
import Testing
import ZeroMQ

@testable import StemwireServer

/// A folder for keys that goes with the test.
final class KeyFolder {
    let keys: KeyDirectory

    init() throws {
        let name = "stemwire-keys-\(UUID().uuidString)"
        keys = KeyDirectory(FileManager.default.temporaryDirectory.appendingPathComponent(name).path)
        _ = try keys.create()
    }

    deinit { try? FileManager.default.removeItem(atPath: keys.path) }

    /// Lets a new peer in.
    func enrol(_ name: String, _ role: PeerRole) throws -> CurveKeyPair {
        let pair = try CurveKeyPair.generate()
        try keys.changeAllowList { list throws(AllowListError) in
            try list.add(.init(name: name, role: role, key: pair.publicKey))
        }
        return pair
    }

    func revoke(_ name: String) throws {
        try keys.changeAllowList { list throws(AllowListError) in try list.remove(name) }
    }
}

@Suite struct AllowListTests {
    static let key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

    @Test func whatIsWrittenIsRead() throws {
        var list = AllowList()
        for (number, role) in PeerRole.allCases.enumerated() {
            try list.add(.init(name: "peer-\(number)@lab.org", role: role, key: CurveKeyPair.generate().publicKey))
        }
        let again = AllowList(list.text)
        #expect(again == list && again.problems.isEmpty && again.entries.count == 4)
    }

    @Test func badLinesLetNobodyInAndAreTold() {
        let list = AllowList(
            """
            # a remark
            good viewer \(Self.key)

              \tindented\tcontroller\t\(String(Self.key.reversed()))
            good admin \(Self.key)
            other root \(Self.key)
            short viewer abc
            three words too many \(Self.key)
            same worker \(Self.key)
            """)
        #expect(list.entries.first?.name == "good" && list.entries.first?.role == .viewer)
        let told = list.problems.map { $0.prefix { $0 != ":" } }
        #expect(
            told.contains("line 5") && told.contains("line 6") && told.contains("line 7") && told.contains("line 8"))
        #expect(told.contains("line 9"))
        #expect(list.entries.count { $0.key.z85 == Self.key } == 1)
    }

    @Test func namesAndKeysAreThereOnce() throws {
        var list = AllowList()
        let pair = try CurveKeyPair.generate()
        try list.add(.init(name: "anna", role: .viewer, key: pair.publicKey))
        #expect(throws: AllowListError.nameIsTaken("anna")) {
            try list.add(.init(name: "anna", role: .admin, key: CurveKeyPair.generate().publicKey))
        }
        #expect(throws: AllowListError.self) {
            try list.add(.init(name: "bert", role: .admin, key: pair.publicKey))
        }
        for name in ["", "two words", "a#b", "ä", "line\nbreak", String(repeating: "x", count: 65)] {
            #expect(throws: AllowListError.badName(name)) {
                try list.add(.init(name: name, role: .viewer, key: CurveKeyPair.generate().publicKey))
            }
        }
        #expect(throws: AllowListError.unknownName("bert")) { try list.remove("bert") }
        try list.remove("anna")
        #expect(list.entries.isEmpty)
    }

    @Test func rolesAreInOrder() {
        #expect(PeerRole.allCases == PeerRole.allCases.sorted())
        #expect(PeerRole.viewer < .controller && .controller < .worker && .worker < PeerRole.admin)
    }

    @Test func keysAreNobodyElsesToRead() throws {
        let folder = try KeyFolder()
        func mode(_ path: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        }
        #expect(try mode(folder.keys.path) == 0o700)
        #expect(try mode(folder.keys.serverKeyPath) == 0o600)
        #expect(try mode(folder.keys.allowListPath) == 0o600)
        let pair = try folder.keys.serverKeys()
        #expect(throws: TrustError.self) { try folder.keys.create() }
        #expect(try folder.keys.serverKeys() == pair)
        _ = try folder.enrol("anna", .viewer)
        #expect(try mode(folder.keys.allowListPath) == 0o600)
        let new = try folder.keys.create(replaces: true)
        let read = try folder.keys.serverKeys().publicKey
        #expect(new != pair.publicKey && read == new)
        #expect(try folder.keys.allowList().entries.map(\.name) == ["anna"])
        try FileManager.default.setAttributes([.posixPermissions: 0o604], ofItemAtPath: folder.keys.serverKeyPath)
        let open = #expect(throws: TrustError.self) { try folder.keys.serverKeys() }
        #expect(open?.description.contains("chmod 600") == true)
    }

    @Test func whatCannotBeReadIsNotWrittenOver() throws {
        let folder = try KeyFolder()
        let text = "somebody's own remark without a sign\n"
        try PrivateFile.write(text, to: folder.keys.allowListPath)
        #expect(throws: TrustError.self) { try folder.enrol("anna", .viewer) }
        #expect(try PrivateFile.read(folder.keys.allowListPath) == text)
        let nowhere = KeyDirectory(folder.keys.path + "/none")
        let missing = #expect(throws: TrustError.self) { try nowhere.serverKeys() }
        #expect(missing?.description.contains("stemwire keygen") == true)
    }

    @Test func manyAtOnceLoseNobody() async throws {
        let folder = try KeyFolder()
        let keys = folder.keys
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<16 {
                group.addTask {
                    let key = try CurveKeyPair.generate().publicKey
                    try keys.changeAllowList { list throws(AllowListError) in
                        try list.add(.init(name: "peer\(number)", role: .viewer, key: key))
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try keys.allowList().entries.count == 16)
        withExtendedLifetime(folder) {}
    }
}

@Suite struct RequestRolesTests {
    /// The table of PROTOCOL.md, written down once more.
    @Test func everyRequestHasItsRole() {
        var record = WireStartRunRequest()
        record.udfs = [WireUdfRequest.with { $0.name = "sum" }, .with { $0.name = "record" }]
        var change = WireChangeRunRequest()
        change.udfs = record.udfs
        let get = WireDetectorRequest.with { $0.get = "X" }
        let set = WireDetectorRequest.with { $0.set.name = "X" }
        let command = WireDetectorRequest.with { $0.cmd = "RESET" }
        let table: [(WireRequest.OneOf_Kind, PeerRole)] = [
            (.hello(.init()), .viewer), (.status(.init()), .viewer), (.directory(.init()), .viewer),
            (.snapshot(.init()), .viewer), (.listRuns(.init()), .viewer), (.detector(get), .viewer),
            (.detector(set), .controller), (.detector(command), .controller), (.arm(.init()), .controller),
            (.trigger(.init()), .controller), (.stop(.init()), .controller), (.abort(.init()), .controller),
            (.startRun(.init()), .controller), (.changeRun(.init()), .controller), (.stopRun(.init()), .controller),
            (.startRun(record), .admin), (.changeRun(change), .admin),
        ]
        for (kind, role) in table {
            var request = WireRequest()
            request.kind = kind
            #expect(request.leastRole == role, "\(kind)")
        }
    }
}
