import ArgumentParser
import Logging
import StemwireClient
import StemwireRelay
import StemwireSystem
import StemwireWorker

struct Relay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Subscribes once to a server, or to another relay, and serves many viewers in its place.",
        discussion: """
            Viewers connect to a relay as to a server, see the same live stream and results, and can arm and trigger through \
            it. Frames that were lost cannot be fetched again from a relay; who must have all connects to the server.
            """)

    @Option(
        help:
            "Control endpoint of the server, or of another relay: tcp://HOST:PORT, stemwire://HOST[:PORT] or HOST[:PORT]."
    )
    var connect: String
    @OptionGroup var token: TokenOption
    @Option(help: "Address to listen at. One that other machines reach needs keys (`stemwire keygen`) or --insecure.")
    var bind = "127.0.0.1"
    @Option(help: "Port of the control socket; 0 takes a free one.") var controlPort = 7400
    @Option(help: "Port of the live socket; 0 takes a free one.") var livePort = 7401
    @Flag(help: "Allow an address that other machines reach, without encryption and without asking who they are.")
    var insecure = false
    @OptionGroup var trust: TrustOptions
    @Option(help: "Memory for messages that viewers have not taken yet, MiB.") var queue = 256
    @OptionGroup var log: LogOptions
    @OptionGroup var settings: SettingsOptions
    @Flag(help: "Print one JSON object a line on standard output.") var json = false

    func run() async throws {
        let logger = log.logger()
        // Each viewer is a descriptor.
        Machine.raiseDescriptorLimit(to: 65536)
        let upstream: ServerEndpoint
        do throws(ConnectError) {
            upstream = try ServerEndpoint(connect)
        } catch {
            throw CommandFailure.usage("--connect: \(error)")
        }
        var configuration = RelayConfiguration(upstream: upstream)
        configuration.bindHost = bind
        (configuration.controlPort, configuration.livePort) = (controlPort, livePort)
        configuration.allowsInsecure = insecure
        configuration.token = try token.read()
        configuration.trust = trust.configuration(bind: bind, isInsecure: insecure)
        guard (1...1 << 20).contains(queue) else {
            throw CommandFailure.usage("--queue: \(queue) MiB; 1 to \(1 << 20) are possible")
        }
        configuration.queueBytes = queue << 20
        let relay: StemwireRelay.Relay
        let endpoints: StemwireRelay.Relay.Endpoints
        do throws(RelayError) {
            relay = try StemwireRelay.Relay(configuration, logger: logger)
            endpoints = try await relay.start()
        } catch {
            if case .badSetting = error { throw CommandFailure.usage(error.description) }
            throw CommandFailure.failure(error.description)
        }
        if insecure { logger.warning("insecure: whoever reaches \(bind) can read everything and control the detector") }
        if json {
            Terminal.json([
                "event": "listening", "control_port": endpoints.controlPort, "live_port": endpoints.livePort,
                "upstream": upstream.description,
            ])
        } else {
            Terminal.print(
                "Relaying \(upstream): control tcp://\(bind):\(endpoints.controlPort), live \(endpoints.livePort)")
            Terminal.print("Watch it with: stemwire watch --connect tcp://\(bind):\(endpoints.controlPort)")
        }
        let signal = try await Interruption.wait()
        await relay.stop()
        if signal == .interrupt { throw ExitCode(130) }
    }
}
