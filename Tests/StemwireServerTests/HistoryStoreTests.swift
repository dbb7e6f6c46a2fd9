import Foundation
import GRDB
import Logging
import StemwireProtocol
import StemwireTestSupport
import Testing

@testable import StemwireServer

@Suite("The history's file") struct HistoryStoreTests {
    private static func entry(_ number: UInt8) -> WireHistoryEntry {
        var entry = WireHistoryEntry()
        entry.acquisition.acquisition = Data(repeating: number, count: 16)
        entry.acquisition.endReason = "complete"
        return entry
    }

    @Test("while somebody else has it locked entries are lost, counted and told; then it goes on")
    func locked() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "stemwire-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "history.sqlite").path
        let store = try HistoryStore(
            path: path, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            lockPatience: .milliseconds(50), retryPause: .milliseconds(50))
        defer { store.stop() }
        store.note { Self.entry(1) }
        #expect(try await store.read(.init()).entries.count == 1)

        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let other = try DatabaseQueue(path: path, configuration: configuration)
        try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN EXCLUSIVE") }
        store.note { Self.entry(2) }
        try await eventually("a lost entry") { store.lost == 1 ? () : nil }
        await #expect { try await store.read(.init()) } throws: { error in
            (error as? RequestFailure)?.code == .internal && (error as? RequestFailure)?.message.contains(path) == true
        }
        try await other.writeWithoutTransaction { try $0.execute(sql: "COMMIT") }
        let history = try await eventually("a history that can be read") { try? await store.read(.init()) }
        #expect(history.lost == 1 && history.entries.count == 1)
        store.note { Self.entry(3) }
        #expect(try await store.read(.init()).entries.map { $0.acquisition.acquisition.first } == [3, 1])
    }
}
