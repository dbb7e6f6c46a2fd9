import Foundation
import GRDB
import StemwireProtocol

/// The history's tables. One thread at a time.
///
/// `acquisition`, `run` and `result` are for whoever looks with SQL; `entry` has all of it as a message of the protocol.
struct HistoryFile {
    private let database: DatabaseQueue

    /// Opens the file, or makes it.
    init(path: String, lockPatience: Duration) throws {
        let folder = (path as NSString).deletingLastPathComponent
        if !folder.isEmpty {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
        var configuration = Configuration()
        configuration.busyMode = .timeout(lockPatience / .seconds(1))
        database = try DatabaseQueue(path: path, configuration: configuration)
        try Self.migrator.migrate(database)
    }

    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { database in
            try database.execute(
                sql: """
                    CREATE TABLE acquisition (
                        number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, session BLOB NOT NULL,
                        generation INTEGER NOT NULL, server TEXT NOT NULL, started_at TEXT, ended_at TEXT,
                        end_reason TEXT NOT NULL, nav_shape TEXT NOT NULL, sig_shape TEXT NOT NULL, dtype TEXT NOT NULL,
                        expected INTEGER NOT NULL, placed INTEGER NOT NULL, missing INTEGER NOT NULL,
                        rejected INTEGER NOT NULL, header BLOB NOT NULL, entry BLOB NOT NULL);
                    CREATE TABLE run (
                        acquisition INTEGER NOT NULL REFERENCES acquisition ON DELETE CASCADE, run TEXT NOT NULL,
                        udf TEXT NOT NULL, name TEXT NOT NULL, parameters TEXT NOT NULL);
                    CREATE TABLE result (
                        acquisition INTEGER NOT NULL REFERENCES acquisition ON DELETE CASCADE, run TEXT NOT NULL,
                        udf TEXT NOT NULL, channel TEXT NOT NULL, dtype TEXT NOT NULL, shape TEXT NOT NULL,
                        frames_processed INTEGER NOT NULL, digest TEXT NOT NULL);
                    CREATE INDEX run_of ON run(acquisition);
                    CREATE INDEX result_of ON result(acquisition);
                    """)
        }
        return migrator
    }

    /// Writes an acquisition in place of what was written of it before.
    func write(_ entry: WireHistoryEntry) throws {
        try database.write { database in
            let acquisition = entry.acquisition
            let accounting = acquisition.accounting
            let blob: Data = try entry.serializedBytes()
            let known = try Int64.fetchOne(
                database, sql: "SELECT number FROM acquisition WHERE id = ?", arguments: [acquisition.acquisition])
            if let known {
                try database.execute(
                    sql: """
                        UPDATE acquisition SET ended_at = ?, end_reason = ?, expected = ?, placed = ?, missing = ?,
                            rejected = ?, entry = ? WHERE number = ?
                        """,
                    arguments: [
                        Self.time(entry.endedAt), acquisition.endReason, Int64(clamping: accounting.expected),
                        Int64(clamping: accounting.placed), Int64(clamping: accounting.missing),
                        Int64(clamping: accounting.rejected), blob, known,
                    ])
                return try writeRuns(entry.runs, known, database)
            }
            try database.execute(
                sql: """
                    INSERT INTO acquisition (id, session, generation, server, started_at, ended_at, end_reason, nav_shape,
                        sig_shape, dtype, expected, placed, missing, rejected, header, entry)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    acquisition.acquisition, entry.session, Int64(clamping: acquisition.generation), entry.server,
                    Self.time(entry.startedAt), Self.time(entry.endedAt), acquisition.endReason,
                    Self.shape(acquisition.navShape), Self.shape(acquisition.sigShape), entry.dtype,
                    Int64(clamping: accounting.expected), Int64(clamping: accounting.placed),
                    Int64(clamping: accounting.missing), Int64(clamping: accounting.rejected), entry.acquisitionHeader,
                    blob,
                ])
            let number = database.lastInsertedRowID
            try writeRuns(entry.runs, number, database)
        }
    }

    private func writeRuns(_ runs: [WireHistoryRun], _ number: Int64, _ database: Database) throws {
        try database.execute(sql: "DELETE FROM run WHERE acquisition = ?", arguments: [number])
        try database.execute(sql: "DELETE FROM result WHERE acquisition = ?", arguments: [number])
        for run in runs {
            for udf in run.udfs {
                let parameters = try JSONSerialization.data(withJSONObject: udf.parameters, options: .sortedKeys)
                try database.execute(
                    sql: "INSERT INTO run VALUES (?, ?, ?, ?, ?)",
                    arguments: [number, run.run, udf.id, udf.name, String(decoding: parameters, as: UTF8.self)])
            }
            for result in run.results {
                try database.execute(
                    sql: "INSERT INTO result VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    arguments: [
                        number, run.run, result.udf, result.channel, result.dtype, Self.shape(result.shape),
                        Int64(clamping: result.manifest.framesProcessed), result.manifest.digest,
                    ])
            }
        }
    }

    /// The newest acquisitions first.
    func read(_ wanted: WireHistoryRequest) throws -> WireHistory {
        let count = wanted.count == 0 ? 20 : min(Int(wanted.count), WireLimits.historyEntries)
        return try database.read { database in
            let before = wanted.before == 0 ? Int64.max : Int64(clamping: wanted.before)
            let rows =
                wanted.acquisition.isEmpty
                ? try Row.fetchAll(
                    database,
                    sql: "SELECT number, entry FROM acquisition WHERE number < ? ORDER BY number DESC LIMIT ?",
                    arguments: [before, count + 1])
                : try Row.fetchAll(
                    database, sql: "SELECT number, entry FROM acquisition WHERE id = ?",
                    arguments: [wanted.acquisition])
            var history = WireHistory()
            var bytes = 0
            for row in rows.prefix(count) {
                let blob: Data = row["entry"]
                // A reply is a header part, whose size is bounded.
                guard bytes + blob.count <= WireLimits.headerBytes / 2 || history.entries.isEmpty else { break }
                bytes += blob.count
                var entry = try WireHistoryEntry(serializedBytes: blob)
                entry.number = UInt64(clamping: row["number"] as Int64)
                history.entries.append(entry)
            }
            if history.entries.count < rows.count, let last = history.entries.last { history.next = last.number }
            return history
        }
    }

    private static func shape(_ lengths: [UInt32]) -> String { lengths.map(String.init).joined(separator: " x ") }

    private static func time(_ nanoseconds: UInt64) -> String? {
        guard nanoseconds > 0 else { return nil }
        let date = Date(timeIntervalSince1970: Double(nanoseconds) / 1e9)
        return date.formatted(
            .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
    }
}
