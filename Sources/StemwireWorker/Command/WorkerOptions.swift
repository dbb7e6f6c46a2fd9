import ArgumentParser
import Glibc
import StemwireClient
import StemwireKernels
import StemwireUDF

/// The command line of a worker: of `stemwire worker`, and of a user's own one.
public struct WorkerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The server's work socket; or ipc://PATH.", valueName: "tcp://HOST:7402"))
    public var connect = "tcp://127.0.0.1:7402"
    @Option(
        help: ArgumentHelp(
            "File with a token of the role worker; - for standard input. Default: what STEMWIRE_TOKEN holds, the token or a file's path.",
            valueName: "FILE"))
    public var token: String?
    @Option(help: ArgumentHelp("Partitions worked on at a time. Default: the processors there are.", valueName: "N"))
    public var threads: Int?
    @Option(help: "Name in the server's status. Default: host and process.") public var name: String?
    @Option(
        help: ArgumentHelp(
            "Frames that the server may send ahead, MiB. Default: a quarter of the memory, at most 256.",
            valueName: "MiB"))
    public var memoryLimit: Int?
    @Option(help: ArgumentHelp("End with code 3 when there is no server for so long. Default: never.", valueName: "S"))
    public var connectTimeout: Double?
    @Option(
        help: ArgumentHelp(
            "After SIGTERM or SIGINT: finish what is here within so many seconds; others do the rest.", valueName: "S"))
    public var leaveTimeout = 10.0
    @Option(
        help: ArgumentHelp(
            "File to touch with each sign of life from the server, and each second without one, for a probe.",
            valueName: "PATH"))
    public var aliveFile: String?
    @OptionGroup public var log: LogOptions
    @Flag(help: "Print one JSON object a line on standard output.") public var json = false

    public init() {}

    /// The settings that the options stand for.
    ///
    /// - Throws: `WorkerError.badSetting`.
    public func configuration() throws(WorkerError) -> WorkerConfiguration {
        var configuration = WorkerConfiguration(endpoint: connect)
        do throws(TokenError) {
            configuration.token = try AccessToken.find(token)
        } catch {
            throw .badSetting("\(token == nil ? "STEMWIRE_TOKEN" : "--token"): \(error)")
        }
        if let threads { configuration.threads = threads }
        if let name { configuration.name = name }
        if let memoryLimit {
            guard (1...1 << 20).contains(memoryLimit) else {
                throw .badSetting("--memory-limit: \(memoryLimit) MiB; 1 to \(1 << 20) are possible")
            }
            configuration.memoryBytes = memoryLimit << 20
        }
        if let connectTimeout {
            guard connectTimeout > 0, connectTimeout <= 86_400 else {
                throw .badSetting("--connect-timeout: \(connectTimeout) s; above 0, at most a day")
            }
            configuration.connectTimeout = .seconds(connectTimeout)
        }
        configuration.aliveFile = aliveFile
        guard leaveTimeout >= 0, leaveTimeout <= 86_400 else {
            throw .badSetting("--leave-timeout: \(leaveTimeout) s; 0 to a day are possible")
        }
        return configuration
    }
}
