import Glibc
import StemwireSystem

/// Shows results while a run goes on. Write your own, or use `PNGPlot` and `TerminalPlot`.
public protocol LivePlot: Sendable {
    /// Shows the newest state. Called in a task of its own, one call at a time: a slow plot sees fewer states and holds up
    /// neither the run nor other plots. The last call of a run that came to its end has `update.outcome`.
    ///
    /// What it throws ends this plot, not the run, and is told in `RunOutcome.plotErrors`.
    func show(_ update: RunUpdate) async throws
}

/// Writes each channel that is an image to `<udf>.<channel>.png` in a folder, anew with each state. A viewer that watches
/// the file never sees half of one.
public struct PNGPlot: LivePlot {
    public let folder: String
    /// `udf.channel` of what is drawn; nil: all images.
    public let channels: Set<String>?

    /// - Parameters:
    ///   - folder: made if it is not there.
    ///   - channels: `udf.channel` of what is drawn; nil: all images.
    public init(folder: String, channels: Set<String>? = nil) {
        self.folder = folder
        self.channels = channels
    }

    public func show(_ update: RunUpdate) async throws {
        try await onThread("png") { () throws(RunError) in
            do throws(SystemError) {
                try Files.makeFolder(folder)
                for channel in update.channels where channels?.contains(channel.fileName) ?? true {
                    guard let picture = Picture(channel, navShape: update.navShape) else { continue }
                    try Files.replace("\(folder)/\(channel.fileName).png", by: picture.png())
                }
            } catch {
                throw .failed(error.description)
            }
        }
    }
}

/// Draws one channel in the terminal with coloured half blocks, each state in the place of the one before.
public final class TerminalPlot: LivePlot {
    public let udf: String?
    public let channel: String
    public let maximumWidth: Int
    private let write: @Sendable (String) -> Void
    private let linesDrawn = Locked(0)

    /// - Parameters:
    ///   - udf: id of the UDF; nil: the first that has an image.
    ///   - channel: its channel.
    ///   - maximumWidth: in characters; larger images are drawn with every n-th pixel.
    ///   - write: takes the text; nil: standard output.
    public init(
        udf: String? = nil, channel: String = "intensity", maximumWidth: Int = 80,
        write: (@Sendable (String) -> Void)? = nil
    ) {
        self.udf = udf
        self.channel = channel
        self.maximumWidth = max(1, maximumWidth)
        self.write =
            write ?? { text in
                print(text, terminator: "")
                fflush(nil)
            }
    }

    public func show(_ update: RunUpdate) async throws {
        let shown = update.channels.first { candidate in
            (udf == nil || udf == candidate.udf) && candidate.name == channel && candidate.shape.count == 2
        }
        guard let shown, let picture = Picture(actualSize: shown) else { return }
        let lines = picture.terminalLines(maximumWidth: maximumWidth)
        let title = "\(shown.fileName): \(update.processed) of \(update.expected) positions"
        let above = linesDrawn.withLock { drawn in
            defer { drawn = lines.count + 1 }
            return drawn
        }
        let home = above > 0 ? "\u{1B}[\(above)A\r" : ""
        write(home + (lines + [title + "\u{1B}[K"]).map { $0 + "\n" }.joined())
    }
}

/// Hands the newest state to plots, each at its own pace.
struct PlotBoard: Sendable {
    private let lanes: [(continuation: AsyncStream<RunUpdate>.Continuation, task: Task<String?, Never>)]

    init(_ plots: [any LivePlot]) {
        lanes = plots.map { plot in
            let (stream, continuation) = AsyncStream.makeStream(
                of: RunUpdate.self, bufferingPolicy: .bufferingNewest(1))
            let task = Task { () -> String? in
                do {
                    for await update in stream { try await plot.show(update) }
                    return nil
                } catch {
                    return "\(type(of: plot)): \(error)"
                }
            }
            return (continuation, task)
        }
    }

    func offer(_ update: RunUpdate) {
        for lane in lanes { lane.continuation.yield(update) }
    }

    /// Shows the last state, if there is one, and waits until it is shown.
    ///
    /// - Returns: what went wrong.
    func finish(_ last: RunUpdate?) async -> [String] {
        if let last { offer(last) }
        for lane in lanes { lane.continuation.finish() }
        var errors: [String] = []
        for lane in lanes { if let error = await lane.task.value { errors.append(error) } }
        return errors
    }
}
