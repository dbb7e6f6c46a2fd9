import ArgumentParser
import StemwireAdapter
import StemwireClient
import StemwireSystem

struct Adapt: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serves other programs' own protocols from an acquisition server.",
        discussion:
            "Adapters in Python, for karabo-bridge and DECTRIS clients: stemwire-adapt, of the package in tools/python.",
        subcommands: [MPX.self])

    struct MPX: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "mpx",
            abstract: "Serves the Merlin detector's data and control ports to several programs at once.",
            discussion: """
                LiberTEM-live and other clients of a Merlin detector connect as to the detector. They receive every frame, byte \
                by byte as the detector sent it, in the order of the scan, from the next acquisition on. GET, SET and CMD are \
                passed on to the server, which owns the detector.
                """)

        @Option(help: ArgumentHelp("The server's control socket.", valueName: "tcp://HOST:7400"))
        var connect = "tcp://127.0.0.1:7400"
        @Option(help: "Address to listen at. One that other machines reach needs --insecure.") var bind = "127.0.0.1"
        @Option(help: "Port of the data socket; 0 takes a free one.") var dataPort = 6342
        @Option(help: "Port of the control socket; 0 takes a free one.") var controlPort = 6341
        @Option(help: "Frames that may wait for one client, MiB; then it is let go.") var queue = 512
        @Flag(help: "Refuse SET and CMD.") var readOnly = false
        @Flag(help: "Allow an address that other machines reach: the Merlin protocol knows no encryption.")
        var insecure = false
        @Option(help: "trace, debug, info, notice, warning, error.") var logLevel = "notice"
        @Flag(help: "Print one JSON object a line on standard output.") var json = false

        func run() async throws {
            let logger = try makeLogger(level: logLevel)
            guard insecure || ["127.0.0.1", "::1", "localhost"].contains(bind) else {
                throw CommandFailure.usage("--bind \(bind): other machines reach it; add --insecure if that is meant")
            }
            guard (1...1 << 20).contains(queue) else {
                throw CommandFailure.usage("--queue: \(queue) MiB; 1 to \(1 << 20) are possible")
            }
            var configuration = MPXAdapter.Configuration()
            configuration.host = bind
            (configuration.dataPort, configuration.controlPort) = (dataPort, controlPort)
            configuration.queueBytes = queue << 20
            configuration.isReadOnly = readOnly
            do {
                let server = try await StemwireConnection.connect(to: connect, clientName: "stemwire adapt mpx")
                let adapter = try MPXAdapter(configuration, server: server) { event in
                    logger.notice("\(event)")
                }
                if insecure { logger.warning("insecure: whoever reaches \(bind) can read everything") }
                if json {
                    Terminal.json([
                        "event": "listening", "data_port": adapter.ports.data, "control_port": adapter.ports.control,
                    ])
                } else {
                    Terminal.print("Merlin data tcp://\(bind):\(adapter.ports.data), control \(adapter.ports.control)")
                }
                try await Interruption.cancelling { try await adapter.run() }
                await server.close()
            } catch let error as ConnectError {
                if case .badEndpoint = error { throw CommandFailure.usage(error.description) }
                throw CommandFailure.unreachable(error.description)
            } catch let error as SubscriptionError {
                throw CommandFailure.unreachable(error.description)
            } catch let error as SystemError {
                throw CommandFailure.failure(error.description)
            } catch is CancellationError {
                throw CommandFailure.interrupted
            }
        }
    }
}
