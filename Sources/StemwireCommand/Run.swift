import ArgumentParser
import Foundation
import Stemwire
import StemwireAcquisition
import StemwireUDF

struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs UDFs over one acquisition and writes their results.",
        discussion: """
            UDFs: \(UDFRegistry.builtIn.entries.map(\.name).joined(separator: ", ")). Parameters follow the name, as in \
            --udf bf=disk:cy=128,cx=128,r=20 --udf adf=ring:ri=30,ro=60 (pixels; y before x).

            Writes DIR/<id>.<channel>.npy (full scan or detector shape, little-endian) and DIR/run.json.
            """)

    @Argument(
        help:
            "merlin://HOST[:CONTROL,DATA], FILE.hdr, FILE.mib, synthetic, or stemwire://HOST[:PORT] (an acquisition server)."
    )
    var source: String
    @Option(help: ArgumentHelp("UDF to run; may be repeated.", valueName: "[ID=]NAME[:key=value,…]"))
    var udf: [String] = []
    @Option(help: NavShapeArgument.help) var navShape: NavShapeArgument?
    @Option(
        help: ArgumentHelp(
            "Frames in a partition. Default: whole scan lines, about 256, of 32 MiB at most.", valueName: "N"))
    var framesPerPartition: Int?
    @OptionGroup var margins: MarginOptions
    @Option(help: "soft: arm and trigger the detector; none: somebody else does.") var trigger = "none"
    @Option(help: ArgumentHelp("Seconds that the whole run may take.", valueName: "S")) var timeout: Double?
    @Option(help: "Seconds of silence after which the acquisition ends.") var idleLimit = 2.0
    @Option(
        help: ArgumentHelp(
            "Threads that run UDFs. Default: one a processor for a file, half as many for a detector.", valueName: "N"))
    var threads: Int?
    @Option(help: ArgumentHelp("Folder for the results; made if it is not there.", valueName: "DIR")) var output:
        String?
    @OptionGroup var token: TokenOption
    @OptionGroup var corrections: CorrectionOptions
    @Flag(help: "Write a PNG beside each result that is a picture.") var png = false
    @Flag(help: "Print one JSON object a line on standard output.") var json = false
    @Flag(help: "Show progress on standard error.") var progress = false

    func run() async throws {
        let locator = try sourceLocator(source)
        guard !udf.isEmpty else {
            throw CommandFailure.usage("--udf: name at least one UDF, such as --udf sum")
        }
        let requests = try udf.map { try udfRequest($0) }
        let options = try runOptions(locator)
        let line = ProgressLine()
        let showsProgress = progress
        let report: @Sendable (RunProgress) -> Void = { now in
            guard showsProgress else { return }
            line.show(
                now.expected == 0
                    ? "waiting for the first frame"
                    : "\(progressBar(now.processed, of: now.expected)) \(now.processed) of \(now.expected), "
                        + "\(Int(now.framesPerSecond)) frames/s")
        }
        do {
            let outcome = try await Interruption.cancelling {
                switch locator {
                case .server(let host, let port):
                    try await RemoteRun(host: host, port: port, requests: requests, options: options).run(
                        progress: report)
                default:
                    try await LocalRun(source: locator, requests: requests, options: options).run(progress: report)
                }
            }
            line.finish()
            try finish(outcome, code: outcome.isComplete ? 0 : CommandFailure.incompleteCode)
        } catch let error as RunError {
            line.finish()
            throw try failure(error)
        }
    }

    private func runOptions(_ locator: SourceLocator) throws -> RunOptions {
        var options = RunOptions()
        options.navShape = navShape?.lengths
        options.framesPerPartition = framesPerPartition
        if let margins = margins.margins { options.margins = margins }
        guard framesPerPartition.map({ $0 > 0 }) ?? true else {
            throw CommandFailure.usage("--frames-per-partition: must be at least 1")
        }
        guard trigger == "none" || DetectorTrigger(rawValue: trigger) != nil else {
            throw CommandFailure.usage("--trigger: \"\(trigger)\" is none of soft, internal, none")
        }
        options.trigger = DetectorTrigger(rawValue: trigger)
        if let timeout {
            guard timeout > 0, timeout < 1e9 else { throw CommandFailure.usage("--timeout: must be above 0 seconds") }
            options.timeout = .seconds(timeout)
        }
        guard idleLimit > 0, idleLimit <= 86_400 else {
            throw CommandFailure.usage("--idle-limit: \(idleLimit) s; above 0, at most a day")
        }
        options.idleLimit = .seconds(idleLimit)
        guard (1...256).contains(threads ?? 1) else { throw CommandFailure.usage("--threads: 1 to 256 are possible") }
        options.threads = threads ?? Self.usualThreads(locator)
        options.corrections = try corrections.read()
        if case .server = locator { options.token = try token.read() }
        return options
    }

    /// A detector's receiver, and the sender where it is the simulator, want processors too.
    private static func usualThreads(_ locator: SourceLocator) -> Int {
        let processors = ProcessInfo.processInfo.activeProcessorCount
        if case .file = locator { return min(processors, 256) }
        return max(1, processors / 2)
    }

    private func failure(_ error: RunError) throws -> CommandFailure {
        switch error {
        case .badRequest(let text): return .usage(text)
        case .unreachable(let text): return .unreachable(text)
        case .refused(let text), .failed(let text): return .failure(text)
        case .cancelled: return .interrupted
        case .timedOut(let text, let outcome):
            if let outcome { try write(outcome) }
            return .timedOut(text)
        }
    }

    private func finish(_ outcome: RunOutcome, code: Int32) throws {
        try write(outcome)
        if code != 0 { throw ExitCode(code) }
    }

    private func write(_ outcome: RunOutcome) throws {
        var files: [String] = []
        if let output {
            do {
                files = try RunFiles(folder: output, withPictures: png).write(outcome)
            } catch {
                throw CommandFailure.failure("the results cannot be written to \(output): \(error)")
            }
        }
        if json {
            Terminal.print(outcome.json())
        } else {
            for line in RunSummary.lines(outcome) { Terminal.print(line) }
            for file in files { Terminal.print("wrote \(file)") }
        }
    }
}
