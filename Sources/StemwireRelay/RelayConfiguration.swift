import StemwireClient
import StemwireServer

/// What a relay is started with.
public struct RelayConfiguration: Sendable {
    /// The server, or another relay.
    public var upstream: ServerEndpoint
    /// The address to listen at.
    public var bindHost = "127.0.0.1"
    /// Ports to listen on; 0 takes a free one.
    public var controlPort = 7400
    public var livePort = 7401
    /// Allows an address other than loopback, without encryption or a list of who may come in.
    public var allowsInsecure = false
    /// Who may come in, and how many.
    public var trust = TrustConfiguration()
    /// What the relay shows the server; its role bounds what viewers can do through the relay.
    public var token: AccessToken?
    /// Bytes that wait for all viewers together; what goes beyond is left out, and the jump in the numbers shows it.
    public var queueBytes = 256 << 20
    /// How long the server may be silent before the relay says that it is not connected.
    public var silenceLimit = Duration.seconds(5)
    /// How often the server is asked for its status.
    public var pollInterval = Duration.seconds(1)

    public init(upstream: ServerEndpoint) { self.upstream = upstream }

    /// - Throws: ``RelayError`` that names the setting.
    func check() throws(RelayError) {
        for (name, port) in [("control port", controlPort), ("live port", livePort)] where !(0...65535).contains(port) {
            throw .badSetting(name, "\(port) is not a port number (0 to 65535)")
        }
        if let problem = trust.problem(bindHost: bindHost, allowsInsecure: allowsInsecure) {
            throw .badSetting(problem.setting, problem.why)
        }
        guard queueBytes >= 1 << 20 else {
            throw .badSetting("queue", "\(queueBytes) bytes are too few for frames; 1 MiB is the least")
        }
        guard silenceLimit > .zero, pollInterval > .zero else {
            throw .badSetting("times", "the silence limit and the interval between two polls are above zero")
        }
    }

    func endpoint(_ port: Int) -> String {
        let host = bindHost.contains(":") ? "[\(bindHost)]" : bindHost
        return "tcp://\(host):\(port == 0 ? "*" : String(port))"
    }
}

/// Why a relay cannot be set up or started.
public enum RelayError: Error, Sendable, CustomStringConvertible {
    case badSetting(String, String)
    case cannotStart(String)

    public var description: String {
        switch self {
        case .badSetting(let name, let reason): "\(name): \(reason)"
        case .cannotStart(let reason): "the relay cannot start: \(reason)"
        }
    }
}
