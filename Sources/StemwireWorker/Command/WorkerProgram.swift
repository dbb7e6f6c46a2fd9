import ArgumentParser
import Glibc
import Logging
import StemwireKernels
import StemwireSystem
import StemwireUDF

/// A worker as a program: events on standard output or in the log, signals, exit codes.
public struct WorkerProgram: Sendable {
    /// How a program ends: 0 done, 1 failure, 3 no server, 64 usage, 130 interrupted.
    public struct Exit: Sendable, Hashable {
        public let code: Int32
        /// For people; nil when there is nothing to say.
        public let message: String?
    }

    private let worker: Worker
    private let patience: Duration
    private let printsJSON: Bool
    private let logger: Logger

    /// - Throws: `WorkerError.badSetting`.
    public init(_ options: WorkerOptions, udfs: UDFRegistry) throws(WorkerError) {
        logger = options.log.logger()
        patience = .seconds(options.leaveTimeout)
        printsJSON = options.json
        worker = try Worker(options.configuration(), udfs: udfs)
    }

    /// Works until SIGTERM or SIGINT, or until there is no server any more.
    public func run() async -> Exit {
        let signals = Locked<[Int32]>([])
        let watch: SignalWatch
        do throws(SystemError) {
            watch = try SignalWatch([SIGINT, SIGTERM]) { [worker, patience] signal in
                signals.withLock { $0.append(signal) }
                Task { await worker.leave(within: patience) }
            }
        } catch {
            return Exit(code: 1, message: error.description)
        }
        defer { watch.end() }
        do throws(WorkerError) {
            try await worker.run { [self] in tell($0) }
        } catch {
            switch error {
            case .unreachable: return Exit(code: 3, message: error.description)
            case .badSetting: return Exit(code: 64, message: error.description)
            case .refused, .system: return Exit(code: 1, message: error.description)
            }
        }
        return Exit(code: signals.value.first == SIGINT ? 130 : 0, message: nil)
    }

    private func tell(_ event: WorkerEvent) {
        switch event {
        case .connected, .left: logger.notice("\(event)")
        case .lost, .refused, .failed, .planned(_, _, .some): logger.warning("\(event)")
        case .planned: logger.info("\(event)")
        }
        guard printsJSON else { return }
        var line = event.object
        if case .connected = event {
            line["endpoint"] = .text(worker.configuration.endpoint)
            line["threads"] = .integer(Int64(worker.configuration.threads))
            line["name"] = .text(worker.configuration.name)
        }
        // One write, so that lines stay whole beside the log's.
        let bytes = Array((ParameterValue.object(line).json + "\n").utf8)
        _ = write(STDOUT_FILENO, bytes, bytes.count)
    }
}

extension WorkerEvent {
    /// The event as a JSON object.
    var object: [String: ParameterValue] {
        switch self {
        case .connected(let session, let epoch):
            ["event": .text("connected"), "session": .text(session), "epoch": .integer(Int64(epoch))]
        case .lost(let why): ["event": .text("lost"), "reason": .text(why)]
        case .refused(let why): ["event": .text("refused"), "reason": .text(why)]
        case .planned(let run, let udfs, let failure):
            [
                "event": .text("planned"), "run": .text(run), "udfs": .list(udfs.map { .text($0) }),
                "failure": failure.map { .text($0) } ?? .null,
            ]
        case .failed(let why): ["event": .text("failed"), "reason": .text(why)]
        case .left(let counts, let unfinished):
            [
                "event": .text("left"), "partitions": .integer(Int64(counts.partitions)),
                "frames": .integer(Int64(counts.frames)), "failed": .integer(Int64(counts.failures)),
                "unfinished": .integer(Int64(unfinished)),
            ]
        }
    }
}

extension Worker {
    /// The whole `main` of a program that is a worker with UDFs of its own beside the built-in ones. Reads the command line
    /// (`--help` tells), works until SIGTERM or SIGINT, and ends the process unless all went well.
    ///
    /// - Parameters:
    ///   - udfs: The types of the UDFs, such as `[Brightest.self]`.
    ///   - arguments: In place of the process's own.
    public static func main(udfs: [any UDF.Type], arguments: [String]? = nil) async {
        do {
            try InstructionSet.checkEnvironment()
            var registry = UDFRegistry.builtIn
            for udf in udfs { try registry.add(udf) }
            let program = try WorkerProgram(OwnWorker.parse(arguments).options, udfs: registry)
            finish(await program.run())
        } catch let error as WorkerError {
            finish(WorkerProgram.Exit(code: 64, message: error.description))
        } catch let error as InstructionSetError {
            finish(WorkerProgram.Exit(code: 64, message: error.description))
        } catch let error as UDFError {
            finish(WorkerProgram.Exit(code: 1, message: error.description))
        } catch {
            OwnWorker.exit(withError: error)
        }
    }

    private static func finish(_ exit: WorkerProgram.Exit) {
        if let message = exit.message {
            let bytes = Array((message + "\n").utf8)
            _ = write(STDERR_FILENO, bytes, bytes.count)
        }
        if exit.code != 0 { Glibc.exit(exit.code) }
    }
}

/// The command line of a user's own worker, with the name of its program in the help.
private struct OwnWorker: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: CommandLine.arguments.first.flatMap { $0.split(separator: "/").last.map(String.init) },
        abstract: "Runs UDFs for a Stemwire acquisition server.",
        discussion: """
            Exit codes: 0 done, 1 failure, 3 no server (with --connect-timeout), 64 usage, 130 interrupted.
            """)

    @OptionGroup var options: WorkerOptions
}
