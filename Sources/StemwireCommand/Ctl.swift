import ArgumentParser
import Foundation
import StemwireClient
import StemwireProtocol

struct Ctl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Sends one request to an acquisition server.",
        discussion: """
            status                what server, detector, acquisition and runs are doing
            arm                   STARTACQUISITION (with --frames, --trigger, --nav-shape set first)
            trigger               SOFTTRIGGER
            stop, abort           STOPACQUISITION (frames on their way still count), ABORT
            get NAME              a parameter of the detector
            set NAME VALUE        sets one
            cmd NAME              any command of the detector
            run --udf …           starts UDFs on the next acquisition
            change NAME --udf …   gives UDFs of a run other parameters, by their ids
            runs, stop-run NAME   lists the runs, ends one
            """)

    @Option(help: ArgumentHelp("The server's control socket.", valueName: "tcp://HOST:7400"))
    var connect = "tcp://127.0.0.1:7400"
    @OptionGroup var token: TokenOption
    @Option(help: "Seconds to wait for the answer.") var timeout = 5.0
    @Flag(help: "Print one JSON object on standard output.") var json = false
    @Option(help: ArgumentHelp("arm: shape of the scan, slow axis first.", valueName: "Y X")) var navShape:
        NavShapeArgument?
    @Option(help: "arm: number of frames.") var frames: Int?
    @Option(help: "arm: soft or internal.") var trigger: TriggerMode?
    @Option(help: ArgumentHelp("run: UDF to run; may be repeated.", valueName: "[ID=]NAME[:key=value,…]"))
    var udf: [String] = []
    @Option(help: "run: its name.") var name: String?
    @Option(help: "run: acquisitions to run on; 0 until stopped.") var acquisitions = 1
    @Flag(help: "run: take part in the running acquisition from now on.") var joinCurrent = false

    @Flag(help: "run: with --join-current, also the frames that came before.") var fromStart = false
    @Flag(help: "change: do what was done before again, as far as there are frames.") var recompute = false

    @Argument(help: "status, arm, trigger, stop, abort, get, set, cmd, run, change, runs or stop-run.") var request:
        String
    @Argument(help: "What the request needs.") var arguments: [String] = []

    func run() async throws {
        try checkArguments()
        do {
            let server = try await StemwireConnection.connect(
                to: connect, timeout: .seconds(min(timeout, 1)),
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

    private func checkArguments() throws {
        let needed = ["get": 1, "set": 2, "cmd": 1, "stop-run": 1, "change": 1]
        let known = [
            "status", "arm", "trigger", "stop", "abort", "get", "set", "cmd", "run", "change", "runs", "stop-run",
        ]
        guard known.contains(request) else {
            throw CommandFailure.usage("ctl: \"\(request)\" is none of \(known.joined(separator: ", "))")
        }
        guard arguments.count == needed[request, default: 0] else {
            throw CommandFailure.usage(
                "ctl \(request): takes \(needed[request, default: 0]) arguments, \(arguments.count) came")
        }
        guard timeout > 0, timeout <= 600 else { throw CommandFailure.usage("--timeout: above 0, at most 600 seconds") }
        if request == "run" || request == "change", udf.isEmpty {
            throw CommandFailure.usage("ctl \(request): name at least one --udf")
        }
    }

    private func perform(on server: StemwireConnection) async throws {
        let deadline = Duration.seconds(timeout)
        switch request {
        case "status":
            let status = try await server.status(deadline: deadline)
            if json {
                try Terminal.print(status.jsonString())
            } else {
                StatusText.lines(status).forEach(Terminal.print)
            }
        case "arm":
            done(
                try await server.arm(
                    navShape: navShape?.lengths, frames: frames, trigger: trigger, deadline: deadline))
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

    private func selections() throws -> [UDFSelection] {
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
            ])
        } else {
            Terminal.print("\(request): \(result.stateBefore) → \(result.stateAfter)")
        }
    }
}

extension TriggerMode: ExpressibleByArgument {}
