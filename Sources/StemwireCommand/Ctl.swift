import ArgumentParser
import Foundation
import StemwireClient
import StemwireProtocol

struct Ctl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Sends one request to an acquisition server.",
        discussion: """
            status                what server, detector, acquisition and runs are doing
            check                 would this acquisition work, how long does it take? (--frames, --trigger, --nav-shape, --set)
            arm                   STARTACQUISITION (with --frames, --trigger, --nav-shape, --endless, --window set first)
            trigger               SOFTTRIGGER
            wait                  until the acquisition has ended and its results are final
            stop, abort           STOPACQUISITION (frames on their way still count), ABORT
            scan                  --set, --udf, arm, trigger and wait in one request; --repeats of them
            get NAME              a parameter of the detector
            set NAME VALUE        sets one
            configure NAME=VALUE… sets several in the right order, reads back, and tells what differs
            cmd NAME              any command of the detector
            command-file FILE     sends a file of such lines: SET,NAME,VALUE, CMD,NAME, GET,NAME
            image FILE            the newest state of a channel (--channel) as .png, .tiff, .npy or .raw
            frame POSITION FILE   one frame, by its number or as "newest", likewise
            history               the acquisitions before (--count, --before)
            run --udf …           starts UDFs on the next acquisition
            change NAME --udf …   gives UDFs of a run other parameters, by their ids
            runs, stop-run NAME   lists the runs, ends one
            """)

    @Option(help: ArgumentHelp("The server's control socket.", valueName: "tcp://HOST:7400"))
    var connect = "tcp://127.0.0.1:7400"
    @OptionGroup var token: TokenOption
    @Option(help: "Seconds to wait for the answer. Default: 5; 600 for scan and wait.") var timeout: Double?
    @Flag(help: "Print one JSON object on standard output.") var json = false
    @Option(help: ArgumentHelp("arm: shape of the scan, slow axis first.", valueName: "Y X")) var navShape:
        NavShapeArgument?
    @Option(help: "arm, check, scan: number of frames.") var frames: Int?
    @Option(help: "arm, check, scan: soft or internal.") var trigger: TriggerMode?
    @Flag(help: "arm: until told to stop; each nav shape of frames becomes an acquisition.") var endless = false
    @Option(
        help: ArgumentHelp(
            "arm: ended acquisitions that the server keeps from now on, with results and, as far as memory lasts, frames (1 to 64). Default: as `stemwire serve --keep`.",
            valueName: "N"))
    var window: Int?
    @OptionGroup(title: "Options of arm, check and scan: frames that are no positions") var margins: MarginOptions
    @Option(
        help: ArgumentHelp("arm, scan: frames in a partition. Default: as the server was told.", valueName: "N"))
    var framesPerPartition: Int?
    @Option(help: ArgumentHelp("check, scan: a setting of the detector; may be repeated.", valueName: "NAME=VALUE"))
    var set: [String] = []
    @Option(help: "scan: acquisitions, one after the other.") var repeats = 1
    @Option(help: ArgumentHelp("image: which. Default: the first there is.", valueName: "[RUN/]UDF[.CHANNEL]"))
    var channel: String?
    @Option(help: "image, frame: colour map of a .png.") var colours: String?
    @Flag(help: "image, frame: brightness of a .png follows the logarithm.") var logarithmic = false
    @Option(help: "history: acquisitions at most.") var count = 20
    @Option(help: "history: only those before this number.") var before: UInt64?
    @Option(help: ArgumentHelp("run: UDF to run; may be repeated.", valueName: "[ID=]NAME[:key=value,…]"))
    var udf: [String] = []
    @Option(help: "run: its name.") var name: String?
    @Option(help: "run: acquisitions to run on; 0 until stopped.") var acquisitions = 1
    @Flag(help: "run: take part in the running acquisition from now on.") var joinCurrent = false

    @Flag(help: "run: with --join-current, also the frames that came before.") var fromStart = false
    @Flag(help: "change: do what was done before again, as far as there are frames.") var recompute = false

    @Argument(help: "What to ask for, as above.") var request: String
    @Argument(help: "What the request needs.") var arguments: [String] = []

    func run() async throws {
        try checkArguments()
        do {
            let server = try await StemwireConnection.connect(
                to: connect, timeout: min(deadline, .seconds(1)),
                options: ConnectionOptions(clientName: "stemwire ctl", token: try token.read()))
            do {
                try await perform(on: server)
                await server.close()
            } catch {
                await server.close()
                throw error
            }
        } catch let error as ConnectError {
            throw CommandFailure(error)
        } catch let error as ControlFailure {
            switch error.code {
            case .noReply, .timedOut: throw CommandFailure.timedOut(error.description)
            case .detectorUnreachable: throw CommandFailure.unreachable(error.description)
            case .invalidArgument: throw CommandFailure.usage(error.description)
            default: throw CommandFailure.failure(error.description)
            }
        }
    }

    private static let needed = [
        "status": 0, "check": 0, "arm": 0, "trigger": 0, "wait": 0, "stop": 0, "abort": 0, "scan": 0, "get": 1,
        "set": 2,
        "cmd": 1, "command-file": 1, "image": 1, "frame": 2, "history": 0, "run": 0, "change": 1, "runs": 0,
        "stop-run": 1,
    ]
    private var takesAcquisitions: Bool { request == "scan" || request == "wait" }
    var deadline: Duration { .seconds(timeout ?? (takesAcquisitions ? 600 : 5)) }

    private func checkArguments() throws {
        guard let needed = request == "configure" ? max(1, arguments.count) : Self.needed[request] else {
            throw CommandFailure.usage(
                "ctl: \"\(request)\" is none of \((Self.needed.keys + ["configure"]).sorted().joined(separator: ", "))")
        }
        guard arguments.count == needed else {
            throw CommandFailure.usage("ctl \(request): takes \(needed) arguments, \(arguments.count) came")
        }
        let longest = takesAcquisitions ? 86_400.0 : 600
        let seconds = timeout ?? 5
        guard seconds > 0, seconds <= longest else {
            throw CommandFailure.usage("--timeout: above 0, at most \(Int(longest)) seconds")
        }
        if request == "run" || request == "change", udf.isEmpty {
            throw CommandFailure.usage("ctl \(request): name at least one --udf")
        }
    }

    private func perform(on server: StemwireConnection) async throws {
        if try await performWhole(on: server) { return }
        switch request {
        case "status":
            let status = try await server.status(deadline: deadline)
            if json {
                try Terminal.print(status.jsonString())
            } else {
                StatusText.lines(status).forEach(Terminal.print)
            }
        case "arm":
            done(try await server.arm(armSettings, deadline: deadline))
        case "trigger": done(try await server.trigger(deadline: deadline))
        case "stop": done(try await server.stop(deadline: deadline))
        case "abort": done(try await server.abort(deadline: deadline))
        case "get":
            let value = try await server.detectorGet(arguments[0], deadline: deadline)
            if json { Terminal.json([arguments[0]: value]) } else { Terminal.print(value) }
        case "set":
            try await server.detectorSet(arguments[0], to: arguments[1], deadline: deadline)
            if json { Terminal.json([arguments[0]: arguments[1]]) }
        case "cmd":
            try await server.detectorCommand(arguments[0], deadline: deadline)
            if json { Terminal.json(["done": arguments[0]]) }
        case "run":
            let run = try await server.startRun(
                try selections(), run: name, acquisitions: acquisitions == 0 ? nil : acquisitions,
                joinCurrent: joinCurrent,
                fromStart: fromStart, deadline: deadline)
            if json { Terminal.json(["run": run]) } else { Terminal.print(run) }
        case "change":
            done(
                try await server.changeRun(
                    arguments[0], to: try selections(), recompute: recompute, deadline: deadline))
        case "runs":
            let runs = try await server.listRuns(deadline: deadline)
            for run in runs {
                if json { try Terminal.print(run.jsonString()) } else { Terminal.print(StatusText.line(run)) }
            }
        default:
            done(try await server.stopRun(arguments[0], deadline: deadline))
        }
    }

    func selections() throws -> [UDFSelection] {
        try udf.map { text in
            let request = try udfRequest(text)
            return UDFSelection(
                request.name, id: request.id,
                parameters: request.parameters.mapValues { value in
                    if case .text(let text) = value { text } else { value.json }
                })
        }
    }

    private func done(_ result: CommandResult) {
        if json {
            Terminal.json([
                "done": request, "state_before": result.stateBefore.rawValue, "state_after": result.stateAfter.rawValue,
                "frames_placed": result.framesPlaced, "generation": Int(result.generation),
                "end_reason": result.endReason ?? "",
            ])
        } else {
            let end = result.endReason.map { reason in
                "; \(result.framesPlaced) of \(result.framesExpected) frames, \(reason)"
            }
            Terminal.print("\(request): \(result.stateBefore) → \(result.stateAfter)\(end ?? "")")
        }
    }
}

extension TriggerMode: ExpressibleByArgument {}
