import Stemwire
import StemwireAcquisition

/// A run's accounting in words.
enum RunSummary {
    static func lines(_ outcome: RunOutcome) -> [String] {
        let accounting = outcome.accounting
        let scan = outcome.navShape.map(String.init).joined(separator: " × ")
        let frames = outcome.sigShape.map(String.init).joined(separator: " × ")
        var lines = [
            "scan \(scan) of \(outcome.dtype.rawValue) frames \(frames): ended \(text(outcome.endReason))",
            "expected \(accounting.expected) = placed \(accounting.placed) + missing \(accounting.missing) + rejected \(accounting.rejected)",
        ]
        let others = [
            ("duplicate", accounting.duplicates), ("stray", accounting.strays), ("lead-in", accounting.leadInFrames),
            ("fly-back", accounting.flybackFrames), ("tail", accounting.tailFrames),
            ("unreadable", accounting.malformed),
            ("dropped, ring full", accounting.droppedByRingFull),
        ].filter { $0.1 > 0 }.map { "\($0.1) \($0.0)" }
        if !others.isEmpty { lines.append("also " + others.joined(separator: ", ") + " frames") }
        if accounting.garbageBytes > 0 { lines.append("\(accounting.garbageBytes) bytes that belong to no message") }
        if !accounting.missingRanges.isEmpty {
            lines.append("missing positions: " + ranges(accounting.missingRanges))
        }
        lines.append(
            "processed \(outcome.processed) in \(seconds(outcome.seconds)), \(Int(outcome.framesPerSecond.rounded())) frames/s"
        )
        if let error = outcome.udfError { lines.append("a UDF failed: \(error)") }
        return lines
    }

    static func text(_ reason: EndReason) -> String {
        switch reason {
        case .complete: "with its last frame"
        case .newHeader: "because the next acquisition began"
        case .stopped: "by STOPACQUISITION"
        case .aborted: "by ABORT"
        case .connectionClosed: "because the detector closed the connection"
        case .idle: "because no frame came any more"
        }
    }

    /// The first few ranges, from … to inclusive.
    static func ranges(_ ranges: [Range<Int>], most: Int = 8) -> String {
        let shown = ranges.prefix(most).map { range in
            range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)–\(range.upperBound - 1)"
        }.joined(separator: ", ")
        return ranges.count > most ? "\(shown) and \(ranges.count - most) more ranges" : shown
    }

    private static func seconds(_ value: Double) -> String {
        "\((value * 1000).rounded() / 1000) s"
    }
}
