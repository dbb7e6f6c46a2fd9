import ArgumentParser
import Foundation
import Logging
import StemwireServer
import StemwireViewer
import StemwireWorker

struct View: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serves the viewer's page for an acquisition server on another machine.",
        discussion: """
            Open the address that it prints in a browser.

            With --keys pages and programs need a token that `stemwire enrol --web` has made with the same folder. HTTP is not \
            encrypted: for other machines put a proxy with TLS in front.
            """)

    @Option(help: ArgumentHelp("The server's control socket.", valueName: "tcp://HOST:7400"))
    var connect = "tcp://127.0.0.1:7400"
    @OptionGroup var token: TokenOption
    @Option(help: "Address to listen at. One that other machines reach needs --keys or --insecure.")
    var bind = "127.0.0.1"
    @Option(
        help: ArgumentHelp(
            "Folder with the allow list of those who may come in. Default: nobody is asked.", valueName: "DIR"))
    var keys: String?
    @Option(help: "Port of the page; 0 takes a free one.") var httpPort = 7480
    @Flag(help: "Allow an address that other machines reach, without encryption and without asking who they are.")
    var insecure = false
    @Flag(help: "Pages may look, and neither command the detector nor start virtual detectors.") var look = false
    @Option(help: ArgumentHelp("Another site whose pages may connect; may be repeated.", valueName: "https://HOST"))
    var origin: [String] = []
    @OptionGroup var log: LogOptions
    @OptionGroup var settings: SettingsOptions
    @Flag(help: "Print one JSON object a line on standard output.") var json = false

    func run() async throws {
        let logger = log.logger()
        var settings = ViewerConfiguration(serverEndpoint: connect)
        (settings.bindHost, settings.port, settings.allowsInsecure) = (bind, httpPort, insecure)
        settings.token = try token.read()
        settings.role = look ? .look : .operate
        settings.allowedOrigins = origin
        let gate = try webGate(logger)
        defer { gate?.stop() }
        settings.guests = gate?.guestBook
        let viewer: ViewerServer
        let port: Int
        do throws(ViewerError) {
            viewer = try ViewerServer(settings, logger: logger)
            port = try await viewer.start()
        } catch {
            if case .badSetting = error { throw CommandFailure.usage(error.description) }
            throw CommandFailure.failure(error.description)
        }
        if json {
            Terminal.json(["event": "listening", "http_port": port])
        } else {
            Terminal.print("The viewer of \(connect) is at http://\(bind):\(port)")
        }
        let signal = try await Interruption.wait()
        await viewer.stop()
        if signal == .interrupt { throw ExitCode(130) }
    }

    private func webGate(_ logger: Logger) throws -> WebGate? {
        guard let keys else { return nil }
        guard !insecure else {
            throw CommandFailure.usage("--insecure: with --keys nobody comes in unasked; leave out one")
        }
        do {
            return try WebGate(KeyDirectory(keys), logger: logger)
        } catch {
            throw CommandFailure.failure("\(error)")
        }
    }
}
