import StemwireClient
import StemwireProtocol

// What the acquisition server answers, as pages are told it.

extension JSONValue {
    /// A dry run: what the scan takes, and what stands against it.
    init(_ report: WireCheckReport) {
        self = .object([
            ("ok", .bool(report.ok)),
            (
                "findings",
                .array(
                    report.findings.map { finding in
                        .object([
                            ("severity", .string(finding.severity)), ("code", .string(finding.code)),
                            ("text", .string(finding.text)),
                        ])
                    })
            ),
            ("navShape", .ints(report.navShape.map { Int($0) })), ("sigShape", .ints(report.sigShape.map { Int($0) })),
            ("dtype", .text(report.dtype)), ("counterDepth", .int(report.counterDepth)),
            ("needed", .int(report.framesNeeded)), ("announced", .int(report.framesAnnounced)),
            ("triggers", .int(report.triggers)), ("exposureSeconds", .number(report.exposureSeconds)),
            ("deadSeconds", .number(report.deadTimeSeconds)), ("frameSeconds", .number(report.frameSeconds)),
            ("seconds", .number(report.seconds)), ("bytes", .int(report.bytes)),
            ("diskFree", .int(report.diskBytesFree)),
        ])
    }

    /// A page of the history, the newest first.
    ///
    /// - Parameter isWhole: with runs, results, files and the detector's header of each.
    init(_ history: WireHistory, isWhole: Bool) {
        self = .object([
            ("entries", .array(history.entries.map { JSONValue($0, isWhole: isWhole) })),
            ("next", .int(history.next)), ("lost", .int(history.lost)),
        ])
    }

    /// Runs, results and files of an entry that are told at most.
    private static let listLimit = 64

    private init(_ entry: WireHistoryEntry, isWhole: Bool) {
        let wire = entry.acquisition
        var members: [(String, JSONValue)] = [
            ("number", .int(entry.number)),
            ("id", .text(AcquisitionUUID(wire.acquisition)?.description ?? "")), ("generation", .int(wire.generation)),
            // Milliseconds since 1970; 0 when no frame came.
            ("startedAt", .int(entry.startedAt / 1_000_000)), ("endedAt", .int(entry.endedAt / 1_000_000)),
            ("navShape", .ints(wire.navShape.map { Int($0) })), ("sigShape", .ints(wire.sigShape.map { Int($0) })),
            ("dtype", .text(entry.dtype)), ("endReason", .text(wire.endReason)), ("seconds", .number(wire.seconds)),
        ]
        if let counts = try? AcquisitionEnd(wire)?.accounting { members.append(("accounting", JSONValue(counts))) }
        guard isWhole else {
            self = .object(members)
            return
        }
        members += [
            ("server", .string(entry.server)), ("framesPerSecond", .number(wire.framesPerSecond)),
            ("processed", .int(wire.framesProcessed)),
            ("files", .array(entry.files.prefix(Self.listLimit).map { .string($0) })),
            // Zeros fill it up.
            (
                "header",
                .string(String(decoding: entry.acquisitionHeader.prefix(16 << 10).prefix { $0 != 0 }, as: UTF8.self))
            ),
            ("runs", .array(entry.runs.prefix(Self.listLimit).map { JSONValue($0) })),
        ]
        self = .object(members)
    }

    private init(_ run: WireHistoryRun) {
        self = .object([
            ("run", .string(run.run)), ("error", .text(run.error)),
            (
                "udfs",
                .array(
                    run.udfs.prefix(Self.listLimit).map { udf in
                        let parameters = udf.parameters.sorted { $0.key < $1.key }.map {
                            ($0.key, JSONValue.string($0.value))
                        }
                        return .object([
                            ("id", .string(udf.id.isEmpty ? udf.name : udf.id)), ("name", .string(udf.name)),
                            ("parameters", .object(parameters)),
                        ])
                    })
            ),
            (
                "results",
                .array(
                    run.results.prefix(Self.listLimit).map { result in
                        .object([
                            ("udf", .string(result.udf)), ("channel", .string(result.channel)),
                            ("dtype", .string(result.dtype)), ("shape", .ints(result.shape.map { Int($0) })),
                            ("processed", .int(result.manifest.framesProcessed)),
                            ("digest", .string(result.manifest.digest)),
                        ])
                    })
            ),
        ])
    }
}
