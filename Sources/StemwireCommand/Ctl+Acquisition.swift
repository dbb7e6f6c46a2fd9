import ArgumentParser
import Foundation
import StemwireClient
import StemwireProtocol

/// Requests about whole settings and whole acquisitions, and what came of them.
extension Ctl {
    var armSettings: ArmSettings {
        ArmSettings(
            navShape: navShape?.lengths, frames: frames, trigger: trigger, isEndless: endless, window: window,
            margins: margins.margins.map {
                FrameMargins(leadIn: $0.leadIn, flybackPerLine: $0.flybackPerLine, tail: $0.tail)
            }, framesPerPartition: framesPerPartition)
    }

    /// - Returns: false for a request of another kind.
    func performWhole(on server: StemwireConnection) async throws -> Bool {
        switch request {
        case "configure":
            try show(try await server.configure(try settings(arguments), deadline: deadline))
        case "command-file":
            let text: String
            do {
                text = try String(contentsOfFile: arguments[0], encoding: .utf8)
            } catch {
                throw CommandFailure.failure("\(arguments[0]) cannot be read: \(error.localizedDescription)")
            }
            for line in try await server.runCommandFile(text, deadline: deadline) {
                if json {
                    try Terminal.print(line.jsonString())
                } else {
                    Terminal.print(line.value.isEmpty ? line.request : "\(line.request) = \(line.value)")
                }
            }
        case "check":
            try show(try await server.check(armSettings, settings: try settings(set), deadline: deadline))
        case "scan": try await scan(on: server)
        case "wait": try show([try await server.waitForEnd(deadline: deadline)])
        case "image":
            let name = try channelName()
            let image = try await server.image(
                run: name.run, udf: name.udf, channel: name.channel, as: try format(arguments[0]), colours: colours,
                isLogarithmic: logarithmic, deadline: deadline)
            try save(image, to: arguments[0])
        case "frame":
            guard let position = arguments[0] == "newest" ? .some(nil) : Int(arguments[0]).map({ Optional($0) }) else {
                throw CommandFailure.usage("ctl frame: \"\(arguments[0])\" is neither a position nor \"newest\"")
            }
            let image = try await server.frame(
                at: position, as: try format(arguments[1]), colours: colours, isLogarithmic: logarithmic,
                deadline: deadline)
            try save(image, to: arguments[1])
        case "history":
            let history = try await server.history(count: count, before: before, deadline: deadline)
            for entry in history.entries {
                if json {
                    try Terminal.print(entry.jsonString())
                } else {
                    HistoryText.lines(entry).forEach(Terminal.print)
                }
            }
            if !json, history.next > 0 { Terminal.print("more with --before \(history.next)") }
        default: return false
        }
        return true
    }

    // MARK: Settings

    private func settings(_ texts: [String]) throws -> [(name: String, value: String)] {
        try texts.map { text in
            guard let sign = text.firstIndex(of: "="), sign > text.startIndex else {
                throw CommandFailure.usage("\"\(text)\" is no setting; write it like COUNTERDEPTH=12")
            }
            return (String(text[..<sign]), String(text[text.index(after: sign)...]))
        }
    }

    private func show(_ settings: [WireDetectorSetting]) throws {
        for setting in settings {
            if json {
                try Terminal.print(setting.jsonString())
            } else {
                let trouble = setting.message.isEmpty ? "" : ": \(setting.message)"
                Terminal.print(
                    "\(setting.name) = \(setting.value)"
                        + (setting.differs ? " (asked for \(setting.asked)\(trouble))" : ""))
            }
        }
        let differing = settings.count(where: \.differs)
        if differing > 0 {
            throw CommandFailure.failure("\(differing) of \(settings.count) settings are not what was asked for")
        }
    }

    private func show(_ report: WireCheckReport) throws {
        if json {
            try Terminal.print(report.jsonString())
        } else {
            let shape = report.navShape.map { "\($0)" }.joined(separator: " × ")
            Terminal.print(
                "scan \(shape): \(report.framesNeeded) frames, \(report.framesAnnounced) announced, "
                    + "\((report.seconds * 100).rounded() / 100) s, \(report.bytes >> 20) MiB")
            for finding in report.findings { Terminal.print("\(finding.severity): \(finding.text) (\(finding.code))") }
        }
        if !report.ok { throw CommandFailure.failure("this acquisition would not work as it is set up") }
    }

    // MARK: Scans

    private func scan(on server: StemwireConnection) async throws {
        let id = AcquisitionUUID.random().description
        let events = server.events()
        try await events.subscribed()
        let progress = Task { [json] in
            for try await event in events {
                guard case .event(let event) = event, event.request == id, !json else { continue }
                Terminal.error(event.text)
            }
        }
        defer { progress.cancel() }
        let report = try await server.scan(
            armSettings, settings: try settings(set), udfs: try selections(), run: name, repeats: repeats, id: id,
            deadline: deadline)
        for setting in report.differing {
            Terminal.error("\(setting.name) is \(setting.value), asked for was \(setting.asked)")
        }
        try show(report.acquisitions)
    }

    private func show(_ acquisitions: [WireAcquisitionStatus]) throws {
        var isWhole = true
        for acquisition in acquisitions {
            if json {
                try Terminal.print(acquisition.jsonString())
            } else {
                Terminal.print(StatusText.line(acquisition) + ", ended \(acquisition.endReason)")
            }
            isWhole =
                isWhole && acquisition.endReason == "complete"
                && acquisition.accounting.placed == acquisition.accounting.expected
        }
        guard isWhole else {
            throw CommandFailure(code: CommandFailure.incompleteCode, message: "the scan is incomplete")
        }
    }

    // MARK: Files

    private func channelName() throws -> (run: String?, udf: String?, channel: String?) {
        guard let channel else { return (nil, nil, nil) }
        let parts = channel.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let last = parts.last, !last.isEmpty else {
            throw CommandFailure.usage(
                "--channel: \"\(channel)\"; write it like sum, sum.intensity or default/sum.intensity")
        }
        let names = last.split(separator: ".", maxSplits: 1)
        return (parts.count == 2 ? String(parts[0]) : nil, String(names[0]), names.count == 2 ? String(names[1]) : nil)
    }

    private func format(_ path: String) throws -> ImageFileFormat {
        let name = (path as NSString).pathExtension.lowercased()
        guard let format = ImageFileFormat(rawValue: name == "tif" ? "tiff" : name) else {
            throw CommandFailure.usage("\(path): the name must end in .png, .tiff, .npy or .raw")
        }
        return format
    }

    private func save(_ image: ServerImage, to path: String) throws {
        do {
            try Data(image.bytes).write(to: URL(filePath: path), options: .atomic)
        } catch {
            throw CommandFailure.failure("\(path) cannot be written: \(error.localizedDescription)")
        }
        if json {
            try Terminal.print(image.wire.jsonString())
        } else {
            let shape = image.wire.shape.map { "\($0)" }.joined(separator: " × ")
            let what =
                image.wire.udf.isEmpty ? "frame \(image.wire.position)" : "\(image.wire.udf).\(image.wire.channel)"
            Terminal.print("\(path): \(what), \(shape) \(image.wire.dtype), acquisition \(image.wire.generation)")
        }
    }
}

/// An acquisition of the past in words.
enum HistoryText {
    static func lines(_ entry: WireHistoryEntry) -> [String] {
        let began = Date(timeIntervalSince1970: Double(max(entry.startedAt, 1)) / 1e9)
        let when = entry.startedAt == 0 ? "before a frame came" : began.formatted(.iso8601)
        var lines = [
            "\(entry.number)  \(when)  \(StatusText.line(entry.acquisition)), ended \(entry.acquisition.endReason)"
        ]
        for run in entry.runs {
            let udfs = run.udfs.map { $0.id.isEmpty ? $0.name : $0.id }.joined(separator: ", ")
            lines.append("    run \(run.run): \(udfs)" + (run.error.isEmpty ? "" : "; failed: \(run.error)"))
            lines += run.results.map { "        \($0.udf).\($0.channel)  \($0.manifest.digest)" }
        }
        return lines + entry.files.map { "    file \($0)" }
    }
}
