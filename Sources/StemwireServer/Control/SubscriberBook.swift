import StemwireProtocol
import StemwireSystem

/// What subscribers say of themselves, as long as they do: a PUB socket does not tell what it dropped for whom. Any thread.
package final class SubscriberBook: Sendable {
    private static let forgottenAfter = Duration.seconds(10)
    private static let mostEntries = 1024

    private struct Entry: Sendable {
        var report: WireSubscriberReport
        var heard: ContinuousClock.Instant
    }

    private let entries = Locked<[[UInt8]: Entry]>([:])

    package init() {}

    package func note(_ report: WireSubscriberReport, at now: ContinuousClock.Instant = .now) {
        let key = [UInt8](report.clientID)
        guard key.count == 16 else { return }
        var report = report
        report.name = String(report.name.prefix(64))
        entries.withLock { entries in
            entries = entries.filter { now - $0.value.heard <= Self.forgottenAfter }
            guard entries[key] != nil || entries.count < Self.mostEntries else { return }
            entries[key] = Entry(report: report, heard: now)
        }
    }

    /// Those that were heard of lately, by name.
    package func wire(at now: ContinuousClock.Instant = .now) -> [WireSubscriberStatus] {
        entries.withLock { $0 }.values.filter { now - $0.heard <= Self.forgottenAfter }
            .sorted { $0.report.name < $1.report.name }
            .map { entry in
                var status = WireSubscriberStatus()
                status.report = entry.report
                status.ageMs = (now - entry.heard).wholeMilliseconds
                return status
            }
    }
}
