import ArgumentParser
import Foundation
import Stemwire
import StemwireClient
import StemwireProtocol

struct Watch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows a server's scan as it arrives: progress, rate, accounting, images in the terminal.",
        discussion: """
            The two images are the first scan-shaped and the first detector-shaped channel of the server's runs (with the \
            server's defaults: total intensity, and the sum of all patterns on a logarithmic scale). Where standard output is \
            no terminal, a line a second is printed instead.
            """)

    @Option(help: ArgumentHelp("The server's control socket.", valueName: "tcp://HOST:7400"))
    var connect = "tcp://127.0.0.1:7400"
    @OptionGroup var token: TokenOption
    @Option(help: "Only this run's results.") var run: String?
    @Flag(help: "End with the acquisition that is running, or the next one.") var untilEnd = false
    @Flag(help: "Print one JSON object a line on standard output instead.") var json = false

    func run() async throws {
        do {
            let endpoint = connect
            let server = try await StemwireConnection.connect(
                to: endpoint, options: ConnectionOptions(clientName: "stemwire watch", token: try token.read()))
            try await Interruption.cancelling { try await follow(server) }
            await server.close()
        } catch let error as ConnectError {
            throw CommandFailure(error)
        } catch let error as SubscriptionError {
            throw CommandFailure.unreachable(error.description)
        } catch is CancellationError {
            throw CommandFailure.interrupted
        }
    }

    private func follow(_ server: StemwireConnection) async throws {
        let view = WatchView(style: json ? .json : Terminal.showsPictures ? .pictures : .lines)
        defer { view.finish() }
        let (runName, untilEnd) = (run, untilEnd)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                for try await event in server.updates(run: runName, maximumRate: 10) { view.take(event) }
                return false
            }
            group.addTask {
                let known = max(server.server.status.previousAcquisition.generation, 0)
                for try await event in server.events() {
                    view.take(event)
                    if untilEnd, case .ended(let end) = event, end.generation > known { return true }
                }
                return false
            }
            defer { group.cancelAll() }
            while let isOver = try await group.next() {
                if isOver {
                    // The last results may still be on their way.
                    try? await Task.sleep(for: .milliseconds(300))
                    return
                }
                try Task.checkCancellation()
            }
        }
    }
}

/// What is shown, and when. Any thread.
final class WatchView: @unchecked Sendable {
    enum Style { case pictures, lines, json }

    // All state is guarded by the lock.
    private let lock = NSLock()
    private let style: Style
    private var status: WireStatus?
    private var start: AcquisitionStart?
    private var end: AcquisitionEnd?
    private var channels: [ChannelName: ChannelUpdate] = [:]
    private var lastEvent = ""
    private var lastDrawn = Date.distantPast
    private var lastLine = ""
    private var rate = RateMeter()

    init(style: Style) {
        self.style = style
        if style == .pictures { Terminal.write("\u{1B}[?25l\u{1B}[2J") }
    }

    func take(_ event: ResultEvent) {
        lock.withLock {
            switch event {
            case .started(let start): begin(start)
            case .update(let update):
                channels[update.name] = update
                rate.note(update.positionsProcessed, of: update.generation)
            case .ended(let end): self.end = end
            }
            draw(atOnce: update(isLast: event))
        }
    }

    func take(_ event: ServerEvent) {
        lock.withLock {
            switch event {
            case .status(let status): self.status = status
            case .event(let event): lastEvent = "\(event)"
            case .started(let start): begin(start)
            case .ended(let end): self.end = end
            case .missed(let count): lastEvent = "\(count) messages for this viewer were lost"
            case .serverRestarted: lastEvent = "the server was restarted"
            }
            if style == .json { printJSON(event) }
            draw(atOnce: end != nil)
        }
    }

    func finish() {
        lock.withLock {
            draw(atOnce: true)
            if style == .pictures { Terminal.write("\u{1B}[?25h\n") }
        }
    }

    private func begin(_ start: AcquisitionStart) {
        guard start.generation != self.start?.generation else { return }
        self.start = start
        end = nil
        channels = [:]
    }

    private func update(isLast event: ResultEvent) -> Bool {
        if case .update(let update) = event { update.isFinal } else { true }
    }

    private func printJSON(_ event: ServerEvent) {
        switch event {
        case .started(let start):
            Terminal.json(["event": "started", "generation": Int(start.generation), "nav_shape": start.navShape])
        case .ended(let end):
            let accounting = end.accounting
            Terminal.json([
                "event": "ended", "generation": Int(end.generation), "reason": "\(end.reason)",
                "frames_expected": accounting.expected, "frames_placed": accounting.placed,
                "frames_missing": accounting.missing, "frames_rejected": accounting.rejected,
                "frames_duplicate": accounting.duplicates, "seconds": end.seconds,
            ])
        case .status(let status):
            Terminal.json([
                "event": "status", "state": status.state, "frames_placed": Int(status.acquisition.accounting.placed),
                "frames_expected": Int(status.acquisition.accounting.expected),
            ])
        case .event(let event):
            Terminal.json([
                "event": "event", "severity": event.severity.rawValue, "code": event.code, "text": event.text,
            ])
        case .missed(let count):
            Terminal.json(["event": "missed", "messages": count])
        case .serverRestarted:
            Terminal.json(["event": "restarted"])
        }
    }

    private func draw(atOnce: Bool) {
        let now = Date()
        let pause = style == .pictures ? 0.1 : 1
        guard style != .json, atOnce || now.timeIntervalSince(lastDrawn) >= pause else { return }
        lastDrawn = now
        switch style {
        case .lines:
            let line = textLines().joined(separator: "; ")
            if line != lastLine { Terminal.print(line) }
            lastLine = line
        case .pictures: drawPictures()
        case .json: break
        }
    }

    private func textLines() -> [String] {
        guard let start else { return ["\(status?.state ?? "connected"), waiting for an acquisition"] }
        let processed = channels.values.map(\.positionsProcessed).max() ?? 0
        var lines = [
            "acquisition \(start.generation), scan \(start.navShape.map(String.init).joined(separator: " × "))"
                + (start.sigShape.map { ", frames \($0.height) × \($0.width) \(start.dtype)" } ?? ""),
            "\(progressBar(processed, of: start.framesExpected)) \(processed) of \(start.framesExpected), \(Int(rate.perSecond)) frames/s",
        ]
        if let end {
            let accounting = end.accounting
            lines.append(
                "ended (\(end.reason)): expected \(accounting.expected) = placed \(accounting.placed) + missing "
                    + "\(accounting.missing) + rejected \(accounting.rejected); \(accounting.duplicates) duplicate")
        }
        if !lastEvent.isEmpty { lines.append(lastEvent) }
        return lines
    }

    private func drawPictures() {
        let names = channels.keys.sorted { ($0.run, $0.udf, $0.channel) < ($1.run, $1.udf, $1.channel) }
        let nav = names.compactMap { channels[$0] }.first { $0.kind == .nav && $0.shape.count == 2 }
        let sig =
            names.compactMap { channels[$0] }.first { $0.kind == .sig && $0.name.udf.contains("sum") }
            ?? names.compactMap { channels[$0] }.first { $0.kind == .sig && $0.shape.count == 2 }
        let width = max(16, (Terminal.width - 3) / 2)
        let left = nav.map { picture($0).terminalLines(maximumWidth: width) } ?? []
        let right = sig.map { picture($0).terminalLines(maximumWidth: width) } ?? []
        let leftWidth = left.first.map { $0.count { $0 == "▀" } } ?? 0
        var text = "\u{1B}[H"
        for line in textLines() { text += line + "\u{1B}[K\n" }
        let titles = [nav?.name, sig?.name].map { $0.map { "\($0.udf).\($0.channel)" } ?? "" }
        text +=
            titles[0].padding(toLength: max(leftWidth, titles[0].count), withPad: " ", startingAt: 0) + " " + titles[1]
            + "\u{1B}[K\n"
        for index in 0..<max(left.count, right.count) {
            text += index < left.count ? left[index] : String(repeating: " ", count: leftWidth)
            text += " " + (index < right.count ? right[index] : "") + "\u{1B}[K\n"
        }
        Terminal.write(text + "\u{1B}[J")
    }

    private func picture(_ update: ChannelUpdate) -> Picture {
        let (height, width) = (update.shape[0], update.shape[1])
        let valid = update.kind == .nav ? (0..<height * width).map { update.isValid(position: $0) } : nil
        return Picture(
            values: update.doubles(), height: height, width: width, valid: valid,
            scale: update.kind == .sig ? .logarithmic : .linear)
    }
}

/// Frames a second over the last second or so.
private struct RateMeter {
    private var samples: [(time: Date, count: Int)] = []
    private var generation: UInt64 = 0
    private(set) var perSecond = 0.0

    mutating func note(_ count: Int, of generation: UInt64) {
        if generation != self.generation {
            self.generation = generation
            samples = []
        }
        let now = Date()
        samples.append((now, count))
        while let first = samples.first, now.timeIntervalSince(first.time) > 1.5, samples.count > 2 {
            samples.removeFirst()
        }
        guard let first = samples.first, now.timeIntervalSince(first.time) > 0.05 else { return }
        perSecond = Double(count - first.count) / now.timeIntervalSince(first.time)
    }
}
