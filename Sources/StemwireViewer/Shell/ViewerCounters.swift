import Synchronization

/// What the viewer counts of all its pages. Any thread.
final class ViewerCounters: Sendable {
    /// States of shown channels that were left out for newer ones.
    let skipped = Atomic<UInt64>(0)
    /// Messages to pages.
    let messages = Atomic<UInt64>(0)
    /// Requests and pages without a token that is let in.
    let refused = Atomic<UInt64>(0)

    /// In Prometheus' text form (version 0.0.4).
    func metrics(pages: Int) -> String {
        let figures: [(name: String, type: String, help: String, value: UInt64)] = [
            ("connections", "gauge", "Pages and moving pictures that are open.", UInt64(pages)),
            ("messages_total", "counter", "Messages to pages.", messages.load(ordering: .relaxed)),
            (
                "skipped_updates_total", "counter",
                "States of shown channels that slow pages were spared for newer ones.", skipped.load(ordering: .relaxed)
            ),
            (
                "tokens_refused_total", "counter", "Requests and pages without a token that is let in.",
                refused.load(ordering: .relaxed)
            ),
        ]
        return figures.map { figure in
            let name = "stemwire_viewer_\(figure.name)"
            return "# HELP \(name) \(figure.help)\n# TYPE \(name) \(figure.type)\n\(name) \(figure.value)\n"
        }.joined()
    }
}
